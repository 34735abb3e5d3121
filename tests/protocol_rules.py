"""Cases of the rules that two nodes must agree on, by name: the vectors of leaders, legs and orders come from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from protocol.conflicts import Candidate, Leg, Occasion
from protocol.leaders import Entry, EpochTable
from protocol.units import (
    BlockNumber,
    ChainId,
    EpochNumber,
    Hash32,
    LegKey,
    StakeUnits,
    Wei,
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


def choices() -> Iterator[tuple[str, list[Candidate]]]:
    """Yield name and candidates, by the letters of their legs."""

    def candidate(name: str, legs: str, net: int) -> Candidate:
        return Candidate(hash_of(name), frozenset(LegKey(hash_of(leg)) for leg in legs), Wei(net))

    yield "no conflict", [candidate("p", "a", 5), candidate("q", "b", 3)]
    yield "the higher net", [candidate("p", "a", 5), candidate("q", "a", 6)]
    yield "a tie", [candidate(name, "a", 5) for name in "pqrs"]
    yield "two beat one", [candidate("p", "a", 6), candidate("q", "ab", 10), candidate("r", "b", 6)]
    yield "one beats two", [candidate("p", "a", 4), candidate("q", "ab", 10), candidate("r", "b", 5)]
    chain = [candidate(str(n), "abcdefghi"[n : n + 2], net) for n, net in enumerate((4, 5, 3, 5, 4, 5, 3, 5))]
    yield "a chain", chain
    yield "what earns nothing", [candidate("p", "a", 0), candidate("q", "a", 1), candidate("r", "b", 0)]
    yield "more than are searched: best first", [candidate(str(n), "x" + "abc"[n % 3], 100 + n) for n in range(20)]
    yield "nothing", []
