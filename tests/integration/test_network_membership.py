"""The registry read from a real chain, and an operator that does what it owes in each epoch, in the devnet's world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from devnet.anvil import Anvil
from devnet.demo.network_contracts import network_contracts
from devnet.protocols.network import CUT, STAKE, Member
from devnet.protocols.vaults import OPERATORS
from devnet.rpc import RpcClient
from devnet.world import World
from governance.network import set_hot_key_call
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints
from node.engine.headers import Header, header_from_json
from node.engine.multicall import Multicall
from node.engine.network.membership import RESTING_BLOCKS, Membership
from node.engine.network.registry import Registry
from node.engine.rpc import RpcError
from node.identity import peer_id_hash
from node.records import TransactionSent
from protocol.ethereum.abi import encode_call
from protocol.signing import Domain, sign
from protocol.statements import HotKeyBinding
from protocol.units import Address, BlockNumber, ChainId, EpochNumber, UnixSeconds, address_from_hex
from tests.chain import Chain

pytestmark = pytest.mark.anvil

NORTH, EAST = Member.of("north"), Member.of("east")
ACCOUNT = address_from_hex(NORTH.owner.address)


@dataclass
class Scene:
    """A registry that follows a real chain, and the membership of north."""

    chain: Chain
    registry: Registry
    membership: Membership
    domain: Domain

    async def header(self, number: int | None = None) -> Header:
        import msgspec

        block = "latest" if number is None else hex(number)
        told = await self.chain.rpc.call("eth_getBlockByNumber", block, False)
        return header_from_json(msgspec.json.encode(told))

    async def follow(self) -> Header:
        """Take the head in."""
        header = await self.header()
        await self.registry.follow(header)
        return header

    async def go_to(self, block: int) -> None:
        """Follow block by block, as a node does."""
        while (await self.header()).number < block:
            await self.chain.mine()
            await self.follow()


@pytest.fixture
async def scene(world_anvil: Anvil, world: World, chain: Chain) -> AsyncIterator[Scene]:
    clock, contracts = SystemClock(), network_contracts(world.manifest)
    url = RpcConfig(http=world_anvil.url, websocket=world_anvil.url.replace("http", "ws"))
    endpoints = Endpoints.open([url], clock)
    multicall = Multicall(endpoints, address_from_hex(world.manifest.contracts["multicall3"]))
    registry = Registry(endpoints, multicall, contracts, BlockNumber(0))
    membership = Membership(endpoints, registry, NORTH.hot_key.key, ChainId(31337))
    yield Scene(chain, registry, membership, Domain(ChainId(31337), contracts.staking))
    await endpoints.close()


async def test_the_registry_knows_every_operator_of_the_world_its_key_and_its_peer(scene: Scene) -> None:
    head = await scene.follow()

    accounts = {address_from_hex(Member.of(name).owner.address) for name in OPERATORS}
    assert scene.registry.operators.keys() == accounts
    north = scene.registry.operators[ACCOUNT]
    assert int(north.active) == STAKE
    assert north.peer_id_hash == peer_id_hash(NORTH.peer.secret)
    assert north.peer_id_hash in scene.registry.peers
    assert scene.registry.key_of(ACCOUNT, head.number, head.timestamp) == address_from_hex(NORTH.hot_key.address)
    assert scene.registry.key_of(ACCOUNT, BlockNumber(0), UnixSeconds(0)) is None
    told = scene.registry.snapshot()
    assert told.block == head.number
    assert {one.account for one in told.operators} == accounts
    assert all(one.stake == str(STAKE) and len(one.hot_keys) == 1 for one in told.operators)
    assert not scene.registry.is_paused


async def test_a_new_hot_key_counts_at_once_and_the_former_one_is_told_for_a_while(scene: Scene) -> None:
    await scene.follow()
    fresh = EAST.peer  # any key that no operator has had
    binding = sign(scene.domain, HotKeyBinding(operator=ACCOUNT), fresh.key)
    call = set_hot_key_call(address_from_hex(fresh.address), binding)
    sent = await scene.chain.send_data(NORTH.owner, "0x" + scene.registry.contracts.staking.hex(), call)
    assert sent["status"] == "0x1"

    head = await scene.follow()

    assert scene.registry.key_of(ACCOUNT, head.number, head.timestamp) == address_from_hex(fresh.address)
    (north,) = (one for one in scene.registry.snapshot().operators if one.account == ACCOUNT)
    assert set(north.hot_keys) == {address_from_hex(fresh.address), address_from_hex(NORTH.hot_key.address)}
    await scene.go_to(head.number + 70)
    (north,) = (one for one in scene.registry.snapshot().operators if one.account == ACCOUNT)
    assert north.hot_keys == [address_from_hex(fresh.address)]


async def test_an_operator_checks_in_and_by_turns_rolls_until_every_block_has_a_leader(scene: Scene) -> None:
    sent: list[TransactionSent] = []
    scene.membership.tell = sent.append  # type: ignore[assignment]  # nothing else is told
    head = await scene.follow()
    epoch = EpochNumber(head.number // CUT.length + 1)
    assert len(scene.registry.checked_in[epoch]) == len(OPERATORS), "the world has checked in for its first epoch"
    await scene.go_to(scene.registry.leaders.rules.seed_block(epoch))  # type: ignore[union-attr]
    for _ in OPERATORS:  # by turns: one of so many blocks is north's
        await scene.membership.attend(await scene.follow(), ACCOUNT)
        await scene.chain.mine()
    await scene.follow()

    assert epoch in scene.registry.rolled
    assert scene.membership.counts["roll"] == 1
    first = scene.registry.leaders.rules.first_block(epoch)  # type: ignore[union-attr]
    leaders = {scene.registry.leader(BlockNumber(first + place)) for place in range(CUT.length)}
    assert None not in leaders
    assert len(leaders) > 1
    assert scene.registry.leaders.seed(first) is not None  # type: ignore[union-attr]

    await scene.go_to(first)
    await scene.membership.attend(await scene.follow(), ACCOUNT)
    await scene.chain.mine()
    await scene.follow()
    assert scene.registry.checked_in[EpochNumber(epoch + 1)] == {ACCOUNT}
    assert scene.membership.counts["check_in"] == 1
    await scene.membership.attend(await scene.follow(), ACCOUNT)
    assert scene.membership.counts["check_in"] == 1, "once is enough"
    roll, checked_in = await scene.membership.settled()
    assert (roll.what, checked_in.what) == ("roll", "check_in")
    assert int(roll.gas_wei) > int(roll.bid_wei) > 0
    assert await scene.membership.settled() == [], "each once"

    scene.membership.retract(roll.block_hash)  # its block left the chain: it is told of the block that has it now
    assert await scene.membership.settled() == [roll]

    again = Membership(scene.membership._endpoints, scene.registry, NORTH.hot_key.key, ChainId(31337))
    assert [record.transaction_hash for record in sent] == [roll.transaction_hash, checked_in.transaction_hash]
    again.resume(sent, [roll])  # an engine that died having told of one alone
    assert await again.settled() == [checked_in]
    again.retract(roll.block_hash)
    assert await again.settled() == [roll]


async def test_the_last_blocks_before_check_in_closes_are_left_to_it_until_it_is_done(scene: Scene) -> None:
    head = await scene.follow()
    epoch = EpochNumber(head.number // CUT.length + 2)
    rules = scene.registry.leaders.rules  # type: ignore[union-attr]
    closes = rules.first_block(epoch) - CUT.cut_off
    membership = scene.membership
    assert membership.resting(head.number, ACCOUNT) == frozenset(), "the world has checked in for its first epoch"
    await scene.go_to(rules.first_block(EpochNumber(epoch - 1)))
    last = {BlockNumber(closes - place) for place in range(1, RESTING_BLOCKS + 1)}
    assert membership.resting((await scene.follow()).number, ACCOUNT) == last
    assert membership.resting(BlockNumber(closes - 2), Address(b"\x01" * 20)) == frozenset()

    await scene.go_to(closes - 2)
    await membership.attend(await scene.follow(), ACCOUNT)
    await scene.chain.mine()
    done = await scene.follow()
    assert done.number == closes - 1
    assert ACCOUNT in scene.registry.checked_in[epoch], "the last block in which it is possible"
    assert membership.resting(done.number, ACCOUNT) == frozenset()


async def test_a_check_in_that_could_only_come_too_late_is_not_sent(scene: Scene) -> None:
    head = await scene.follow()
    epoch = EpochNumber(head.number // CUT.length + 2)
    closes = scene.registry.leaders.rules.first_block(epoch) - CUT.cut_off  # type: ignore[union-attr]
    await scene.go_to(closes - 1)
    await scene.membership.attend(await scene.follow(), ACCOUNT)
    assert scene.membership.counts["check_in"] == 0
    assert scene.membership.resting(BlockNumber(closes - 1), ACCOUNT) == frozenset()


async def test_an_epoch_for_which_nobody_could_check_in_is_missed_once(scene: Scene) -> None:
    head = await scene.follow()
    epoch = EpochNumber(head.number // CUT.length + 2)
    await scene.go_to(scene.registry.leaders.rules.first_block(EpochNumber(epoch - 1)))  # type: ignore[union-attr]
    scene.membership._chain_id = ChainId(1)  # the node refuses what is for another chain
    for _ in range(2):
        await scene.membership.attend(await scene.follow(), ACCOUNT)
    await scene.go_to(scene.registry.leaders.rules.first_block(epoch) - CUT.cut_off)  # type: ignore[union-attr]
    for _ in range(2):
        await scene.membership.attend(await scene.follow(), ACCOUNT)

    assert scene.membership.counts["missed"] == 1
    assert scene.membership.counts["refused"] >= 2


async def test_a_key_without_ether_sends_nothing_says_so_once_and_goes_on_when_it_has_some(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    head = await scene.follow()
    key, epoch = NORTH.hot_key.address, EpochNumber(head.number // CUT.length + 2)
    had = await scene.chain.rpc.call("eth_getBalance", key, "latest")
    await scene.chain.rpc.call("anvil_setBalance", key, "0x0")
    await scene.go_to(scene.registry.leaders.rules.first_block(EpochNumber(epoch - 1)))  # type: ignore[union-attr]
    for _ in range(3):
        await scene.membership.attend(await scene.follow(), ACCOUNT)
    assert scene.membership.counts == {"no ether": 3}
    await scene.go_to(scene.registry.leaders.rules.first_block(epoch) - CUT.cut_off)  # type: ignore[union-attr]
    await scene.membership.attend(await scene.follow(), ACCOUNT)

    assert scene.membership.counts["missed"] == 1
    poor, missed = [record for record in caplog.records if record.name == "hftnode.engine.network"]
    assert (poor.levelname, missed.levelname) == ("WARNING", "WARNING"), "no error: it lacks ether, and was told"
    assert "would need" in poor.getMessage()

    await scene.chain.rpc.call("anvil_setBalance", key, had)
    await scene.go_to(scene.registry.leaders.rules.first_block(epoch))  # type: ignore[union-attr]
    await scene.membership.attend(await scene.follow(), ACCOUNT)
    assert scene.membership.counts["check_in"] == 1


async def test_a_registry_that_cannot_be_read_reads_everything_the_next_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.follow()
    await scene.chain.mine()
    wrong = scene.registry.contracts
    scene.registry.contracts = type(wrong)(**{name: Address(b"\x09" * 20) for name in wrong.__struct_fields__})
    scene.registry._is_stale = True
    with pytest.raises(RpcError, match="network's contracts"):
        await scene.follow()
    scene.registry.contracts = wrong

    await scene.follow()

    assert len(scene.registry.operators) == len(OPERATORS)
    assert scene.registry.counts["unreadable"] == 1


async def test_who_is_not_an_operator_owes_nothing(scene: Scene, chain: Chain) -> None:
    await scene.membership.attend(await scene.follow(), Address(b"\x01" * 20))

    assert not scene.membership.counts
    async with RpcClient(scene.chain.rpc.url) as rpc:
        assert await rpc.call("txpool_content") == {"pending": {}, "queued": {}}


async def test_what_governance_removes_is_known_at_that_block_and_again_after_a_restart(
    scene: Scene, world_anvil: Anvil, world: World
) -> None:
    await scene.follow()
    token, pool_id = bytes(address_from_hex(world.manifest.token("DAI").address)), bytes(range(1, 33))
    parameters, timelock = (
        "0x" + one.hex() for one in (scene.registry.contracts.parameters, scene.registry.contracts.timelock)
    )
    await scene.chain.rpc.call("anvil_impersonateAccount", timelock)
    await scene.chain.rpc.call("anvil_setBalance", timelock, hex(10**18))
    for subject in (token.rjust(32, b"\0"), pool_id):
        call = {"from": timelock, "to": parameters, "data": "0x" + encode_call("remove(bytes32)", subject).hex()}
        await scene.chain.rpc.call("eth_sendTransaction", call)

    await scene.chain.mine()
    await scene.follow()

    assert scene.registry.removed == {token, pool_id}
    again = Registry(scene.registry._endpoints, scene.registry._multicall, scene.registry.contracts, BlockNumber(0))
    await again.follow(await scene.header())
    assert again.removed == {token, pool_id}
