"""The relay on a real Anvil: transactions in, announcements out, blocks, replacement, reorgs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devnet.accounts import account
from devnet.anvil import Anvil, AnvilOptions
from devnet.errors import RpcError
from devnet.packages import Packages
from devnet.relay.app import Relay
from devnet.relay.config import RelayConfig, ServerLimits
from devnet.rpc import RpcClient
from tests.relay_factories import (
    ETHER,
    GWEI,
    NOWHERE,
    ONLY_BUILDER,
    Socket,
    blocks_on_demand,
    fund,
    hex_of,
    transfer,
)

pytestmark = pytest.mark.anvil

LOGGER = bytes.fromhex("60aa60ff60205fa200")
"""Runtime code that emits one log with topics 0xff, 0xaa and 32 bytes of data."""
LOGGER_ADDRESS = "0x" + "10" * 20


@pytest.fixture
async def relay(anvil: Anvil) -> AsyncIterator[Relay]:
    """A relay whose blocks come on demand; alice, bob and carol are rich."""
    await fund(anvil.url, "alice", "bob", "carol")
    async with RpcClient(anvil.url) as rpc:
        await rpc.call("anvil_setCode", LOGGER_ADDRESS, hex_of(LOGGER))
    async with Relay(blocks_on_demand(), anvil.url) as relay:
        yield relay


async def send(rpc: RpcClient, *transactions: Any) -> list[str]:
    return [await rpc.call("eth_sendRawTransaction", hex_of(transaction.raw)) for transaction in transactions]


async def mined(rpc: RpcClient) -> list[str]:
    block = await rpc.call("eth_getBlockByNumber", "latest", False)
    hashes: list[str] = block["transactions"]
    return hashes


async def refused(rpc: RpcClient, method: str, *params: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await rpc.call(method, *params)
    return caught.value


async def test_a_transaction_is_announced_with_its_body_and_then_mined(
    rpc: RpcClient, admin: RpcClient, socket: Socket
) -> None:
    await socket.subscribe("newPendingTransactions", True)
    await socket.subscribe("newHeads")
    transaction = transfer("alice", 0, value=5)
    assert await send(rpc, transaction) == [hex_of(transaction.hash)]
    channel, body = await socket.next()
    assert (channel, body["hash"], body["from"]) == (
        "newPendingTransactions",
        hex_of(transaction.hash),
        account("alice").address,
    )
    assert body["blockHash"] is None
    assert (await rpc.call("eth_getTransactionByHash", body["hash"]))["blockNumber"] is None
    assert await rpc.call("eth_getTransactionCount", account("alice").address, "pending") == "0x1"
    assert await rpc.call("eth_getTransactionCount", account("alice").address, "latest") == "0x0"

    number = await admin.call("devnet_mine")
    channel, header = await socket.next()
    assert (channel, int(header["number"], 16)) == ("newHeads", number)
    assert header["miner"] == ONLY_BUILDER.coinbase
    receipt = await rpc.call("eth_getTransactionReceipt", body["hash"])
    assert (receipt["status"], int(receipt["blockNumber"], 16)) == ("0x1", number)
    assert (await rpc.call("eth_getTransactionByHash", body["hash"]))["blockHash"] == header["hash"]
    assert await rpc.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}


async def test_a_block_is_ordered_by_tip_and_by_nonce(rpc: RpcClient, admin: RpcClient) -> None:
    a0, a1 = transfer("alice", 0, tip=1 * GWEI), transfer("alice", 1, tip=9 * GWEI)
    b0, c0 = transfer("bob", 0, tip=3 * GWEI), transfer("carol", 0, tip=2 * GWEI)
    await send(rpc, a1, c0, a0, b0)
    await admin.call("devnet_mine")
    assert await mined(rpc) == [hex_of(transaction.hash) for transaction in (b0, c0, a0, a1)]


async def test_many_transactions_are_mined_in_the_planned_order(rpc: RpcClient, admin: RpcClient) -> None:
    wanted = [transfer(name, nonce) for nonce in range(60) for name in ("alice", "bob", "carol")]
    answers = await rpc.batch([("eth_sendRawTransaction", [hex_of(transaction.raw)]) for transaction in wanted])
    assert not [answer for answer in answers if isinstance(answer, RpcError)]
    await admin.call("devnet_mine")
    assert await mined(rpc) == [hex_of(transaction.hash) for transaction in wanted]
    assert (await admin.call("devnet_stats")).get("blocks_rebuilt", 0) == 0


async def test_a_replacement_is_what_gets_mined(rpc: RpcClient, admin: RpcClient) -> None:
    old, new = transfer("alice", 0, tip=GWEI), transfer("alice", 0, tip=2 * GWEI, fee_cap=110 * GWEI)
    await send(rpc, old)
    error = await refused(rpc, "eth_sendRawTransaction", hex_of(transfer("alice", 0, value=9).raw))
    assert (error.code, error.message) == (-32000, "replacement transaction underpriced")
    await send(rpc, new)
    await admin.call("devnet_mine")
    assert await mined(rpc) == [hex_of(new.hash)]
    assert await rpc.call("eth_getTransactionByHash", hex_of(old.hash)) is None


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (transfer("alice", 99).raw, "nonce too high"),
        (transfer("dave", 0).raw, "insufficient funds for gas * price + value"),
        (transfer("alice", 0, chain_id=5).raw, "invalid sender"),
        (b"\x02\xff", "invalid transaction"),
    ],
)
async def test_a_bad_transaction_is_refused_in_geths_words(rpc: RpcClient, raw: bytes, message: str) -> None:
    error = await refused(rpc, "eth_sendRawTransaction", hex_of(raw))
    assert error.code == -32000
    assert error.message.startswith(message)


async def test_base_fee_timestamp_and_gas_limit_are_pinned_block_by_block(rpc: RpcClient, admin: RpcClient) -> None:
    before = await rpc.call("eth_getBlockByNumber", "latest", False)
    await admin.call("devnet_warp", 5000)
    await admin.call("devnet_mine")
    after = await rpc.call("eth_getBlockByNumber", "latest", False)
    base_fee = int(before["baseFeePerGas"], 16)
    assert int(after["baseFeePerGas"], 16) == base_fee - base_fee // 8
    assert int(after["timestamp"], 16) - int(before["timestamp"], 16) >= 5000
    assert after["gasLimit"] == before["gasLimit"]


async def test_logs_come_filtered_after_their_block_and_again_as_removed_in_a_reorg(
    rpc: RpcClient, admin: RpcClient, socket: Socket
) -> None:
    topic = "0x" + "00" * 31 + "ff"
    await socket.subscribe("logs", {"address": LOGGER_ADDRESS, "topics": [[topic, "0x" + "ee" * 32]]})
    await send(rpc, transfer("alice", 0, to=LOGGER_ADDRESS, gas_limit=60_000))
    await admin.call("devnet_mine")
    _, log = await socket.next()
    assert (log["address"], log["topics"][0], log["removed"]) == (LOGGER_ADDRESS, topic, False)

    await admin.call("devnet_reorg", 1)
    _, removed = await socket.next()
    assert removed == {**log, "removed": True}
    _, again = await socket.next()
    assert again["transactionHash"] == log["transactionHash"]
    assert again["blockHash"] != log["blockHash"]


async def test_a_reorg_replaces_blocks_and_brings_their_transactions_back(
    rpc: RpcClient, admin: RpcClient, socket: Socket
) -> None:
    a0, b0 = transfer("alice", 0), transfer("bob", 0)
    await send(rpc, a0)
    await admin.call("devnet_mine")
    await send(rpc, b0)
    tip = await admin.call("devnet_mine")
    old = [await rpc.call("eth_getBlockByNumber", hex(tip - 1 + i), False) for i in range(2)]
    await socket.subscribe("newHeads")

    head = await admin.call("devnet_reorg", 2)
    assert head["number"] == tip
    told = [(await socket.next())[1]["hash"] for _ in range(2)]
    new = [await rpc.call("eth_getBlockByNumber", hex(tip - 1 + i), False) for i in range(2)]
    assert told == [block["hash"] for block in new]
    assert not {block["hash"] for block in old} & set(told)
    assert [block["transactions"] for block in new] == [[hex_of(a0.hash), hex_of(b0.hash)], []]
    assert await rpc.call("eth_getBlockByHash", old[0]["hash"], False) is None
    await admin.call("devnet_mine")
    assert int(await rpc.call("eth_blockNumber"), 16) == tip + 1


async def test_a_reorg_deeper_than_what_is_remembered_is_refused(admin: RpcClient) -> None:
    error = await refused(admin, "devnet_reorg", 65)
    assert (error.code, error.message) == (-32602, "the last 0 blocks can be replaced, not 65")


async def test_a_transaction_that_earlier_ones_made_unpayable_is_left_out_and_dropped(
    anvil: Anvil, rpc: RpcClient, admin: RpcClient
) -> None:
    # The relay has checked both against bob's balance; then it shrinks, as a contract call of another might do.
    first = transfer("bob", 0, value=600 * ETHER)
    second = transfer("bob", 1, value=300 * ETHER, fee_cap=2 * GWEI)
    await send(rpc, first, second)
    async with RpcClient(anvil.url) as behind:
        await behind.call("anvil_setBalance", account("bob").address, hex(700 * ETHER))
    await admin.call("devnet_mine")
    assert await mined(rpc) == [hex_of(first.hash)]
    stats = await admin.call("devnet_stats")
    assert stats["mempool"] == 0
    assert sum(stats["mempool_removed"].values()) == 2


async def test_a_private_transaction_is_mined_without_having_been_seen(
    relay: Relay, rpc: RpcClient, admin: RpcClient, socket: Socket
) -> None:
    await socket.subscribe("newPendingTransactions")
    await socket.subscribe("newHeads")
    hidden = transfer("alice", 0)
    await relay.parts.intake.submit(hidden.raw, public=False)
    assert await rpc.call("eth_getTransactionByHash", hex_of(hidden.hash)) is None
    assert await rpc.call("eth_getTransactionCount", account("alice").address, "pending") == "0x0"
    assert await rpc.call("txpool_content") == {"pending": {}, "queued": {}}
    await admin.call("devnet_mine")
    assert (await socket.next())[0] == "newHeads"
    assert await mined(rpc) == [hex_of(hidden.hash)]


async def test_the_pool_is_told_by_sender_and_nonce(rpc: RpcClient) -> None:
    await send(rpc, transfer("alice", 0), transfer("alice", 2))
    content = await rpc.call("txpool_content")
    alice = account("alice").address
    assert content["pending"][alice]["0"]["hash"] == hex_of(transfer("alice", 0).hash)
    assert list(content["queued"][alice]) == ["2"]
    assert await rpc.call("txpool_status") == {"pending": "0x1", "queued": "0x1"}


async def test_what_comes_back_in_a_reorg_goes_before_its_senders_later_transactions(
    rpc: RpcClient, admin: RpcClient
) -> None:
    first, later = transfer("alice", 0), transfer("alice", 1, value=1000 * ETHER - 10**15, fee_cap=2 * GWEI)
    await send(rpc, first)
    await admin.call("devnet_mine")
    await send(rpc, later)  # with all that alice has: she cannot pay for both at their fee caps
    await admin.call("devnet_reorg", 1)
    assert await mined(rpc) == [hex_of(first.hash)]
    stats = await admin.call("devnet_stats")
    assert (stats["transactions_returned"], stats["mempool_removed"]["unfunded"]) == (1, 1)


async def test_what_was_used_by_another_transaction_meanwhile_does_not_come_back(
    relay: Relay, rpc: RpcClient, admin: RpcClient
) -> None:
    await send(rpc, transfer("alice", 0))
    await admin.call("devnet_mine")
    # As if alice's nonce had been used before the block that is taken back.
    block = relay.parts.chain.recent[relay.parts.chain.head.number]
    odd = dataclasses.replace(block.from_mempool[0], transaction=transfer("alice", 99))
    relay.parts.chain.recent[block.head.number] = dataclasses.replace(block, from_mempool=(odd,))
    await admin.call("devnet_reorg", 1)
    assert (await admin.call("devnet_stats"))["transactions_refused"] == {"returned_nonce_too_high": 1}


async def test_no_read_sees_a_block_before_it_is_published(rpc: RpcClient, admin: RpcClient, socket: Socket) -> None:
    await socket.subscribe("newHeads")
    await send(rpc, *(transfer("alice", nonce) for nonce in range(40)))
    seen: list[int] = []

    async def watch() -> None:
        while True:
            seen.append(int((await rpc.call("eth_getBlockByNumber", "latest", False))["number"], 16))
            seen.append(int(await rpc.call("eth_blockNumber"), 16))
            assert seen[-1] >= seen[-2]

    watcher = asyncio.create_task(watch())
    for _ in range(5):
        await admin.call("devnet_mine")
        assert not watcher.done()
    watcher.cancel()
    assert seen == sorted(seen)


async def test_reads_are_answered_by_the_chain_itself(rpc: RpcClient) -> None:
    assert int(await rpc.call("eth_getBalance", account("alice").address, "pending"), 16) == 1000 * ETHER
    assert await rpc.call("eth_call", {"to": NOWHERE}) == "0x"
    assert await rpc.call("eth_estimateGas", {"to": NOWHERE}) == "0x5208"
    assert await rpc.call("eth_chainId") == "0x7a69"
    assert len(await rpc.call("eth_simulateV1", {"blockStateCalls": [{"calls": [{"to": NOWHERE}]}]})) == 1
    assert await rpc.call("eth_getLogs", {}) == []
    error = await refused(rpc, "eth_call", {"to": "nowhere"}, "latest")
    assert error.code == -32602


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("anvil_mine", "not for the public endpoint"),
        ("evm_revert", "not for the public endpoint"),
        ("hardhat_setBalance", "not for the public endpoint"),
        ("eth_sendTransaction", "no keys are held here"),
        ("devnet_warp", "on /admin only"),
        ("devnet_nonsense", "does not exist"),
        ("eth_nonsense", "does not exist"),
        ("eth_subscribe", "open a WebSocket"),
    ],
)
async def test_what_is_not_for_the_public_is_refused_clearly(rpc: RpcClient, method: str, message: str) -> None:
    error = await refused(rpc, method)
    assert error.code == -32601
    assert message in error.message


@pytest.mark.parametrize("event", ["block", "reorg"])
async def test_who_comes_in_while_accounts_are_read_does_no_harm(
    event: str, relay: Relay, rpc: RpcClient, admin: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(rpc, transfer("alice", 0))
    await admin.call("devnet_mine")
    chain, late = relay.parts.chain, [transfer("bob", 0)]
    ask = chain.accounts_at

    async def slow_accounts_at(number: int, addresses: Any) -> Any:
        answer = await ask(number, addresses)
        while late:
            await relay.parts.intake.submit(late.pop().raw, public=True)
        return answer

    monkeypatch.setattr(chain, "accounts_at", slow_accounts_at)
    await send(rpc, transfer("alice", 1))
    await (admin.call("devnet_mine") if event == "block" else admin.call("devnet_reorg", 1))
    assert not late
    await admin.call("devnet_mine")
    assert int(await rpc.call("eth_getTransactionCount", account("bob").address, "latest"), 16) == 1


async def test_an_answer_over_the_bound_is_refused_and_the_next_read_is_served(anvil: Anvil) -> None:
    async with (
        Relay(blocks_on_demand(server=ServerLimits(read_bytes=1000)), anvil.url) as relay,
        RpcClient(relay.public_url) as rpc,
    ):
        error = await refused(rpc, "eth_getBlockByNumber", "latest", True)
        assert "larger than 1000 bytes: ask for less" in error.message
        assert await rpc.call("eth_getBalance", NOWHERE, "latest") == "0x0"


async def test_logs_that_the_chain_has_forgotten_are_refused_not_left_out(packages: Packages, tmp_path: Path) -> None:
    async with (
        Anvil(packages.anvil, AnvilOptions(blocks_kept=3), tmp_path / "anvil.log") as anvil,
        RpcClient(anvil.url) as behind,
    ):
        await fund(anvil.url, "alice")
        await behind.call("anvil_setCode", LOGGER_ADDRESS, hex_of(LOGGER))
        async with (
            Relay(blocks_on_demand(blocks_kept=3), anvil.url) as relay,
            RpcClient(relay.public_url) as rpc,
            RpcClient(relay.admin_url) as admin,
        ):
            for nonce in range(5):
                await send(rpc, transfer("alice", nonce, to=LOGGER_ADDRESS, gas_limit=50_000))
                head = await admin.call("devnet_mine")
            kept = await rpc.call("eth_getLogs", {"fromBlock": hex(head - 2), "toBlock": "latest"})
            assert [int(log["blockNumber"], 16) for log in kept] == [head - 2, head - 1, head]
            for bounds in ({"fromBlock": hex(head - 3)}, {"fromBlock": "earliest"}, {"toBlock": "0x0"}):
                error = await refused(rpc, "eth_getLogs", bounds)
                assert (error.code, f"before block {head - 2}" in error.message) == (4444, True)
            assert (await refused(rpc, "eth_getLogs", {"fromBlock": "soon"})).code == -32602


async def test_no_coinbase_is_empty_so_that_an_estimate_holds_in_every_builders_block(anvil: Anvil) -> None:
    config = RelayConfig(block_time_seconds=3600)
    async with RpcClient(anvil.url) as chain:
        await chain.call("anvil_setBalance", config.builders[0].coinbase, "0x7")
    async with Relay(config, anvil.url) as relay, RpcClient(relay.public_url) as rpc:
        balances = [int(await rpc.call("eth_getBalance", one.coinbase, "latest"), 16) for one in config.builders]
    assert balances == [7, *(1 for _ in config.builders[1:])]
