"""The deterministic core: `(state, event) -> (state, effects)`. No sockets, clock, randomness or files."""
