"""One file per kind of opportunity: each reads the market and what is pending, and yields finds."""
