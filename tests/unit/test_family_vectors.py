"""The checkers of the pool families beside the first ones, of paths and of states: what they accept and notice."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.pipeline.amm import constant_product, curve_crypto, curve_meta, curve_stableswap, uniswap_v4
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.ticks import tick_table
from protocol.ethereum.abi import encode
from protocol.ethereum.create2 import create2_address
from protocol.ethereum.keccak import keccak256
from protocol.units import Address
from tests.unit.test_amm_curve_families import META, THREE
from tests.unit.test_amm_uniswap_v4 import POOL
from tests.vector_samples import write_folder
from tests.vectors.registry import CHECKERS
from tests.vectors.runner import KindResult, run

ONE = 10**18
STRATEGIES = {"d_variant": 1, "swap_style": 1, "metapool_rate_style": 2}


def checked(folder: Path, kind: str, document: Any) -> KindResult:
    content = document if isinstance(document, str) else json.dumps(document)
    (result,) = run(write_folder(folder, {"a": (kind, content.encode())}), CHECKERS).kinds
    return result


def texts(numbers: Any) -> list[str]:
    return [str(number) for number in numbers]


def token(symbol: str, decimals: int) -> dict[str, Any]:
    return {"symbol": symbol, "decimals": decimals}


def meta_document() -> dict[str, Any]:
    base = {
        "balances": texts(META.base.balances),
        "tokens": [token("DAI", 18), token("USDC", 6), token("USDT", 6)],
        "a_coefficient": 2000,
        "fee": 4_000_000,
        "admin_fee": str(5 * 10**9),
        "use_lending": [False] * 3,
        "strategies": {"d_variant": 2, "swap_style": 2},
        "lp_token_total_supply": str(META.base_supply),
        "virtual_price": str(curve_stableswap.virtual_price(META.base, META.base_supply)),
    }
    pool = {
        "balances": texts(META.pool.balances),
        "tokens": [token("A", 18), token("3Crv", 18)],
        "a_coefficient": 200,
        "fee": 4_000_000,
        "admin_fee": 0,
        "use_lending": [False, False],
        "strategies": STRATEGIES,
        "base_virtual_price": str(META.cached_virtual_price),
        "base_cache_updated": 1000,
        "block_timestamp": 1600,
        "base_pool": base,
    }
    dy = curve_meta.get_dy(META, 0, 1, ONE, 1600)
    underlying = curve_meta.get_dy_underlying(META, 0, 2, ONE, 1600)
    return {
        "pool": pool,
        "quotes": [
            {"fn": "get_dy", "token_in": "A", "token_out": "3Crv", "amount": str(ONE), "expected": str(dy)},
            {
                "fn": "get_dy_underlying",
                "token_in": "A",
                "token_out": "USDC",
                "amount": str(ONE),
                "expected": str(underlying),
            },
        ],
    }


def multiblock_document() -> dict[str, Any]:
    document = meta_document()
    pool, base = document["pool"], document["pool"].pop("base_pool")
    state = {
        key: pool.pop(key)
        for key in ("balances", "a_coefficient", "base_virtual_price", "base_cache_updated", "block_timestamp")
    }
    state |= {
        "base_balances": base.pop("balances"),
        "base_a": base.pop("a_coefficient"),
        "base_lp_token_total_supply": base.pop("lp_token_total_supply"),
        "base_virtual_price_own": base.pop("virtual_price"),
        "base_initial_a": 5000,
        "base_future_a": 2000,
        "base_initial_a_time": 0,
        "base_future_a_time": 1000,
    }
    quotes = [quote | {"block": 7} for quote in document["quotes"]]
    return {"pool": {"immutable": pool | {"base_pool": base}, "states": {"7": state}}, "quotes": quotes}


def crypto_document() -> dict[str, Any]:
    whole = THREE.amplification // THREE.a_multiplier
    pool = {
        "balances": texts(THREE.balances),
        "tokens": [token("USDT", 6), token("WBTC", 8), token("WETH", 18)],
        "a_coefficient": whole,
        "fee_gamma": str(THREE.fee_gamma),
        "mid_fee": THREE.mid_fee,
        "out_fee": THREE.out_fee,
        "price_scale": texts(THREE.price_scale),
        "gamma": str(THREE.gamma),
        "d": str(THREE.d),
        "strategies": {"swap_style": 4},
    }
    counted = msgspec.structs.replace(THREE, amplification=whole * 100, a_multiplier=100)
    dy = curve_crypto.get_dy(counted, 0, 2, 10**9)
    quote = {"fn": "get_dy", "token_in": "USDT", "token_out": "WETH", "amount": str(10**9), "expected": str(dy)}
    return {"pool": pool, "quotes": [quote]}


PAIR = ConstantProductPool(10**20, 10**20)
TOKEN0, TOKEN1 = "0x" + "11" * 20, "0x" + "22" * 20
V4_STATE = {
    "family": "uniswap_v4",
    "pool_manager": TOKEN0,
    "pool_id": "0x"
    + uniswap_v4.pool_id(
        Address(bytes.fromhex(TOKEN0[2:])), Address(bytes.fromhex(TOKEN1[2:])), 3000, 60, Address(bytes(20))
    ).hex(),
    "currency0": TOKEN0,
    "currency1": TOKEN1,
    "tick_spacing": 60,
    "tick_data": {
        "-600": {"liquidity_net": str(ONE), "liquidity_gross": str(ONE)},
        "600": {"liquidity_net": str(-ONE), "liquidity_gross": str(ONE)},
    },
    "sqrt_price_x96": str(1 << 96),
    "tick": 0,
    "liquidity": str(ONE),
    "protocol_fee": 0,
    "lp_fee": 3000,
}
V3_STATE = {key: value for key, value in V4_STATE.items() if key not in ("pool_manager", "lp_fee")} | {
    "family": "uniswap_v3",
    "fee_token0": 3000,
    "fee_token1": 3000,
    "fee_denominator": 1_000_000,
    "liquidity_update_block": 5,
}


def path_document() -> dict[str, Any]:
    actual = constant_product.quote_exact_in(PAIR, True, 10**15)
    pair = {"family": "uniswap_v2", "reserve0": str(PAIR.reserve0), "reserve1": str(PAIR.reserve1)}
    return {
        "target_block": 5,
        "recorded_solve": {
            "optimal_input": str(10**15),
            "hop_outputs": [str(actual + 9), str(10**20), str(10**14)],
            "sim_bucket": "UniswapV2: K",
            "v2_hop_index": 0,
            "v2_input": str(10**15),
            "v2_predicted": str(actual + 9),
            "v2_actual": str(actual),
            "v4_hop_index": 1,
            "v4_input": str(10**20),
            "v4_onchain": "EMPTY-HALT",
        },
        "pools": {"a": pair | {"fee_gamma": 997, "fee_denom": 1000}, "b": V4_STATE, "c": V3_STATE},
        "path": [{"hop": place, "pool": name, "zero_for_one": True} for place, name in enumerate("abc")],
    }


def pair_state() -> dict[str, Any]:
    code_hash = "0x" + "33" * 32
    salt = keccak256(bytes.fromhex(TOKEN0[2:]) + bytes.fromhex(TOKEN1[2:]))
    return {
        "address": create2_address(TOKEN0, salt, bytes.fromhex(code_hash[2:])),
        "factory": TOKEN0,
        "init_hash": code_hash,
        "family": "v2",
        "fee_token0": "3/1000",
        "fee_token1": "3/1000",
        "reserves_token0": 10**12,
        "reserves_token1": 10**20,
        "tokens": [{"address": TOKEN0}, {"address": TOKEN1}],
    }


def concentrated_state() -> dict[str, Any]:
    code_hash = "0x" + "33" * 32
    salt = keccak256(encode(("address", "address", "uint24"), (TOKEN0, TOKEN1, 3000)))
    table = tick_table(60, {-600: (ONE, ONE), 600: (ONE, -ONE)})
    return {
        "address": create2_address(TOKEN0, salt, bytes.fromhex(code_hash[2:])),
        "factory": TOKEN0,
        "init_hash": code_hash,
        "family": "v3",
        "fee": 3000,
        "liquidity": ONE,
        "sqrt_price_x96": 1 << 96,
        "tick": 0,
        "tick_spacing": 60,
        "tick_bitmap": {str(word): {"bitmap": bits} for word, bits in table.bitmap.items()},
        "tick_data": V4_STATE["tick_data"],
        "tokens": [{"address": TOKEN0}, {"address": TOKEN1}],
    }


LINES = (
    "get_d two [1000,1000] 2000 2 100 1 = 2000",
    "get_d two [1000, 1000] 20 2 100 2 = 2000",
    "get_y two 0 1 1100 [1000,1000] 20000 2 100 1 1 = 900",
    "get_y two 0 1 1100 [1000,1000] 200 2 100 2 2 = 900",
    "get_y_d two 200 0 [1000,1000] 2000 2 100 1 = 1000",
    "get_y_d two 20000 0 [1000,1000] 2000 2 100 2 = 1000",
    "get_d two [0,1000] 20 2 100 1 = ERROR:ZeroDivisionError",
    f"reduction [1000,1000,1000] 0 3 = {10**18}",
)
INTERFACE: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "execute",
        "inputs": [{"name": name, "type": kind} for name, kind in (("commands", "bytes"), ("inputs", "bytes[]"))],
        "outputs": [],
    },
    {
        "type": "function",
        "name": "execute",
        "inputs": [
            {"name": name, "type": kind}
            for name, kind in (("commands", "bytes"), ("inputs", "bytes[]"), ("deadline", "uint256"))
        ],
        "outputs": [{"name": "", "type": "bool"}],
    },
    {
        "type": "error",
        "name": "Failed",
        "inputs": [
            {
                "name": "what",
                "type": "tuple[2]",
                "components": [{"name": "a", "type": "int24"}, {"name": "b", "type": "string"}],
            },
            {"name": "more", "type": "bytes4"},
            {"name": "who", "type": "address"},
        ],
    },
    {"type": "event", "name": "Done", "inputs": [{"name": "id", "type": "bytes32", "indexed": True}]},
    {"type": "constructor", "inputs": [{"name": "x", "type": "uint8"}]},
    {"type": "receive"},
]
DOCUMENTS: dict[str, Any] = {
    "abi": INTERFACE,
    "curve_math": "\n".join(LINES),
    "curve_meta_quotes": meta_document(),
    "curve_meta_multiblock_quotes": multiblock_document(),
    "curve_tricrypto_quotes": crypto_document(),
    "arb_path": path_document(),
    "pool_state": pair_state(),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_file_of_each_kind_passes(kind: str, tmp_path: Path) -> None:
    result = checked(tmp_path, kind, DOCUMENTS[kind])

    assert result.failures == []
    assert result.passed >= 1


def test_a_concentrated_state_passes(tmp_path: Path) -> None:
    assert checked(tmp_path, "pool_state", concentrated_state()).failures == []


@pytest.mark.parametrize("line", LINES)
def test_another_answer_on_any_line_is_noticed(line: str, tmp_path: Path) -> None:
    assert len(checked(tmp_path, "curve_math", line.rpartition(" = ")[0] + " = 7").failures) == 1


@pytest.mark.parametrize(
    "line",
    ["get_d two [1,1] 1 2 100 1", "get_x a [1] = 1", "get_d two [1] 1 2 100 1 = 1", "get_d two [1,1] 1 2 100 9 = 1"],
)
def test_a_line_that_no_port_writes_fails(line: str, tmp_path: Path) -> None:
    assert len(checked(tmp_path, "curve_math", line).failures) == 1


@pytest.mark.parametrize("kind", ["curve_meta_quotes", "curve_meta_multiblock_quotes", "curve_tricrypto_quotes"])
@pytest.mark.parametrize(
    "change", [{"expected": "7"}, {"token_in": "MAGIC"}, {"fn": "magic"}, {"token_out": "A", "token_in": "A"}]
)
def test_a_quote_that_is_wrong_or_of_nothing_is_noticed(kind: str, change: dict[str, str], tmp_path: Path) -> None:
    document = copy.deepcopy(DOCUMENTS[kind])
    document["quotes"][0] |= change

    assert len(checked(tmp_path, kind, document).failures) == 1


def test_a_base_that_is_worth_something_else_is_noticed(tmp_path: Path) -> None:
    document = meta_document()
    document["pool"]["base_pool"]["virtual_price"] = "1"

    assert len(checked(tmp_path, "curve_meta_quotes", document).failures) == 2


def test_a_quote_at_a_block_without_a_state_fails_the_file(tmp_path: Path) -> None:
    document = multiblock_document()
    document["quotes"][0]["block"] = 8

    assert len(checked(tmp_path, "curve_meta_multiblock_quotes", document).failures) == 1


def test_coins_of_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    document = crypto_document()
    document["pool"]["tokens"][0]["symbol"] = "WETH"

    assert len(checked(tmp_path, "curve_tricrypto_quotes", document).failures) == 1


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("recorded_solve", {"v2_actual": "5"}),
        ("recorded_solve", {"v2_predicted": "5"}),
        ("recorded_solve", {"v4_input": "5"}),
        ("recorded_solve", {"hop_outputs": ["1"] * 4}),
        ("a", {"fee_gamma": 0}),
        ("a", {"reserve0": "0"}),
        ("b", {"tick": 5}),
        ("b", {"pool_id": "0x00"}),
        ("c", {"liquidity": "5"}),
        ("c", {"tick": -5}),
        ("c", {"fee_denominator": 7}),
        ("c", {"tick_data": {"7": {"liquidity_net": "1", "liquidity_gross": "1"}}}),
    ],
)
def test_a_path_that_contradicts_itself_or_the_chain_is_noticed(
    where: str, change: dict[str, Any], tmp_path: Path
) -> None:
    document = path_document()
    changed = document["recorded_solve"] if where == "recorded_solve" else document["pools"][where]
    document["pools"] = {name: dict(state) for name, state in document["pools"].items()}
    (changed if where == "recorded_solve" else document["pools"][where]).update(change)

    assert len(checked(tmp_path, "arb_path", document).failures) >= 1


def test_a_hop_of_which_nothing_is_recorded_must_at_least_be_possible(tmp_path: Path) -> None:
    document = path_document()
    document["recorded_solve"] = {key: document["recorded_solve"][key] for key in ("optimal_input", "hop_outputs")}
    assert checked(tmp_path, "arb_path", document).failures == []

    document["recorded_solve"]["hop_outputs"] = []
    assert checked(tmp_path, "arb_path", document).failures == []
    document["pools"]["a"] = document["pools"]["a"] | {"reserve0": "0"}
    assert len(checked(tmp_path, "arb_path", document).failures) == 1


def test_a_path_through_a_hook_that_alters_amounts_is_left_alone(tmp_path: Path) -> None:
    document = path_document()
    document["pools"]["b"] = V4_STATE | {"hooks": "0x" + "00" * 18 + "0088"}

    assert list(checked(tmp_path, "arb_path", document).unsupported) == [f"Uniswap V4 hook 0x{'00' * 18}0088"]


def test_a_pool_v4_state_is_that_of_the_unit_tests() -> None:
    assert str(POOL.liquidity) == V4_STATE["liquidity"]


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ("pair", {"address": TOKEN0}),
        ("pair", {"reserves_token0": 1 << 112}),
        ("pair", {"fee_token0": "5/4"}),
        ("pair", {"family": "v9"}),
        ("pair", {"tokens": [{"address": TOKEN1}, {"address": TOKEN0}]}),
        ("concentrated", {"address": TOKEN0}),
        ("concentrated", {"tick": 60}),
        ("concentrated", {"tick_bitmap": {"0": {"bitmap": 5}}}),
        ("concentrated", {"liquidity": 0, "tick_data": {}, "tick_bitmap": {"0": {"bitmap": 0}}}),
    ],
)
def test_a_state_that_contradicts_itself_is_noticed(base: str, change: dict[str, Any], tmp_path: Path) -> None:
    document = {"pair": pair_state, "concentrated": concentrated_state}[base]()

    assert len(checked(tmp_path, "pool_state", document | change).failures) == 1


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, {"inputs": [{"name": "commands", "type": "bytes"}, {"name": "other", "type": "bytes[]"}]}),
        (1, INTERFACE[0]),
        (2, {"inputs": [{"name": "x", "type": "magic"}]}),
        (2, {"inputs": [{"name": "x", "type": "uint7"}]}),
        (3, {"inputs": [{"name": "id", "type": "bytes32", "indexed": True}] * 4}),
        (3, {"inputs": [{"name": "id", "type": "bytes32"}]}),
        (5, {"type": "magic"}),
    ],
)
def test_an_entry_of_an_interface_that_cannot_be_is_noticed(place: int, change: dict[str, Any], tmp_path: Path) -> None:
    entries = copy.deepcopy(INTERFACE)
    entries[place] |= change

    assert len(checked(tmp_path, "abi", entries).failures) == 1


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("document", [{}, {"quotes": [{}]}, [5], 5, "x = y", {"pool": {}, "quotes": {}}])
def test_a_hollow_file_fails_without_a_traceback(kind: str, document: Any, tmp_path: Path) -> None:
    assert len(checked(tmp_path, kind, document).failures) >= 1
