"""Pools that no factory announces: the configuration names their contract, and that is asked for its tokens."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from node.config import ListedPoolConfig
from node.engine.curve_views import COINS
from node.engine.multicall import Multicall, View, number_at
from node.engine.pool_topics import MOST_COINS
from node.engine.view_answers import call
from node.pipeline.pools import OF_CURVE, PoolFamily, PoolSpec
from protocol.ethereum.abi import selector
from protocol.units import ZERO_ADDRESS, Address, Hash32

_log = logging.getLogger(__name__)

_ASSET: Final = selector("asset()")
_STAKED_ETHER: Final = selector("stETH()")
_WORD: Final = 32
LISTED: Final = frozenset(
    {
        PoolFamily.CURVE_PLAIN,
        PoolFamily.CURVE_META,
        PoolFamily.CURVE_CRYPTO,
        PoolFamily.ERC4626,
        PoolFamily.WRAPPER,
    }
)
"""Families that can be listed."""


class ListedPools:
    """The configuration's list. A pool that does not answer as its family does is left out, and that is logged."""

    def __init__(self, multicall: Multicall, listed: Sequence[ListedPoolConfig]) -> None:
        self._multicall, self._listed = multicall, tuple(listed)

    async def pools(self, at: Hash32) -> list[PoolSpec]:
        """Return the pools as they are after a block. Raises RpcError."""
        bases = [one.base for one in self._listed if one.base is not None]
        coins = await self._coins([*(one.address for one in self._listed if one.family in OF_CURVE), *bases], at)
        others = [one for one in self._listed if one.family not in OF_CURVE]
        names = [_ASSET if one.family is PoolFamily.ERC4626 else _STAKED_ETHER for one in others]
        answers = await self._multicall.read([View(o.address, n) for o, n in zip(others, names, strict=True)], at)
        underlying = dict(zip([one.address for one in others], answers, strict=True))
        specs: list[PoolSpec] = []
        for one in self._listed:
            spec = _curve(one, coins) if one.family in OF_CURVE else _vault(one, underlying[one.address])
            if spec is None:
                _log.warning("0x%s does not answer as a pool of the family %s", one.address.hex(), one.family)
            else:
                specs.append(spec)
        return specs

    async def _coins(self, pools: Sequence[Address], at: Hash32) -> dict[Address, tuple[Address, ...]]:
        views = [call(pool, name, index) for pool in pools for name in COINS for index in range(MOST_COINS)]
        answers = await self._multicall.read(views, at)
        coins: dict[Address, tuple[Address, ...]] = {}
        for place, pool in enumerate(pools):
            of_pool = answers[2 * MOST_COINS * place : 2 * MOST_COINS * (place + 1)]
            coins[pool] = _known(of_pool[:MOST_COINS]) or _known(of_pool[MOST_COINS:])
        return coins


def _known(answers: Sequence[bytes | None]) -> tuple[Address, ...]:
    """The coins up to the first index that there is none for."""
    coins: list[Address] = []
    for answer in answers:
        if answer is None or len(answer) < _WORD or not 0 < number_at(answer, 0) < 1 << 160:
            break
        coins.append(Address(answer[12:_WORD]))
    return tuple(coins)


def _curve(one: ListedPoolConfig, coins: dict[Address, tuple[Address, ...]]) -> PoolSpec | None:
    tokens = coins[one.address]
    if len(tokens) < 2 or len(set(tokens)) != len(tokens):
        return None
    base = None
    if one.base is not None:
        base = PoolSpec(one.base, PoolFamily.CURVE_PLAIN, one.base, coins[one.base], 0, product_rule=one.base_rule)
    if (base is None or len(base.tokens) < 2) and one.family is PoolFamily.CURVE_META:
        return None
    return PoolSpec(
        one.address,
        one.family,
        one.address,
        tokens,
        0,
        product_rule=one.product_rule,
        is_closed_form=one.closed_form,
        base=base,
    )


def _vault(one: ListedPoolConfig, answer: bytes | None) -> PoolSpec | None:
    if answer is None or len(answer) < _WORD:
        if one.family is PoolFamily.ERC4626:
            return None
        return PoolSpec(one.address, one.family, one.address, (ZERO_ADDRESS, one.address), 0)
    if not 0 < number_at(answer, 0) < 1 << 160:
        return None
    return PoolSpec(one.address, one.family, one.address, (Address(answer[12:_WORD]), one.address), 0)
