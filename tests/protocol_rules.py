"""Cases of the rules that two nodes must agree on, by name: the vectors of leaders, legs and orders come from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from protocol.conflicts import Leg, Occasion
from protocol.leaders import Entry, EpochTable
from protocol.units import (
    BlockNumber,
    ChainId,
    EpochNumber,
    Hash32,
    StakeUnits,
    max_uint,
)
from tests.protocol_factories import ALICE, BOB, CAROL, WETH, hash_of

SEED = hash_of("mixHash of the seed block")
POOL_ID = hash_of("a Uniswap V4 pool")


def epoch_table(*cumulative: int, seed: Hash32 = SEED) -> EpochTable:
    """Return a table of alice, bob and carol, repeatedly, with these sums of stake."""
    keys = (ALICE, BOB, CAROL)
    entries = [Entry(keys[index % 3], StakeUnits(stake)) for index, stake in enumerate(cumulative)]
    return EpochTable(EpochNumber(1), seed, entries)


def draws() -> Iterator[tuple[str, Hash32, Sequence[int], int]]:
    """Yield name, seed, cumulative stakes and block."""
    three = (10**21, 3 * 10**21, 10**22)
    for block in range(7_200, 7_212):
        yield f"three operators, block {block}", SEED, three, block
    yield "another seed", hash_of("another mixHash"), three, 7_200
    yield "one operator", SEED, (1,), 7_200
    yield "one unit each", SEED, (1, 2, 3), 7_201
    yield "all the stake that fits", SEED, (1, max_uint(96)), 7_202
    yield "block 0", SEED, three, 0
    yield "the largest block", SEED, three, max_uint(64)


def routes() -> Iterator[tuple[str, Occasion, list[Leg], bytes | None]]:
    """Yield name, occasion, legs and the pool in which the trigger swaps."""
    occasion = Occasion(ChainId(31337), BlockNumber(7_201), hash_of("trigger"))
    untriggered = occasion._replace(trigger=None)
    route = [Leg(WETH, 0), Leg(ALICE, 1), Leg(POOL_ID, 0)]
    yield "after a trigger in the first pool", occasion, route, WETH
    yield "after a trigger in the last pool", occasion, route, POOL_ID
    yield "after a trigger elsewhere: the smallest pool id", occasion, route, BOB
    yield "without a trigger: the smallest pool id", untriggered, route, None
    yield "on another chain", untriggered._replace(chain_id=ChainId(1)), route, None
    yield "in another block", untriggered._replace(target_block=BlockNumber(7_202)), route, None
    yield "the other way round", untriggered, [Leg(leg.pool_id, 1 - leg.direction) for leg in route], None
    yield "twice through the pool of the trigger: its first leg", occasion, [*route, Leg(WETH, 1)], WETH
    yield "one leg", untriggered, [Leg(CAROL, 1)], None
