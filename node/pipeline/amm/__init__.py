"""Exact maths of the pool families: pure functions over frozen states, Python integers, equal to the chain to the wei.

Each family is one file (with the libraries it stands on beside it); each answers the same questions of a pool:

    quote_exact_in(pool, …, amount_in)    what comes out
    quote_exact_out(pool, …, amount_out)  what must go in
    swap…(pool, …)                        the pool afterwards

A question that the contract would answer with a revert raises a `PoolRevert` (`errors.py`) carrying the contract's own
revert string. Nothing here reads a clock, a file or a socket, and no float takes part.
"""
