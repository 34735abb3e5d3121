"""The genuine protocols, deployed from their packages: one file per protocol."""
