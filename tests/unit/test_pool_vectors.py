"""The checkers of pool maths: what they accept, and that what a vector states about a pool can make it fail."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.vector_samples import write_folder
from tests.vectors.cases import Case
from tests.vectors.registry import CHECKERS
from tests.vectors.runner import run

ONE = str(10**18)
RESERVES = {"reserves_token0": str(10**24), "reserves_token1": str(2 * 10**24)}
TOKENS = {"token0": {"decimals": 18}, "token1": {"decimals": 18}}


def quotes(pool: dict[str, Any], *asked: dict[str, Any]) -> dict[str, Any]:
    return {"pool": pool, "quotes": [{"token_in": "A", **quote} for quote in asked]}


def concentrated_quotes(*asked: dict[str, Any]) -> dict[str, Any]:
    scalars = {"fee": 3000, "tick_spacing": 60, "sqrt_price_x96": str(1 << 96), "tick": 0, "liquidity": ONE}
    ticks = {"-600": [ONE, ONE, 1], "600": [ONE, "-" + ONE, 1]}
    return quotes({"scalars": scalars, "tick_data": ticks}, *({"zero_for_one": True} | quote for quote in asked))


PAIR_SWAP = {
    "id": "a",
    "kind": "exact_in_quote",
    "reserve0_before": "5000000000000000000",
    "reserve1_before": "10000000000000000000",
    "amount0_in": ONE,
    "amount1_in": "0",
    "amount0_out": "0",
    "amount1_out": "1662497915624478906",
    "balance0_after": "6000000000000000000",
    "balance1_after": "8337502084375521094",
    "direction": "token0_to_token1",
    "amount_in": ONE,
    "amount_out": "1662497915624478906",
    "formula_0_3pct_amount_out": "1662497915624478906",
}
LESS = {"kind": "took_less_than_quote", "amount1_out": "5", "amount_out": "5", "balance1_after": "9999999999999999995"}
MORE = {
    "kind": "other_fee_or_fork",
    "amount1_out": "1662497915624478907",
    "amount_out": "1662497915624478907",
    "balance1_after": "8337502084375521093",
}
NOT_TWO_SIDED = {"direction", "amount_in", "amount_out", "formula_0_3pct_amount_out"}
TWO_SIDED = {key: value for key, value in PAIR_SWAP.items() if key not in NOT_TWO_SIDED} | {
    "id": "e",
    "kind": "two_sided_or_flash",
}
POOL_SWAP = {
    "id": "a",
    "inputs": {
        "fee_pips": 500,
        "tick_spacing": 10,
        "sqrt_price_x96": str(1 << 96),
        "positions": [{"tick_lower": -887270, "tick_upper": 887270, "liquidity": "2000000000000000000"}],
        "zero_for_one": True,
        "amount_specified": ONE,
        "sqrt_price_limit_x96": "4295128740",
    },
    "expected": {
        "amount0_delta": ONE,
        "amount1_delta": "-666444407401233536",
        "pool_amount0_before": "2000000000000000000",
        "pool_amount1_before": "2000000000000000000",
        "fee_growth_global0_x128_delta": "85070591730234956148210572796405514",
        "fee_growth_global1_x128_delta": "0",
        "tick_before": 0,
        "tick_after": -8107,
        "pool_price_before_5sig": "1.0000",
        "pool_price_after_5sig": "0.44459",
        "execution_price_5sig": "0.66644",
    },
}
REFUSED_SWAP = {
    "id": "b",
    "inputs": POOL_SWAP["inputs"] | {"sqrt_price_limit_x96": str(1 << 97)},  # type: ignore[operator]
    "expected": {"reverts": True, "upstream_error": "revert SPL", "tick_before": 0},
}
STEP = {
    "sqrt_price_current_x96": str(1 << 96),
    "sqrt_price_target_x96": "79623317895830914510639640423",
    "liquidity": "2000000000000000000",
    "amount_remaining": ONE,
    "fee_pips": 600,
}
WEIGHTED = {
    "balances": [str(10**24), str(10**24)],
    "weights": [str(5 * 10**17), str(5 * 10**17)],
    "tokens": [{"decimals": 18}, {"decimals": 18}],
    "fee": "1/100",
    "pow_version": "v2",
}
STABLE = {
    "balances": [str(10**24), str(10**24)],
    "resolved_scaling_factors": [ONE, ONE],
    "amp": 200_000,
    "fee": "1/1000",
    "bpt_idx": None,
    "invariant_version": 1,
}
CURVE = {
    "balances": [str(10**24), str(10**12)],
    "tokens": [{"decimals": 18}, {"decimals": 6}],
    "a_coefficient": 200,
    "fee": 4_000_000,
    "admin_fee": 0,
    "use_lending": [False, False],
    "lp_token_total_supply": str(2 * 10**24),
    "strategies": {"d_variant": 1, "swap_style": 1},
}
GIVEN = {"index_in": 0, "index_out": 1, "amount": str(10**21)}
DELTA = {"sqrt_ratio_a_x96": str(1 << 96), "sqrt_ratio_b_x96": "87150978765690771352898345369", "liquidity": ONE}
GET_OUT = {"fn": "getAmountOut", "zero_for_one": True, "amount": ONE}
LINES = [
    "fp_add 1 2 = 3",
    "fp_div_down 1 0 = ERROR:ZERO_DIVISION",
    f"fp_mul_down {1 << 128} {1 << 128} = {(1 << 256) // 10**18}",
    f"wm_invariant [{ONE},{ONE}] [{ONE},{ONE}] V2 = {10**18}",
    "lm_ln 500000000000000000 = -693147180559945309",
    f"sm_invariant_p_d_down 200000 [{10**24},{10**24}] = {2 * 10**24}",
    f"sm_invariant_p_d_up 200000 [{10**24},{10**24}] = {2 * 10**24}",
]

SAMPLES: dict[str, Any] = {
    "balancer_fixed_point_math": "\n".join(LINES),
    "balancer_v2_stable_quotes": quotes(STABLE, GIVEN | {"mode": "GIVEN_IN", "expected": "998995034840667078823"}),
    "balancer_v2_weighted_quotes": quotes(
        WEIGHTED,
        GIVEN | {"mode": "GIVEN_IN", "expected": "989020869339354000000"},
        GIVEN | {"mode": "GIVEN_OUT", "expected": "1011112122223234343435"},
        GIVEN | {"mode": "GIVEN_IN", "amount": str(10**24), "expected_revert": "BAL#304"},
    ),
    "curve_plain_liquidity_quotes": quotes(
        CURVE,
        {"fn": "calc_token_amount", "mode": "deposit", "index_in": 0, "amount": ONE, "expected": "999999998756219527"},
        {
            "fn": "calc_token_amount",
            "mode": "withdraw",
            "index_in": 1,
            "amount": "1000000",
            "expected": "1000000001243781717",
        },
        {"fn": "calc_withdraw_one_coin", "index_in": 1, "amount": ONE, "expected": "999799"},
    ),
    "curve_plain_quotes": quotes(CURVE, GIVEN | {"fn": "get_dy", "expected": "999595026"}),
    "solidly_math": {
        "calc_f": [{"args": [ONE, ONE], "result": "2000000000000000000"}],
        "get_y_camelot": [{"args": [ONE, "2000000000000000000", ONE, "18", "18"], "result": ONE}],
        "get_y_solidly": [{"args": [ONE, "2000000000000000000", ONE, "18", "6"], "result": ONE}],
        "calc_exact_in_volatile": [{"args": ["1000", "1", "5000", "9000", "1", "10"], "result": "454"}],
        "calc_exact_in_stable_solidly": [
            {"args": [ONE, "0", str(10**24), str(10**24), ONE, ONE, "0", "10"], "result": "999999999999999999"}
        ],
        "calc_exact_in_stable_camelot": [
            {"args": [ONE, "0", str(10**24), str(10**24), ONE, ONE, "0", "10"], "result": "999999999999999999"}
        ],
    },
    "solidly_stable_quotes": quotes(
        RESERVES | TOKENS | {"fee_raw": 5, "stable": True}, GET_OUT | {"expected": "1076384369841013623"}
    ),
    "v2_pair_swaps": {
        "vectors": [
            PAIR_SWAP,
            PAIR_SWAP | {"id": "b", "kind": "exact_out_quote"},
            PAIR_SWAP | LESS | {"id": "c"},
            PAIR_SWAP | MORE | {"id": "d"},
            TWO_SIDED,
        ]
    },
    "v2_pair_unit": [
        {
            "fn": "getAmountOut",
            "inputs": {"amount_in": ONE, "reserve_in": "5000000000000000000", "reserve_out": "10000000000000000000"},
            "expected": {"amount_out": "1662497915624478906", "one_more_reverts": "UniswapV2: K"},
        },
        {
            "fn": "sameTokenSwap",
            "inputs": {"amount0_in": ONE, "reserve0": "10000000000000000000", "reserve1": "5000000000000000000"},
            "expected": {"max_amount0_out": "997000000000000000", "one_more_reverts": "UniswapV2: K"},
        },
    ],
    "v2_quotes_aerodrome": quotes(
        RESERVES | TOKENS | {"fee_raw": 30, "stable": False}, GET_OUT | {"expected": "1993998011983982051"}
    ),
    "v2_quotes_pancake": quotes(
        RESERVES | {"fee_numer": 25, "fee_denom": 10_000},
        GET_OUT | {"fn": "getAmountsOut", "expected": "1994998009989485035"},
        GET_OUT | {"fn": "getAmountsIn", "expected": "501253383458771930"},
    ),
    "v3_pool_swaps": [POOL_SWAP, REFUSED_SWAP],
    "v3_quotes": concentrated_quotes(
        {"fn": "quoteExactInputSingle", "amount": str(10**15), "expected": "996006981039903"},
        {"fn": "quoteExactOutputSingle", "amount": str(10**24), "expected": "30544622242640681"},
    ),
    "v3_quotes_aerodrome_cl": concentrated_quotes(
        {"fn": "quoteExactInputSingle", "zero_for_one": False, "amount": str(10**15), "expected": "996006981039903"}
    ),
    "v3_sqrt_price_math": [
        {"fn": "getAmount0Delta", "inputs": DELTA | {"round_up": True}, "expected": {"result": "90909090909090910"}},
        {"fn": "getAmount0Delta", "inputs": DELTA | {"round_up": False}, "expected": {"result": "90909090909090909"}},
        {"fn": "getAmount1Delta", "inputs": DELTA | {"round_up": True}, "expected": {"result": "100000000000000000"}},
        {"fn": "getAmount1Delta", "inputs": DELTA | {"round_up": False}, "expected": {"result": "99999999999999999"}},
        {
            "fn": "getNextSqrtPriceFromInput",
            "inputs": {"sqrt_price_x96": "0", "liquidity": "0", "amount": "1", "zero_for_one": False},
            "expected": {"reverts": True},
        },
    ],
    "v3_swap_step": [{"inputs": STEP, "expected": {"amount_in": "9975124224178055", "fee_amount": "5988667735148"}}],
    "v3_tick_bitmap": {
        "flip": [{"ticks": [1, 256, 256], "spacing": 1, "result": {"0": "2", "1": "0"}}],
        "apply": {
            "A": {
                "tick_bitmap": {"0": {"bitmap": "1056"}, "1": {"bitmap": "0"}},
                "tick_data": {
                    "300": {"liquidity_net": "9", "liquidity_gross": "9"},
                    "600": {"liquidity_net": "-9", "liquidity_gross": "9"},
                },
            },
            "B": {"tick_bitmap": {}, "tick_data": {}},
        },
    },
    "v3_tick_math": [
        {"fn": "getSqrtRatioAtTick", "inputs": {"tick": 0}, "expected": {"sqrt_price_x96": str(1 << 96)}},
        {"fn": "getTickAtSqrtRatio", "inputs": {"sqrt_price_x96": "1"}, "expected": {"reverts": "R"}},
    ],
    "v4_quotes": concentrated_quotes(
        {"fn": "quoteExactOutputSingle", "amount": str(10**24), "expected_revert": "ContractCustomError"}
    ),
}
STATED = {"expected", "expected_revert", "result", "balance0_after", "balance1_after", "bitmap", "amount_out"}


def failures(folder: Path, kind: str, document: Any) -> int:
    content = document if isinstance(document, str) else json.dumps(document)
    (result,) = run(write_folder(folder, {"a": (kind, content.encode())}), CHECKERS).kinds
    return len(result.failures)


def stated_paths(value: Any, path: tuple[Any, ...] = (), stated: bool = False) -> list[tuple[Any, ...]]:
    """The paths of the values that a sample states about the pool, as opposed to what it is asked."""
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [p for key, inner in items for p in stated_paths(inner, (*path, key), stated or key in STATED)]
    return [path] if stated and path[-1] != "expected_revert" else []


def altered(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return str(int(value) + 1) if value.lstrip("-").isdigit() else value[:-1] + ("1" if value[-1] != "1" else "2")


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_sample_of_each_kind_passes(kind: str, tmp_path: Path) -> None:
    assert failures(tmp_path, kind, SAMPLES[kind]) == 0


@pytest.mark.parametrize("kind", [kind for kind in SAMPLES if kind not in ("balancer_fixed_point_math", "v4_quotes")])
def test_any_stated_value_that_is_wrong_is_noticed(kind: str, tmp_path: Path) -> None:
    paths = stated_paths(SAMPLES[kind])
    unnoticed = []
    for path in paths:
        changed = copy.deepcopy(SAMPLES[kind])
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = altered(inner[path[-1]])
        if not failures(tmp_path, kind, changed):
            unnoticed.append(path)
    assert paths
    assert unnoticed == []


@pytest.mark.parametrize("line", LINES)
def test_any_line_of_the_fixed_point_text_with_another_answer_is_noticed(line: str, tmp_path: Path) -> None:
    question, _, _ = line.rpartition(" = ")

    assert failures(tmp_path, "balancer_fixed_point_math", f"{question} = 7") == 1


def test_an_answer_where_a_refusal_is_stated_is_noticed(tmp_path: Path) -> None:
    given = {"fn": "quoteExactOutputSingle", "amount": "1", "expected_revert": "ContractCustomError"}
    assert failures(tmp_path, "v4_quotes", concentrated_quotes(given)) == 1

    refused = POOL_SWAP | {"expected": REFUSED_SWAP["expected"]}
    assert failures(tmp_path, "v3_pool_swaps", [refused]) == 1


def test_a_refusal_where_an_answer_is_stated_is_noticed(tmp_path: Path) -> None:
    refused = POOL_SWAP | {"inputs": REFUSED_SWAP["inputs"]}

    assert failures(tmp_path, "v3_pool_swaps", [refused]) == 1


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("balancer_fixed_point_math", "fp_add 1 2"),
        ("balancer_fixed_point_math", "fp_root 1 2 = 3"),
        ("balancer_v2_weighted_quotes", quotes(WEIGHTED | {"fee": "1/3"}, GIVEN | {"mode": "GIVEN_IN"})),
        ("curve_plain_quotes", quotes(CURVE, GIVEN | {"fn": "magic", "expected": "1"})),
        ("curve_plain_quotes", quotes(CURVE | {"use_lending": [True, False]}, GIVEN | {"fn": "get_dy"})),
        ("solidly_math", {"calc_g": [{"args": [], "result": "1"}]}),
        ("solidly_stable_quotes", quotes(RESERVES, GET_OUT | {"fn": "getAmountIn", "expected": "1"})),
        ("v2_pair_swaps", {"vectors": [PAIR_SWAP | {"kind": "magic"}]}),
        ("v2_pair_unit", [{"fn": "magic", "inputs": {}, "expected": {}}]),
        ("v3_swap_step", [{"inputs": STEP, "expected": {}}]),
        ("v4_quotes", quotes({"scalars": {}, "hooks": "0x01"}, {"zero_for_one": True, "amount": "1"})),
    ],
)
def test_what_a_kind_does_not_know_is_a_failed_case(kind: str, document: Any, tmp_path: Path) -> None:
    assert failures(tmp_path, kind, document) == 1


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("document", [[{}], {"quotes": [{}]}, {"vectors": [{}]}, [5], 5, "x = y"])
def test_a_hollow_file_fails_without_a_traceback(kind: str, document: Any, tmp_path: Path) -> None:
    assert failures(tmp_path, kind, document) >= 1


def test_quotes_are_named_by_what_was_asked() -> None:
    document = json.dumps(quotes({}, {"mode": "GIVEN_IN", "amount": "7"})).encode()

    (case,) = CHECKERS["balancer_v2_weighted_quotes"].cases(document)

    assert isinstance(case, Case)
    assert case.name == "#0 GIVEN_IN A 7"
