"""Kinds balancer_v2_weighted_quotes, balancer_v2_stable_quotes, balancer_fixed_point_math."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

from node.pipeline.amm import balancer_fixed_point as fixed_point
from node.pipeline.amm import balancer_log_exp as log_exp
from node.pipeline.amm import balancer_stable, weighted
from node.pipeline.amm.balancer_fixed_point import ONE, PowVersion
from node.pipeline.amm.balancer_stable import BalancerStablePool, InvariantVersion
from tests.vectors.case import REFUSED, Case, Json, answer_or_refusal


def _fee(text: str) -> int:
    fee = Fraction(text) * ONE
    if fee.denominator != 1:
        raise ValueError(f"a fee of {text} has more than 18 decimals")
    return fee.numerator


def _answers(
    document: Json, exact_in: Callable[[int, int, int], int], exact_out: Callable[[int, int, int], int]
) -> Iterator[Case]:
    for number, quote in enumerate(document["quotes"]):
        ask = exact_in if quote["mode"] == "GIVEN_IN" else exact_out
        index_in, index_out, amount = int(quote["index_in"]), int(quote["index_out"]), int(quote["amount"])
        expected = int(quote["expected"]) if quote.get("expected") is not None else REFUSED
        name = f"{number} {quote['mode']} {index_in}->{index_out} {amount}"
        yield Case(name, answer_or_refusal(ask, index_in, index_out, amount), expected)


def balancer_v2_weighted_quotes(document: Json) -> Iterator[Case]:
    """Recorded swap queries of a weighted pool."""
    state = document["pool"]
    pool = weighted.weighted_pool(
        [int(balance) for balance in state["balances"]],
        [int(weight) for weight in state["weights"]],
        [int(token["decimals"]) for token in state["tokens"]],
        _fee(state["fee"]),
        PowVersion(state["pow_version"]),
    )
    return _answers(
        document,
        lambda index_in, index_out, amount: weighted.quote_exact_in(pool, index_in, index_out, amount),
        lambda index_in, index_out, amount: weighted.quote_exact_out(pool, index_in, index_out, amount),
    )


def balancer_v2_stable_quotes(document: Json) -> Iterator[Case]:
    """Recorded swap queries of a stable pool, with the rates of its block in the scaling factors."""
    state = document["pool"]
    pool = BalancerStablePool(
        tuple(int(balance) for balance in state["balances"]),
        tuple(int(factor) for factor in state["resolved_scaling_factors"]),
        int(state["amp"]),
        _fee(state["fee"]),
        None if state["bpt_idx"] is None else int(state["bpt_idx"]),
        InvariantVersion(int(state["invariant_version"])),
    )
    return _answers(
        document,
        lambda index_in, index_out, amount: balancer_stable.quote_exact_in(pool, index_in, index_out, amount),
        lambda index_in, index_out, amount: balancer_stable.quote_exact_out(pool, index_in, index_out, amount),
    )


def _unbounded_mul_down(a: int, b: int) -> int:
    """The port multiplies unbounded integers here, where the contract's `mulDown` reverts beyond 256 bits."""
    return a * b // ONE


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
    "sm_invariant_p_d_down": lambda amp, balances: balancer_stable.invariant_by_product(
        amp, balances, rounding_up=False
    ),
    "sm_invariant_p_d_up": lambda amp, balances: balancer_stable.invariant_by_product(amp, balances, rounding_up=True),
    "sm_out_given_in": balancer_stable.out_given_in_rounding_down,
    "sm_in_given_out": balancer_stable.in_given_out_rounding_up,
}


def balancer_fixed_point_math(text: str) -> Iterator[Case]:
    """A port's answers, one line each: function, arguments, " = ", answer or ERROR:reason."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        question, _, expected = line.rpartition(" = ")
        function, *arguments = question.split()
        if function not in _FUNCTIONS:
            yield Case(f"line {number} {question}", "an unknown function", expected)
            continue
        parsed = [_argument(argument) for argument in arguments]
        wanted = REFUSED if expected.startswith("ERROR") else int(expected)
        actual = answer_or_refusal(_FUNCTIONS[function], *parsed)
        if function == "fp_mul_down" and actual == REFUSED:
            actual = _unbounded_mul_down(*(int(argument) for argument in arguments))
        yield Case(f"line {number} {question}", actual, wanted)


def _argument(text: str) -> int | list[int] | PowVersion:
    if text.startswith("["):
        return [int(number) for number in text.strip("[]").split(",") if number]
    return PowVersion(text.lower()) if text.startswith("V") else int(text)
