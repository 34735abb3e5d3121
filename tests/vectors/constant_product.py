"""Kinds v2_pair_swaps, v2_pair_unit, v2_quotes_pancake, v2_quotes_aerodrome, solidly_stable_quotes, solidly_math."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from node.pipeline.amm import camelot, constant_product, solidly
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.solidly import SolidlyPool
from tests.vectors.cases import Case, Malformed, differs, must_be, number
from tests.vectors.pools import answer_or_code, answer_or_refusal, stated_answer

_K_VIOLATED = "UniswapV2: K"


def split_pair_swaps(content: bytes) -> Iterator[Case]:
    """Split the `vectors` of recorded swaps."""
    for vector in must_be("vectors", list, json.loads(content)["vectors"]):
        yield Case(str(vector["id"]), vector)


def check_pair_swap(case: dict[str, Any]) -> Iterator[str]:
    """The quote where the kind says it was taken; the pair's K and its balances afterwards always."""
    pool = ConstantProductPool(number(case["reserve0_before"]), number(case["reserve1_before"]))
    kind = case["kind"]
    if kind != "two_sided_or_flash":
        yield from _quote_differs(pool, case)
    amounts = [number(case[key]) for key in ("amount0_in", "amount1_in", "amount0_out", "amount1_out")]
    balances = (number(case["balance0_after"]), number(case["balance1_after"]))
    answer = answer_or_code(_balances, pool, amounts)
    if kind == "other_fee_or_fork":
        # It pays more than a pair of 0.3 percent would let go; the balances follow from the amounts all the same.
        yield from differs("swap at 0.3 percent", answer, _K_VIOLATED)
        answer = pool.reserve0 + amounts[0] - amounts[2], pool.reserve1 + amounts[1] - amounts[3]
    yield from differs("balances", answer, balances)


def _quote_differs(pool: ConstantProductPool, case: dict[str, Any]) -> Iterator[str]:
    kind, amount_in, amount_out = case["kind"], number(case["amount_in"]), number(case["amount_out"])
    zero_for_one = {"token0_to_token1": True, "token1_to_token0": False}[case["direction"]]
    amounts = ("amount0_in", "amount1_out") if zero_for_one else ("amount1_in", "amount0_out")
    yield from differs("amounts in and out", [amount_in, amount_out], [number(case[key]) for key in amounts])
    quoted = constant_product.quote_exact_in(pool, zero_for_one, amount_in)
    if "formula_0_3pct_amount_out" in case:
        yield from differs("formula", quoted, number(case["formula_0_3pct_amount_out"]))
    if kind == "exact_in_quote":
        yield from differs("amount out", quoted, amount_out)
    elif kind == "exact_out_quote":
        yield from differs("amount in", constant_product.quote_exact_out(pool, zero_for_one, amount_out), amount_in)
    elif kind == "took_less_than_quote":
        yield from differs("took less than the quote", amount_out < quoted, True)
    elif kind == "other_fee_or_fork":
        yield from differs("took more than the quote", amount_out > quoted, True)
    else:
        raise Malformed(f"unknown kind of swap {kind!r}")


def _balances(pool: ConstantProductPool, amounts: list[int]) -> tuple[int, int]:
    after = constant_product.swap(pool, *amounts)
    return after.reserve0, after.reserve1


def check_pair_unit(case: dict[str, Any]) -> Iterator[str]:
    """The greatest output that the pair lets go for an input, and its refusal of one more."""
    inputs = {key: number(value) for key, value in case["inputs"].items()}
    expected = case["expected"]
    if case["fn"] == "getAmountOut":
        pool = ConstantProductPool(inputs["reserve_in"], inputs["reserve_out"])
        amount_in, greatest = inputs["amount_in"], number(expected["amount_out"])
        yield from differs("amount out", constant_product.quote_exact_in(pool, True, amount_in), greatest)
        outputs, one_more = [0, greatest], [0, greatest + 1]
    elif case["fn"] == "sameTokenSwap":
        pool = ConstantProductPool(inputs["reserve0"], inputs["reserve1"])
        amount_in, greatest = inputs["amount0_in"], number(expected["max_amount0_out"])
        outputs, one_more = [greatest, 0], [greatest + 1, 0]
    else:
        raise Malformed(f"unknown function {case['fn']!r}")
    balances = (pool.reserve0 + amount_in - outputs[0], pool.reserve1 - outputs[1])
    yield from differs("accepted", answer_or_code(_balances, pool, [amount_in, 0, *outputs]), balances)
    refusal = answer_or_code(_balances, pool, [amount_in, 0, *one_more])
    yield from differs("one more", refusal, expected["one_more_reverts"])


def check_pancake_quote(case: dict[str, Any]) -> Iterator[str]:
    """A router's answer over one pair whose fee is a fraction inside the formula."""
    state, quote = case["pool"], case["quote"]
    fee, scale = number(state["fee_numer"]), number(state["fee_denom"])
    pool = ConstantProductPool(number(state["reserves_token0"]), number(state["reserves_token1"]), fee, fee, scale)
    ask = {"getAmountsOut": constant_product.quote_exact_in, "getAmountsIn": constant_product.quote_exact_out}
    zero_for_one = must_be("zero_for_one", bool, quote["zero_for_one"])
    answer = answer_or_refusal(ask[quote["fn"]], pool, zero_for_one, number(quote["amount"]))
    yield from differs(quote["fn"], answer, stated_answer(quote))


def check_solidly_quote(case: dict[str, Any]) -> Iterator[str]:
    """The answer of an Aerodrome pool, volatile or stable."""
    state, quote = case["pool"], case["quote"]
    if quote["fn"] != "getAmountOut":
        raise Malformed(f"unknown function {quote['fn']!r}")
    pool = SolidlyPool(
        number(state["reserves_token0"]),
        number(state["reserves_token1"]),
        number(state["fee_raw"]),
        stable=must_be("stable", bool, state["stable"]),
        unit0=10 ** number(state["token0"]["decimals"]),
        unit1=10 ** number(state["token1"]["decimals"]),
    )
    zero_for_one = must_be("zero_for_one", bool, quote["zero_for_one"])
    answer = answer_or_refusal(solidly.quote_exact_in, pool, zero_for_one, number(quote["amount"]))
    yield from differs("amount out", answer, stated_answer(quote))


def split_solidly_math(content: bytes) -> Iterator[Case]:
    """Split an object of function -> list of `args` and `result`."""
    for function, vectors in must_be("the file", dict, json.loads(content)).items():
        for place, vector in enumerate(vectors):
            yield Case(f"{function} #{place}", {"fn": function, **vector})


def check_solidly_math(case: dict[str, Any]) -> Iterator[str]:
    """A port's answer to random arguments."""
    arguments = [number(argument) for argument in case["args"]]
    yield from differs(case["fn"], answer_or_refusal(_SOLIDLY[case["fn"]], *arguments), number(case["result"]))


def _volatile_out(amount: int, token_in: int, reserve0: int, reserve1: int, fee: int, scale: int) -> int:
    return solidly.quote_exact_in(SolidlyPool(reserve0, reserve1, fee, scale), token_in == 0, amount)


def _stable_out(amount: int, token_in: int, *state: int) -> int:
    reserve0, reserve1, unit0, unit1, fee, scale = state
    pool = SolidlyPool(reserve0, reserve1, fee, scale, stable=True, unit0=unit0, unit1=unit1)
    return solidly.quote_exact_in(pool, token_in == 0, amount)


def _camelot_out(amount: int, token_in: int, *state: int) -> int:
    reserve0, reserve1, unit0, unit1, fee, scale = state
    pool = camelot.CamelotStablePool(reserve0, reserve1, fee, fee, unit0, unit1, scale)
    return camelot.quote_exact_in(pool, token_in == 0, amount)


def _balance_of_the_port(x: int, invariant: int, y: int, *_units: int) -> int:
    """The port's solver asks _f for one unit more where the contract asks _k: with whole units these are the same."""
    return solidly.stable_balance(x, invariant, y, solidly.ONE, solidly.ONE)


def _camelot_balance_of_the_port(x: int, invariant: int, y: int, *_units: int) -> int:
    return camelot.stable_balance(x, invariant, y)


_SOLIDLY: dict[str, Callable[..., int]] = {
    "calc_d": solidly.stable_slope,
    "calc_f": solidly.stable_curve,
    "calc_k": solidly.stable_invariant,
    "k_camelot": solidly.stable_invariant,
    "f_camelot": camelot.stable_curve,
    "get_y_solidly": _balance_of_the_port,
    "get_y_camelot": _camelot_balance_of_the_port,
    "calc_exact_in_volatile": _volatile_out,
    "calc_exact_in_stable_solidly": _stable_out,
    "calc_exact_in_stable_camelot": _camelot_out,
}
