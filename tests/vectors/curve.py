"""Kinds curve_plain_quotes, curve_plain_liquidity_quotes, curve_math; and Curve's pools as the data writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from node.pipeline.amm import curve_crypto, curve_stableswap
from node.pipeline.amm.curve_stableswap import CurvePool, ProductRule
from tests.vectors.cases import Case, Malformed, differs, must_be, number, number_up_to
from tests.vectors.pools import answer_or_refusal, refusal_or_number, stated_answer

# How the data's origin numbers the rules of the deployed pools: (A_PRECISION left out, product rule).
_D_VARIANTS: Final = {
    1: (False, ProductRule.EACH),
    2: (True, ProductRule.EACH),
    3: (True, ProductRule.EACH_PLUS_ONE),
    4: (False, ProductRule.EACH_PLUS_ONE),
    5: (False, ProductRule.PAIR_SQUARED),
    6: (False, ProductRule.PAIR),
}
_PRECISE: Final = 100
_SWAP_STYLES: Final = {1: False, 2: True}
# Whether the iterations for a balance know A_PRECISION.
_Y_VARIANTS: Final = {1: True, 2: False, 3: False}
_YD_VARIANTS: Final = {1: False, 2: True}


def curve_pool(state: Mapping[str, Any], now: int | None = None) -> CurvePool:
    """Return a pool with the rates of its decimals; `now` (Unix seconds) for an amplification that moves."""
    strategies = state["strategies"]
    if any(must_be("use_lending", list, state["use_lending"])):
        raise Malformed("a lending pool is not a plain one")
    without_precision, rule = _D_VARIANTS[number(strategies["d_variant"])]
    a_precision = 1 if without_precision else _PRECISE
    return CurvePool(
        tuple(number(balance) for balance in state["balances"]),
        tuple(10 ** (36 - number_up_to(36, token["decimals"])) for token in state["tokens"]),
        _amplification(state, a_precision, now),
        number(state["fee"]),
        number(state["admin_fee"]),
        a_precision,
        _SWAP_STYLES[number(strategies["swap_style"])],
        rule,
    )


def _amplification(state: Mapping[str, Any], a_precision: int, now: int | None) -> int:
    """A as the pool counts with it: the data's A is without the precision, and while it moves, rounded."""
    end = state.get("future_a_time")
    if now is not None and end is not None and now < number(end):
        initial, future, start = (number(state[key]) for key in ("initial_a", "future_a", "initial_a_time"))
        return curve_stableswap.ramped_amplification(initial, future, start, number(end), now)
    return number(state["a_coefficient"]) * a_precision


def check_plain_quote(case: dict[str, Any]) -> Iterator[str]:
    """get_dy, calc_token_amount and calc_withdraw_one_coin of a plain pool."""
    state, quote = case["pool"], case["quote"]
    timestamp = state.get("block_timestamp")
    pool = curve_pool(state, None if timestamp is None else number(timestamp))
    supply, index, amount = number(state["lp_token_total_supply"]), number(quote["index_in"]), number(quote["amount"])
    if quote["fn"] == "get_dy":
        answer = answer_or_refusal(curve_stableswap.get_dy, pool, index, number(quote["index_out"]), amount)
    elif quote["fn"] == "calc_token_amount":
        deposit = {"deposit": True, "withdraw": False}[quote["mode"]]
        amounts = [amount if place == index else 0 for place in range(len(pool.balances))]
        answer = answer_or_refusal(_token_amount, pool, amounts, supply, deposit)
    elif quote["fn"] == "calc_withdraw_one_coin":
        answer = answer_or_refusal(curve_stableswap.calc_withdraw_one_coin, pool, index, amount, supply)
    else:
        raise Malformed(f"unknown function {quote['fn']!r}")
    yield from differs(quote["fn"], answer, stated_answer(quote))


def _token_amount(pool: CurvePool, amounts: list[int], supply: int, deposit: bool) -> int:
    return curve_stableswap.calc_token_amount(pool, amounts, supply, deposit=deposit)


def split_math(content: bytes) -> Iterator[Case]:
    """Split the text into its lines: function, label (but for `reduction`), arguments, " = ", answer."""
    for place, line in enumerate(content.decode().splitlines(), start=1):
        if line.strip():
            yield Case(f"line {place} {' '.join(line.split()[:2])[:40]}", line)


def check_math(case: str) -> Iterator[str]:
    """A port's answer to the arguments of one line; lists in brackets, variants as its origin numbers them."""
    question, separator, stated = must_be("a line", str, case).rpartition(" = ")
    if not separator:
        raise Malformed("a line without an answer")
    name, *words = re.sub(r",\s+", ",", question).split()
    function, labelled = _FUNCTIONS[name]
    arguments = [_argument(word) for word in words[labelled:]]
    if sum(isinstance(argument, list) for argument in arguments) != 1:
        raise Malformed("a line has one list of balances")
    yield from differs(name, answer_or_refusal(function, *arguments), refusal_or_number(stated))


def _argument(word: str) -> int | list[int]:
    if word.startswith("["):
        return [number(part) for part in word.strip("[]").split(",") if part]
    return number(word)


def _require_count(balances: list[int], count: int) -> None:
    if len(balances) != count:
        raise Malformed(f"{len(balances)} balances of {count} coins")


def _require_coins(balances: list[int], *indices: int) -> None:
    if any(not 0 <= index < len(balances) for index in indices):
        raise Malformed(f"coins {indices} of {len(balances)}")


def _get_d(balances: list[int], amplification: int, count: int, a_precision: int, variant: int) -> int:
    _require_count(balances, count)
    without_precision, rule = _D_VARIANTS[variant]
    if a_precision < 1:
        raise Malformed(f"A_PRECISION {a_precision}")
    return curve_stableswap.invariant(amplification, balances, 1 if without_precision else a_precision, rule)


def _get_y(index_in: int, index_out: int, balance_in: int, balances: list[int], *rest: int) -> int:
    amplification, count, a_precision, y_variant, d_variant = rest
    _require_coins(balances, index_in, index_out)
    d = _get_d(balances, amplification, count, a_precision, d_variant)
    moved = list(balances)
    moved[index_in] = balance_in
    precision = a_precision if _Y_VARIANTS[y_variant] else 1
    return curve_stableswap.balance_at_invariant(amplification, index_out, moved, d, precision)


def _get_y_d(amplification: int, index: int, balances: list[int], d: int, *rest: int) -> int:
    count, a_precision, variant = rest
    _require_count(balances, count)
    _require_coins(balances, index)
    precision = a_precision if _YD_VARIANTS[variant] else 1
    return curve_stableswap.balance_at_invariant(amplification, index, balances, d, precision)


def _reduction(balances: list[int], fee_gamma: int, count: int) -> int:
    _require_count(balances, count)
    return curve_crypto.reduction_coefficient(balances, fee_gamma)


_FUNCTIONS: Final[Mapping[str, tuple[Callable[..., int], int]]] = {
    "get_d": (_get_d, 1),
    "get_y": (_get_y, 1),
    "get_y_d": (_get_y_d, 1),
    "reduction": (_reduction, 0),
}
