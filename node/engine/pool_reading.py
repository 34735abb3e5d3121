"""Whole pool states from the chain, all at one block, by Multicall3.

Uniswap V2: getReserves. Uniswap V3: slot0, liquidity, every word of the tick bitmap, then every initialised tick; the
net liquidity below the price must add up to the liquidity in range. Balancer V2: the vault's balances, the pool's
weights and swap fee, the tokens' decimals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from node.engine.multicall import Multicall, View, number_at, signed_at
from node.pipeline.amm.balancer_fixed_point import PowVersion
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.errors import AmmError
from node.pipeline.amm.tick_math import MAX_TICK, MIN_TICK
from node.pipeline.amm.ticks import tick_table
from node.pipeline.amm.units import UINT128_MAX, UINT160_MAX, FeePips
from node.pipeline.amm.weighted import weighted_pool
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec, PoolState
from protocol.errors import MalformedMessage
from protocol.ethereum.abi import decode, selector
from protocol.units import Address, Hash32

_GET_RESERVES: Final = selector("getReserves()")
_SLOT0: Final = selector("slot0()")
_LIQUIDITY: Final = selector("liquidity()")
_TICK_BITMAP: Final = selector("tickBitmap(int16)")
_TICKS: Final = selector("ticks(int24)")
_POOL_TOKENS: Final = selector("getPoolTokens(bytes32)")
_SWAP_FEE: Final = selector("getSwapFeePercentage()")
_WEIGHTS: Final = selector("getNormalizedWeights()")
_RATE_PROVIDERS: Final = selector("getRateProviders()")
_DECIMALS: Final = selector("decimals()")
_MAX_RESERVE: Final = (1 << 112) - 1
_WORD: Final = 32
_BALANCER_FIXED: Final = 4
"""Views of a Balancer pool beside its tokens' decimals."""


class Unreadable(msgspec.Struct, frozen=True):
    """Why the chain's answers make no state of the pool."""

    why: str


class PoolReader:
    """Reads pools; `vault` is Balancer's."""

    def __init__(self, multicall: Multicall, vault: Address | None) -> None:
        self._multicall, self._vault = multicall, vault

    async def read(
        self, specs: Sequence[PoolSpec], at: Hash32, words: Mapping[PoolId, Sequence[int]] | None = None
    ) -> dict[PoolId, PoolState | Unreadable]:
        """Return the state of each pool after a block. Raises RpcError.

        For a pool in `words`, only these words of its tick bitmap are read, and its ticks are those in them.
        """
        chosen = {spec.id: (words or {}).get(spec.id, all_words(spec)) for spec in specs}
        views = [self._views(spec, chosen[spec.id]) for spec in specs]
        answers = await self._read_groups(views, at)
        ticks = {
            spec.id: _initialised(chosen[spec.id], answer[2:], spec.tick_spacing)
            for spec, answer in zip(specs, answers, strict=True)
            if spec.family is PoolFamily.UNISWAP_V3
        }
        deep = [spec for spec in specs if spec.id in ticks]
        tick_views = [[_view(spec.address, _TICKS, tick) for tick in ticks[spec.id]] for spec in deep]
        tick_answers = dict(zip([spec.id for spec in deep], await self._read_groups(tick_views, at), strict=True))
        states: dict[PoolId, PoolState | Unreadable] = {}
        for spec, answer in zip(specs, answers, strict=True):
            try:
                if spec.id in ticks:
                    is_whole = spec.id not in (words or {})
                    states[spec.id] = _concentrated(spec, answer, ticks[spec.id], tick_answers[spec.id], is_whole)
                else:
                    states[spec.id] = _STATES[spec.family](spec, answer)
            except (AmmError, MalformedMessage, ValueError) as error:
                states[spec.id] = Unreadable(str(error)[:200])
        return states

    def _views(self, spec: PoolSpec, words: Sequence[int]) -> list[View]:
        if spec.family is PoolFamily.UNISWAP_V3:
            bitmap = [_view(spec.address, _TICK_BITMAP, word) for word in words]
            return [View(spec.address, _SLOT0), View(spec.address, _LIQUIDITY), *bitmap]
        if spec.family is PoolFamily.BALANCER_V2_WEIGHTED and self._vault is not None:
            decimals = [View(token, _DECIMALS) for token in spec.tokens]
            pool = [View(spec.address, data) for data in (_SWAP_FEE, _WEIGHTS, _RATE_PROVIDERS)]
            return [View(self._vault, _POOL_TOKENS + spec.id), *pool, *decimals]
        return [View(spec.address, _GET_RESERVES)]

    async def _read_groups(self, groups: Sequence[Sequence[View]], at: Hash32) -> list[list[bytes | None]]:
        answers = await self._multicall.read([view for group in groups for view in group], at)
        place, regrouped = 0, []
        for group in groups:
            regrouped.append(answers[place : place + len(group)])
            place += len(group)
        return regrouped


def all_words(spec: PoolSpec) -> Sequence[int]:
    """Return the numbers of all words that a pool's tick bitmap can have."""
    if not spec.tick_spacing:
        return ()
    lowest, highest = -(-MIN_TICK // spec.tick_spacing), MAX_TICK // spec.tick_spacing
    return range(lowest >> 8, (highest >> 8) + 1)


def pair_fee(fee_pips: FeePips) -> tuple[int, int]:
    """Return a pair's fee as its contract writes it: parts, of how many (3 of 1000 for 0.3 percent)."""
    if fee_pips % 1000 == 0:
        return fee_pips // 1000, 1000
    return (fee_pips // 100, 10_000) if fee_pips % 100 == 0 else (fee_pips, 1_000_000)


def _view(target: Address, function: bytes, argument: int) -> View:
    return View(target, function + argument.to_bytes(_WORD, "big", signed=True))


def _initialised(words: Sequence[int], answers: Sequence[bytes | None], spacing: int) -> list[int]:
    """Return the ticks whose bits are set; words that are not there have none (`_concentrated` tells)."""
    ticks: list[int] = []
    for word, answer in zip(words, answers, strict=True):
        bits = int.from_bytes(answer[:_WORD], "big") if answer else 0
        while bits:
            low = bits & -bits
            ticks.append(((word << 8) + low.bit_length() - 1) * spacing)
            bits ^= low
    return ticks


def _present(answer: bytes | None, what: str) -> bytes:
    if answer is None:
        raise ValueError(f"{what} reverts")
    return answer


def _pair(spec: PoolSpec, answers: Sequence[bytes | None]) -> PoolState:
    reserves = _present(answers[0], "getReserves()")
    reserve0, reserve1 = number_at(reserves, 0), number_at(reserves, _WORD)
    if max(reserve0, reserve1) > _MAX_RESERVE:
        raise ValueError(f"reserves {reserve0} and {reserve1}")
    fee, scale = pair_fee(spec.fee_pips)
    return ConstantProductPool(reserve0, reserve1, fee, fee, scale)


def _concentrated(
    spec: PoolSpec,
    answers: Sequence[bytes | None],
    ticks: Sequence[int],
    tick_answers: Sequence[bytes | None],
    is_whole: bool,
) -> PoolState:
    slot0, liquidity = _present(answers[0], "slot0()"), number_at(_present(answers[1], "liquidity()"), 0)
    price, tick, fee_protocol = number_at(slot0, 0), signed_at(slot0, _WORD), number_at(slot0, 5 * _WORD)
    if not 0 < price <= UINT160_MAX:
        raise ValueError("not initialised" if price == 0 else f"price {price}")
    if any(answer is None or len(answer) < _WORD for answer in answers[2:]) or liquidity > UINT128_MAX:
        raise ValueError("a word of the tick bitmap, or the liquidity, is wrong")
    table: dict[int, tuple[int, int]] = {}
    for number, answer in zip(ticks, tick_answers, strict=True):
        data = _present(answer, "ticks(int24)")
        table[number] = (number_at(data, 0), signed_at(data, _WORD))
        if not table[number][0]:
            raise ValueError(f"tick {number} is initialised without liquidity")
    below = sum(net for number, (_, net) in table.items() if number <= tick)
    if is_whole and below != liquidity:
        raise ValueError(f"the ticks make a liquidity of {below}, the pool says {liquidity}")
    return ConcentratedPool(
        spec.fee_pips,
        price,
        tick,
        liquidity,
        tick_table(spec.tick_spacing, table),
        fee_protocol0=fee_protocol % 16,
        fee_protocol1=fee_protocol >> 4,
    )


def _weighted(spec: PoolSpec, answers: Sequence[bytes | None]) -> PoolState:
    tokens, balances, _ = decode(["address[]", "uint256[]", "uint256"], _present(answers[0], "getPoolTokens(bytes32)"))
    if [bytes.fromhex(token[2:]) for token in tokens] != list(spec.tokens):
        raise ValueError("other tokens than announced")
    fee = number_at(_present(answers[1], "getSwapFeePercentage()"), 0)
    (weights,) = decode(["uint256[]"], _present(answers[2], "getNormalizedWeights()"))
    # Pools of 2021 have no rate providers; they were compiled with the older power function.
    version = PowVersion.V1 if answers[3] is None else PowVersion.V2
    decimals = [number_at(_present(answer, "decimals()"), 0) for answer in answers[_BALANCER_FIXED:]]
    return weighted_pool(balances, weights, decimals, fee, version)


_STATES: Final = {
    PoolFamily.UNISWAP_V2: _pair,
    PoolFamily.SUSHI_V2: _pair,
    PoolFamily.BALANCER_V2_WEIGHTED: _weighted,
}
