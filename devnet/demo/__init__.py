"""The demo: a devnet, nodes that run on it as real processes, and what came of it, measured on the chain."""
