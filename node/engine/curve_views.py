"""Curve's pools: plain, meta and crypto. Coins have no list of their own; indices are uint256, or int128 in old pools,
which the ABI writes alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.engine.multicall import View, number_at
from node.engine.view_answers import Contracts, Kind, Times, call, number_of, present
from node.pipeline.amm.curve_crypto import CryptoPool
from node.pipeline.amm.curve_meta import CurveMetaPool
from node.pipeline.amm.curve_stableswap import FEE_SCALE, CurvePool, get_dy, ramped_amplification
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState, held_amounts, quote_exact_in
from protocol.ethereum.abi import selector
from protocol.units import Address

COINS: Final = (selector("coins(uint256)"), selector("coins(int128)"))
_BALANCES: Final = (selector("balances(uint256)"), selector("balances(int128)"))
_AMPLIFICATION: Final = (selector("A_precise()"), selector("A()"))
_FEES: Final = (selector("fee()"), selector("admin_fee()"))
_RAMP: Final = tuple(selector(name) for name in ("initial_A()", "future_A()", "initial_A_time()", "future_A_time()"))
_DECIMALS: Final = selector("decimals()")
_GET_DY: Final = selector("get_dy(int128,int128,uint256)")
_GET_DY_CRYPTO: Final = selector("get_dy(uint256,uint256,uint256)")
_SUPPLY: Final = selector("totalSupply()")
_CACHED: Final = (selector("base_virtual_price()"), selector("base_cache_updated()"))
_PRICE_SCALE, _PRICE_SCALE_OF = selector("price_scale()"), selector("price_scale(uint256)")
_PARAMETERS: Final = tuple(
    selector(name) for name in ("D()", "A()", "gamma()", "mid_fee()", "out_fee()", "fee_gamma()")
)
_PER_COIN: Final = 3
_FIXED: Final = 8
_NEW_PRECISION: Final = 100
_PART: Final = 1_000


def _plain_views(pool: Address, coins: Sequence[Address]) -> list[View]:
    per_coin = [
        view
        for index, coin in enumerate(coins)
        for view in (call(pool, _BALANCES[0], index), call(pool, _BALANCES[1], index), View(coin, _DECIMALS))
    ]
    return [*(View(pool, name) for name in (*_AMPLIFICATION, *_FEES, *_RAMP)), *per_coin]


def _plain(spec: PoolSpec, answers: Sequence[bytes | None], times: Times) -> CurvePool:
    """The first pools know no A_precise: they take the fee of a quote after the conversion, too."""
    is_new = answers[0] is not None
    amplification, is_moving = _amplification(answers, number_of(answers[0] if is_new else answers[1], "A()"), times)
    fee, admin_fee = (number_of(answer, name, most=FEE_SCALE) for answer, name in _fees(answers))
    balances, rates = [], []
    for place in range(_FIXED, len(answers), _PER_COIN):
        of_uint, of_int = answers[place : place + 2]
        balances.append(number_of(of_int if of_uint is None else of_uint, "balances(uint256)"))
        decimals = number_of(answers[place + 2], "decimals()", most=18)
        rates.append(10 ** (36 - decimals))
    if not amplification:
        raise ValueError("an amplification of zero")
    precision = _NEW_PRECISION if is_new else 1
    return CurvePool(
        tuple(balances),
        tuple(rates),
        amplification,
        fee,
        admin_fee,
        precision,
        not is_new,
        spec.product_rule,
        is_moving,
    )


def _amplification(answers: Sequence[bytes | None], told: int, times: Times) -> tuple[int, bool]:
    """The amplification when the pool is asked, and whether it moves by then or after. The first pools do not ramp."""
    if any(answer is None for answer in answers[4:8]):
        return told, False
    initial, future, start, end = (number_of(answer, "a view of the ramp") for answer in answers[4:8])
    if end <= times.read:
        return told, False
    if ramped_amplification(initial, future, start, end, times.read) != told:
        raise ValueError(
            f"an amplification of {told} between {initial} and {future} at {times.read} of {start} to {end}"
        )
    return ramped_amplification(initial, future, start, end, times.asked), True


def _fees(answers: Sequence[bytes | None]) -> list[tuple[bytes | None, str]]:
    return list(zip(answers[2:4], ("fee()", "admin_fee()"), strict=True))


def _meta_views(spec: PoolSpec, _contracts: Contracts) -> list[View]:
    base = spec.base
    if base is None:
        raise ValueError("a meta pool is listed with its base")
    own, of_base = _plain_views(spec.address, spec.tokens), _plain_views(base.address, base.tokens)
    kept = [View(spec.address, name) for name in _CACHED]
    return [*own, *of_base, View(spec.tokens[-1], _SUPPLY), *kept]


def _meta(spec: PoolSpec, answers: Sequence[bytes | None], times: Times) -> PoolState:
    base = spec.base
    if base is None:
        raise ValueError("a meta pool is listed with its base")
    first = _FIXED + _PER_COIN * len(spec.tokens)
    second = first + _FIXED + _PER_COIN * len(base.tokens)
    supply, price, updated = (number_of(answer, "a view of the meta pool") for answer in answers[second:])
    own, of_base = _plain(spec, answers[:first], times), _plain(base, answers[first:second], times)
    return CurveMetaPool(own, of_base, supply, price, updated, times.asked)


def _crypto_views(spec: PoolSpec, _contracts: Contracts) -> list[View]:
    pool, count = spec.address, len(spec.tokens)
    scales = [View(pool, _PRICE_SCALE)] if count == 2 else [call(pool, _PRICE_SCALE_OF, i) for i in range(count - 1)]
    balances = [call(pool, _BALANCES[0], index) for index in range(count)]
    decimals = [View(coin, _DECIMALS) for coin in spec.tokens]
    return [*(View(pool, name) for name in _PARAMETERS), *scales, *balances, *decimals]


def _crypto(spec: PoolSpec, answers: Sequence[bytes | None], _times: Times) -> PoolState:
    count, fixed = len(spec.tokens), len(_PARAMETERS)
    d, amplification, gamma, mid_fee, out_fee, fee_gamma = (number_of(one, "a parameter") for one in answers[:fixed])
    words = [number_at(present(one, "a price or balance"), 0) for one in answers[fixed : fixed + 2 * count - 1]]
    decimals = [number_of(one, "decimals()", most=18) for one in answers[fixed + 2 * count - 1 :]]
    return CryptoPool(
        balances=tuple(words[count - 1 :]),
        precisions=tuple(10 ** (18 - number) for number in decimals),
        price_scale=tuple(words[: count - 1]),
        d=d,
        amplification=amplification,
        gamma=gamma,
        mid_fee=mid_fee,
        out_fee=out_fee,
        fee_gamma=fee_gamma,
        closed_form=spec.is_closed_form,
    )


def curve_checks(spec: PoolSpec, state: PoolState) -> list[tuple[View, int]]:
    """A quote each way between the first two coins. From what an exchange pays the first pools' get_dy is up to a unit
    away: they are compared with the get_dy of theirs.
    """
    function = _GET_DY_CRYPTO if isinstance(state, CryptoPool) else _GET_DY
    held = held_amounts(state)
    checks = []
    for one, other in ((0, 1), (1, 0)):
        amount = held[one] // _PART
        if amount:
            view = call(spec.address, function, one, other, amount)
            ours = quote_exact_in(state, one, other, amount)
            if isinstance(state, CurvePool) and state.fee_after_rate:
                ours = get_dy(state, one, other, amount)
            checks.append((view, ours))
    return checks


CURVE_VIEWS: Final[dict[PoolFamily, Kind]] = {
    PoolFamily.CURVE_PLAIN: Kind(lambda spec, _: _plain_views(spec.address, spec.tokens), _plain),
    PoolFamily.CURVE_META: Kind(_meta_views, _meta),
    PoolFamily.CURVE_CRYPTO: Kind(_crypto_views, _crypto),
}
