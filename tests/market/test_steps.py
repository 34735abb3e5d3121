"""Where the fuzz has driven a pool to, it comes back from, and what cannot be quoted there is not taken for a fault."""

from __future__ import annotations

from random import Random

import msgspec

from node.pipeline.amm.curve_stableswap import CurvePool
from node.pipeline.pools import PoolFamily, PoolSpec
from protocol.units import Address
from tests.actors_scene import make_manifest
from tests.market.coins import CoinSteps
from tests.market.fuzz import gives_no_quote
from tests.market.ground import Ground

POOL = PoolSpec(
    Address(b"\x33" * 20),
    PoolFamily.CURVE_PLAIN,
    Address(b"\x33" * 20),
    tuple(Address(bytes([number]) * 20) for number in (1, 2, 3)),
    0,
)
SOUND = CurvePool((10**24, 10**12, 10**12), (10**18, 10**30, 10**30), 20_000, 4_000_000, 5 * 10**9)
LOPSIDED = msgspec.structs.replace(SOUND, balances=(669214137043885273, 5072912780447354650, 3629885300475))
"""Far more of the second coin than there can be: the pool's own products overflow."""


def test_a_pool_whose_products_overflow_gives_no_quote_and_is_withdrawn_from() -> None:
    steps, random = CoinSteps(Ground.of(make_manifest(), POOL.address)), Random(1)

    assert gives_no_quote(POOL, LOPSIDED)
    assert {steps.step(random, POOL, LOPSIDED).action.split()[0] for _ in range(50)} == {"remove"}
    assert not gives_no_quote(POOL, SOUND)
    assert {steps.step(random, POOL, SOUND).action.split()[0] for _ in range(50)} == {"exchange", "add", "remove"}


def test_a_pool_that_is_asked_nothing_when_read_is_never_excused() -> None:
    pair = msgspec.structs.replace(POOL, family=PoolFamily.UNISWAP_V2)

    assert not gives_no_quote(pair, LOPSIDED)
