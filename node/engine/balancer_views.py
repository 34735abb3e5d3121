"""Pools at Balancer V2's vault: their views, the rates in their scaling factors, the quotes that tell their version.

A swap first renews the rates whose cache has expired (`_cacheTokenRatesIfNecessary`), so `getScalingFactors()` alone
is the past: a rate is the cached one up to and at `expires`, and its provider's own after that. Which mathematics a
pool was compiled with, no view tells: each version is held against what the vault itself answers (`queryBatchSwap`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Final

import msgspec

from node.engine.multicall import View, number_at
from node.engine.view_answers import Contracts, Kind, Times, call, number_of, present
from node.pipeline.amm.balancer_fixed_point import PowVersion, mul_down
from node.pipeline.amm.balancer_stable import AMP_PRECISION, BalancerStablePool, InvariantVersion
from node.pipeline.amm.errors import AmmError
from node.pipeline.amm.weighted import MAX_SWAP_FEE, WeightedPool, scaling_factor, weighted_pool
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState, quote_exact_in
from protocol.ethereum.abi import decode, encode_call, selector
from protocol.units import ZERO_ADDRESS, Address, address_to_hex

_POOL_TOKENS: Final = selector("getPoolTokens(bytes32)")
_PAUSED: Final = selector("getPausedState()")
_SWAP_FEE: Final = selector("getSwapFeePercentage()")
_WEIGHTS: Final = selector("getNormalizedWeights()")
_RATE_PROVIDERS: Final = selector("getRateProviders()")
_AMPLIFICATION: Final = selector("getAmplificationParameter()")
_SCALING_FACTORS: Final = selector("getScalingFactors()")
_BPT_INDEX: Final = selector("getBptIndex()")
_DECIMALS: Final = selector("decimals()")
_RATE: Final = selector("getRate()")
_RATE_CACHES: Final = (selector("getTokenRateCache(address)"), selector("getPriceRateCache(address)"))
"""The latter is the meta stable pools' of 2021. The first word is the rate, the last when it expires."""
_QUERY: Final = "queryBatchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],(address,bool,address,bool))"
_GIVEN_IN: Final = 0
_NOBODY: Final = (address_to_hex(ZERO_ADDRESS), False, address_to_hex(ZERO_ADDRESS), False)
_WORD: Final = 32
_OUT_DELTA: Final = 3 * _WORD
"""Where the second of two asset deltas stands in the answer: what the vault gives, negative."""
_FIXED_WEIGHTED: Final = 6
_FIXED_STABLE: Final = 8
_PARTS: Final = (1_000, 50, 7)
"""Parts of what the pool holds of a token, for which it is asked."""
_APART: Final = 2
"""Quotes that tell versions apart, beside one each way between the first two tokens."""

Quotes = tuple[int | None, ...]
"""What each version computes; None where it computes nothing."""


def balancer_vault(contracts: Contracts) -> Address:
    """The vault, which is known by the weighted family."""
    return contracts[PoolFamily.BALANCER_V2_WEIGHTED]


def _views(*functions: bytes) -> Callable[[PoolSpec, Contracts], list[View]]:
    """The vault's balances, whether it or the pool is paused, these functions of the pool, the tokens' decimals."""

    def views(spec: PoolSpec, contracts: Contracts) -> list[View]:
        vault = balancer_vault(contracts)
        fixed = [View(vault, _POOL_TOKENS + spec.id), View(vault, _PAUSED), View(spec.address, _PAUSED)]
        decimals = [View(token, _DECIMALS) for token in spec.tokens]
        return [*fixed, *(View(spec.address, data) for data in functions), *decimals]

    return views


def _stable_views(spec: PoolSpec, contracts: Contracts) -> list[View]:
    caches = [call(spec.address, cache, token) for cache in _RATE_CACHES for token in spec.tokens]
    functions = (_SWAP_FEE, _AMPLIFICATION, _SCALING_FACTORS, _BPT_INDEX, _RATE_PROVIDERS)
    return [*_views(*functions)(spec, contracts), *caches]


def rate_views(spec: PoolSpec, answers: Sequence[bytes | None]) -> list[View]:
    """What the rate providers of a stable pool are asked, in the order of `getRateProviders`, zero ones too.

    Raises MalformedMessage; ValueError where there are more than tokens: the vault takes anybody's contract for a pool.
    """
    return [View(provider, _RATE) for provider in _providers(spec, answers)]


def _providers(spec: PoolSpec, answers: Sequence[bytes | None]) -> list[Address]:
    answer = answers[_FIXED_STABLE - 1]
    if answer is not None and len(answer) > _WORD * (2 + len(spec.tokens)):
        raise ValueError(f"more rate providers than its {len(spec.tokens)} tokens")
    (providers,) = ((),) if answer is None else decode(["address[]"], answer)
    return [Address(bytes.fromhex(provider[2:])) for provider in providers]


def _balances(spec: PoolSpec, answers: Sequence[bytes | None]) -> list[int]:
    tokens, balances, _ = decode(["address[]", "uint256[]", "uint256"], present(answers[0], "getPoolTokens(bytes32)"))
    if [bytes.fromhex(token[2:]) for token in tokens] != list(spec.tokens):
        raise ValueError("other tokens than announced")
    for whose, answer in zip(("the vault", "the pool"), answers[1:3], strict=True):
        if answer is not None and number_of(answer, "getPausedState()"):
            raise ValueError(f"{whose} is paused")
    return list(balances)


def _weighted(spec: PoolSpec, answers: Sequence[bytes | None], _times: Times) -> PoolState:
    balances = _balances(spec, answers)
    fee = number_of(answers[3], "getSwapFeePercentage()", most=MAX_SWAP_FEE)
    (weights,) = decode(["uint256[]"], present(answers[4], "getNormalizedWeights()"))
    # Pools of 2021 have no rate providers; they were compiled with the older power function. Their quotes decide.
    version = PowVersion.V1 if answers[5] is None else PowVersion.V2
    decimals = [number_of(answer, "decimals()") for answer in answers[_FIXED_WEIGHTED:]]
    return weighted_pool(balances, weights, decimals, fee, version)


def _stable(spec: PoolSpec, answers: Sequence[bytes | None], times: Times) -> PoolState:
    balances, count = _balances(spec, answers), len(spec.tokens)
    fee = number_of(answers[3], "getSwapFeePercentage()", most=MAX_SWAP_FEE)
    amplification = number_of(answers[4], "getAmplificationParameter()")
    is_ramping = bool(number_at(present(answers[4], "getAmplificationParameter()"), _WORD))
    if amplification < AMP_PRECISION:
        raise ValueError(f"amplification {amplification}")
    own = None if answers[6] is None else number_of(answers[6], "getBptIndex()", most=count - 1)
    # Pools that register their own token mostly came with the mathematics of 2022. Their quotes decide.
    version = InvariantVersion.ROUNDING_UP if own is None else InvariantVersion.ROUNDING_DOWN
    factors, has_rates = _scaling_factors(spec, answers, own, times.asked)
    return BalancerStablePool(
        tuple(balances), factors, amplification, fee, own, version, is_moving=is_ramping or has_rates
    )


def _scaling_factors(
    spec: PoolSpec, answers: Sequence[bytes | None], own: int | None, at: int
) -> tuple[tuple[int, ...], bool]:
    """What a swap at a time multiplies each token with, and whether a rate is in any of it."""
    count = len(spec.tokens)
    plain = [scaling_factor(number_of(one, "decimals()")) for one in answers[_FIXED_STABLE : _FIXED_STABLE + count]]
    caches, rates = answers[_FIXED_STABLE + count : _FIXED_STABLE + 3 * count], answers[_FIXED_STABLE + 3 * count :]
    providers = _providers(spec, answers)
    if len(providers) != len(rates) or len(providers) not in (0, count, count - (own is not None)):
        raise ValueError(f"{len(providers)} rate providers of {count} tokens")
    if own is not None and len(providers) == count - 1:
        providers.insert(own, ZERO_ADDRESS)
        rates = [*rates[:own], None, *rates[own:]]
    then, now = list(plain), list(plain)
    for place, provider in enumerate(providers):
        if provider != ZERO_ADDRESS:
            of_token = caches[place] if caches[count + place] is None else caches[count + place]
            cached, expires = _kept(of_token)
            then[place] = mul_down(plain[place], cached)
            now[place] = then[place] if at <= expires else mul_down(plain[place], number_of(rates[place], "getRate()"))
    if answers[5] is not None:
        (told,) = decode(["uint256[]"], answers[5])
        if list(told) != then:
            raise ValueError(f"scaling factors {list(told)} where its rates make {then}")
    if min(now) < 1:
        raise ValueError(f"scaling factors {now}")
    return tuple(now), any(provider != ZERO_ADDRESS for provider in providers)


def _kept(cache: bytes | None) -> tuple[int, int]:
    """The rate that a pool keeps, and the last second at which it counts."""
    answer = present(cache, "getTokenRateCache(address)")
    return number_at(answer, 0), number_at(answer, len(answer) - _WORD)


def versions_of(state: PoolState) -> list[PoolState]:
    """The state with each mathematics that pools of its kind were compiled with, its own guess first."""
    if isinstance(state, BalancerStablePool):
        return [
            state,
            *(
                msgspec.structs.replace(state, invariant_version=version)
                for version in InvariantVersion
                if version is not state.invariant_version
            ),
        ]
    if isinstance(state, WeightedPool):
        others = [version for version in PowVersion if version is not state.pow_version]
        return [state, *(msgspec.structs.replace(state, pow_version=version) for version in others)]
    return [state]


def balancer_checks(
    spec: PoolSpec, versions: Sequence[PoolState], contracts: Contracts
) -> list[tuple[View, Quotes, int]]:
    """What the vault is asked, what each version has to answer, and where in the answer: a quote each way between the
    first two tokens, and some in which the versions differ. Raises AmmError where no version gives the former.
    """
    return [
        (_query(spec, way, amount, contracts), tuple([None if out is None else -out for out in quotes]), _OUT_DELTA)
        for way, amount, quotes in _probes(versions)
    ]


def _probes(versions: Sequence[PoolState]) -> Iterator[tuple[tuple[int, int], int, Quotes]]:
    state = versions[0]
    assert isinstance(state, BalancerStablePool | WeightedPool)
    own = state.bpt_index if isinstance(state, BalancerStablePool) else None
    places = [place for place in range(len(state.balances)) if place != own]
    first, apart = (tuple(places[:2]), tuple(reversed(places[:2]))), 0
    for way in permutations(places, 2):
        for part in _PARTS:
            amount = state.balances[way[0]] // part
            is_always_asked = way in first and part == _PARTS[0]
            if not amount or not (is_always_asked or apart < _APART):
                continue
            quotes = tuple([_quoted(version, way, amount) for version in versions])
            if is_always_asked and set(quotes) == {None}:
                quote_exact_in(state, *way, amount)
            if is_always_asked or len(set(quotes)) > 1:
                apart += len(set(quotes)) > 1
                yield way, amount, quotes


def _quoted(state: PoolState, way: tuple[int, int], amount: int) -> int | None:
    try:
        return quote_exact_in(state, *way, amount)
    except AmmError:
        return None


def _query(spec: PoolSpec, way: tuple[int, int], amount: int, contracts: Contracts) -> View:
    assets = [address_to_hex(spec.tokens[place]) for place in way]
    return View(
        balancer_vault(contracts), encode_call(_QUERY, _GIVEN_IN, [(spec.id, 0, 1, amount, b"")], assets, _NOBODY)
    )


BALANCER_VIEWS: Final[dict[PoolFamily, Kind]] = {
    PoolFamily.BALANCER_V2_WEIGHTED: Kind(_views(_SWAP_FEE, _WEIGHTS, _RATE_PROVIDERS), _weighted),
    PoolFamily.BALANCER_V2_STABLE: Kind(_stable_views, _stable),
}
