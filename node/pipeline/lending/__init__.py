"""Lenders' state, pure: positions from logs, health by our own view of the oracles, and what a liquidation moves.

Each lender is one file over exact integers, equal to its contracts; `ray_math` is what Aave's stand on. A source that
contradicts itself raises `LendingError`.
"""
