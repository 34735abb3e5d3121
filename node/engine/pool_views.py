"""Views of pools without ticks, what their answers make, and what a pool is asked once more to be believed.

Every family has its views, a reader of their answers, and, where the contract can be asked for a quote, checks: the
quote for a thousandth of what the pool holds must be ours to the unit. A contract with other maths than its family's is
so found before anything trades on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from node.engine.curve_views import CURVE_VIEWS, curve_checks
from node.engine.multicall import View, number_at
from node.engine.vault_views import VAULT_VIEWS, vault_checks
from node.engine.view_answers import NUMBER, call, number_of, present
from node.pipeline.amm.balancer_fixed_point import PowVersion
from node.pipeline.amm.balancer_stable import AMP_PRECISION, BalancerStablePool, InvariantVersion
from node.pipeline.amm.camelot import CamelotStablePool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.solidly import SolidlyPool
from node.pipeline.amm.units import UINT112_MAX, FeePips
from node.pipeline.amm.weighted import MAX_SWAP_FEE, scaling_factor, weighted_pool
from node.pipeline.pools import PAIRS, PoolFamily, PoolSpec, PoolState, held_amounts, quote_exact_in
from protocol.ethereum.abi import decode, selector
from protocol.units import Address

_GET_RESERVES: Final = selector("getReserves()")
_POOL_TOKENS: Final = selector("getPoolTokens(bytes32)")
_SWAP_FEE: Final = selector("getSwapFeePercentage()")
_WEIGHTS: Final = selector("getNormalizedWeights()")
_RATE_PROVIDERS: Final = selector("getRateProviders()")
_AMPLIFICATION: Final = selector("getAmplificationParameter()")
_SCALING_FACTORS: Final = selector("getScalingFactors()")
_BPT_INDEX: Final = selector("getBptIndex()")
_DECIMALS: Final = selector("decimals()")
_METADATA: Final = selector("metadata()")
_GET_FEE: Final = selector("getFee(address,bool)")
_STABLE_SWAP: Final = selector("stableSwap()")
_GET_AMOUNT_OUT: Final = selector("getAmountOut(uint256,address)")
_CAMELOT_SCALE: Final = 100_000
_WORD: Final = 32
_BEFORE_DECIMALS_WEIGHTED: Final = 4
_BEFORE_DECIMALS_STABLE: Final = 5
CHECKED_PART: Final = 1_000

Contracts = Mapping[PoolFamily, Address]
"""Factories and vaults, by family."""


class Kind(NamedTuple):
    """How pools of a family are read."""

    views: Callable[[PoolSpec, Contracts], list[View]]
    state: Callable[[PoolSpec, Sequence[bytes | None]], PoolState]


def views_of(spec: PoolSpec, contracts: Contracts) -> list[View]:
    """What to ask for a pool's state."""
    return _KINDS[spec.family].views(spec, contracts)


def state_of(spec: PoolSpec, answers: Sequence[bytes | None]) -> PoolState:
    """The state that the answers make. Raises AmmError, MalformedMessage, ValueError."""
    return _KINDS[spec.family].state(spec, answers)


def checks_of(spec: PoolSpec, state: PoolState) -> list[tuple[View, int]]:
    """What to ask of a pool whose state is known, and what it has to answer. Raises AmmError for a state without."""
    if spec.family in CURVE_VIEWS:
        return curve_checks(spec, state)
    if spec.family in VAULT_VIEWS:
        return vault_checks(spec, state)
    if spec.family in (PoolFamily.AERODROME, PoolFamily.CAMELOT):
        amount = held_amounts(state)[0] // CHECKED_PART
        view = call(spec.address, _GET_AMOUNT_OUT, amount, spec.tokens[0])
        return [(view, quote_exact_in(state, 0, 1, amount))] if amount else []
    return []


def pair_fee(fee_pips: FeePips) -> tuple[int, int]:
    """Return a pair's fee as its contract writes it: parts, of how many (3 of 1000 for 0.3 percent)."""
    if fee_pips % 1000 == 0:
        return fee_pips // 1000, 1000
    return (fee_pips // 100, 10_000) if fee_pips % 100 == 0 else (fee_pips, 1_000_000)


def _pair(spec: PoolSpec, answers: Sequence[bytes | None]) -> PoolState:
    fee, scale = pair_fee(spec.fee_pips)
    return ConstantProductPool(*_reserves(answers[0], UINT112_MAX), fee, fee, scale)


def _reserves(answer: bytes | None, most: int) -> tuple[int, int]:
    reserves = present(answer, "getReserves()")
    reserve0, reserve1 = number_at(reserves, 0), number_at(reserves, _WORD)
    if max(reserve0, reserve1) > most:
        raise ValueError(f"reserves {reserve0} and {reserve1}")
    return reserve0, reserve1


def _solidly_views(spec: PoolSpec, contracts: Contracts) -> list[View]:
    fee = call(contracts[spec.family], _GET_FEE, spec.address, int(spec.is_stable))
    return [View(spec.address, _METADATA), fee]


def _solidly(spec: PoolSpec, answers: Sequence[bytes | None]) -> PoolState:
    metadata = present(answers[0], "metadata()")
    unit0, unit1, reserve0, reserve1, stable = (number_at(metadata, _WORD * place) for place in range(5))
    if bool(stable) is not spec.is_stable or not (unit0 and unit1):
        raise ValueError(f"stable {stable}, units {unit0} and {unit1}")
    fee = number_of(answers[1], "getFee(address,bool)", most=9_999)
    return SolidlyPool(reserve0, reserve1, fee, 10_000, spec.is_stable, unit0, unit1)


def _camelot_views(spec: PoolSpec, _contracts: Contracts) -> list[View]:
    decimals = [View(token, _DECIMALS) for token in spec.tokens]
    return [View(spec.address, _GET_RESERVES), View(spec.address, _STABLE_SWAP), *decimals]


def _camelot(_spec: PoolSpec, answers: Sequence[bytes | None]) -> PoolState:
    reserves, stable = _reserves(answers[0], UINT112_MAX), number_of(answers[1], "stableSwap()", most=1)
    fees = [number_at(present(answers[0], "getReserves()"), _WORD * place) for place in (2, 3)]
    if max(fees) >= _CAMELOT_SCALE:
        raise ValueError(f"fees {fees}")
    if not stable:
        return ConstantProductPool(*reserves, fees[0], fees[1], _CAMELOT_SCALE)
    unit0, unit1 = (10 ** number_of(answer, "decimals()", most=NUMBER) for answer in answers[2:4])
    return CamelotStablePool(*reserves, fees[0], fees[1], unit0, unit1, _CAMELOT_SCALE)


def _balancer_views(*functions: bytes) -> Callable[[PoolSpec, Contracts], list[View]]:
    """The vault's balances, these functions of the pool, the tokens' decimals."""

    def views(spec: PoolSpec, contracts: Contracts) -> list[View]:
        vault = contracts[PoolFamily.BALANCER_V2_WEIGHTED]
        decimals = [View(token, _DECIMALS) for token in spec.tokens]
        return [View(vault, _POOL_TOKENS + spec.id), *(View(spec.address, data) for data in functions), *decimals]

    return views


def _balances(spec: PoolSpec, answer: bytes | None) -> list[int]:
    tokens, balances, _ = decode(["address[]", "uint256[]", "uint256"], present(answer, "getPoolTokens(bytes32)"))
    if [bytes.fromhex(token[2:]) for token in tokens] != list(spec.tokens):
        raise ValueError("other tokens than announced")
    return list(balances)


def _weighted(spec: PoolSpec, answers: Sequence[bytes | None]) -> PoolState:
    balances = _balances(spec, answers[0])
    fee = number_of(answers[1], "getSwapFeePercentage()", most=MAX_SWAP_FEE)
    (weights,) = decode(["uint256[]"], present(answers[2], "getNormalizedWeights()"))
    # Pools of 2021 have no rate providers; they were compiled with the older power function.
    version = PowVersion.V1 if answers[3] is None else PowVersion.V2
    decimals = [number_of(answer, "decimals()") for answer in answers[_BEFORE_DECIMALS_WEIGHTED:]]
    return weighted_pool(balances, weights, decimals, fee, version)


def _stable(spec: PoolSpec, answers: Sequence[bytes | None]) -> PoolState:
    balances = _balances(spec, answers[0])
    fee = number_of(answers[1], "getSwapFeePercentage()", most=MAX_SWAP_FEE)
    amplification = number_of(answers[2], "getAmplificationParameter()")
    if amplification < AMP_PRECISION:
        raise ValueError(f"amplification {amplification}")
    if answers[3] is None:
        factors = [scaling_factor(number_of(answer, "decimals()")) for answer in answers[_BEFORE_DECIMALS_STABLE:]]
    else:
        (factors,) = decode(["uint256[]"], answers[3])
    # Pools that register their own token came with the mathematics of 2022.
    own = None if answers[4] is None else number_of(answers[4], "getBptIndex()", most=len(balances) - 1)
    version = InvariantVersion.ROUNDING_UP if own is None else InvariantVersion.ROUNDING_DOWN
    if len(factors) != len(balances) or min(factors) < 1:
        raise ValueError(f"scaling factors {list(factors)}")
    return BalancerStablePool(tuple(balances), tuple(factors), amplification, fee, own, version)


_KINDS: Final[dict[PoolFamily, Kind]] = {
    **{family: Kind(lambda spec, _: [View(spec.address, _GET_RESERVES)], _pair) for family in PAIRS},
    PoolFamily.AERODROME: Kind(_solidly_views, _solidly),
    PoolFamily.CAMELOT: Kind(_camelot_views, _camelot),
    PoolFamily.BALANCER_V2_WEIGHTED: Kind(_balancer_views(_SWAP_FEE, _WEIGHTS, _RATE_PROVIDERS), _weighted),
    PoolFamily.BALANCER_V2_STABLE: Kind(
        _balancer_views(_SWAP_FEE, _AMPLIFICATION, _SCALING_FACTORS, _BPT_INDEX), _stable
    ),
    **{family: Kind(*parts) for family, parts in {**CURVE_VIEWS, **VAULT_VIEWS}.items()},
}
