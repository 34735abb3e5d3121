"""The network's contracts on a real chain through governance/client.py: joined, read, rolled, judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet.accounts import account
from devnet.world import World
from governance.caller import JsonRpcCaller
from governance.client import CallRefused, NetworkClient, NotMined
from governance.network import (
    balance_query,
    executor_query,
    offence_query,
    paused_query,
    scope_paused_query,
    settle_call,
)
from governance.policy import Parameter
from protocol.ethereum.block_header import header_rlp
from protocol.evidence import evidence_of
from protocol.signing import sign_accept
from protocol.slashing import offence_id
from protocol.statements import Accept
from protocol.units import BlockNumber, EpochNumber, Hash32, LegKey, PeerIdHash, TokenAmount, UnixSeconds, Wei
from tests.chain import Chain
from tests.network_scene import ALICE, BOB, ETHER, STAKE, NetworkScene, deployed_network, raw

pytestmark = pytest.mark.anvil

HOT = account("rival-0")
SECOND_HOT = account("rival-1")
PEER = b"\x11" * 32


@pytest.fixture
async def network(chain: Chain, world: World, tmp_path: Path) -> NetworkScene:
    return await deployed_network(chain, world.manifest.contracts["weth"], tmp_path / "deployment.json")


async def test_an_operator_joins_changes_its_key_and_peer_and_leaves_in_part(network: NetworkScene) -> None:
    alice = network.client(ALICE)
    await network.join(ALICE, HOT, PEER)

    record = await alice.operator(raw(ALICE))
    assert record.hot_key == raw(HOT)
    assert int(record.active) == STAKE
    assert record.peer_id_hash == PEER
    assert record.is_registered
    assert not (await alice.operator(raw(BOB))).is_registered

    await alice.set_hot_key(raw(SECOND_HOT), network.binding(ALICE, SECOND_HOT))
    await alice.set_peer_id(PeerIdHash(Hash32(b"\x22" * 32)))
    await alice.request_unstake(TokenAmount(ETHER))
    record = await alice.operator(raw(ALICE))
    assert (record.active, record.leaving) == (STAKE - ETHER, ETHER)
    assert record.peer_id_hash == b"\x22" * 32
    keys = await alice.hot_keys(raw(ALICE))
    assert list(keys) == [raw(HOT), raw(SECOND_HOT)]
    former, current = keys.values()
    assert former.until_block == current.from_block
    assert former.is_in_force(former.from_block, former.from_time)
    assert not former.is_in_force(former.until_block, former.from_time)
    assert current.is_in_force(BlockNumber(former.until_block + 1_000), UnixSeconds(2**40))
    with pytest.raises(CallRefused, match="not ready"):
        await alice.complete_unstake()


async def test_what_a_contract_refuses_is_not_sent_and_is_told_in_its_words(network: NetworkScene) -> None:
    alice = network.client(ALICE)
    nonce = await network.chain.rpc.call("eth_getTransactionCount", ALICE.address, "latest")

    with pytest.raises(CallRefused, match="not an operator"):
        await alice.check_in(EpochNumber(1_000))

    assert await network.chain.rpc.call("eth_getTransactionCount", ALICE.address, "latest") == nonce


async def test_a_transaction_that_no_block_takes_is_given_up(network: NetworkScene) -> None:
    async def wait() -> None:
        """Nobody mines."""

    caller = JsonRpcCaller(network.chain.rpc, ALICE.key, wait, priority_fee=Wei(0))
    stuck = NetworkClient(caller, network.contracts, network.since)

    with pytest.raises(NotMined, match="in no block"):
        await stuck.register(raw(HOT), PeerIdHash(Hash32(PEER)), network.binding(ALICE, HOT))


async def test_an_epoch_is_checked_in_for_rolled_by_a_real_header_and_read_back(network: NetworkScene) -> None:
    await network.join(ALICE, HOT, PEER)
    await network.join(BOB, BOB, b"\x33" * 32, TokenAmount(2 * STAKE))
    reader = network.client(ALICE)
    rules = await reader.epoch_rules()
    assert rules == (30, 12, 6)
    epoch = EpochNumber(rules.epoch_of(await network.head()) + 2)
    await network.mine_to(rules.first_block(EpochNumber(epoch - 1)))
    await network.chain.rpc.call("anvil_setBalance", HOT.address, hex(ETHER))
    await network.client(HOT).check_in(epoch)
    await network.client(BOB).check_in(epoch)
    assert await reader.epoch_table(epoch) is None
    await network.mine_to(rules.first_block(epoch))

    seed_block = await network.chain.rpc.call("eth_getBlockByNumber", hex(rules.seed_block(epoch)), False)
    await reader.roll(epoch, header_rlp(seed_block))

    table = await reader.epoch_table(epoch)
    assert table is not None
    assert table.seed == bytes.fromhex(seed_block["mixHash"][2:])
    assert table.total_stake == 3 * STAKE
    turn = table.leader(rules.first_block(epoch))
    assert turn is not None
    assert turn.operator in (raw(ALICE), raw(BOB))


async def test_parameters_brake_and_executors_are_read(network: NetworkScene) -> None:
    reader = network.client(ALICE)

    assert await reader.parameter(Parameter.MIN_STAKE) == 1_000 * ETHER
    assert not await reader.ask(paused_query(network.contracts))
    assert not await reader.ask(scope_paused_query(network.contracts, Hash32(PEER)))
    assert not await reader.ask(executor_query(network.contracts, raw(BOB)))
    assert await reader.ask(balance_query(network.contracts.token, raw(ALICE))) == 0


async def test_a_double_accept_is_reported_and_taken_into_escrow(network: NetworkScene) -> None:
    await network.join(ALICE, HOT, PEER)
    head = await network.chain.rpc.call("eth_getBlockByNumber", "latest", False)
    both = [
        sign_accept(
            network.domain,
            Accept(
                order_hash=Hash32(bytes([number]) * 32),
                primary_key=LegKey(Hash32(b"\x07" * 32)),
                target_block=BlockNumber(int(head["number"], 16) + 1),
                block_number=BlockNumber(int(head["number"], 16)),
                timestamp=UnixSeconds(int(head["timestamp"], 16)),
            ),
            HOT.key,
        )
        for number in (1, 2)
    ]
    evidence = evidence_of(raw(ALICE), *both)

    await network.client(BOB).report(evidence)

    offence = await network.client(BOB).ask(offence_query(network.contracts, offence_id(evidence)))
    assert (offence.operator, offence.reporter, offence.state) == (raw(ALICE), raw(BOB), 1)
    assert offence.amount == STAKE // 100
    with pytest.raises(CallRefused, match="escrow has not ended"):
        await network.client(BOB).submit(network.contracts.court, settle_call(offence_id(evidence)))
