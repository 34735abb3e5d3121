"""Kinds balancer_v2_weighted_quotes, balancer_v2_stable_quotes, balancer_fixed_point_math."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from node.pipeline.amm import balancer_fixed_point as fixed_point
from node.pipeline.amm import balancer_log_exp as log_exp
from node.pipeline.amm import balancer_stable, weighted
from node.pipeline.amm.balancer_fixed_point import ONE, PowVersion
from node.pipeline.amm.balancer_stable import BalancerStablePool, InvariantVersion
from tests.vectors.cases import Case, Malformed, differs, must_be, number
from tests.vectors.pools import REFUSED, answer_or_refusal, refusal_or_number, stated_answer


def check_weighted_quote(case: dict[str, Any]) -> Iterator[str]:
    """The swap query of a weighted pool."""
    state = case["pool"]
    pool = weighted.weighted_pool(
        [number(balance) for balance in state["balances"]],
        [number(weight) for weight in state["weights"]],
        [number(token["decimals"]) for token in state["tokens"]],
        _fee(state["fee"]),
        PowVersion(state["pow_version"]),
    )
    ask = {"GIVEN_IN": weighted.quote_exact_in, "GIVEN_OUT": weighted.quote_exact_out}
    yield from _quote_differs(ask, pool, case["quote"])


def check_stable_quote(case: dict[str, Any]) -> Iterator[str]:
    """The swap query of a stable pool, with the rates of its block in the scaling factors."""
    state = case["pool"]
    pool = BalancerStablePool(
        tuple(number(balance) for balance in state["balances"]),
        tuple(number(factor) for factor in state["resolved_scaling_factors"]),
        number(state["amp"]),
        _fee(state["fee"]),
        None if state["bpt_idx"] is None else number(state["bpt_idx"]),
        InvariantVersion(number(state["invariant_version"])),
    )
    ask = {"GIVEN_IN": balancer_stable.quote_exact_in, "GIVEN_OUT": balancer_stable.quote_exact_out}
    yield from _quote_differs(ask, pool, case["quote"])


def _quote_differs(ask: Mapping[str, Callable[..., int]], pool: object, quote: dict[str, Any]) -> Iterator[str]:
    indices = number(quote["index_in"]), number(quote["index_out"])
    answer = answer_or_refusal(ask[quote["mode"]], pool, *indices, number(quote["amount"]))
    yield from differs(quote["mode"], answer, stated_answer(quote))


def _fee(text: object) -> int:
    """A fee stated as a fraction, in 18 decimals."""
    fee = Fraction(must_be("fee", str, text)) * ONE
    if fee.denominator != 1:
        raise Malformed(f"a fee of {text} has more than 18 decimals")
    return fee.numerator


def split_fixed_point(content: bytes) -> Iterator[Case]:
    """Split the text into its lines: function, arguments, " = ", answer or ERROR:reason."""
    for place, line in enumerate(content.decode().splitlines(), start=1):
        if line.strip():
            yield Case(f"line {place} {line.split()[0]}", line)


def check_fixed_point(case: str) -> Iterator[str]:
    """A port's answer to the arguments of one line."""
    question, separator, stated = must_be("a line", str, case).rpartition(" = ")
    if not separator:
        raise Malformed("a line without an answer")
    name, *words = question.split()
    arguments = [_argument(word) for word in words]
    answer = answer_or_refusal(_FUNCTIONS[name], *arguments)
    if name == "fp_mul_down" and answer == REFUSED:
        # The port multiplies unbounded integers here, where the contract's mulDown reverts beyond 256 bits.
        answer = answer_or_refusal(_unbounded_mul_down, *arguments)
    yield from differs(name, answer, refusal_or_number(stated))


def _argument(word: str) -> int | list[int] | PowVersion:
    if word.startswith("["):
        return [number(part) for part in word.strip("[]").split(",") if part]
    return PowVersion(word.lower()) if word.startswith("V") else number(word)


def _unbounded_mul_down(a: int, b: int) -> int:
    return a * b // ONE


def _invariant_by_product_down(amplification: int, balances: list[int]) -> int:
    return balancer_stable.invariant_by_product(amplification, balances, rounding_up=False)


def _invariant_by_product_up(amplification: int, balances: list[int]) -> int:
    return balancer_stable.invariant_by_product(amplification, balances, rounding_up=True)


_FUNCTIONS: dict[str, Callable[..., int]] = {
    "fp_add": fixed_point.add,
    "fp_sub": fixed_point.sub,
    "fp_mul_down": fixed_point.mul_down,
    "fp_mul_up": fixed_point.mul_up,
    "fp_div_down": fixed_point.div_down,
    "fp_div_up": fixed_point.div_up,
    "fp_complement": fixed_point.complement,
    "fp_pow_down": fixed_point.pow_down,
    "fp_pow_up": fixed_point.pow_up,
    "lm_pow": log_exp.power,
    "lm_exp": log_exp.exponential,
    "lm_ln": log_exp.natural_logarithm,
    "lm_log": log_exp.logarithm,
    "wm_invariant": weighted.invariant_rounding_down,
    "wm_out_given_in": weighted.out_given_in_rounding_down,
    "wm_in_given_out": weighted.in_given_out_rounding_up,
    "wm_sub_fee": weighted.less_fee_rounding_down,
    "wm_add_fee": weighted.with_fee_rounding_up,
    "sm_invariant_d_p": balancer_stable.invariant_rounding_down,
    "sm_invariant_p_d_down": _invariant_by_product_down,
    "sm_invariant_p_d_up": _invariant_by_product_up,
    "sm_out_given_in": balancer_stable.out_given_in_rounding_down,
    "sm_in_given_out": balancer_stable.in_given_out_rounding_up,
}
