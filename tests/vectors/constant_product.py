"""Kinds v2_pair_swaps, v2_pair_unit, v2_quotes_pancake, v2_quotes_aerodrome, solidly_stable_quotes, solidly_math."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from node.pipeline.amm import camelot, constant_product, solidly
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.solidly import SolidlyPool
from tests.vectors.case import REFUSED, Case, Json, answer_or_code, answer_or_refusal

K_VIOLATED = "UniswapV2: K"


def v2_pair_swaps(document: Json) -> Iterator[Case]:
    """Recorded swaps of mainnet pairs: the quote where the kind says it was taken, K and the balances always."""
    for vector in document["vectors"]:
        pool = ConstantProductPool(int(vector["reserve0_before"]), int(vector["reserve1_before"]))
        name, kind = vector["id"], vector["kind"]
        if kind != "two_sided_or_flash":
            yield from _quotes_of_swap(pool, vector)
        amounts = [int(vector[key]) for key in ("amount0_in", "amount1_in", "amount0_out", "amount1_out")]
        balances = int(vector["balance0_after"]), int(vector["balance1_after"])
        # A fork with a lower fee pays more than a pair of 0.3 percent would let go.
        accepted: object = K_VIOLATED if kind == "other_fee_or_fork" else balances
        yield Case(f"{name} swap", answer_or_code(_balances, pool, *amounts), accepted)


def _quotes_of_swap(pool: ConstantProductPool, vector: Json) -> Iterator[Case]:
    name, kind = vector["id"], vector["kind"]
    zero_for_one = vector["direction"] == "token0_to_token1"
    amount_in, amount_out = int(vector["amount_in"]), int(vector["amount_out"])
    quoted_out = answer_or_code(constant_product.quote_exact_in, pool, zero_for_one, amount_in)
    if "formula_0_3pct_amount_out" in vector:
        yield Case(f"{name} formula", quoted_out, int(vector["formula_0_3pct_amount_out"]))
    if kind == "exact_in_quote":
        yield Case(f"{name} exact in", quoted_out, amount_out)
    elif kind == "exact_out_quote":
        quoted_in = answer_or_code(constant_product.quote_exact_out, pool, zero_for_one, amount_out)
        yield Case(f"{name} exact out", quoted_in, amount_in)
    elif kind == "took_less_than_quote":
        yield Case(f"{name} took less", isinstance(quoted_out, int) and amount_out < quoted_out, True)
    elif kind == "other_fee_or_fork":
        yield Case(f"{name} took more", isinstance(quoted_out, int) and amount_out > quoted_out, True)
    else:
        yield Case(f"{name} kind", kind, "a known kind")


def _balances(pool: ConstantProductPool, *amounts: int) -> tuple[int, int]:
    after = constant_product.swap(pool, *amounts)
    return after.reserve0, after.reserve1


def v2_pair_unit(document: Json) -> Iterator[Case]:
    """The pair's own tests: the greatest output it lets go, and its refusal of one more."""
    for number, vector in enumerate(document):
        inputs = {key: int(value) for key, value in vector["inputs"].items()}
        expected = vector["expected"]
        name = f"{number} {vector['fn']}"
        if vector["fn"] == "getAmountOut":
            pool, greatest = ConstantProductPool(inputs["reserve_in"], inputs["reserve_out"]), expected["amount_out"]
            quoted = answer_or_code(constant_product.quote_exact_in, pool, True, inputs["amount_in"])
            yield Case(f"{name} quote", quoted, int(greatest))
            taken = _taken(pool, inputs["amount_in"], 0, int(greatest))
            one_more = _taken(pool, inputs["amount_in"], 0, int(greatest) + 1)
        else:
            pool, greatest = ConstantProductPool(inputs["reserve0"], inputs["reserve1"]), expected["max_amount0_out"]
            taken = _taken(pool, inputs["amount0_in"], int(greatest), 0)
            one_more = _taken(pool, inputs["amount0_in"], int(greatest) + 1, 0)
        yield Case(f"{name} accepted", taken, "accepted")
        yield Case(f"{name} one more", one_more, expected["one_more_reverts"])


def _taken(pool: ConstantProductPool, amount0_in: int, amount0_out: int, amount1_out: int) -> object:
    answer = answer_or_code(constant_product.swap, pool, amount0_in, 0, amount0_out, amount1_out)
    return "accepted" if isinstance(answer, ConstantProductPool) else answer


def v2_quotes_pancake(document: Json) -> Iterator[Case]:
    """Answers of a router over one pair whose fee is a fraction inside the formula."""
    state = document["pool"]
    fee, scale = int(state["fee_numer"]), int(state["fee_denom"])
    pool = ConstantProductPool(int(state["reserves_token0"]), int(state["reserves_token1"]), fee, fee, scale)
    for name, quote, zero_for_one, amount, expected in _quotes(document):
        exact_in = quote["fn"] in ("getAmountsOut", "getAmountOut")
        ask = constant_product.quote_exact_in if exact_in else constant_product.quote_exact_out
        yield Case(name, answer_or_refusal(ask, pool, zero_for_one, amount), expected)


def solidly_quotes(document: Json) -> Iterator[Case]:
    """Answers of Aerodrome pools, volatile (v2_quotes_aerodrome) and stable (solidly_stable_quotes)."""
    state = document["pool"]
    pool = SolidlyPool(
        int(state["reserves_token0"]),
        int(state["reserves_token1"]),
        int(state["fee_raw"]),
        stable=bool(state["stable"]),
        unit0=10 ** int(state["token0"]["decimals"]),
        unit1=10 ** int(state["token1"]["decimals"]),
    )
    for name, _, zero_for_one, amount, expected in _quotes(document):
        yield Case(name, answer_or_refusal(solidly.quote_exact_in, pool, zero_for_one, amount), expected)


def _quotes(document: Json) -> Iterator[tuple[str, Json, bool, int, object]]:
    for number, quote in enumerate(document["quotes"]):
        name = f"{number} {quote['fn']} {quote['token_in']} {quote['amount']}"
        expected = int(quote["expected"]) if quote.get("expected") is not None else REFUSED
        yield name, quote, bool(quote["zero_for_one"]), int(quote["amount"]), expected


def _solidly_out(amount: int, token_in: int, *state: int) -> int:
    reserve0, reserve1, unit0, unit1, fee, scale = state
    pool = SolidlyPool(reserve0, reserve1, fee, scale, stable=True, unit0=unit0, unit1=unit1)
    return solidly.quote_exact_in(pool, token_in == 0, amount)


def _volatile_out(amount: int, token_in: int, reserve0: int, reserve1: int, fee: int, scale: int) -> int:
    return solidly.quote_exact_in(SolidlyPool(reserve0, reserve1, fee, scale), token_in == 0, amount)


def _camelot_out(amount: int, token_in: int, *state: int) -> int:
    reserve0, reserve1, unit0, unit1, fee, scale = state
    pool = camelot.CamelotStablePool(reserve0, reserve1, fee, fee, unit0, unit1, scale)
    return camelot.quote_exact_in(pool, token_in == 0, amount)


# The port's solver asks _f for one unit more where the contract asks _k; units of one whole make _k the same as _f.
_SOLIDLY_FUNCTIONS: dict[str, Callable[..., int]] = {
    "calc_d": solidly.stable_slope,
    "calc_f": solidly.stable_curve,
    "calc_k": solidly.stable_invariant,
    "k_camelot": solidly.stable_invariant,
    "f_camelot": camelot.stable_curve,
    "get_y_solidly": lambda x, invariant, y, *_units: solidly.stable_balance(x, invariant, y, solidly.ONE, solidly.ONE),
    "get_y_camelot": lambda x, invariant, y, *_units: camelot.stable_balance(x, invariant, y),
    "calc_exact_in_volatile": _volatile_out,
    "calc_exact_in_stable_solidly": _solidly_out,
    "calc_exact_in_stable_camelot": _camelot_out,
}


def solidly_math(document: Json) -> Iterator[Case]:
    """A port's answers to random arguments, function by function."""
    for function, vectors in document.items():
        for number, vector in enumerate(vectors):
            name = f"{function} {number}"
            if function not in _SOLIDLY_FUNCTIONS:
                yield Case(name, "an unknown function", function)
                continue
            arguments = [int(argument) for argument in vector["args"]]
            actual = answer_or_refusal(_SOLIDLY_FUNCTIONS[function], *arguments)
            yield Case(name, actual, int(vector["result"]))
