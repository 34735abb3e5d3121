"""Kinds v3_quotes, v3_quotes_aerodrome_cl, v3_pool_swaps, v3_tick_math, v3_sqrt_price_math, v3_swap_step,
v3_tick_bitmap.
"""

from __future__ import annotations

import decimal
import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from node.pipeline.amm import concentrated, sqrt_price_math, tick_bitmap, tick_math
from node.pipeline.amm.concentrated import ConcentratedPool, ConcentratedSwap
from node.pipeline.amm.swap_math import compute_swap_step
from node.pipeline.amm.ticks import tick_table
from tests.vectors.cases import Case, Malformed, differs, must_be, number
from tests.vectors.pools import REFUSED, answer_or_code, answer_or_refusal, stated_answer


def check_v3_quote(case: dict[str, Any]) -> Iterator[str]:
    """The answer of an on-chain quoter that was given the last possible price as its limit, and so fills partly."""
    zero_for_one = must_be("zero_for_one", bool, case["quote"]["zero_for_one"])
    limit = tick_math.MIN_SQRT_RATIO + 1 if zero_for_one else tick_math.MAX_SQRT_RATIO - 1
    yield from _quote_differs(case, zero_for_one, limit)


def _quote_differs(case: dict[str, Any], zero_for_one: bool, limit: int) -> Iterator[str]:
    pool, quote = _pool(case["pool"]), case["quote"]
    ask = {"quoteExactInputSingle": _quoted_out, "quoteExactOutputSingle": _quoted_in}[quote["fn"]]
    answer = answer_or_refusal(ask, pool, zero_for_one, number(quote["amount"]), limit)
    yield from differs(quote["fn"], answer, stated_answer(quote))


def _quoted_out(pool: ConcentratedPool, zero_for_one: bool, amount: int, limit: int) -> int:
    return concentrated.quote_exact_in(pool, zero_for_one, amount, limit)[1]


def _quoted_in(pool: ConcentratedPool, zero_for_one: bool, amount: int, limit: int) -> int:
    return concentrated.quote_exact_out(pool, zero_for_one, amount, limit)[0]


def _pool(state: dict[str, Any]) -> ConcentratedPool:
    """A pool from `scalars` and `tick_data` (tick -> [gross, net, block])."""
    scalars = state["scalars"]
    ticks = {int(tick): (number(entry[0]), number(entry[1])) for tick, entry in state["tick_data"].items()}
    return ConcentratedPool(
        number(scalars["fee"]),
        number(scalars["sqrt_price_x96"]),
        number(scalars["tick"]),
        number(scalars["liquidity"]),
        tick_table(number(scalars["tick_spacing"]), ticks),
    )


def check_pool_swap(case: dict[str, Any]) -> Iterator[str]:
    """Set-up by mints, one swap; what the pool holds before, what changes, and the tick and prices afterwards."""
    inputs, expected = case["inputs"], case["expected"]
    price, fee, spacing = (number(inputs[key]) for key in ("sqrt_price_x96", "fee_pips", "tick_spacing"))
    pool = concentrated.initialized_pool(fee, spacing, price)
    balance0 = balance1 = 0
    for position in inputs["positions"]:
        lower, upper = number(position["tick_lower"]), number(position["tick_upper"])
        pool, amount0, amount1 = concentrated.modify_position(pool, lower, upper, number(position["liquidity"]))
        balance0, balance1 = balance0 + amount0, balance1 + amount1
    yield from differs("tick before", pool.tick, number(expected["tick_before"]))
    specified, limit = number(inputs["amount_specified"]), number(inputs["sqrt_price_limit_x96"])
    zero_for_one = must_be("zero_for_one", bool, inputs["zero_for_one"])
    answer = answer_or_code(concentrated.swap, pool, zero_for_one, specified, limit)
    if expected.get("reverts"):
        # Upstream states the node's sentence, which ends with the contract's revert string.
        code = must_be("upstream_error", str, expected["upstream_error"]).rpartition("revert")[2].strip()
        yield from differs("refusal", answer, code)
        return
    yield from differs("balance0 before", balance0, number(expected["pool_amount0_before"]))
    yield from differs("balance1 before", balance1, number(expected["pool_amount1_before"]))
    if isinstance(answer, ConcentratedSwap):
        yield from _swap_differs(pool, answer, expected)
    else:
        yield from differs("swap", answer, "accepted")


def _swap_differs(before: ConcentratedPool, swap: ConcentratedSwap, expected: dict[str, Any]) -> Iterator[str]:
    after = swap.after
    growth0 = after.fee_growth_global0_x128 - before.fee_growth_global0_x128
    growth1 = after.fee_growth_global1_x128 - before.fee_growth_global1_x128
    yield from differs("amount0", swap.amount0, number(expected["amount0_delta"]))
    yield from differs("amount1", swap.amount1, number(expected["amount1_delta"]))
    yield from differs("fee growth 0", growth0, number(expected["fee_growth_global0_x128_delta"]))
    yield from differs("fee growth 1", growth1, number(expected["fee_growth_global1_x128_delta"]))
    yield from differs("tick after", after.tick, number(expected["tick_after"]))
    for what, ratio in (
        ("pool_price_before_5sig", (before.sqrt_price_x96**2, 1 << 192)),
        ("pool_price_after_5sig", (after.sqrt_price_x96**2, 1 << 192)),
        ("execution_price_5sig", (-swap.amount1, swap.amount0)),
    ):
        yield from differs(what, _ratio_5sig(*ratio), _one_spelling(str(expected[what])))


_TICK_MATH: dict[str, tuple[Callable[[int], int], str, str]] = {
    "getSqrtRatioAtTick": (tick_math.sqrt_ratio_at_tick, "tick", "sqrt_price_x96"),
    "getTickAtSqrtRatio": (tick_math.tick_at_sqrt_ratio, "sqrt_price_x96", "tick"),
}


def check_tick_math(case: dict[str, Any]) -> Iterator[str]:
    """getSqrtRatioAtTick and getTickAtSqrtRatio; a refusal by its revert string."""
    function, argument, result = _TICK_MATH[case["fn"]]
    expected = case["expected"]
    stated = expected["reverts"] if "reverts" in expected else number(expected[result])
    yield from differs(result, answer_or_code(function, number(case["inputs"][argument])), stated)


def _amount0(a_x96: int, b_x96: int, liquidity: int, round_up: bool) -> int:
    if round_up:
        return sqrt_price_math.amount0_delta_rounding_up(a_x96, b_x96, liquidity)
    return sqrt_price_math.amount0_delta_rounding_down(a_x96, b_x96, liquidity)


def _amount1(a_x96: int, b_x96: int, liquidity: int, round_up: bool) -> int:
    if round_up:
        return sqrt_price_math.amount1_delta_rounding_up(a_x96, b_x96, liquidity)
    return sqrt_price_math.amount1_delta_rounding_down(a_x96, b_x96, liquidity)


_PRICE_INPUTS = ("sqrt_price_x96", "liquidity", "amount", "zero_for_one")
_DELTA_INPUTS = ("sqrt_ratio_a_x96", "sqrt_ratio_b_x96", "liquidity", "round_up")
_SQRT_PRICE: dict[str, tuple[Callable[..., int], tuple[str, ...]]] = {
    "getNextSqrtPriceFromInput": (sqrt_price_math.sqrt_price_after_input, _PRICE_INPUTS),
    "getNextSqrtPriceFromOutput": (sqrt_price_math.sqrt_price_after_output, _PRICE_INPUTS),
    "getAmount0Delta": (_amount0, _DELTA_INPUTS),
    "getAmount1Delta": (_amount1, _DELTA_INPUTS),
}


def check_sqrt_price_math(case: dict[str, Any]) -> Iterator[str]:
    """Prices after an amount, and amounts between prices."""
    function, names = _SQRT_PRICE[case["fn"]]
    *numbers, flag = (case["inputs"][name] for name in names)
    arguments = [*(number(value) for value in numbers), must_be(names[-1], bool, flag)]
    expected = case["expected"]
    stated = REFUSED if expected.get("reverts") else number(expected["result"])
    yield from differs(case["fn"], answer_or_refusal(function, *arguments), stated)


def check_swap_step(case: dict[str, Any]) -> Iterator[str]:
    """computeSwapStep; the outputs that a case does not state are not compared, but some it must."""
    names = ("sqrt_price_current_x96", "sqrt_price_target_x96", "liquidity", "amount_remaining", "fee_pips")
    step = compute_swap_step(*(number(case["inputs"][name]) for name in names))
    outputs = dict(zip(("sqrt_price_next_x96", "amount_in", "amount_out", "fee_amount"), step, strict=True))
    if not case["expected"]:
        raise Malformed("states no output")
    for what, stated in case["expected"].items():
        yield from differs(what, outputs[what], number(stated))


def split_tick_bitmap(content: bytes) -> Iterator[Case]:
    """Split `flip` (ticks -> words) and `apply` (states whose words and ticks must agree)."""
    document = json.loads(content)
    for place, flip in enumerate(document["flip"]):
        yield Case(f"flip #{place}", {"flip": flip})
    for name, state in document["apply"].items():
        yield Case(f"apply {name}", {"apply": state})


def check_tick_bitmap(case: dict[str, Any]) -> Iterator[str]:
    """Words after flips; and words of a state, which must be those of its initialised ticks.

    The file does not tell the spacing of its states: one of the common divisors of the ticks must fit.
    """
    if "flip" in case:
        flip = case["flip"]
        words = tick_bitmap.flip_ticks({}, [number(tick) for tick in flip["ticks"]], number(flip["spacing"]))
        stated = {int(word): number(bits) for word, bits in flip["result"].items() if number(bits)}
        yield from differs("words", words, stated)
        return
    state = case["apply"]
    ticks = {
        int(tick): (number(entry["liquidity_gross"]), number(entry["liquidity_net"]))
        for tick, entry in state["tick_data"].items()
    }
    words = {int(word): number(entry["bitmap"]) for word, entry in state["tick_bitmap"].items()}
    stated = {word: bits for word, bits in words.items() if bits}
    rebuilt = [tick_table(spacing, ticks).bitmap for spacing in _common_spacings(ticks)]
    if stated not in rebuilt:
        yield from differs("words", rebuilt[0], stated)
    yield from differs("net liquidity of all ticks", sum(net for _, net in ticks.values()), 0)


def _common_spacings(ticks: Iterable[int]) -> list[int]:
    """Every spacing that all ticks are multiples of; one for no ticks at all."""
    divisor = math.gcd(*ticks)
    return [spacing for spacing in range(1, divisor + 1) if divisor % spacing == 0] or [1]


def _ratio_5sig(numerator: int, denominator: int) -> str:
    """A ratio to five significant digits; what JavaScript makes of a division by zero."""
    if denominator == 0:
        return "NaN" if numerator == 0 else "Infinity" if numerator > 0 else "-Infinity"
    with decimal.localcontext(prec=40):
        ratio = decimal.Decimal(numerator) / decimal.Decimal(denominator)
    with decimal.localcontext(prec=5, rounding=decimal.ROUND_HALF_UP):
        return _one_spelling(str(+ratio))


def _one_spelling(price: str) -> str:
    """One spelling for each number, so that 1.0000 is 1 and 58.000e18 is 5.8E+19."""
    ratio = decimal.Decimal(price)
    if not ratio.is_finite():
        return price
    with decimal.localcontext(prec=40):
        return "0" if ratio == 0 else str(ratio.normalize())
