"""Balancer V3's weighted and stable pools, the surge hook, buffers and vaults with shares."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.pipeline.amm import balancer_v3, balancer_v3_surge, erc4626
from node.pipeline.amm.balancer_v3 import V3Pool
from node.pipeline.amm.balancer_v3_stable import V3StableMaths
from node.pipeline.amm.balancer_v3_surge import SurgeHook
from node.pipeline.amm.balancer_v3_weighted import weighted_maths
from node.pipeline.amm.erc4626 import ONE_FOR_ONE, ShareVault
from node.pipeline.amm.errors import (
    ArithmeticRevert,
    InsufficientInput,
    InsufficientLiquidity,
    NotConverged,
    PoolStateInvalid,
    TokenInvalid,
    TradeTooLarge,
)
from tests.vector_samples import write_folder
from tests.vectors.registry import CHECKERS
from tests.vectors.runner import KindResult, run

ONE = 10**18
WEIGHTED = balancer_v3.v3_pool(
    (1000 * 10**6, 1000 * ONE),
    (10**12, 1),
    (ONE, ONE),
    10**16,
    1000 * ONE,
    weighted_maths((ONE // 2, ONE // 2)),
    5 * 10**17,
)
STABLE = balancer_v3.v3_pool(
    (1000 * ONE, 1000 * ONE), (1, 1), (ONE, 12 * 10**17 + 1), 10**15, 2200 * ONE, V3StableMaths(200_000)
)


def with_hook(pool: V3Pool, hook: SurgeHook) -> V3Pool:
    return msgspec.structs.replace(pool, fee_hook=hook)


def test_balances_are_lifted_by_factor_and_rate_down_and_up() -> None:
    pool = balancer_v3.v3_pool((3, 7), (10**12, 1), (ONE, ONE + 1), 0, 1, V3StableMaths(1000))

    assert pool.live == (3 * 10**12, 7)
    assert pool.live_up == (3 * 10**12, 8)


@pytest.mark.parametrize("pool", [WEIGHTED, STABLE])
@pytest.mark.parametrize("direction", [(0, 1), (1, 0)])
def test_what_buys_an_output_buys_at_least_that_output(pool: V3Pool, direction: tuple[int, int]) -> None:
    amount_in = pool.raw[direction[0]] // 100
    amount_out = balancer_v3.quote_exact_in(pool, *direction, amount_in)
    needed = balancer_v3.quote_exact_out(pool, *direction, amount_out)

    assert amount_in * 99 // 100 <= needed <= amount_in + 10**12
    assert balancer_v3.quote_exact_in(pool, *direction, needed + 1) >= amount_out


def test_half_of_the_fee_leaves_a_pool_whose_other_half_is_its_own() -> None:
    after, amount_out = balancer_v3.swap_exact_in(WEIGHTED, 0, 1, 10**7)

    assert after.raw == (1000 * 10**6 + 10**7 - 10**5 // 2, 1000 * ONE - amount_out)


@pytest.mark.parametrize("pool", [WEIGHTED, STABLE])
def test_deposits_and_withdrawals_of_one_token_pay_a_fee(pool: V3Pool) -> None:
    minted = pool.supply // 100
    proportional = balancer_v3.add_proportional(pool, minted)
    alone = balancer_v3.add_single_exact_out(pool, 0, minted)
    returned = balancer_v3.remove_proportional(pool, minted)
    one_back = balancer_v3.remove_single_exact_in(pool, 0, minted)

    assert all(more >= less for more, less in zip(proportional, returned, strict=True))
    assert proportional[0] < one_back < alone < 3 * proportional[0]
    burnt = balancer_v3.remove_single_exact_out(pool, 0, one_back)
    assert abs(burnt - minted) <= minted // 10**4


@pytest.mark.parametrize("pool", [WEIGHTED, STABLE])
def test_an_unbalanced_deposit_mints_less_than_a_proportional_one(pool: V3Pool) -> None:
    level = balancer_v3.add_unbalanced(pool, [amount // 100 for amount in pool.raw])
    crooked = balancer_v3.add_unbalanced(pool, [pool.raw[0] // 50, 0])

    assert crooked < level <= pool.supply // 100


def test_changes_of_liquidity_beyond_the_bounds_are_refused() -> None:
    for question, arguments in (
        (balancer_v3.add_single_exact_out, (0, 3000 * ONE)),
        (balancer_v3.add_unbalanced, ((10**13, 0),)),
        (balancer_v3.remove_single_exact_in, (0, 900 * ONE)),
        (balancer_v3.remove_single_exact_out, (0, 900 * 10**6)),
    ):
        with pytest.raises(TradeTooLarge):
            question(WEIGHTED, *arguments)


def test_swaps_of_a_pool_that_it_does_not_have_are_refused() -> None:
    for direction in ((0, 2), (-1, 0), (0, 0)):
        with pytest.raises(TokenInvalid):
            balancer_v3.quote_exact_in(WEIGHTED, *direction, 1)
    with pytest.raises(InsufficientInput):
        balancer_v3.quote_exact_out(WEIGHTED, 0, 1, 0)
    with pytest.raises(TokenInvalid):
        balancer_v3.add_unbalanced(WEIGHTED, [1])
    with pytest.raises(TradeTooLarge):
        balancer_v3.quote_exact_in(WEIGHTED, 0, 1, 10**12)


@pytest.mark.parametrize(
    "change",
    [{"scaling_factors": (1,)}, {"rates": (ONE, 0)}, {"scaling_factors": (0, 1)}, {"swap_fee": ONE}],
)
def test_a_pool_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"scaling_factors": (1, 1), "rates": (ONE, ONE), "swap_fee": 0} | change

    with pytest.raises(PoolStateInvalid):
        balancer_v3.v3_pool((1, 1), parts["scaling_factors"], parts["rates"], parts["swap_fee"], 1, V3StableMaths(1))


@pytest.mark.parametrize("weights", [(ONE,), (ONE, 0), (ONE // 2, ONE // 2 - 1)])
def test_weights_that_do_not_add_up_are_refused(weights: tuple[int, ...]) -> None:
    with pytest.raises(PoolStateInvalid):
        weighted_maths(weights)


def test_an_empty_stable_pool_reverts() -> None:
    maths = V3StableMaths(200_000)

    assert maths.invariant((0, 0), rounding_up=True) == 0
    with pytest.raises(ArithmeticRevert):
        maths.balance_rounding_up((0, 0), 0, ONE)
    with pytest.raises(ArithmeticRevert):
        maths.out_given_in_rounding_down((ONE, ONE), 0, 1, 1 << 250)
    with pytest.raises(ArithmeticRevert):
        balancer_v3.mul_div_up(1, 1, 0)


def test_a_balance_that_is_never_reached_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.pipeline.amm.balancer_v3_stable.MAX_ROUNDS", 0)

    with pytest.raises(NotConverged):
        V3StableMaths(200_000).balance_rounding_up((ONE, ONE), 0, ONE)


def test_swaps_that_push_a_pool_out_of_balance_are_dear_and_those_back_are_not() -> None:
    pool = with_hook(
        balancer_v3.v3_pool((800 * ONE, 1200 * ONE), (1, 1), (ONE, ONE), 10**15, 2000 * ONE, V3StableMaths(200_000)),
        SurgeHook(10**17, 5 * 10**17),
    )
    plain = msgspec.structs.replace(pool, fee_hook=None)
    amount = 100 * ONE

    assert balancer_v3.quote_exact_in(pool, 1, 0, amount) < balancer_v3.quote_exact_in(plain, 1, 0, amount)
    assert balancer_v3.quote_exact_out(pool, 1, 0, amount) > balancer_v3.quote_exact_out(plain, 1, 0, amount)
    assert balancer_v3.quote_exact_in(pool, 0, 1, amount) == balancer_v3.quote_exact_in(plain, 0, 1, amount)
    with pytest.raises(TradeTooLarge):
        balancer_v3.add_unbalanced(pool, [0, amount])
    assert balancer_v3.add_unbalanced(pool, [amount, 0]) == balancer_v3.add_unbalanced(plain, [amount, 0])
    first = with_hook(plain, SurgeHook(10**17, 5 * 10**17, guards_liquidity=False))
    assert balancer_v3.add_unbalanced(first, [0, amount]) == balancer_v3.add_unbalanced(plain, [0, amount])
    cheap = with_hook(plain, SurgeHook(10**17, 10**14))
    assert balancer_v3.quote_exact_in(cheap, 1, 0, amount) == balancer_v3.quote_exact_in(plain, 1, 0, amount)


def test_imbalance_is_the_distance_from_the_median() -> None:
    assert balancer_v3_surge.imbalance((ONE, ONE, ONE)) == 0
    assert balancer_v3_surge.imbalance((ONE, 3 * ONE)) == ONE // 2
    assert balancer_v3_surge.imbalance((0, ONE, 4 * ONE)) == 8 * 10**17


VAULT = ShareVault(3_000_000, 2_000_000, 1, 1)


def test_previews_round_against_the_caller() -> None:
    assert erc4626.preview_deposit(VAULT, 100) == 66
    assert erc4626.preview_mint(VAULT, 66) == 99
    assert erc4626.preview_redeem(VAULT, 67) == 100
    assert erc4626.preview_withdraw(VAULT, 100) == 67


def test_a_vault_grows_and_shrinks_by_what_moved() -> None:
    after, shares = erc4626.deposit(VAULT, 300)
    back, assets = erc4626.redeem(after, shares)

    assert (shares, assets) == (200, 299 + 1 * (assets == 300))
    assert back.shares == VAULT.shares
    assert back.assets >= VAULT.assets
    with pytest.raises(InsufficientLiquidity):
        erc4626.redeem(VAULT, 2_000_001)


def test_wrapped_ether_is_one_for_one() -> None:
    assert erc4626.preview_deposit(ONE_FOR_ONE, 5) == erc4626.preview_redeem(ONE_FOR_ONE, 5) == 5


def test_a_buffer_keeps_a_unit_on_either_side() -> None:
    vault = erc4626.wrapper(2 * ONE)

    assert erc4626.buffered_wrap_exact_in(vault, 40_001) == 19_999
    assert erc4626.buffered_wrap_exact_out(vault, 20_000) == 40_003
    assert erc4626.buffered_unwrap_exact_in(vault, 20_001) == 39_999
    assert erc4626.buffered_unwrap_exact_out(vault, 40_001) == 20_002


def test_what_a_vault_cannot_take_or_give_is_refused() -> None:
    limited = msgspec.structs.replace(VAULT, max_deposit=10, max_withdraw=10)
    for question in (erc4626.preview_deposit, erc4626.preview_mint, erc4626.preview_redeem, erc4626.preview_withdraw):
        with pytest.raises(InsufficientLiquidity):
            question(limited, 11)
        with pytest.raises(InsufficientInput):
            question(VAULT, -1)
        with pytest.raises(InsufficientLiquidity):
            question(ShareVault(0, 0, 0, 0), 1)
        with pytest.raises(InsufficientLiquidity):
            question(VAULT, 1 << 256)
    with pytest.raises(InsufficientInput):
        erc4626.buffered_wrap_exact_in(VAULT, 9_999)


BUFFER: dict[str, Any] = {
    "pool": {"poolType": "Buffer", "tokens": ["0xAA", "0xBB"], "rate": str(2 * ONE)},
    "swaps": [
        {"swapKind": 0, "amountRaw": "20001", "tokenIn": "0xaa", "tokenOut": "0xBB", "outputRaw": "39999"},
        {"swapKind": 1, "amountRaw": "20000", "tokenIn": "0xbb", "tokenOut": "0xAA", "outputRaw": "40000"},
    ],
}
V3_FILE: dict[str, Any] = {
    "pool": {
        "poolType": "WEIGHTED",
        "tokens": ["0xaa", "0xbb"],
        "scalingFactors": ["1000000000000", "1"],
        "weights": [str(ONE // 2), str(ONE // 2)],
        "swapFee": str(10**16),
        "totalSupply": str(1000 * ONE),
        "balancesLiveScaled18": [str(1000 * ONE), str(1000 * ONE)],
        "tokenRates": [str(ONE), str(ONE)],
    },
    "swaps": [{"swapKind": 0, "amountRaw": "1000000", "tokenIn": "0xaa", "tokenOut": "0xbb", "outputRaw": "?"}],
    "adds": [
        {"kind": "Unbalanced", "inputAmountsRaw": ["1000000", "0"], "bptOutRaw": "?"},
        {"kind": "SingleToken", "inputAmountsRaw": ["?", "0"], "bptOutRaw": str(ONE)},
        {"kind": "Proportional", "inputAmountsRaw": ["?", "?"], "bptOutRaw": str(ONE)},
    ],
    "removes": [
        {"kind": "Proportional", "amountsOutRaw": ["?", "?"], "bptInRaw": str(ONE)},
        {"kind": "SingleTokenExactIn", "amountsOutRaw": ["?", "0"], "bptInRaw": str(ONE)},
        {"kind": "SingleTokenExactOut", "amountsOutRaw": ["1000000", "0"], "bptInRaw": "?"},
    ],
}


def checked(tmp_path: Path, *documents: Any) -> KindResult:
    files = {f"{place}.json": ("balancer_v3_pool", json.dumps(one).encode()) for place, one in enumerate(documents)}
    (result,) = run(write_folder(tmp_path, files), CHECKERS).kinds
    return result


def answered() -> dict[str, Any]:
    """The file with our own answers in the place of its question marks."""
    document = copy.deepcopy(V3_FILE)
    swaps, adds, removes = (document[key] for key in ("swaps", "adds", "removes"))
    swaps[0]["outputRaw"] = str(balancer_v3.quote_exact_in(WEIGHTED, 0, 1, 10**6))
    adds[0]["bptOutRaw"] = str(balancer_v3.add_unbalanced(WEIGHTED, (10**6, 0)))
    adds[1]["inputAmountsRaw"][0] = str(balancer_v3.add_single_exact_out(WEIGHTED, 0, ONE))
    adds[2]["inputAmountsRaw"] = [str(amount) for amount in balancer_v3.add_proportional(WEIGHTED, ONE)]
    removes[0]["amountsOutRaw"] = [str(amount) for amount in balancer_v3.remove_proportional(WEIGHTED, ONE)]
    removes[1]["amountsOutRaw"][0] = str(balancer_v3.remove_single_exact_in(WEIGHTED, 0, ONE))
    removes[2]["bptInRaw"] = str(balancer_v3.remove_single_exact_out(WEIGHTED, 0, 10**6))
    return document


def test_files_of_pools_and_buffers_are_checked_case_by_case(tmp_path: Path) -> None:
    assert checked(tmp_path, BUFFER, answered()).passed == 9


def test_any_other_answer_is_noticed(tmp_path: Path) -> None:
    document = answered()
    for case in [*document["swaps"], *document["adds"], *document["removes"]]:
        for key in ("outputRaw", "bptOutRaw", "bptInRaw"):
            if key in case:
                before = case[key]
                case[key] = str(int(before) + 10**16)
                assert len(checked(tmp_path, document).failures) == 1, case
                case[key] = before
    for swap in BUFFER["swaps"]:
        other = BUFFER | {"swaps": [swap | {"outputRaw": str(int(swap["outputRaw"]) + 8)}]}
        assert len(checked(tmp_path, other).failures) == 1


@pytest.mark.parametrize("kind", ["RECLAMM_V2", "GYROE", "QUANT_AMM_WEIGHTED", "FIXED_PRICE_LBP"])
def test_pools_that_are_left_alone_are_told_by_name(kind: str, tmp_path: Path) -> None:
    result = checked(tmp_path, {"pool": {"poolType": kind}, "swaps": [{}]})

    assert (result.failures, result.unsupported) == ([], {kind: 1})


@pytest.mark.parametrize(
    "change",
    [
        {"poolType": "MAGIC"},
        {"tokens": ["0xaa", "0xcc"]},
        {"balancesLiveScaled18": [str(1000 * ONE + 1), str(1000 * ONE)]},
        {"weights": "half"},
        {"weights": [str(ONE)]},
    ],
)
def test_a_pool_that_is_not_laid_out_as_its_kind_fails_by_name(change: dict[str, Any], tmp_path: Path) -> None:
    document = answered()
    document["pool"] |= change

    assert len(checked(tmp_path, document).failures) >= 1


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("swaps", {"swapKind": 2}),
        ("adds", {"kind": "Magic"}),
        ("adds", {"kind": "SingleToken", "inputAmountsRaw": ["1", "1"]}),
        ("removes", {"kind": "Magic"}),
    ],
)
def test_an_action_that_no_pool_knows_fails(what: str, change: dict[str, Any], tmp_path: Path) -> None:
    document = answered()
    document[what][0] |= change

    assert len(checked(tmp_path, document).failures) == 1


def test_a_hook_is_asked_for_its_fee_or_refused_by_name(tmp_path: Path) -> None:
    document = answered()
    document["pool"]["hook"] = {"type": "EXIT_FEE"}
    told = checked(tmp_path, document)
    assert not told.unsupported, "no hook but the surge may be left alone"
    assert any("an unknown hook EXIT_FEE" in failure for failure in map(str, told.failures))

    data = {"surgeThresholdPercentage": str(10**17), "maxSurgeFeePercentage": str(10**17)}
    stable = {"poolType": "STABLE", "amp": "1000", "hook": {"type": "STABLE_SURGE", "dynamicData": data}}
    document["pool"] |= stable
    assert len(checked(tmp_path, document).failures) >= 1
