"""A local chain with genuine protocols, realistic traders, and a Flashbots-style relay that builds its blocks."""
