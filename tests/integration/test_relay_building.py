"""Bundles and blocks through the whole relay: placed, hidden, leaked, lied about, and blocks that do not fit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from devnet.accounts import account
from devnet.anvil import Anvil
from devnet.errors import ChainFailed
from devnet.relay.app import Relay
from devnet.relay.context import BlockContext, BlockPlan, Bundle, PlacedBundle, PooledTransaction
from devnet.rpc import RpcClient
from protocol.ethereum.transactions import SignedTransaction
from tests.relay_factories import GWEI, Socket, blocks_on_demand, fund, hex_of, open_socket, post_signed, transfer

pytestmark = pytest.mark.anvil


@pytest.fixture
async def relay(anvil: Anvil) -> AsyncIterator[Relay]:
    await fund(anvil.url, "alice", "bob", "carol")
    async with Relay(blocks_on_demand(), anvil.url) as relay:
        yield relay


async def send_bundle(relay: Relay, *transactions: SignedTransaction) -> dict[str, Any]:
    bundle = {
        "txs": [hex_of(transaction.raw) for transaction in transactions],
        "blockNumber": hex(relay.parts.chain.head.number + 1),
    }
    return await post_signed(relay.builder_url("solo"), "eth_sendBundle", [bundle])


async def send(rpc: RpcClient, transaction: SignedTransaction) -> None:
    await rpc.call("eth_sendRawTransaction", hex_of(transaction.raw))


async def mined(rpc: RpcClient) -> list[str]:
    hashes: list[str] = (await rpc.call("eth_getBlockByNumber", "latest", False))["transactions"]
    return hashes


async def test_a_bundle_is_at_the_top_of_the_block_and_was_seen_by_nobody(
    relay: Relay, rpc: RpcClient, admin: RpcClient, socket: Socket
) -> None:
    await socket.subscribe("newPendingTransactions")
    public = transfer("alice", 0, tip=50 * GWEI)
    await send(rpc, public)
    hidden = [transfer("bob", 0), transfer("bob", 1)]
    assert "bundleHash" in (await send_bundle(relay, *hidden))["result"]
    await admin.call("devnet_mine")
    assert await mined(rpc) == [hex_of(transaction.hash) for transaction in (*hidden, public)]
    assert await socket.next() == ("newPendingTransactions", hex_of(public.hash))
    assert not socket.announced
    stats = await admin.call("devnet_stats")
    assert (stats["bundles_included"], stats["transactions_mined"], stats["mempool"]) == (1, 3, 0)


async def test_a_private_transaction_comes_in_through_a_builder(relay: Relay, rpc: RpcClient, admin: RpcClient) -> None:
    hidden, url = transfer("alice", 0), relay.builder_url("solo")
    answer = await post_signed(url, "eth_sendPrivateTransaction", [{"tx": hex_of(hidden.raw)}])
    assert answer["result"] == hex_of(hidden.hash)
    assert await rpc.call("eth_getTransactionByHash", hex_of(hidden.hash)) is None
    await admin.call("devnet_mine")
    assert await mined(rpc) == [hex_of(hidden.hash)]
    withdrawn = transfer("alice", 1)
    await post_signed(url, "eth_sendPrivateTransaction", [{"tx": hex_of(withdrawn.raw)}])
    answer = await post_signed(url, "eth_cancelPrivateTransaction", [{"txHash": hex_of(withdrawn.hash)}])
    assert answer["result"] is True
    await admin.call("devnet_mine")
    assert await mined(rpc) == []


async def test_a_lying_builder_takes_bundles_and_includes_none(relay: Relay, rpc: RpcClient, admin: RpcClient) -> None:
    await admin.call("devnet_setFault", {"endpoint": "solo", "kind": "lie", "count": 1})
    assert "bundleHash" in (await send_bundle(relay, transfer("alice", 0)))["result"]
    await admin.call("devnet_mine")
    assert await mined(rpc) == []
    await send_bundle(relay, transfer("alice", 0))
    await admin.call("devnet_mine")
    assert await mined(rpc) == [hex_of(transfer("alice", 0).hash)]


async def test_a_leaking_builder_shows_the_transactions_of_a_bundle(
    relay: Relay, admin: RpcClient, socket: Socket
) -> None:
    await socket.subscribe("newPendingTransactions", True)
    await admin.call("devnet_setFault", {"endpoint": "solo", "kind": "leak", "count": 1})
    bundle = [transfer("alice", 0), transfer("bob", 0)]
    await send_bundle(relay, *bundle)
    assert [(await socket.next())[1]["hash"] for _ in bundle] == [hex_of(one.hash) for one in bundle]
    assert (await admin.call("devnet_stats"))["transactions_leaked"] == 2


async def test_a_builder_can_refuse_or_answer_garbage_while_the_public_endpoint_works(
    relay: Relay, rpc: RpcClient, admin: RpcClient
) -> None:
    await admin.call("devnet_setFault", {"endpoint": "solo", "kind": "refuse", "count": 1})
    assert (await send_bundle(relay, transfer("alice", 0)))["error"]["message"] == "the endpoint refuses to serve"
    await admin.call("devnet_setFault", {"endpoint": "solo", "kind": "garbage", "count": 1})
    with pytest.raises(ValueError, match="unexpected character"):
        await send_bundle(relay, transfer("alice", 0))
    assert await rpc.call("eth_chainId") == "0x7a69"


class OddPlanner:
    """Plans what the chain will not do as planned, then without the bundle or transaction that was odd."""

    def __init__(self, *, bundle: Bundle | None = None, swap: bool = False) -> None:
        self.bundle = bundle
        self.swap = swap
        self.offered: list[tuple[int, int]] = []

    async def __call__(
        self, _rpc: RpcClient, _context: BlockContext, bundles: Sequence[Bundle], public: Sequence[PooledTransaction]
    ) -> BlockPlan:
        first = self.bundle if not self.offered else None
        self.offered.append((len(bundles), len(public)))
        placed = () if first is None else (PlacedBundle(first, 0, 0, 0),)
        transactions = [] if first is None else [*first.transactions]
        waiting = [pooled.transaction for pooled in public]
        if self.swap:
            waiting.reverse()
        return BlockPlan(transactions=(*transactions, *waiting), placed=placed, dropped=())


def bundle_of(*transactions: SignedTransaction) -> Bundle:
    return Bundle(
        transactions=transactions,
        block_number=1,
        min_timestamp=0,
        max_timestamp=0,
        reverting_hashes=frozenset(),
        replacement_uuid="",
        signer=account("searcher").address,
        hash=b"\x01" * 32,
        arrival=1,
        received_at=0.0,
    )


async def test_a_block_is_rebuilt_without_the_bundle_that_the_chain_refuses(
    relay: Relay, rpc: RpcClient, admin: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    planner = OddPlanner(bundle=bundle_of(transfer("bob", 0, fee_cap=1, tip=1)))
    monkeypatch.setattr(relay.parts.producer, "_plan_block", planner)
    await send(rpc, transfer("alice", 0))
    await admin.call("devnet_mine")
    assert await mined(rpc) == [hex_of(transfer("alice", 0).hash)]
    stats = await admin.call("devnet_stats")
    assert (stats["blocks_rebuilt"], stats["bundles_dropped"]) == (1, {"REFUSED_BY_CHAIN": 1})


async def test_a_block_whose_bundle_was_not_executed_where_planned_is_rolled_back_and_rebuilt(
    relay: Relay, rpc: RpcClient, admin: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A nonce from the future is taken by the chain's pool, but not mined.
    planner = OddPlanner(bundle=bundle_of(transfer("bob", 0), transfer("bob", 2)))
    monkeypatch.setattr(relay.parts.producer, "_plan_block", planner)
    await send(rpc, transfer("alice", 0))
    number = await admin.call("devnet_mine")
    assert number == relay.parts.chain.head.number
    assert await mined(rpc) == [hex_of(transfer("alice", 0).hash)]
    assert await rpc.call("eth_getTransactionReceipt", hex_of(transfer("bob", 0).hash)) is None
    assert (await admin.call("devnet_stats"))["bundles_dropped"] == {"REFUSED_BY_CHAIN": 1}


async def test_a_block_in_another_order_than_planned_is_rebuilt_and_in_the_end_left_empty(
    relay: Relay, rpc: RpcClient, admin: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay.parts.producer, "_plan_block", OddPlanner(swap=True))
    for nonce in range(2):  # planned with the nonces the wrong way round, mined the right way round
        await send(rpc, transfer("alice", nonce))
    await send(rpc, transfer("bob", 0))
    await admin.call("devnet_mine")
    stats = await admin.call("devnet_stats")
    assert stats["blocks_rebuilt"] >= 1
    assert stats["mempool_removed"]["unexecutable"] >= 1
    assert stats["head"] == relay.parts.chain.head.number


async def test_when_anvil_dies_the_relay_says_so(anvil: Anvil, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang_up(*_: object) -> None:
        raise ChainFailed("gone")

    monkeypatch.setattr(relay.parts.producer._sealer, "seal", hang_up)
    with pytest.raises(ChainFailed, match=r"block \d+ failed: gone"):
        await relay.parts.producer.produce()


async def test_in_real_time_blocks_come_by_themselves(anvil: Anvil) -> None:
    await fund(anvil.url, "alice")
    config = blocks_on_demand(block_time_seconds=0.05)
    async with Relay(config, anvil.url) as relay, open_socket(relay.ws_url) as socket:
        await socket.subscribe("newHeads")
        running = asyncio.create_task(relay.run())
        numbers = [int((await socket.next())[1]["number"], 16) for _ in range(3)]
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
