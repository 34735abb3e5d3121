"""A restart: states out of the snapshot, the logs since laid over them, doubtful ones left to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from node.config import FactoryConfig, ProtocolsConfig
from node.engine import market_snapshot
from node.engine.headers import Header, header_from_json
from node.engine.market_memory import MOST_BEHIND, MarketMemory
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.erc4626 import ShareVault
from node.pipeline.pools import PoolFamily, PoolId, PoolSpec, PoolState
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, BlockNumber, ChainId, Hash32
from tests.fake_blocks import header_json
from tests.fake_chain_node import FakeNode, Refuse, endpoints_to
from tests.fake_contracts import MULTICALL3, word

CHAIN = ChainId(1)
ONE, TWO = Address(b"\xa1" * 20), Address(b"\xa2" * 20)
PAIR, OTHER, VAULT = (
    PoolSpec(bytes([seed]) * 20, family, Address(bytes([seed]) * 20), (ONE, TWO), 3000)
    for seed, family in ((1, PoolFamily.UNISWAP_V2), (2, PoolFamily.UNISWAP_V2), (3, PoolFamily.ERC4626))
)
STATES: dict[PoolId, PoolState] = {
    PAIR.id: ConstantProductPool(1_000, 2_000),
    OTHER.id: ConstantProductPool(5, 7),
    VAULT.id: ShareVault(1, 1),
}
PROTOCOLS = ProtocolsConfig(
    multicall3=MULTICALL3, factories=(FactoryConfig(family=PoolFamily.UNISWAP_V2, address=Address(b"\xf1" * 20)),)
)
SYNC = "0x" + keccak256(b"Sync(uint112,uint112)").hex()


def hash_of(number: int) -> Hash32:
    return Hash32(bytes.fromhex(header_json(number)["hash"][2:]))


def head(number: int) -> Header:
    return msgspec.structs.replace(_ANY, number=BlockNumber(number), hash=hash_of(number))


_ANY = header_from_json(orjson.dumps(header_json(1)))


def sync(spec: PoolSpec, number: int, index: int, reserve0: int, reserve1: int) -> dict[str, Any]:
    return {
        "address": "0x" + spec.address.hex(),
        "topics": [SYNC],
        "data": "0x" + (word(reserve0) + word(reserve1)).hex(),
        "blockHash": header_json(number)["hash"],
        "blockNumber": hex(number),
        "logIndex": hex(index),
    }


def memory(folder: Path | None, *logs: dict[str, Any], at: int = 10) -> tuple[MarketMemory, FakeNode]:
    """A memory with a snapshot of block `at`, on a chain that tells these logs."""
    node = FakeNode(
        eth_getBlockByNumber=lambda number, _whole: header_json(int(number, 16)), eth_getLogs=lambda _bounds: list(logs)
    )
    made = MarketMemory(folder, CHAIN, endpoints_to([node]), PROTOCOLS)
    if folder is not None:
        made.keep(head(at), STATES)
    return made, node


async def test_a_restart_takes_what_is_kept_and_lays_the_logs_since_over_it(tmp_path: Path) -> None:
    # Told in another order than the chain's, and one of them twice.
    last, first = sync(PAIR, 12, 0, 30, 40), sync(PAIR, 11, 5, 10, 20)
    kept, _ = memory(tmp_path, last, first, first)
    states = await kept.states_at(head(12), [PAIR, OTHER])
    assert states == {PAIR.id: ConstantProductPool(30, 40), OTHER.id: STATES[OTHER.id]}
    assert kept.counts["restored"] == 2


async def test_what_changes_without_a_log_or_was_never_kept_is_read(tmp_path: Path) -> None:
    kept, _ = memory(tmp_path)
    fresh = msgspec.structs.replace(PAIR, id=b"\x09" * 20)
    assert await kept.states_at(head(12), [VAULT, fresh]) == {}


async def test_a_log_that_cannot_be_of_our_state_leaves_the_pool_to_be_read(tmp_path: Path) -> None:
    kept, _ = memory(tmp_path, sync(PAIR, 11, 0, 1 << 112, 1), sync(PAIR, 12, 0, 1, 1))
    assert await kept.states_at(head(12), [PAIR, OTHER]) == {OTHER.id: STATES[OTHER.id]}


@pytest.mark.parametrize(("at", "now"), [(10, 11 + MOST_BEHIND), (10, 9)])
async def test_a_snapshot_too_old_or_of_the_future_is_refused(tmp_path: Path, at: int, now: int) -> None:
    kept, _ = memory(tmp_path, at=at)
    assert await kept.states_at(head(now), [PAIR]) == {}
    assert kept.counts["refused"] == 1


async def test_a_snapshot_of_a_block_that_left_the_chain_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, node = memory(tmp_path)
    node.methods["eth_getBlockByNumber"] = lambda number, _whole: header_json(int(number, 16) + 1)
    assert await kept.states_at(head(12), [PAIR]) == {}
    assert "the snapshot's block 10 is not on the chain" in caplog.text


async def test_a_spoilt_snapshot_is_refused_with_a_clear_word_and_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, _ = memory(tmp_path)
    path = tmp_path / market_snapshot.FILE_NAME
    path.write_bytes(path.read_bytes()[:-10])
    assert await kept.states_at(head(12), [PAIR]) == {}
    assert "the market is read anew" in caplog.text
    assert "was cut short" in caplog.text
    kept.keep(head(12), STATES)
    assert await kept.states_at(head(12), [PAIR]) == {PAIR.id: STATES[PAIR.id]}


async def test_where_a_node_keeps_no_logs_everything_is_read(tmp_path: Path) -> None:
    def pruned(_bounds: Any) -> Any:
        raise Refuse(-32000, "pruned")

    kept, node = memory(tmp_path)
    node.methods["eth_getLogs"] = pruned
    assert await kept.states_at(head(12), [PAIR]) == {}


async def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    kept, _ = memory(None)
    kept.keep(head(10), STATES)
    assert await kept.states_at(head(12), [PAIR]) == {}
    gone = MarketMemory(tmp_path / "gone", CHAIN, endpoints_to([FakeNode()]), PROTOCOLS)
    gone.keep(head(10), STATES)
    assert not list(tmp_path.iterdir())
