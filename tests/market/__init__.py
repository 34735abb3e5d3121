"""Differential fuzzing: our state of the market, kept from logs alone, beside the genuine contracts, step by step."""
