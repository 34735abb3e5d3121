"""The desk's watchers: how the operator, the network and its vaults stand on the chain, and what changed."""
