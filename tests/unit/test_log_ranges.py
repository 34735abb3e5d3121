"""Logs are read in ranges, whatever the node allows; the registry's too, however long the network stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from governance.reading import DeployedNetwork, Reader
from node.engine.endpoints import Endpoints
from node.engine.log_ranges import logs_by_range
from node.engine.multicall import Multicall
from node.engine.network.registry import Registry
from node.engine.network.wiring import contracts_of
from node.engine.rpc import RpcRefused, RpcUnreachable
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, BlockNumber, ChainId
from tests.config_factories import network_in
from tests.fake_chain_node import FakeNode, Refuse, endpoints_to, rpc_to, unplugged
from tests.unit.test_engine_simulator import header

CONTRACTS = contracts_of(network_in(Path()))
KEY_SET = "0x" + keccak256(b"HotKeySet(address,address,address)").hex()


class Bounded:
    """A hosted node: so many blocks in one request at most; one log in every thousandth block."""

    def __init__(self, blocks: int) -> None:
        self.blocks, self.given = blocks, list[range]()
        self.node = FakeNode(eth_getLogs=self.logs)

    def logs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        asked = range(int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16) + 1)
        if len(asked) > self.blocks:
            raise Refuse(-32600, f"you can make eth_getLogs requests with up to a {self.blocks} block range")
        self.given.append(asked)
        return [told(block) for block in asked if block % 1_000 == 0]


def word(number: int) -> str:
    return f"0x{number:064x}"


def told(block: int) -> dict[str, Any]:
    return {
        "address": "0x" + CONTRACTS.staking.hex(),
        "topics": [KEY_SET, word(7), word(block), word(0)],
        "data": "0x",
        "transactionHash": word(block),
        "blockNumber": hex(block),
        "blockHash": word(block),
    }


async def numbers(endpoints: Endpoints, first: int, last: int) -> list[int]:
    found: list[int] = []
    async for _, logs in logs_by_range(endpoints, {}, BlockNumber(first), BlockNumber(last), list[dict[str, Any]]):
        found += [int(log["blockNumber"], 16) for log in logs]
    return found


@pytest.mark.parametrize("blocks", [1, 700, 10_000, 1_000_000])
async def test_every_log_is_read_once_whatever_range_the_node_allows(blocks: int) -> None:
    last = 3_000 if blocks == 1 else 120_000
    hosted = Bounded(blocks)
    assert await numbers(endpoints_to([hosted.node]), 500, last) == list(range(1_000, last + 1, 1_000))
    assert [block for given in hosted.given for block in given] == list(range(500, last + 1))


async def test_where_not_even_one_block_is_given_the_refusal_is_told() -> None:
    with pytest.raises(RpcRefused, match="up to a 0 block range"):
        await numbers(endpoints_to([Bounded(0).node]), 0, 9_999)


async def test_a_node_that_is_gone_is_not_asked_again_and_again() -> None:
    node = FakeNode()
    node.misbehaviour = unplugged
    with pytest.raises(RpcUnreachable):
        await numbers(endpoints_to([node]), 0, 9_999)


async def test_the_registry_is_read_from_a_node_that_bounds_ranges() -> None:
    hosted = Bounded(2_000)
    endpoints = endpoints_to([hosted.node])
    registry = Registry(endpoints, Multicall(endpoints, Address(bytes(20))), CONTRACTS, BlockNumber(100))
    logs = await registry._told(header(30_000), is_stale=True)
    assert [int(log.block_number) for log in logs] == list(range(1_000, 30_001, 1_000))
    assert hosted.given[0].start == 100
    assert hosted.given[-1].stop == 30_001


async def test_what_commands_read_of_a_contract_is_read_from_a_node_that_bounds_ranges() -> None:
    hosted = Bounded(2_000)
    hosted.node.methods["eth_blockNumber"] = lambda: hex(30_000)
    network = DeployedNetwork(chain_id=ChainId(1), since=BlockNumber(100), contracts=CONTRACTS)
    reader = Reader(rpc_to(hosted.node), network)

    told = await reader.events(CONTRACTS.staking)
    assert [int.from_bytes(event.topics[2], "big") for event in told] == list(range(1_000, 30_001, 1_000))
    older = await Reader(rpc_to(hosted.node), network, hex(5_000)).events(CONTRACTS.staking, since=BlockNumber(1_500))
    assert [int.from_bytes(event.topics[2], "big") for event in older] == [2_000, 3_000, 4_000, 5_000]
    with pytest.raises(RpcRefused, match="up to a 0 block range"):
        await Reader(rpc_to(Bounded(0).node), network, hex(5_000)).events(CONTRACTS.staking)
