"""The process that holds no key: ledger, status, metrics."""
