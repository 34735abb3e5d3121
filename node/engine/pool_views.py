"""Views of pools without ticks, what their answers make, and what a pool is asked once more to be believed.

Every family has its views, a reader of their answers, and, where the contract can be asked for a quote, checks: the
quote for a thousandth of what the pool holds must be ours to the unit. A contract with other maths than its family's is
so found before anything trades on it. What moves with time alone is read for the time at which it will be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from node.engine.balancer_views import BALANCER_VIEWS, balancer_checks, rate_views
from node.engine.curve_views import CURVE_VIEWS, curve_checks
from node.engine.multicall import View, number_at
from node.engine.vault_views import VAULT_VIEWS, vault_checks
from node.engine.view_answers import NUMBER, Contracts, Kind, Times, call, number_of, present, timeless
from node.pipeline.amm.camelot import CamelotStablePool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.solidly import SolidlyPool
from node.pipeline.amm.units import UINT112_MAX, FeePips
from node.pipeline.pools import PAIRS, PoolFamily, PoolSpec, PoolState, held_amounts, quote_exact_in
from protocol.ethereum.abi import selector

_GET_RESERVES: Final = selector("getReserves()")
_DECIMALS: Final = selector("decimals()")
_METADATA: Final = selector("metadata()")
_GET_FEE: Final = selector("getFee(address,bool)")
_STABLE_SWAP: Final = selector("stableSwap()")
_GET_AMOUNT_OUT: Final = selector("getAmountOut(uint256,address)")
_CAMELOT_SCALE: Final = 100_000
_WORD: Final = 32
CHECKED_PART: Final = 1_000


class Check(NamedTuple):
    """What to ask of a pool whose state is known, and what each version of it answers in which place of the answer;
    None where a version answers nothing."""

    view: View
    ours: tuple[int | None, ...]
    place: int = 0


def views_of(spec: PoolSpec, contracts: Contracts) -> list[View]:
    """What to ask for a pool's state."""
    return _KINDS[spec.family].views(spec, contracts)


def further_views_of(spec: PoolSpec, answers: Sequence[bytes | None]) -> list[View]:
    """What to ask then, by the answers to the first views. Raises MalformedMessage, ValueError."""
    return rate_views(spec, answers) if spec.family is PoolFamily.BALANCER_V2_STABLE else []


def state_of(spec: PoolSpec, answers: Sequence[bytes | None], times: Times) -> PoolState:
    """The state that the answers make, those to the further views last, when it is asked at `times.asked`.

    Raises AmmError, MalformedMessage, ValueError.
    """
    return _KINDS[spec.family].state(spec, answers, times)


def checks_of(spec: PoolSpec, versions: Sequence[PoolState], contracts: Contracts) -> list[Check]:
    """What to ask of a pool whose state is known but for its version. Raises AmmError for a state without a quote."""
    if spec.family in BALANCER_VIEWS:
        return [Check(*parts) for parts in balancer_checks(spec, versions, contracts)]
    state = versions[0]
    if spec.family in CURVE_VIEWS:
        return [Check(view, (ours,)) for view, ours in curve_checks(spec, state)]
    if spec.family in VAULT_VIEWS:
        return [Check(view, (ours,)) for view, ours in vault_checks(spec, state)]
    if spec.family in (PoolFamily.AERODROME, PoolFamily.CAMELOT):
        amount = held_amounts(state)[0] // CHECKED_PART
        view = call(spec.address, _GET_AMOUNT_OUT, amount, spec.tokens[0])
        return [Check(view, (quote_exact_in(state, 0, 1, amount),))] if amount else []
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


_KINDS: Final[dict[PoolFamily, Kind]] = {
    **{family: Kind(lambda spec, _: [View(spec.address, _GET_RESERVES)], timeless(_pair)) for family in PAIRS},
    PoolFamily.AERODROME: Kind(_solidly_views, timeless(_solidly)),
    PoolFamily.CAMELOT: Kind(_camelot_views, timeless(_camelot)),
    **VAULT_VIEWS,
    **CURVE_VIEWS,
    **BALANCER_VIEWS,
}
