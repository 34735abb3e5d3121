"""Lockstep over the wire: whatever the order of arrival, one seed gives byte-equal blocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from devnet.anvil import Anvil
from devnet.errors import RpcError
from devnet.relay import server
from devnet.relay.app import Relay
from devnet.rpc import RpcClient
from tests.relay_factories import GWEI, blocks_on_demand, fund, hex_of, open_socket, post_signed, transfer

pytestmark = pytest.mark.anvil


@contextlib.asynccontextmanager
async def lockstep(anvil_url: str, **changes: Any) -> AsyncIterator[Relay]:
    """Run a relay in lockstep with two participants expected."""
    settings = {"lockstep": True, "lockstep_participants": 2, "block_time_seconds": 2.0} | changes
    async with Relay(blocks_on_demand(**settings), anvil_url) as relay:
        running = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


class Participant:
    """Sends transactions under its name and keeps step."""

    def __init__(self, relay: Relay, name: str, stage: int) -> None:
        self.name, self.stage = name, stage
        self._relay = relay
        self.sequence = 0

    def rpc(self) -> RpcClient:
        headers = {"X-Devnet-Participant": self.name, "X-Devnet-Sequence": str(self.sequence)}
        self.sequence += 1
        return RpcClient(self._relay.public_url, headers=headers)

    async def call(self, method: str, *params: Any) -> Any:
        async with self.rpc() as rpc:
            return await rpc.call(method, *params)

    async def join(self) -> int:
        answer = await self.call("devnet_join", self.name, self.stage)
        assert answer["lockstep"] is True
        return int(answer["block"])

    async def await_stage(self, block: int) -> dict[str, int]:
        answer: dict[str, int] = await self.call("devnet_awaitStage", block, self.stage, 20)
        return answer

    async def barrier(self, block: int) -> None:
        assert await self.call("devnet_barrier", self.name, block, self.stage) is True


async def play(anvil: Anvil, *, blocks: int, reverse: bool, tip: int = 1) -> list[str]:
    """Two participants send transfers for some blocks, in one order or the other; return the blocks' hashes."""
    async with lockstep(anvil.url) as relay, RpcClient(relay.public_url) as rpc:
        pair = [Participant(relay, name, 0) for name in ("alice", "bob")]
        first, _ = [await participant.join() for participant in pair]
        hashes = []
        for block in range(first, first + blocks):
            for participant in reversed(pair) if reverse else pair:
                await participant.await_stage(block)
                transaction = transfer(participant.name, block - first, tip=tip * GWEI)
                await participant.call("eth_sendRawTransaction", hex_of(transaction.raw))
                await participant.barrier(block)
            await pair[0].await_stage(block + 1)
            told = await rpc.call("eth_getBlockByNumber", "latest", False)
            assert int(told["number"], 16) == block
            assert len(told["transactions"]) == 2
            hashes.append(told["hash"])
        return hashes


async def replayed(anvil: Anvil, rpc: RpcClient, **arguments: Any) -> list[str]:
    """Play on the same state again and again."""
    snapshot = await rpc.call("evm_snapshot")
    try:
        return await play(anvil, **arguments)
    finally:
        await rpc.call("evm_revert", snapshot)
        await rpc.call("anvil_dropAllTransactions")


async def test_twenty_blocks_are_byte_equal_whatever_the_order_of_arrival(anvil: Anvil) -> None:
    await fund(anvil.url, "alice", "bob")
    async with RpcClient(anvil.url) as behind:
        one = await replayed(anvil, behind, blocks=20, reverse=False)
        two = await replayed(anvil, behind, blocks=20, reverse=True)
        other = await replayed(anvil, behind, blocks=1, reverse=False, tip=2)
    assert len(set(one)) == 20
    assert one == two
    assert other[0] != one[0]


async def test_order_flow_is_announced_in_order_before_the_searchers_stage_opens(anvil: Anvil) -> None:
    await fund(anvil.url, "alice", "bob")
    async with lockstep(anvil.url, lockstep_participants=3) as relay, open_socket(relay.ws_url) as socket:
        await socket.subscribe("newPendingTransactions")
        await socket.subscribe("devnet_stages")
        alice, bob, carol = (
            Participant(relay, name, stage) for name, stage in (("alice", 0), ("bob", 0), ("carol", 1))
        )
        block = await alice.join()
        await bob.join()
        await carol.join()
        assert await alice.await_stage(block) == {"block": block, "stage": 0}
        sent = {name: transfer(name, 0) for name in ("alice", "bob")}
        for participant in (bob, alice):
            await participant.call("eth_sendRawTransaction", hex_of(sent[participant.name].raw))
            await participant.barrier(block)
        assert await carol.await_stage(block) == {"block": block, "stage": 1}
        assert [await socket.next() for _ in range(4)] == [
            ("devnet_stages", {"block": block, "stage": 0}),
            ("newPendingTransactions", hex_of(sent["alice"].hash)),
            ("newPendingTransactions", hex_of(sent["bob"].hash)),
            ("devnet_stages", {"block": block, "stage": 1}),
        ]
        await carol.barrier(block)
        assert await alice.await_stage(block + 1) == {"block": block + 1, "stage": 0}


async def test_a_block_in_lockstep_is_exactly_one_block_time_after_its_parent(anvil: Anvil) -> None:
    async with lockstep(anvil.url, lockstep_participants=1) as relay, RpcClient(relay.public_url) as rpc:
        before = await rpc.call("eth_getBlockByNumber", "latest", False)
        carol = Participant(relay, "carol", 1)
        block = await carol.join()
        await carol.await_stage(block)
        await carol.barrier(block)
        await carol.await_stage(block + 1)
        after = await rpc.call("eth_getBlockByNumber", "latest", False)
        assert int(after["timestamp"], 16) - int(before["timestamp"], 16) == 2
        assert (await rpc.call("devnet_time"))["now"] == int(after["timestamp"], 16)


async def test_bundles_are_ordered_by_participant_whoever_is_first(anvil: Anvil) -> None:
    await fund(anvil.url, "alice", "bob")
    async with lockstep(anvil.url) as relay, RpcClient(relay.public_url) as rpc:
        pair = [Participant(relay, name, 1) for name in ("alice", "bob")]
        block, _ = [await participant.join() for participant in pair]
        await pair[0].await_stage(block)
        for participant in reversed(pair):  # equal payment per gas, so the order of arrival decides
            bundle = {"txs": [hex_of(transfer(participant.name, 0).raw)], "blockNumber": hex(block)}
            answer = await post_signed(
                relay.builder_url("solo"),
                "eth_sendBundle",
                [bundle],
                headers={"X-Devnet-Participant": participant.name, "X-Devnet-Sequence": str(participant.sequence)},
            )
            participant.sequence += 1
            assert "bundleHash" in answer["result"]
            await participant.barrier(block)
        await pair[0].await_stage(block + 1)
        mined = (await rpc.call("eth_getBlockByNumber", "latest", False))["transactions"]
        assert mined == [hex_of(transfer(name, 0).hash) for name in ("alice", "bob")]


async def test_of_bundles_under_one_uuid_the_later_by_sequence_stays_whichever_arrives_last(anvil: Anvil) -> None:
    await fund(anvil.url, "alice")
    uuid = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    async with lockstep(anvil.url, lockstep_participants=1) as relay, RpcClient(relay.public_url) as rpc:
        alice = Participant(relay, "alice", 1)
        block = await alice.join()
        await alice.await_stage(block)

        async def post(sequence: int, method: str, fields: dict[str, Any]) -> Any:
            headers = {"X-Devnet-Participant": "alice", "X-Devnet-Sequence": str(sequence)}
            answer = await post_signed(relay.builder_url("solo"), method, [fields], headers=headers)
            return answer["result"]

        def bundle(value: int) -> dict[str, Any]:
            raw = hex_of(transfer("alice", 0, value=value).raw)
            return {"txs": [raw], "blockNumber": hex(block), "replacementUuid": uuid}

        assert "bundleHash" in await post(22, "eth_sendBundle", bundle(3))
        assert await post(21, "eth_cancelBundle", {"replacementUuid": uuid}) == []
        assert "bundleHash" in await post(20, "eth_sendBundle", bundle(2))
        alice.sequence = 23
        await alice.barrier(block)
        await alice.await_stage(block + 1)
        mined = (await rpc.call("eth_getBlockByNumber", "latest", False))["transactions"]
        assert mined == [hex_of(transfer("alice", 0, value=3).hash)]
        counts = (await rpc.call("devnet_stats"))["builders"]["bundles"]
        assert counts == {"admitted": 2, "replaced": 0, "cancelled": 1, "expired": 1}


async def test_what_a_builders_bound_refuses_when_the_stage_closes_is_counted(anvil: Anvil) -> None:
    await fund(anvil.url, "alice")
    async with lockstep(anvil.url, lockstep_participants=1) as relay:
        alice = Participant(relay, "alice", 1)
        block = await alice.join()
        await alice.await_stage(block)
        for value in range(65):  # a signer has at most 64 for one block
            fields = {"txs": [hex_of(transfer("alice", 0, value=value).raw)], "blockNumber": hex(block)}
            headers = {"X-Devnet-Participant": "alice", "X-Devnet-Sequence": str(alice.sequence)}
            alice.sequence += 1
            answer = await post_signed(relay.builder_url("solo"), "eth_sendBundle", [fields], headers=headers)
            assert "bundleHash" in answer["result"]
        await alice.barrier(block)
        await alice.await_stage(block + 1)
        assert (await alice.call("devnet_stats"))["bundles_refused_late"] == 1


async def test_who_keeps_the_others_waiting_is_dropped_by_name(anvil: Anvil) -> None:
    async with lockstep(anvil.url, lockstep_seconds=0.05) as relay, RpcClient(relay.public_url) as rpc:
        alice, bob = Participant(relay, "alice", 0), Participant(relay, "bob", 0)
        block = await alice.join()
        await bob.join()
        await alice.await_stage(block)
        await alice.barrier(block)
        await alice.await_stage(block + 1)
        with pytest.raises(RpcError, match=f"bob was dropped: it did not pass stage 0 of block {block}"):
            await bob.barrier(block)
        assert (await rpc.call("devnet_stats"))["lockstep"]["participants_dropped"] >= 1


async def test_in_lockstep_a_sender_says_who_it_is(anvil: Anvil) -> None:
    await fund(anvil.url, "alice")
    async with lockstep(anvil.url) as relay, RpcClient(relay.public_url) as rpc:
        raw = hex_of(transfer("alice", 0).raw)
        with pytest.raises(RpcError, match="X-Devnet-Participant"):
            await rpc.call("eth_sendRawTransaction", raw)
        answer = await post_signed(relay.builder_url("solo"), "eth_sendBundle", [{"txs": [raw], "blockNumber": "0x3"}])
        assert "X-Devnet-Participant" in answer["error"]["message"]
        answer = await post_signed(relay.builder_url("solo"), "eth_sendPrivateTransaction", [{"tx": raw}])
        assert "X-Devnet-Participant" in answer["error"]["message"]
        nobody = Participant(relay, "nobody", 0)
        with pytest.raises(RpcError, match="nobody has not joined"):
            await nobody.call("eth_sendRawTransaction", raw)
        async with RpcClient(relay.public_url, headers={"X-Devnet-Participant": "alice"}) as half:
            with pytest.raises(RpcError, match="X-Devnet-Sequence a number"):
                await half.call("eth_chainId")
        async with RpcClient(relay.admin_url) as admin:
            with pytest.raises(RpcError, match="every participant has passed"):
                await admin.call("devnet_mine")
        assert await rpc.call("devnet_awaitStage", 99, 0, 0) == {"block": 2, "stage": -1}


async def test_in_lockstep_what_the_mempool_refuses_late_is_counted(anvil: Anvil) -> None:
    await fund(anvil.url, "alice")
    async with lockstep(anvil.url, lockstep_participants=1) as relay:
        alice = Participant(relay, "alice", 0)
        block = await alice.join()
        await alice.await_stage(block)
        for value in (1, 2):  # the second would have to pay more to replace the first
            await alice.call("eth_sendRawTransaction", hex_of(transfer("alice", 0, value=value).raw))
        with pytest.raises(RpcError, match="nonce too high"):
            await alice.call("eth_sendRawTransaction", hex_of(transfer("alice", 999).raw))
        await alice.barrier(block)
        await alice.await_stage(block + 1)
        stats = await alice.call("devnet_stats")
        assert stats["transactions_refused"] == {"late_replacement_underpriced": 1, "nonce_too_high": 1}
        assert stats["transactions_mined"] == 1


async def test_a_batch_of_one_request_keeps_its_order_in_lockstep(anvil: Anvil) -> None:
    await fund(anvil.url, "alice")
    async with lockstep(anvil.url, lockstep_participants=1) as relay, open_socket(relay.ws_url) as socket:
        await socket.subscribe("newPendingTransactions")
        alice = Participant(relay, "alice", 0)
        block = await alice.join()
        await alice.await_stage(block)
        sent = [transfer("alice", nonce) for nonce in (2, 0, 1)]
        async with alice.rpc() as rpc:
            await rpc.batch([("eth_sendRawTransaction", [hex_of(one.raw)]) for one in sent])
            answers = await rpc.batch([("eth_sendRawTransaction", [hex_of(sent[0].raw)])])
        assert "used sequence" in str(answers[0])
        await alice.barrier(block)
        assert [(await socket.next())[1] for _ in sent] == [hex_of(one.hash) for one in sent]


async def test_a_socket_in_lockstep_may_be_silent_for_as_long_as_it_serves_a_message(
    anvil: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEARTBEAT_SECONDS", 0.02)
    async with (
        Relay(blocks_on_demand(), anvil.url) as relay,
        aiohttp.ClientSession() as http,
        http.ws_connect(relay.ws_url, autoping=False) as socket,
    ):
        assert (await socket.receive()).type is aiohttp.WSMsgType.PING
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE)
    async with (
        lockstep(anvil.url) as relay,
        aiohttp.ClientSession() as http,
        http.ws_connect(relay.ws_url, autoping=False) as socket,
    ):
        for number in range(50):
            await socket.send_json({"jsonrpc": "2.0", "id": number, "method": "eth_blockNumber", "params": []})
            assert (await socket.receive()).type is aiohttp.WSMsgType.TEXT


async def test_in_real_time_there_is_nothing_to_keep_step_with(anvil: Anvil) -> None:
    async with Relay(blocks_on_demand(), anvil.url) as relay, RpcClient(relay.public_url) as rpc:
        head = int(await rpc.call("eth_blockNumber"), 16)
        assert await rpc.call("devnet_join", "alice", 0) == {"block": head + 1, "lockstep": False}
        for method, params in (("devnet_barrier", ["alice", 1, 0]), ("devnet_awaitStage", [1, 0, 1])):
            with pytest.raises(RpcError, match="runs in real time"):
                await rpc.call(method, *params)
        with pytest.raises(RpcError, match="runs in real time"):
            await rpc.call("devnet_leave", "alice")
