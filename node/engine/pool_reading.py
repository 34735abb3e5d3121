"""Whole pool states from the chain, all at one block, by Multicall3.

Families with ticks are `tick_reading`'s, all others' views are `pool_views`'. Where a contract can be asked for a
quote, it is asked, at the same block: what it answers must be what we compute from its state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from node.config import ProtocolsConfig
from node.engine import tick_reading
from node.engine.multicall import Multicall, View, number_at
from node.engine.pool_views import Contracts, checks_of, state_of, views_of
from node.engine.tick_reading import HEAD_VIEWS, all_words
from node.pipeline.amm.errors import AmmError
from node.pipeline.pools import AT_BALANCER_V2, PoolFamily, PoolId, PoolSpec, PoolState
from protocol.errors import MalformedMessage
from protocol.units import Hash32

_WHY = 200
"""Characters of a reason that are kept."""


class Unreadable(msgspec.Struct, frozen=True):
    """Why the chain's answers make no state of the pool."""

    why: str


def read_contracts(protocols: ProtocolsConfig) -> Contracts:
    """The contracts asked beside the pools' own: factories, vaults; of meta pools, who tells the block's time."""
    contracts = {one.family: one.address for one in protocols.factories}
    for family in AT_BALANCER_V2 & set(contracts):
        contracts[PoolFamily.BALANCER_V2_WEIGHTED] = contracts[family]
    return {**contracts, PoolFamily.CURVE_META: protocols.multicall3}


class PoolReader:
    """Reads pools; `contracts` are the factories and vaults, by family."""

    def __init__(self, multicall: Multicall, contracts: Contracts) -> None:
        self._multicall, self._contracts = multicall, contracts

    async def read(
        self, specs: Sequence[PoolSpec], at: Hash32, words: Mapping[PoolId, Sequence[int]] | None = None
    ) -> dict[PoolId, PoolState | Unreadable]:
        """Return the state of each pool after a block. Raises RpcError.

        For a pool in `words`, only these words of its tick bitmap are read, and its ticks are those in them.
        """
        chosen = {spec.id: (words or {}).get(spec.id, all_words(spec)) for spec in specs}
        answers = await self._read_groups([self._views(spec, chosen[spec.id]) for spec in specs], at)
        ticks = {
            spec.id: tick_reading.initialised(chosen[spec.id], answer[HEAD_VIEWS:], spec.tick_spacing)
            for spec, answer in zip(specs, answers, strict=True)
            if spec.tick_spacing
        }
        deep = [spec for spec in specs if spec.tick_spacing]
        of_ticks = await self._read_groups([tick_reading.tick_views(spec, ticks[spec.id]) for spec in deep], at)
        tick_answers = dict(zip([spec.id for spec in deep], of_ticks, strict=True))
        states: dict[PoolId, PoolState | Unreadable] = {}
        for spec, answer in zip(specs, answers, strict=True):
            try:
                if spec.tick_spacing:
                    whole = spec.id not in (words or {})
                    parts = (ticks[spec.id], tick_answers[spec.id])
                    states[spec.id] = tick_reading.pool_of(spec, answer, *parts, is_whole=whole)
                else:
                    states[spec.id] = state_of(spec, answer)
            except (AmmError, ArithmeticError, MalformedMessage, ValueError) as error:
                states[spec.id] = Unreadable(str(error)[:_WHY])
        return await self._checked(specs, states, at)

    async def _checked(
        self, specs: Sequence[PoolSpec], states: dict[PoolId, PoolState | Unreadable], at: Hash32
    ) -> dict[PoolId, PoolState | Unreadable]:
        """Ask the pools that can be asked for a quote, and refuse those that answer otherwise than we compute."""
        checks: list[tuple[PoolId, View, int]] = []
        for spec in specs:
            state = states[spec.id]
            if isinstance(state, Unreadable):
                continue
            try:
                checks += [(spec.id, view, ours) for view, ours in checks_of(spec, state)]
            except (AmmError, ArithmeticError) as error:
                states[spec.id] = Unreadable(f"its state gives no quote: {error}"[:_WHY])
        answers = await self._multicall.read([view for _, view, _ in checks], at) if checks else []
        for (pool_id, _, ours), answer in zip(checks, answers, strict=True):
            theirs = number_at(answer, 0) if answer is not None and len(answer) >= 32 else None
            if theirs != ours:
                states[pool_id] = Unreadable(f"it quotes {theirs} where we compute {ours}"[:_WHY])
        return states

    def _views(self, spec: PoolSpec, words: Sequence[int]) -> list[View]:
        return tick_reading.head_views(spec, words) if spec.tick_spacing else views_of(spec, self._contracts)

    async def _read_groups(self, groups: Sequence[Sequence[View]], at: Hash32) -> list[list[bytes | None]]:
        answers = await self._multicall.read([view for group in groups for view in group], at)
        place, regrouped = 0, []
        for group in groups:
            regrouped.append(answers[place : place + len(group)])
            place += len(group)
        return regrouped
