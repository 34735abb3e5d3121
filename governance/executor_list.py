"""Whether an executor takes a pool that it must have been created with: a question in the shape of a plan. Pure.

The list cannot be read. But in a simulated call from its module's address the executor either refuses by itself, before
the pool is asked, or the pool is asked, and then refuses, because nothing is there to swap.
"""

from __future__ import annotations

from typing import Final

from governance.executor import Hop, Plan, encode_plan
from protocol.ethereum.abi import SELECTOR_BYTES, encode_call, selector
from protocol.units import ZERO_ADDRESS, Address, BlockNumber, TokenAmount, Wei, address_to_hex

_LAST_BLOCK: Final = BlockNumber((1 << 40) - 1)
_EXECUTE: Final = "execute(address,address,uint256,uint256,bytes)"
_REFUSED_UNASKED: Final = frozenset(
    map(
        selector,
        (
            "NotModule()",
            "PlanExpired(uint256)",
            "MalformedPlan()",
            "UnknownSource(uint256)",
            "UnknownVenue(uint256)",
            "WrongAmount()",
            "NoSuchPool(address)",
            "PoolNotListed(address)",
        ),
    )
)


def question(token: Address, hop: Hop) -> bytes:
    """Return the call data for the executor: one unit of `token` through the one hop."""
    plan = Plan(last_block=_LAST_BLOCK, minimum_profit=TokenAmount(0), builder_payment=Wei(0), loan=None, hops=(hop,))
    nobody = address_to_hex(ZERO_ADDRESS)
    return encode_call(_EXECUTE, nobody, address_to_hex(token), 1, 0, encode_plan(plan))


def is_taken(revert: bytes) -> bool:
    """Whether the pool was asked, by the data with which the call reverted; empty data are a pool's, never ours."""
    return revert[:SELECTOR_BYTES] not in _REFUSED_UNASKED
