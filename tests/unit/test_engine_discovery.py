"""Pools are found through their factories, also where a node keeps few logs or refuses wide ranges."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from node.config import FactoryConfig, ProtocolsConfig
from node.engine.discovery import Discovery, fair_shares
from node.engine.headers import Header, header_from_json
from node.engine.multicall import Multicall
from node.engine.pool_catalogue import PoolCatalogue
from node.engine.rpc import RpcRefused, RpcUnreachable
from node.pipeline.pools import PoolFamily, PoolSpec
from protocol.ethereum.abi import encode, selector
from protocol.units import Address, ChainId, Hash32, address_to_hex
from tests.fake_blocks import header_json
from tests.fake_chain_node import Refuse, endpoints_to, unplugged
from tests.fake_contracts import MULTICALL3, ODD, USDC, V2, V3, VAULT, WETH, FakeContracts, log, word, words

BLOCK = Hash32(b"\x01" * 32)
POOL = Address(b"\x08" * 20)
CREATED = "PoolCreated(address,address,uint24,int24,address)"


def head(number: int) -> Header:
    return header_from_json(orjson.dumps(header_json(number)))


def log_json(read: Any) -> dict[str, Any]:
    return {
        "address": read.address,
        "topics": read.topics,
        "data": read.data,
        "blockHash": read.block_hash,
        "logIndex": "0x0",
    }


def discovery(
    contracts: FakeContracts,
    *families: PoolFamily,
    max_pools: int = 100,
    folder: Path | None = None,
    makers: tuple[Address, ...] = (),
) -> tuple[Discovery, list[bytes]]:
    addresses = {PoolFamily.UNISWAP_V2: V2, PoolFamily.UNISWAP_V3: V3, PoolFamily.BALANCER_V2_WEIGHTED: VAULT}
    factories = tuple(
        FactoryConfig(family=family, address=addresses[family], pool_factories=makers) for family in families
    )
    endpoints = endpoints_to([contracts.node])
    passed_over: list[bytes] = []
    protocols = ProtocolsConfig(multicall3=MULTICALL3, factories=factories)
    catalogue = PoolCatalogue(folder, ChainId(1), endpoints)
    found = Discovery(
        endpoints, Multicall(endpoints, MULTICALL3), protocols, [WETH], max_pools, passed_over.append, catalogue
    )
    return found, passed_over


def with_pairs(count: int) -> FakeContracts:
    contracts = FakeContracts()
    contracts.view(V2, "allPairsLength()", count)
    contracts.answer(V2, "allPairs(uint256)", lambda index: word(int.from_bytes(index) + 1))
    for index in range(count):
        pair = Address((index + 1).to_bytes(20))
        contracts.view(pair, "token0()", int.from_bytes(WETH))
        contracts.view(pair, "token1()", int.from_bytes(USDC))
    return contracts


async def test_pairs_are_enumerated_up_to_the_bound_and_odd_ones_left_out() -> None:
    contracts = with_pairs(5)
    found, _ = discovery(contracts, PoolFamily.UNISWAP_V2)
    pair = Address((1).to_bytes(20))
    specs = await found.pools(head(9))
    assert len(specs) == 5
    assert specs[0] == PoolSpec(pair, PoolFamily.UNISWAP_V2, pair, (WETH, USDC), 3000)
    del contracts.views[pair, next(key for target, key in contracts.views if target == pair)]
    assert len(await found.pools(head(9))) == 4
    found, _ = discovery(with_pairs(5), PoolFamily.UNISWAP_V2, max_pools=2)
    assert len(await found.pools(head(9))) == 2
    assert found.passed_over == {"more than are followed": 3}, "they were not even read"
    found, _ = discovery(FakeContracts(), PoolFamily.UNISWAP_V2)
    assert await found.pools(head(9)) == []


@pytest.mark.parametrize(("pairs", "pools"), [(5, 0), (5, 4), (1, 4), (2, 0)])
async def test_where_more_is_found_than_is_followed_the_log_says_it_once(
    pairs: int, pools: int, caplog: pytest.LogCaptureFixture
) -> None:
    contracts = with_pairs(pairs)
    announced_pools(contracts, pools)
    found, _ = discovery(contracts, PoolFamily.UNISWAP_V2, PoolFamily.UNISWAP_V3, max_pools=2)
    followed = len(await found.pools(head(9)))
    said = [record.getMessage() for record in caplog.records if "bounds.max_pools" in record.getMessage()]
    expected = [f"{pairs + pools} pools found, {followed} followed: raise bounds.max_pools"]
    assert said == (expected if pairs + pools > followed else [])


async def test_logs_are_read_in_ranges_that_halve_where_they_are_refused_and_grow_again() -> None:
    contracts = FakeContracts()
    asked: list[int] = []
    created = log(V3, CREATED, [WETH, ODD, word(500)], words(10, int.from_bytes(POOL)))
    malformed = log(V3, CREATED, [WETH, ODD, word(500)], words(10))

    def get_logs(bounds: dict[str, Any]) -> list[Any]:
        start, end = int(bounds["fromBlock"], 16), int(bounds["toBlock"], 16)
        if end - start >= 30_000:
            raise Refuse(-32005, "more than 10000 results")
        asked.append(end - start + 1)
        return [log_json(created), log_json(malformed)] if start == 0 else []

    contracts.node.methods["eth_getLogs"] = get_logs
    found, _ = discovery(contracts, PoolFamily.UNISWAP_V3)
    assert await found.pools(head(99_999)) == [PoolSpec(POOL, PoolFamily.UNISWAP_V3, POOL, (WETH, ODD), 500, 10)]
    assert sum(asked) == 100_000
    assert found.passed_over == {"a malformed announcement": 1}


def pruned(_bounds: dict[str, Any]) -> Any:
    raise Refuse(4444, "pruned history unavailable")


def announced_pools(contracts: FakeContracts, count: int) -> list[bytes]:
    """So many V3 pools, announced in block 0."""
    pools = [bytes([0xF0]) + index.to_bytes(19) for index in range(count)]
    created = [log(V3, CREATED, [WETH, ODD, word(500)], words(10, int.from_bytes(pool))) for pool in pools]
    contracts.node.methods["eth_getLogs"] = lambda _bounds: [log_json(one) for one in created]
    contracts.node.methods["eth_getBlockByNumber"] = lambda number, _whole: header_json(int(number, 16))
    return pools


@pytest.mark.parametrize(("pairs", "pools", "shares"), [(9, 9, (3, 3)), (9, 2, (4, 2)), (1, 9, (1, 5)), (2, 3, (2, 3))])
async def test_no_factory_takes_the_places_of_the_others(pairs: int, pools: int, shares: tuple[int, int]) -> None:
    contracts = with_pairs(pairs)
    announced_pools(contracts, pools)
    found, _ = discovery(contracts, PoolFamily.UNISWAP_V2, PoolFamily.UNISWAP_V3, max_pools=6)
    specs = await found.pools(head(9))
    families = [spec.family for spec in specs]
    assert (families.count(PoolFamily.UNISWAP_V2), families.count(PoolFamily.UNISWAP_V3)) == shares
    assert found.passed_over["more than are followed"] == pairs + pools - sum(shares)


def test_places_are_shared_out_whole_and_never_more_than_there_are() -> None:
    assert fair_shares([10, 1, 10], 10) == [4, 1, 5]
    assert fair_shares([3, 3], 100) == [3, 3]
    assert fair_shares([5, 5], -2) == [0, 0]
    assert fair_shares([], 7) == []


async def test_of_one_factory_no_more_than_a_bound_is_kept_and_the_rest_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.engine.discovery.MOST_OF_A_FACTORY", 3)
    contracts = FakeContracts()
    pools = announced_pools(contracts, 5)
    found, _ = discovery(contracts, PoolFamily.UNISWAP_V3, folder=tmp_path)
    assert [spec.id for spec in await found.pools(head(100))] == pools[:3]
    assert found.passed_over == {"more of a factory than are kept": 2}
    again, _ = discovery(contracts, PoolFamily.UNISWAP_V3, folder=tmp_path)
    assert [spec.id for spec in await again.pools(head(100))] == pools[:3]


async def test_of_the_vaults_pools_that_are_passed_over_the_latest_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.engine.discovery.MOST_OF_A_FACTORY", 2)
    contracts = FakeContracts()
    ids = [vault_pool(contracts, seed, kind) for seed, kind in enumerate(["none"] * 3 + ["weighted"] * 3, 1)]
    registered = [log(VAULT, "PoolRegistered(bytes32,address,uint8)", [pool_id, ODD], words(0)) for pool_id in ids]
    contracts.node.methods["eth_getLogs"] = lambda _bounds: [log_json(one) for one in registered]
    contracts.node.methods["eth_getBlockByNumber"] = lambda number, _full: header_json(int(number, 16))
    found, passed_over = discovery(contracts, PoolFamily.BALANCER_V2_WEIGHTED, folder=tmp_path)
    assert [spec.id for spec in await found.pools(head(100))] == ids[3:5]
    assert passed_over == ids[:3]
    contracts.node.methods["eth_getLogs"] = lambda _bounds: []
    again, told = discovery(contracts, PoolFamily.BALANCER_V2_WEIGHTED, folder=tmp_path)
    assert [spec.id for spec in await again.pools(head(100))] == ids[3:5]
    assert told == ids[1:3]


async def test_without_logs_the_v3_factory_is_asked_for_the_pools_of_known_tokens() -> None:
    contracts = with_pairs(1)
    contracts.node.methods["eth_getLogs"] = pruned
    spacings = {word(500): 10, word(3000): 60}
    contracts.answer(V3, "feeAmountTickSpacing(uint24)", lambda fee: word(spacings.get(fee, 0)))
    wanted = encode(["address", "address", "uint24"], ["0x" + WETH.hex(), "0x" + USDC.hex(), 500])
    contracts.answer(
        V3, "getPool(address,address,uint24)", lambda asked: bytes(12) + POOL if asked == wanted else bytes(32)
    )
    found, _ = discovery(contracts, PoolFamily.UNISWAP_V2, PoolFamily.UNISWAP_V3)
    specs = await found.pools(head(5000))
    assert specs[1:] == [PoolSpec(POOL, PoolFamily.UNISWAP_V3, POOL, (WETH, USDC), 500, 10)]


async def test_of_many_tokens_only_pairs_with_a_profit_token_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.engine.discovery.MAX_TOKENS_PAIRED", 2)
    contracts = with_pairs(1)
    odd = Address((1).to_bytes(20))
    contracts.view(odd, "token0()", int.from_bytes(ODD))
    contracts.node.methods["eth_getLogs"] = pruned
    contracts.answer(V3, "feeAmountTickSpacing(uint24)", lambda _fee: word(10))
    contracts.answer(V3, "getPool(address,address,uint24)", lambda asked: bytes(12) + asked[12:31] + b"\x01")
    found, _ = discovery(contracts, PoolFamily.UNISWAP_V2, PoolFamily.UNISWAP_V3)
    specs = (await found.pools(head(5000)))[1:]
    assert specs
    assert all(WETH in spec.tokens for spec in specs)


def vault_pool(contracts: FakeContracts, seed: int, kind: str) -> bytes:
    pool_id = bytes([seed]) * 32
    address = Address(pool_id[:20])
    count = {"large": 20, "crowded": 21}.get(kind, 2)
    tokens = [WETH, USDC, *(Address(bytes([number]) * 20) for number in range(2, count))]
    held = encode(["address[]", "uint256[]", "uint256"], [[*map(address_to_hex, tokens)], [10] * len(tokens), 1])
    previous = contracts.views.get((VAULT, selector("getPoolTokens(bytes32)")))
    contracts.answer(
        VAULT,
        "getPoolTokens(bytes32)",
        lambda asked: held if asked == pool_id else (None if previous is None else previous(asked)),
    )
    if kind in ("weighted", "gradual", "odd", "greedy", "large", "crowded"):
        weights = [5 * 10**17] * (3 if kind == "odd" else len(tokens))
        contracts.view(address, "getNormalizedWeights()", weights, types="uint256[]")
        contracts.view(address, "getSwapFeePercentage()", 25 * 10**14)
    if kind == "gradual":
        contracts.view(address, "getGradualWeightUpdateParams()", 1, 2)
    if kind == "stable":
        contracts.view(address, "getAmplificationParameter()", 1, 2, 3)
    if kind == "composable":
        contracts.view(address, "getAmplificationParameter()", 1000, 0, 1000)
        contracts.view(address, "getSwapFeePercentage()", 10**14)
    if kind == "greedy":
        contracts.view(address, "getSwapFeePercentage()", 10**17 + 1)
    if kind == "garbled":
        contracts.view(address, "getNormalizedWeights()", 2**255)
        contracts.view(address, "getSwapFeePercentage()", 1)
    return pool_id


async def test_of_the_vaults_pools_weighted_and_stable_ones_are_followed_and_the_others_named() -> None:
    contracts = FakeContracts()
    kinds = ("weighted", "composable", "stable", "gradual", "odd", "garbled", "greedy", "crowded", "none", "large")
    ids = [vault_pool(contracts, seed, kind) for seed, kind in enumerate(kinds, 1)]
    registered = [
        log_json(log(VAULT, "PoolRegistered(bytes32,address,uint8)", [pool_id, ODD], words(0))) for pool_id in ids
    ]
    contracts.node.methods["eth_getLogs"] = lambda _bounds: registered
    found, passed_over = discovery(contracts, PoolFamily.BALANCER_V2_WEIGHTED)
    many = [Address(bytes([number]) * 20) for number in range(2, 20)]
    assert await found.pools(head(9)) == [
        PoolSpec(ids[0], PoolFamily.BALANCER_V2_WEIGHTED, Address(ids[0][:20]), (WETH, USDC), 2500),
        PoolSpec(ids[1], PoolFamily.BALANCER_V2_STABLE, Address(ids[1][:20]), (WETH, USDC), 100),
        PoolSpec(ids[-1], PoolFamily.BALANCER_V2_WEIGHTED, Address(ids[-1][:20]), (WETH, USDC, *many), 2500),
    ]
    assert found.passed_over == {"a pool whose weights move": 1, "a pool of another kind": 6}
    assert passed_over == ids[2:-1]


def _is_word(expected: bytes, asked: bytes) -> bytes:
    return word(int(asked == expected))


async def test_where_pool_factories_are_configured_only_their_pools_are_followed_whatever_a_pool_says(
    tmp_path: Path,
) -> None:
    contracts = FakeContracts()
    ids = [vault_pool(contracts, seed, "weighted") for seed in (1, 2, 3)]
    older, newer = Address(b"\x0a" * 20), Address(b"\x0b" * 20)
    made = {older: bytes(12) + ids[0][:20], newer: bytes(12) + ids[2][:20]}
    for maker, pool in made.items():
        contracts.answer(maker, "isPoolFromFactory(address)", partial(_is_word, pool))
    registered = [
        log_json(log(VAULT, "PoolRegistered(bytes32,address,uint8)", [pool_id, ODD], words(0))) for pool_id in ids
    ]
    contracts.node.methods["eth_getLogs"] = lambda _bounds: registered
    contracts.node.methods["eth_getBlockByNumber"] = lambda number, _full: header_json(int(number, 16))

    async def followed(*makers: Address) -> list[bytes]:
        found, passed_over = discovery(contracts, PoolFamily.BALANCER_V2_WEIGHTED, folder=tmp_path, makers=makers)
        specs = await found.pools(head(9))
        assert found.passed_over["a pool of no factory that is followed"] == len(passed_over) == 3 - len(specs)
        return [spec.id for spec in specs]

    assert await followed() == ids
    assert await followed(older) == ids[:1]
    assert await followed(newer, older) == [ids[0], ids[2]]
    assert await followed(Address(b"\x0c" * 20)) == []  # nothing answers there


async def test_without_logs_the_vaults_pools_are_left_to_be_found_later() -> None:
    contracts = FakeContracts()
    contracts.node.methods["eth_getLogs"] = pruned
    found, _ = discovery(contracts, PoolFamily.BALANCER_V2_WEIGHTED)
    assert await found.pools(head(9)) == []


async def test_a_node_that_is_gone_is_no_reason_to_find_nothing() -> None:
    contracts = FakeContracts()
    contracts.node.misbehaviour = unplugged
    found, _ = discovery(contracts, PoolFamily.BALANCER_V2_WEIGHTED)
    with pytest.raises(RpcUnreachable):
        await found.pools(head(9))
    with pytest.raises((RpcRefused, RpcUnreachable)):
        await found.vault_pools(VAULT, [b"\x01" * 32], BLOCK)


def _catalogued(contracts: FakeContracts, anchor: dict[str, Any], asked: list[int]) -> None:
    """A chain with a V3 pool and two vault pools, announced in block 1; `anchor` is its block 0."""
    created = log(V3, CREATED, [WETH, ODD, word(500)], words(10, int.from_bytes(POOL)))
    ids = [vault_pool(contracts, 1, "weighted"), vault_pool(contracts, 2, "stable")]
    registered = [log(VAULT, "PoolRegistered(bytes32,address,uint8)", [pool_id, ODD], words(0)) for pool_id in ids]

    def get_logs(bounds: dict[str, Any]) -> list[Any]:
        asked.append(int(bounds["fromBlock"], 16))
        return [log_json(one) for one in (registered if bounds["address"] == "0x" + VAULT.hex() else [created])]

    contracts.node.methods["eth_getLogs"] = get_logs
    contracts.node.methods["eth_getBlockByNumber"] = lambda _number, _whole: anchor


_ALL = (PoolFamily.UNISWAP_V2, PoolFamily.UNISWAP_V3, PoolFamily.BALANCER_V2_WEIGHTED)


async def test_a_second_start_reads_on_where_the_first_ended(tmp_path: Path) -> None:
    contracts, asked = with_pairs(3), list[int]()
    _catalogued(contracts, header_json(36), asked)
    first, _ = discovery(contracts, *_ALL, folder=tmp_path)
    pools = await first.pools(head(100))
    assert len(pools) == 5
    again, passed_over = discovery(contracts, *_ALL, folder=tmp_path)
    assert await again.pools(head(100)) == pools
    assert asked == [0, 0, 37, 37]
    assert passed_over == [b"\x02" * 32]
    assert not again.passed_over
    contracts.node.methods["eth_getLogs"] = pruned
    contracts.answer(V3, "feeAmountTickSpacing(uint24)", lambda _fee: word(0))
    blind, _ = discovery(contracts, *_ALL, folder=tmp_path)
    assert await blind.pools(head(100)) == pools


_SPOILS = ["other chain", "garbage", "other version", "unreadable", "unknown block", "altered", "cut short", "endless"]


@pytest.mark.parametrize("spoil", _SPOILS)
async def test_a_catalogue_that_does_not_fit_is_for_nothing(
    tmp_path: Path, spoil: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    contracts, asked = with_pairs(3), list[int]()
    _catalogued(contracts, header_json(36), asked)
    first, _ = discovery(contracts, *_ALL, folder=tmp_path)
    pools = await first.pools(head(100))
    path = tmp_path / "pools.msgpack"
    if spoil == "other chain":
        contracts.node.methods["eth_getBlockByNumber"] = lambda _number, _whole: header_json(36, salt="other")
    elif spoil == "unknown block":
        contracts.node.methods["eth_getBlockByNumber"] = lambda _number, _whole: None
    elif spoil == "unreadable":
        path.unlink()
        path.mkdir()
    elif spoil == "garbage":
        path.write_bytes(b"\x00garbage")
    elif spoil == "altered":
        path.write_bytes(path.read_bytes().replace(POOL, Address(b"\x09" * 20)))
    elif spoil == "cut short":
        path.write_bytes(path.read_bytes()[:-7])
    elif spoil == "endless":
        monkeypatch.setattr("node.engine.pool_catalogue.MOST_BYTES", 10)
    else:
        kept = msgspec.msgpack.decode(path.read_bytes()[32:])
        body = msgspec.msgpack.encode({**kept, "version": 99})
        path.write_bytes(hashlib.sha256(body).digest() + body)
    again, _ = discovery(contracts, *_ALL, folder=tmp_path)
    assert await again.pools(head(100)) == pools
    assert asked == [0, 0, 0, 0]
    assert ("pools are discovered anew" in caplog.text) is (spoil not in ("other chain", "unknown block"))


async def test_a_discovery_that_was_cut_short_goes_on_where_it_was_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.engine.discovery.REQUESTS_PER_SAVE", 2)
    contracts, asked = with_pairs(3), list[int]()
    created = log(V3, CREATED, [WETH, ODD, word(500)], words(10, int.from_bytes(POOL)))
    contracts.node.methods["eth_getBlockByNumber"] = lambda number, _whole: header_json(int(number, 16))

    def get_logs(bounds: dict[str, Any]) -> list[Any]:
        start = int(bounds["fromBlock"], 16)
        asked.append(start)
        if start >= 150_000 and not is_mended:
            raise RuntimeError("the process was killed here")
        return [log_json(created)] if start == 0 else []

    is_mended = False
    contracts.node.methods["eth_getLogs"] = get_logs
    first, _ = discovery(contracts, PoolFamily.UNISWAP_V2, PoolFamily.UNISWAP_V3, folder=tmp_path)
    with pytest.raises(RuntimeError, match="killed"):
        await first.pools(head(199_999))
    assert asked == [0, 50_000, 100_000, 150_000]
    is_mended = True
    again, _ = discovery(contracts, PoolFamily.UNISWAP_V2, PoolFamily.UNISWAP_V3, folder=tmp_path)
    assert len(await again.pools(head(199_999))) == 4
    assert asked[4:] == [150_000]


async def test_what_a_node_without_logs_did_not_tell_is_not_taken_for_looked_through(tmp_path: Path) -> None:
    contracts, asked = with_pairs(3), list[int]()
    _catalogued(contracts, header_json(36), asked)
    told, contracts.node.methods["eth_getLogs"] = contracts.node.methods["eth_getLogs"], pruned
    contracts.answer(V3, "feeAmountTickSpacing(uint24)", lambda _fee: word(0))
    blind, _ = discovery(contracts, *_ALL, folder=tmp_path)
    assert len(await blind.pools(head(100))) == 3
    contracts.node.methods["eth_getLogs"] = told
    seeing, _ = discovery(contracts, *_ALL, folder=tmp_path)
    assert len(await seeing.pools(head(100))) == 5
    assert asked == [0, 0]


async def test_without_its_folder_nothing_is_kept(tmp_path: Path) -> None:
    contracts, asked = with_pairs(1), list[int]()
    _catalogued(contracts, header_json(36), asked)
    found, _ = discovery(contracts, *_ALL, folder=tmp_path / "missing")
    assert len(await found.pools(head(100))) == 3
    assert list(tmp_path.iterdir()) == []
