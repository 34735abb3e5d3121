"""What an operator takes part in the network with, as its configuration says."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from node.config import AlertAction, BrakeSupport
from node.pipeline.pools import PoolFamily
from protocol.units import Address, BasisPoints


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What this operator takes part with: its vault, and on which conditions it hands over and executes."""

    vault_module: Address
    safe: Address
    """Of the registered hot key."""
    finder_bps: BasisPoints
    finder_floor_bps: BasisPoints
    takes_orders: bool
    venues: Mapping[bytes, PoolFamily] = {}
    """Whose pools a factory, a vault or a manager makes."""
    policies: Mapping[str, AlertAction] = {}
    """Kind of alert to what follows from one that is confirmed."""
    supports: Mapping[str, BrakeSupport] = {}
    """Kind of alert to what our stake supports beside that, at the network's brake."""
    trusted: frozenset[bytes] = frozenset()
    """Tokens that take part whatever is found of them."""
    routers: frozenset[Address] = frozenset()
    """Whose calls are anybody's trades."""
