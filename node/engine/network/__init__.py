"""The engine's part in the network: registry, membership, gossip, orders, alerts."""
