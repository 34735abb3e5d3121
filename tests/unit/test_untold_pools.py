"""Pools of which logs do not tell all are asked for at every block: what we trade first, others' in turns."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import msgspec
import pytest

from node.engine.upkeep import SEEN_PER_BLOCK, UNTOLD_PER_BLOCK, Upkeep
from node.engine.wanted_pools import WantedPools
from node.pipeline.amm.balancer_stable import BalancerStablePool
from node.pipeline.amm.curve_stableswap import CurvePool
from node.pipeline.amm.uniswap_v4 import DYNAMIC_FEE
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec, PoolState
from tests.engine_scene import engine_config
from tests.manual_clock import ManualClock
from tests.unit.test_engine_families import TWO_COINS, V4_SPEC, initialised, spec_of

STABLE = BalancerStablePool((10**24, 10**24), (10**18, 10**18), 500_000, 10**14)


def upkeep_of(specs: Sequence[PoolSpec], states: dict[PoolId, PoolState]) -> Upkeep:
    readers = SimpleNamespace(
        mempool=SimpleNamespace(unasked={}),
        logs=SimpleNamespace(followed=list(specs)),
        state_of=states.get,
        loans=None,
        morpho=None,
    )
    return Upkeep(engine_config(), readers, lambda _: None, ManualClock())  # type: ignore[arg-type]


def asked(upkeep: Upkeep) -> set[PoolId]:
    """What is to be read after a block was told."""
    upkeep._wanted = WantedPools()
    upkeep.block_told()
    return set(upkeep._wanted)


def dynamic(hooks: int) -> PoolSpec:
    spec = initialised(DYNAMIC_FEE, 60, hooks)
    assert spec is not None
    return spec


def test_a_v4_pool_whose_hook_sets_its_fee_is_read_at_every_block() -> None:
    spec = dynamic(1 << 12)
    upkeep = upkeep_of([spec, V4_SPEC], {})
    assert [asked(upkeep) for _ in range(3)] == [{spec.id}] * 3


@pytest.mark.parametrize(
    ("family", "state"), [(PoolFamily.BALANCER_V2_STABLE, STABLE), (PoolFamily.CURVE_PLAIN, TWO_COINS)]
)
def test_a_pool_is_read_at_every_block_while_time_moves_it(
    family: PoolFamily, state: BalancerStablePool | CurvePool
) -> None:
    spec = spec_of(family)
    assert asked(upkeep_of([spec], {spec.id: state})) == set()
    assert asked(upkeep_of([spec], {spec.id: msgspec.structs.replace(state, is_moving=True)})) == {spec.id}


def test_pools_that_anybody_can_make_take_turns_behind_those_that_are_traded() -> None:
    strangers = [
        msgspec.structs.replace(dynamic(1 << 12), id=number.to_bytes(32, "big")) for number in range(3 * SEEN_PER_BLOCK)
    ]
    ours = [
        spec_of(PoolFamily.AERODROME, id=bytes([2, number]) + bytes(18), has_moving_fee=True) for number in range(5)
    ]
    upkeep = upkeep_of([*strangers, *ours], {})
    blocks = [asked(upkeep) for _ in range(3)]
    assert all({spec.id for spec in ours} <= block and len(block) == len(ours) + SEEN_PER_BLOCK for block in blocks)
    assert set.union(*blocks) == {spec.id for spec in [*strangers, *ours]}


def test_where_what_is_traded_takes_every_place_the_others_wait() -> None:
    ours = [
        spec_of(PoolFamily.AERODROME, id=number.to_bytes(20, "big"), has_moving_fee=True)
        for number in range(UNTOLD_PER_BLOCK + 1)
    ]
    upkeep = upkeep_of([dynamic(1 << 12), *ours], {})
    blocks = [asked(upkeep) for _ in range(2)]
    assert [len(block) for block in blocks] == [UNTOLD_PER_BLOCK] * 2
    assert set.union(*blocks) == {spec.id for spec in ours}
