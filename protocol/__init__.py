"""What two nodes must agree on, and nothing else.

Pure: no sockets, no clock, no randomness, no files. `scripts/check` enforces that by machine.
"""
