"""A block's logs, one kind after the other: what they change, what they announce, and what makes a pool doubtful."""

from __future__ import annotations

from typing import Any

import pytest

from node.config import FactoryConfig
from node.engine.pool_announcements import spec_from_log
from node.engine.pool_logs import PoolLogs
from node.engine.pool_topics import POOL_CREATED, LogJson
from node.pipeline.events import BalancesChanged, LiquidityChanged, PriceMoved, ReservesSet
from node.pipeline.pools import PoolFamily, PoolSpec
from protocol.ethereum.abi import encode
from protocol.units import Address
from tests.fake_contracts import ODD, USDC, V2, V3, VAULT, WETH, log, word, words

PAIR = PoolSpec(b"\x01" * 20, PoolFamily.UNISWAP_V2, Address(b"\x01" * 20), (WETH, USDC), 3000)
DEEP = PoolSpec(b"\x02" * 20, PoolFamily.UNISWAP_V3, Address(b"\x02" * 20), (WETH, USDC), 3000, 60)
HELD = PoolSpec(b"\x03" * 32, PoolFamily.BALANCER_V2_WEIGHTED, Address(b"\x03" * 20), (WETH, USDC), 2500)
FACTORIES = (
    FactoryConfig(family=PoolFamily.UNISWAP_V2, address=V2, fee_pips=2500),
    FactoryConfig(family=PoolFamily.UNISWAP_V3, address=V3),
    FactoryConfig(family=PoolFamily.BALANCER_V2_WEIGHTED, address=VAULT),
)
SWAP3 = "Swap(address,address,int256,int256,uint160,uint128,int24)"
MINT = "Mint(address,address,int24,int24,uint128,uint256,uint256)"
BURN = "Burn(address,int24,int24,uint128,uint256,uint256)"
SWAP_B = "Swap(bytes32,address,address,uint256,uint256)"
CHANGED_B = "PoolBalanceChanged(bytes32,address,address[],int256[],uint256[])"
MANAGED_B = "PoolBalanceManaged(bytes32,address,address,int256,int256)"


def reader() -> PoolLogs:
    logs = PoolLogs(FACTORIES)
    for spec in (PAIR, DEEP, HELD):
        logs.follow(spec)
    return logs


def changed_tokens(tokens: list[bytes], deltas: list[int], fees: list[int]) -> bytes:
    return encode(["address[]", "int256[]", "uint256[]"], [["0x" + t.hex() for t in tokens], deltas, fees])


@pytest.mark.parametrize(
    ("read", "change"),
    [
        (log(PAIR.address, "Sync(uint112,uint112)", [], words(5, 6)), ReservesSet(PAIR.id, 5, 6)),
        (log(DEEP.address, SWAP3, [WETH, USDC], words(1, -2, 1 << 96, 7, -3)), PriceMoved(DEEP.id, 1 << 96, 7, -3)),
        (
            log(DEEP.address, MINT, [WETH, word(-120), word(60)], words(1, 9, 2, 3)),
            LiquidityChanged(DEEP.id, -120, 60, 9),
        ),
        (
            log(DEEP.address, BURN, [WETH, word(-120), word(60)], words(9, 2, 3)),
            LiquidityChanged(DEEP.id, -120, 60, -9),
        ),
        (log(VAULT, SWAP_B, [HELD.id, USDC, WETH], words(8, 3)), BalancesChanged(HELD.id, (-3, 8))),
        (
            log(VAULT, CHANGED_B, [HELD.id, WETH], changed_tokens([WETH, USDC], [10, -20], [1, 2])),
            BalancesChanged(HELD.id, (9, -22)),
        ),
        (log(VAULT, MANAGED_B, [HELD.id, WETH, USDC], words(-5, 7)), BalancesChanged(HELD.id, (0, 2))),
    ],
    ids=["sync", "swap", "mint", "burn", "vault swap", "join or exit", "managed"],
)
def test_a_log_is_read_as_its_contract_wrote_it(read: LogJson, change: Any) -> None:
    logs = reader()
    said = logs.read([read])
    assert said.changes == [change]
    assert (said.announced, said.registered, said.doubtful) == ([], [], {})
    assert logs.counts == {"logs": 1, "changes": 1}


@pytest.mark.parametrize(
    "read",
    [
        log(PAIR.address, "Sync(uint112,uint112)", [], words(5)),
        log(PAIR.address, "Sync(uint112,uint112)", [], words(1 << 112, 5)),
        log(PAIR.address, "Sync(uint112,uint112)", [WETH], words(5, 6)),
        log(PAIR.address, "Sync(uint112,uint112)", [], words(5, 6) + b"\x01"),
        LogJson("0x" + "01" * 20, [log(b"", "Sync(uint112,uint112)", [], b"").topics[0]], "0xzz", "0x", "0x0"),
        log(DEEP.address, SWAP3, [WETH, USDC], words(1, -2, 0, 7, -3)),
        log(DEEP.address, MINT, [WETH, word(1), word(2)], words(1, 1 << 128, 2, 3)),
        log(VAULT, SWAP_B, [HELD.id, USDC, ODD], words(8, 3)),
        log(VAULT, CHANGED_B, [HELD.id, WETH], changed_tokens([USDC, WETH], [1, 2], [0, 0])),
        log(VAULT, CHANGED_B, [HELD.id, WETH], changed_tokens([WETH, USDC], [1], [0, 0])),
        log(VAULT, CHANGED_B, [HELD.id, WETH], words(1)),
    ],
)
def test_a_malformed_log_is_counted_and_its_pool_doubtful(read: LogJson) -> None:
    logs = reader()
    said = logs.read([read])
    assert said.changes == []
    assert list(said.doubtful.values())[0].startswith("a malformed log")  # noqa: RUF015
    assert logs.counts["malformed"] == 1


@pytest.mark.parametrize(
    ("read", "pool_id", "why"),
    [
        (log(DEEP.address, "Initialize(uint160,int24)", [], words(1, 2)), DEEP.id, "it was initialised"),
        (
            log(DEEP.address, "SetFeeProtocol(uint8,uint8,uint8,uint8)", [], words(0, 0, 4, 4)),
            DEEP.id,
            "protocol's fee",
        ),
        (log(HELD.address, "SwapFeePercentageChanged(uint256)", [], words(1)), HELD.id, "its swap fee was changed"),
        (log(VAULT, "PoolRegistered(bytes32,address,uint8)", [HELD.id, HELD.address], words(0)), HELD.id, "anew"),
    ],
)
def test_what_no_event_tells_in_full_makes_a_pool_doubtful(read: LogJson, pool_id: bytes, why: str) -> None:
    assert why in reader().read([read]).doubtful[pool_id]


@pytest.mark.parametrize(
    "read",
    [
        log(ODD, "Sync(uint112,uint112)", [], words(5, 6)),
        log(DEEP.address, "Sync(uint112,uint112)", [], words(5, 6)),
        log(PAIR.address, "Transfer(address,address,uint256)", [WETH, USDC], words(5)),
        log(ODD, SWAP_B, [HELD.id, USDC, WETH], words(8, 3)),
        log(ODD, "PairCreated(address,address,address,uint256)", [WETH, USDC], words(1, 2)),
        log(V3, "PairCreated(address,address,address,uint256)", [WETH, USDC], words(1, 2)),
        LogJson("0x" + "01" * 20, [], "0x", "0x", "0x0"),
    ],
)
def test_logs_of_no_interest_say_nothing(read: LogJson) -> None:
    said = reader().read([read])
    assert (said.changes, said.announced, said.registered, said.doubtful) == ([], [], [], {})


def test_factories_announce_pools() -> None:
    logs = reader()
    pair = log(V2, "PairCreated(address,address,address,uint256)", [WETH, ODD], words(int.from_bytes(b"\x07" * 20), 3))
    pool_words = words(10, int.from_bytes(b"\x08" * 20))
    pool = log(V3, "PoolCreated(address,address,uint24,int24,address)", [WETH, ODD, word(500)], pool_words)
    registered = log(VAULT, "PoolRegistered(bytes32,address,uint8)", [b"\x09" * 32, ODD], words(0))
    said = logs.read([pair, pool, registered, registered])
    seven, eight = Address(b"\x07" * 20), Address(b"\x08" * 20)
    assert said.announced == [
        PoolSpec(seven, PoolFamily.UNISWAP_V2, seven, (WETH, ODD), 2500),
        PoolSpec(eight, PoolFamily.UNISWAP_V3, eight, (WETH, ODD), 500, 10),
    ]
    assert said.registered == [b"\x09" * 32]
    logs.follow(said.announced[0])
    assert logs.followed[-1] == said.announced[0]
    assert logs.spec_of(b"\x07" * 20) == said.announced[0]
    assert logs.read([pair]).announced == []


@pytest.mark.parametrize(
    "read",
    [
        log(V2, "PairCreated(address,address,address,uint256)", [WETH], words(1, 2)),
        log(V3, "PoolCreated(address,address,uint24,int24,address)", [WETH, ODD, word(500)], words(0, 7)),
        log(V3, "PoolCreated(address,address,uint24,int24,address)", [WETH, ODD, word(10**6)], words(10, 7)),
        log(VAULT, SWAP_B, [], words(8, 3)),
    ],
)
def test_a_malformed_announcement_is_counted(read: LogJson) -> None:
    logs = reader()
    said = logs.read([read])
    assert (said.announced, said.registered) == ([], [])
    assert logs.counts["malformed"] == 1


def test_a_pool_of_the_vault_that_is_not_known_is_asked_for_until_it_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logs = reader()
    swap = log(VAULT, SWAP_B, [b"\x09" * 32, USDC, WETH], words(8, 3))
    assert logs.read([swap]).registered == [b"\x09" * 32]
    logs.pass_over(b"\x09" * 32)
    assert logs.read([swap]).registered == []
    monkeypatch.setattr("node.engine.pool_logs._MAX_PASSED_OVER", 1)
    logs.pass_over(b"\x0a" * 32)
    assert logs.read([swap]).registered == [b"\x09" * 32]


def test_an_announcement_of_another_kind_of_factory_is_none() -> None:
    read = log(V3, "PoolCreated(address,address,uint24,int24,address)", [WETH, ODD, word(500)], words(10, 7))
    assert spec_from_log(FACTORIES[0], POOL_CREATED, read) is None


def test_the_filter_names_every_topic_once() -> None:
    assert len(set(reader().topics)) == len(reader().topics) == 18
