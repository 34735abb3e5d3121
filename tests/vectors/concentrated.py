"""Kinds v3_quotes, v3_quotes_aerodrome_cl, v4_quotes, v3_pool_swaps, v3_tick_math, v3_sqrt_price_math, v3_swap_step,
v3_tick_bitmap.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable, Iterable, Iterator

from node.pipeline.amm import concentrated, sqrt_price_math, tick_bitmap, tick_math
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.swap_math import compute_swap_step
from node.pipeline.amm.ticks import tick_table
from tests.vectors.case import REFUSED, Case, Json, answer_or_code, answer_or_refusal


def pool_of(state: Json) -> ConcentratedPool:
    """A pool from `scalars` and `tick_data` (tick -> [gross, net, …])."""
    scalars = state["scalars"]
    liquidity = {int(tick): (int(entry[0]), int(entry[1])) for tick, entry in state["tick_data"].items()}
    return ConcentratedPool(
        int(scalars["fee"]),
        int(scalars["sqrt_price_x96"]),
        int(scalars["tick"]),
        int(scalars["liquidity"]),
        tick_table(int(scalars["tick_spacing"]), liquidity),
    )


def v3_quotes(document: Json) -> Iterator[Case]:
    """Answers of an on-chain quoter that was given the last possible price as its limit, and so fills partly."""
    yield from _quotes(document, partly=True)


def v4_quotes(document: Json) -> Iterator[Case]:
    """Answers of the V4 quoter, which refuses what it cannot fill, for pools without a protocol fee and hooks."""
    yield from _quotes(document, partly=False)


def _quotes(document: Json, partly: bool) -> Iterator[Case]:
    pool = pool_of(document["pool"])
    for number, quote in enumerate(document["quotes"]):
        zero_for_one, amount = bool(quote["zero_for_one"]), int(quote["amount"])
        limit = None
        if partly:
            limit = tick_math.MIN_SQRT_RATIO + 1 if zero_for_one else tick_math.MAX_SQRT_RATIO - 1
        exact_in = quote["fn"] == "quoteExactInputSingle"
        expected = int(quote["expected"]) if quote.get("expected") is not None else REFUSED
        actual = answer_or_refusal(_quoted, pool, exact_in, zero_for_one, amount, limit)
        yield Case(f"{number} {quote['fn']} {quote['token_in']} {amount}", actual, expected)


def _quoted(pool: ConcentratedPool, exact_in: bool, zero_for_one: bool, amount: int, limit: int | None) -> int:
    if exact_in:
        return concentrated.quote_exact_in(pool, zero_for_one, amount, limit)[1]
    return concentrated.quote_exact_out(pool, zero_for_one, amount, limit)[0]


def v3_pool_swaps(document: Json) -> Iterator[Case]:
    """The pool's own tests: set-up, one swap, the balances' and the fee growth's changes and the tick afterwards."""
    for vector in document:
        inputs, expected = vector["inputs"], vector["expected"]
        name = f"{vector['id']} {vector['pool']}: {vector['case']}"
        pool = concentrated.initialized_pool(
            int(inputs["fee_pips"]), int(inputs["tick_spacing"]), int(inputs["sqrt_price_x96"])
        )
        balance0 = balance1 = 0
        for position in inputs["positions"]:
            lower, upper = int(position["tick_lower"]), int(position["tick_upper"])
            pool, amount0, amount1 = concentrated.modify_position(pool, lower, upper, int(position["liquidity"]))
            balance0, balance1 = balance0 + amount0, balance1 + amount1
        yield Case(f"{name}: tick before", pool.tick, int(expected["tick_before"]))
        specified, limit = int(inputs["amount_specified"]), int(inputs["sqrt_price_limit_x96"])
        answer = answer_or_code(concentrated.swap, pool, bool(inputs["zero_for_one"]), specified, limit)
        if expected.get("reverts"):
            refused = isinstance(answer, str) and expected["upstream_error"].endswith(f"revert {answer}".rstrip())
            yield Case(f"{name}: refused", refused, True)
            continue
        yield Case(f"{name}: balance0 before", balance0, int(expected["pool_amount0_before"]))
        yield Case(f"{name}: balance1 before", balance1, int(expected["pool_amount1_before"]))
        yield Case(f"{name}: outcome", _outcome(pool, answer), _expected_outcome(expected))


def _outcome(before: ConcentratedPool, answer: object) -> object:
    if not isinstance(answer, concentrated.ConcentratedSwap):
        return answer
    after = answer.after
    return {
        "amount0_delta": answer.amount0,
        "amount1_delta": answer.amount1,
        "fee_growth_global0_x128_delta": after.fee_growth_global0_x128 - before.fee_growth_global0_x128,
        "fee_growth_global1_x128_delta": after.fee_growth_global1_x128 - before.fee_growth_global1_x128,
        "tick_after": after.tick,
        "pool_price_before_5sig": _ratio_5sig(before.sqrt_price_x96**2, 1 << 192),
        "pool_price_after_5sig": _ratio_5sig(after.sqrt_price_x96**2, 1 << 192),
        "execution_price_5sig": _ratio_5sig(-answer.amount1, answer.amount0),
    }


def _expected_outcome(expected: Json) -> dict[str, object]:
    prices = {key: _same_digits(str(value)) for key, value in expected.items() if key.endswith("_5sig")}
    counted = ("amount0_delta", "amount1_delta", "fee_growth_global0_x128_delta", "fee_growth_global1_x128_delta")
    return {**{key: int(expected[key]) for key in (*counted, "tick_after")}, **prices}


def v3_tick_math(document: Json) -> Iterator[Case]:
    """TickMath's own tests; a refusal by its revert string."""
    for number, vector in enumerate(document):
        expected = vector["expected"]
        if vector["fn"] == "getSqrtRatioAtTick":
            argument, key = int(vector["inputs"]["tick"]), "sqrt_price_x96"
            actual = answer_or_code(tick_math.sqrt_ratio_at_tick, argument)
        else:
            argument, key = int(vector["inputs"]["sqrt_price_x96"]), "tick"
            actual = answer_or_code(tick_math.tick_at_sqrt_ratio, argument)
        wanted = expected["reverts"] if "reverts" in expected else int(expected[key])
        yield Case(f"{number} {vector['fn']} {argument}", actual, wanted)


def _amount0(a_x96: int, b_x96: int, liquidity: int, round_up: bool) -> int:
    if round_up:
        return sqrt_price_math.amount0_delta_rounding_up(a_x96, b_x96, liquidity)
    return sqrt_price_math.amount0_delta_rounding_down(a_x96, b_x96, liquidity)


def _amount1(a_x96: int, b_x96: int, liquidity: int, round_up: bool) -> int:
    if round_up:
        return sqrt_price_math.amount1_delta_rounding_up(a_x96, b_x96, liquidity)
    return sqrt_price_math.amount1_delta_rounding_down(a_x96, b_x96, liquidity)


_PRICE_ARGUMENTS = ("sqrt_price_x96", "liquidity", "amount", "zero_for_one")
_DELTA_ARGUMENTS = ("sqrt_ratio_a_x96", "sqrt_ratio_b_x96", "liquidity", "round_up")
_SQRT_PRICE_FUNCTIONS: dict[str, tuple[Callable[..., int], tuple[str, ...]]] = {
    "getNextSqrtPriceFromInput": (sqrt_price_math.sqrt_price_after_input, _PRICE_ARGUMENTS),
    "getNextSqrtPriceFromOutput": (sqrt_price_math.sqrt_price_after_output, _PRICE_ARGUMENTS),
    "getAmount0Delta": (_amount0, _DELTA_ARGUMENTS),
    "getAmount1Delta": (_amount1, _DELTA_ARGUMENTS),
}


def v3_sqrt_price_math(document: Json) -> Iterator[Case]:
    """SqrtPriceMath's own tests."""
    for number, vector in enumerate(document):
        function, names = _SQRT_PRICE_FUNCTIONS[vector["fn"]]
        arguments = [_number_or_flag(vector["inputs"][name]) for name in names]
        wanted = REFUSED if vector["expected"].get("reverts") else int(vector["expected"]["result"])
        yield Case(f"{number} {vector['fn']}", answer_or_refusal(function, *arguments), wanted)


def _number_or_flag(value: Json) -> int | bool:
    return value if isinstance(value, bool) else int(value)


def v3_swap_step(document: Json) -> Iterator[Case]:
    """SwapMath's own tests; the outputs that a test does not name are not compared."""
    names = ("sqrt_price_current_x96", "sqrt_price_target_x96", "liquidity", "amount_remaining", "fee_pips")
    for number, vector in enumerate(document):
        expected = {key: int(value) for key, value in vector["expected"].items()}
        step = compute_swap_step(*(int(vector["inputs"][name]) for name in names))
        outputs = dict(zip(("sqrt_price_next_x96", "amount_in", "amount_out", "fee_amount"), step, strict=True))
        yield Case(f"{number} {vector.get('note', '')}", {key: outputs.get(key) for key in expected}, expected)


def v3_tick_bitmap(document: Json) -> Iterator[Case]:
    """Bitmap words after flips; and states whose words must be those of their initialised ticks.

    The file does not tell the spacing of its states: it is the one for which the words hold as many ticks.
    """
    for number, vector in enumerate(document["flip"]):
        words = tick_bitmap.flip_ticks({}, [int(tick) for tick in vector["ticks"]], int(vector["spacing"]))
        expected = {int(word): int(bits) for word, bits in vector["result"].items() if int(bits)}
        yield Case(f"flip {number}", words, expected)
    for name, state in document["apply"].items():
        words = {int(word): int(entry["bitmap"]) for word, entry in state["tick_bitmap"].items()}
        expected = {word: bits for word, bits in words.items() if bits}
        ticks = {int(t): (int(e["liquidity_gross"]), int(e["liquidity_net"])) for t, e in state["tick_data"].items()}
        rebuilt = [tick_table(spacing, ticks).bitmap for spacing in _common_spacings(ticks)]
        yield Case(f"apply {name}", expected if expected in rebuilt else rebuilt, expected)
        yield Case(f"apply {name} net", sum(net for _, net in ticks.values()), 0)


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
    return _same_digits(str(ratio))


def _same_digits(price: str) -> str:
    """One spelling for each number of five significant digits, so that 1.0000 is 1 and 5.8E+19 is 58e18."""
    number = decimal.Decimal(price)
    if not number.is_finite():
        return price
    with decimal.localcontext(prec=5, rounding=decimal.ROUND_HALF_UP):
        return str(abs(number).normalize() if number == 0 else number.normalize())
