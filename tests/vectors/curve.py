"""Kinds curve_plain_quotes, curve_plain_liquidity_quotes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from node.pipeline.amm import curve_stableswap
from node.pipeline.amm.curve_stableswap import CurvePool, ProductRule
from tests.vectors.cases import Malformed, differs, number
from tests.vectors.pools import answer_or_refusal, stated_answer

# How the data's origin numbers the rules of the deployed pools: (A_PRECISION left out, product rule).
_D_VARIANTS = {
    1: (False, ProductRule.EACH),
    2: (True, ProductRule.EACH),
    3: (True, ProductRule.EACH_PLUS_ONE),
    4: (False, ProductRule.EACH_PLUS_ONE),
    5: (False, ProductRule.PAIR_SQUARED),
    6: (False, ProductRule.PAIR),
}
_PRECISE = 100
_SWAP_STYLES = {1: False, 2: True}


def _pool(state: dict[str, Any]) -> CurvePool:
    strategies = state["strategies"]
    if any(state["use_lending"]):
        raise Malformed("a lending pool is not a plain one")
    without_precision, rule = _D_VARIANTS[number(strategies["d_variant"])]
    a_precision = 1 if without_precision else _PRECISE
    return CurvePool(
        tuple(number(balance) for balance in state["balances"]),
        tuple(10 ** (36 - number(token["decimals"])) for token in state["tokens"]),
        number(state["a_coefficient"]) * a_precision,
        number(state["fee"]),
        number(state["admin_fee"]),
        a_precision,
        _SWAP_STYLES[number(strategies["swap_style"])],
        rule,
    )


def check_plain_quote(case: dict[str, Any]) -> Iterator[str]:
    """get_dy, calc_token_amount and calc_withdraw_one_coin of a plain pool."""
    pool, quote, supply = _pool(case["pool"]), case["quote"], number(case["pool"]["lp_token_total_supply"])
    index, amount = number(quote["index_in"]), number(quote["amount"])
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
