"""Benchmarks: each runnable alone, each beside a peer or a floor in the same run."""
