"""Scenarios: an operator's life in acts, played from a seed on the devnet's world, told, and asserted on the chain."""
