"""The network as the pipeline sees it: whose turn the next blocks are, who takes orders, what this node can do."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from node.pipeline.pools import PoolFamily
from protocol.leaders import Turn
from protocol.units import Address, BasisPoints, BlockNumber, Wei

MAX_GIVEN = 32
"""Orders that we give for one block, whatever their answers; further finds go their own way: leaders blame floods."""
MAX_TAKEN = 64
"""Others' orders that are looked at for one block, by simulation, beside each finder's first; more are declined."""
MAX_FIRST = 64
"""Finders of whom one is looked at whatever the others send."""
MAX_TAKEN_OF_ONE = 16
"""Of these from one finder: who sends junk leaves room for the others."""
MAX_FAILED = 16
"""Who was wrong so often in a row is looked at once a block, until it is right."""
MAX_FAILING = 1_024
"""Finders of whom that is remembered."""


class NetworkView(msgspec.Struct, frozen=True):
    """Read anew at each block. `value_limits`: the most, in wei, that is handed to a leader at once."""

    account: Address
    hot_key: Address
    """The registered one; alone executes others' orders."""
    pay_to: Address
    """Our Safe, to which finders' shares go."""
    turns: Mapping[BlockNumber, Turn]
    """Of the blocks after the head, as far as they are known."""
    takes_orders: frozenset[Address]
    """Who executes others' orders …"""
    funds_orders: frozenset[Address]
    """… and who of these has capital of its own for it."""
    value_limits: Mapping[Address, Wei]
    is_paused: bool
    fee_bps: BasisPoints
    """Of the net profit in the wrapped coin, to the protocol."""
    finder_bps: BasisPoints
    finder_floor_bps: BasisPoints
    """Of the find's gross profit: what we get at least, or it is not executed."""
    relays: int
    """Those that bundles are offered to: none that our policy has stopped."""
    relays_usable: int
    executor_live: bool
    resting: frozenset[BlockNumber] = frozenset()
    """Blocks for which the registered hot key executes nothing: its check-in is due, and a bundle would void it."""
    removed: frozenset[bytes] = frozenset()
    """What governance took out of use, or our own policy has stopped: pools' ids, and addresses of pools, tokens and
    lenders.
    """
    removed_families: frozenset[PoolFamily] = frozenset()
    """Whose venue it took out of use."""
