"""The audit finds a pool that differs, each in its turn, and every word of a bitmap in the course of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from node.engine.audit import MOST_PER_BLOCK, POOLS_PER_BLOCK, ROUND_BLOCKS, WINDOW_WORDS, Audit
from node.engine.pool_reading import Unreadable
from node.engine.tick_reading import all_words
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.ticks import tick_table
from node.pipeline.pools import PoolId, PoolSpec, PoolState
from protocol.units import Hash32
from tests.unit.test_engine_pool_reading import DEEP, PAIR

BLOCK = Hash32(b"\x01" * 32)
STABLE = msgspec.structs.replace(DEEP, id=b"\x05" * 20, tick_spacing=1)


class FakeReader:
    """Answers from a dictionary, as the chain would; notes which words were asked for."""

    def __init__(self, states: Mapping[PoolId, PoolState | Unreadable]) -> None:
        self.states = dict(states)
        self.words: list[int] = []

    async def read(
        self, specs: Sequence[PoolSpec], _at: Hash32, words: Mapping[PoolId, Sequence[int]] | None = None
    ) -> dict[PoolId, PoolState | Unreadable]:
        answers: dict[PoolId, PoolState | Unreadable] = {}
        for spec in specs:
            state, asked = self.states[spec.id], (words or {}).get(spec.id)
            if isinstance(state, ConcentratedPool) and asked is not None:
                self.words += asked
                spacing = state.ticks.spacing
                kept = {
                    tick: (gross, state.ticks.net[tick])
                    for tick, gross in state.ticks.gross.items()
                    if (tick // spacing) >> 8 in asked
                }
                state = msgspec.structs.replace(state, ticks=tick_table(spacing, kept))
            answers[spec.id] = state
        return answers


def deep(spacing: int, *, extra: int = 0) -> ConcentratedPool:
    ticks = {-120 * spacing: (9, 9), 600 * spacing: (9, -9)}
    if extra:
        ticks |= {extra: (4, 4), extra + spacing: (4, -4)}
    return ConcentratedPool(3000, 1 << 96, 0, 9, tick_table(spacing, ticks))


def audit_of(
    ours: Mapping[PoolId, PoolState | None], theirs: Mapping[PoolId, PoolState | Unreadable]
) -> tuple[Audit, FakeReader]:
    reader = FakeReader(theirs)
    return Audit(reader, ours.get), reader  # type: ignore[arg-type]


async def test_equal_pools_are_found_equal() -> None:
    states: dict[PoolId, PoolState] = {PAIR.id: ConstantProductPool(1, 2), DEEP.id: deep(60)}
    audit, _ = audit_of(states, states)
    assert await audit.sample([PAIR, DEEP], BLOCK) == {}
    assert audit.counts == {"audited": 2, "differed": 0}


async def test_fee_growth_is_not_compared_because_no_amount_depends_on_it() -> None:
    ours = msgspec.structs.replace(deep(60), fee_growth_global0_x128=5)
    audit, _ = audit_of({DEEP.id: ours}, {DEEP.id: deep(60)})
    assert await audit.sample([DEEP], BLOCK) == {}


async def test_a_pool_that_differs_is_told_in_its_turn() -> None:
    specs = [PAIR, *(msgspec.structs.replace(PAIR, id=bytes([n]) * 20) for n in range(10, 14))]
    states: dict[PoolId, PoolState] = {spec.id: ConstantProductPool(1, 2) for spec in specs}
    audit, reader = audit_of(states, {**states, specs[3].id: ConstantProductPool(1, 3)})
    found = [await audit.sample(specs, BLOCK) for _ in range(len(specs) // POOLS_PER_BLOCK + 1)]
    assert found[1] == {specs[3].id: "its state is another one on the chain"}
    assert sum(map(len, found)) == 1
    assert audit.counts["differed"] == 1
    assert reader.words == []


async def test_a_pool_that_cannot_be_read_differs() -> None:
    audit, _ = audit_of({PAIR.id: ConstantProductPool(1, 2)}, {PAIR.id: Unreadable("getReserves() reverts")})
    assert await audit.sample([PAIR], BLOCK) == {PAIR.id: "getReserves() reverts"}


async def test_a_pool_without_a_state_is_told_once_it_can_be_read() -> None:
    audit, reader = audit_of({}, {PAIR.id: Unreadable("not initialised")})
    assert await audit.sample([PAIR], BLOCK) == {}
    reader.states[PAIR.id] = ConstantProductPool(1, 2)
    assert await audit.sample([PAIR], BLOCK) == {PAIR.id: "it can be read now"}
    assert audit.counts == {"unknown": 2, "differed": 0}


@pytest.mark.parametrize(("count", "each"), [(1, 1), (300, 2), (1_000, 4), (10_000, 40), (20_000, 64)])
async def test_every_pool_has_its_turn_within_a_round_of_blocks(count: int, each: int) -> None:
    specs = [msgspec.structs.replace(PAIR, id=number.to_bytes(20, "big")) for number in range(count)]
    states: dict[PoolId, PoolState] = {spec.id: ConstantProductPool(1, 2) for spec in specs}
    asked: list[PoolId] = []
    audit = Audit(FakeReader(states), lambda pool_id: asked.append(pool_id) or states[pool_id], 3 * count - 1)  # type: ignore[arg-type,func-returns-value]
    await audit.sample(specs, BLOCK)
    assert len(set(asked)) == each
    assert asked[0] == specs[-1].id, "it begins where it is told to"
    for _ in range(ROUND_BLOCKS - 1):
        await audit.sample(specs, BLOCK)
    assert len(set(asked)) == min(count, ROUND_BLOCKS * MOST_PER_BLOCK)


async def test_nothing_followed_is_nothing_to_audit() -> None:
    audit, _ = audit_of({}, {})
    assert await audit.sample([], BLOCK) == {}


async def test_a_tick_far_from_what_we_believe_in_is_found_in_the_course_of_time() -> None:
    audit, reader = audit_of({STABLE.id: deep(1)}, {STABLE.id: deep(1, extra=500_000)})
    rounds = -(-len(all_words(STABLE)) // WINDOW_WORDS)
    found = [await audit.sample([STABLE], BLOCK) for _ in range(rounds)]
    assert sum(map(len, found)) == 1
    assert set(reader.words) == set(all_words(STABLE))
