"""Whole pool states from the chain, all at one block, by Multicall3.

Families with ticks are `tick_reading`'s, all others' views are `pool_views`'. Where a contract can be asked for a
quote, it is asked, at the same block: what it answers must be what we compute from its state at that block's time. What
is returned is the state at the time of the block after it, which differs where rates expire or an amplification ramps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from node.config import ProtocolsConfig
from node.engine import tick_reading
from node.engine.balancer_views import versions_of
from node.engine.multicall import Multicall, View, signed_at
from node.engine.pool_views import Check, checks_of, further_views_of, state_of, views_of
from node.engine.tick_reading import HEAD_VIEWS, all_words
from node.engine.view_answers import Contracts, Times, number_of
from node.pipeline.amm.errors import AmmError
from node.pipeline.pools import AT_BALANCER_V2, PoolFamily, PoolId, PoolSpec, PoolState
from protocol.errors import MalformedMessage
from protocol.ethereum.abi import selector
from protocol.units import Hash32

_WHY = 200
"""Characters of a reason that are kept."""
_WORD = 32
_TIME = selector("getCurrentBlockTimestamp()")
_UNREADABLE = (AmmError, ArithmeticError, MalformedMessage, ValueError)


class Unreadable(msgspec.Struct, frozen=True):
    """Why the chain's answers make no state of the pool."""

    why: str


def _unreadable(error: Exception) -> Unreadable:
    return Unreadable(str(error)[:_WHY])


def read_contracts(protocols: ProtocolsConfig) -> Contracts:
    """The contracts asked beside the pools' own: factories and vaults."""
    contracts = {one.family: one.address for one in protocols.factories}
    for family in AT_BALANCER_V2 & set(contracts):
        contracts[PoolFamily.BALANCER_V2_WEIGHTED] = contracts[family]
    return contracts


class _Found(NamedTuple):
    """A pool's state when it was read, with each version that it may have, and when it will be asked."""

    now: list[PoolState]
    then: list[PoolState]


class PoolReader:
    """Reads pools; `contracts` are the factories and vaults, by family. `seconds_ahead`: how long after the block that
    is read the states are asked: the time between blocks.
    """

    def __init__(self, multicall: Multicall, contracts: Contracts, seconds_ahead: int = 0) -> None:
        self._multicall, self._contracts, self._ahead = multicall, contracts, seconds_ahead

    async def read(
        self, specs: Sequence[PoolSpec], at: Hash32, words: Mapping[PoolId, Sequence[int]] | None = None
    ) -> dict[PoolId, PoolState | Unreadable]:
        """Return the state of each pool after a block. Raises RpcError.

        For a pool in `words`, only these words of its tick bitmap are read, and its ticks are those in them.
        """
        if not specs:
            return {}
        chosen = {spec.id: (words or {}).get(spec.id, all_words(spec)) for spec in specs}
        clock = [View(self._multicall.address, _TIME)]
        (time,), *answers = await self._read_groups(
            [clock, *(self._views(spec, chosen[spec.id]) for spec in specs)], at
        )
        read_at = number_of(time, "getCurrentBlockTimestamp()")
        ticks: dict[PoolId, list[int]] = {}
        states: dict[PoolId, PoolState | Unreadable] = {}
        found: dict[PoolId, _Found] = {}
        second: list[list[View]] = []
        for spec, answer in zip(specs, answers, strict=True):
            try:
                if spec.tick_spacing:
                    bitmap = answer[HEAD_VIEWS:]
                    ticks[spec.id] = tick_reading.initialised(chosen[spec.id], bitmap, spec.tick_spacing)
                    second.append(tick_reading.tick_views(spec, ticks[spec.id]))
                else:
                    second.append(further_views_of(spec, answer))
            except _UNREADABLE as error:
                states[spec.id] = _unreadable(error)
                second.append([])
        further = await self._read_groups(second, at)
        for spec, answer, more in zip(specs, answers, further, strict=True):
            if spec.id in states:
                continue
            try:
                if spec.tick_spacing:
                    whole = spec.id not in (words or {})
                    states[spec.id] = tick_reading.pool_of(spec, answer, ticks[spec.id], more, is_whole=whole)
                else:
                    found[spec.id] = self._found(spec, [*answer, *more], read_at)
            except _UNREADABLE as error:
                states[spec.id] = _unreadable(error)
        return {**states, **await self._checked(specs, found, at)}

    def _found(self, spec: PoolSpec, answers: Sequence[bytes | None], read_at: int) -> _Found:
        now = versions_of(state_of(spec, answers, Times(read_at, read_at)))
        then = versions_of(state_of(spec, answers, Times(read_at, read_at + self._ahead)))
        return _Found(now, then)

    async def _checked(
        self, specs: Sequence[PoolSpec], found: Mapping[PoolId, _Found], at: Hash32
    ) -> dict[PoolId, PoolState | Unreadable]:
        """Ask the pools that can be asked for a quote, and refuse those that answer otherwise than we compute with any
        version; of several that agree, take the first. Where a pool refuses, the version agrees that refuses too: every
        quote that is asked for is one that some version gives.
        """
        states: dict[PoolId, PoolState | Unreadable] = {}
        checks: list[tuple[PoolId, Check]] = []
        for spec in specs:
            if spec.id not in found:
                continue
            try:
                checks += [(spec.id, check) for check in checks_of(spec, found[spec.id].now, self._contracts)]
            except (AmmError, ArithmeticError) as error:
                states[spec.id] = Unreadable(f"its state gives no quote: {error}"[:_WHY])
        left = {pool_id: list(range(len(one.now))) for pool_id, one in found.items()}
        answers = await self._multicall.read([check.view for _, check in checks], at) if checks else []
        for (pool_id, check), answer in zip(checks, answers, strict=True):
            enough = answer is not None and len(answer) >= check.place + _WORD
            theirs = signed_at(answer, check.place) if answer is not None and enough else None
            agreeing = [version for version in left[pool_id] if check.ours[version] == theirs]
            if not agreeing and pool_id not in states:
                ours = check.ours[left[pool_id][0]]
                states[pool_id] = Unreadable(f"it quotes {theirs} where we compute {ours}"[:_WHY])
            left[pool_id] = agreeing or left[pool_id]
        return {**{pool_id: one.then[left[pool_id][0]] for pool_id, one in found.items()}, **states}

    def _views(self, spec: PoolSpec, words: Sequence[int]) -> list[View]:
        return tick_reading.head_views(spec, words) if spec.tick_spacing else views_of(spec, self._contracts)

    async def _read_groups(self, groups: Sequence[Sequence[View]], at: Hash32) -> list[list[bytes | None]]:
        answers = await self._multicall.read([view for group in groups for view in group], at)
        place, regrouped = 0, []
        for group in groups:
            regrouped.append(answers[place : place + len(group)])
            place += len(group)
        return regrouped
