"""Everybody else on the chain: traders, liquidity providers, borrowers, an oracle, a rival, a sandwich attacker."""
