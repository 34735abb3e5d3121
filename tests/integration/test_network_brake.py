"""Alerts that a policy takes to the network's brake: what pauses on the chain, at how much stake, and what it costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from devnet.anvil import Anvil
from devnet.demo.network_contracts import network_contracts
from devnet.protocols.network import Member
from devnet.world import World
from governance.network import paused_query, scope_paused_query
from node.clock import SystemClock
from node.config import BrakeSupport, RpcConfig
from node.engine.endpoints import Endpoints
from node.engine.headers import Header, header_from_json
from node.engine.multicall import Multicall
from node.engine.network.brake import DAY_SECONDS, MAX_A_DAY, MAX_CASES, MAX_SAID_BY_ONE, YOUNG_BLOCKS, Brake
from node.engine.network.keys import NetworkKeys
from node.engine.network.membership import Membership
from node.engine.network.registry import Registry
from node.engine.network.watcher import Watcher
from node.identity import peer_id_hash
from node.records import AlertRaised, AnyRecord, PaymentMade, TransactionSent
from protocol.kinds import Verdict
from protocol.messages import Envelope, SecurityAlert
from protocol.signing import Domain, alert_id, sign_attestation
from protocol.statements import Attestation
from protocol.units import BlockNumber, BootId, ChainId, Hash32, UnixMilliseconds, UnixSeconds, address_from_hex
from tests.chain import Chain
from tests.protocol_factories import alert, hash_of

pytestmark = pytest.mark.anvil

POOL = Hash32(bytes(range(1, 21)).rjust(32, b"\0"))
SUBJECT = {"sandwich_seen": BrakeSupport.SUBJECT}
ALL = {"sandwich_seen": BrakeSupport.ALL}


@dataclass
class Node:
    """One operator with its policy: its brake, and what it told its ledger."""

    member: Member
    keys: NetworkKeys
    registry: Registry
    membership: Membership
    watcher: Watcher
    brake: Brake
    told: list[AnyRecord] = field(default_factory=list)

    async def follow(self, header: Header) -> None:
        await self.registry.follow(header)
        self.told += await self.membership.settled()
        await self.brake.follow(header, self.keys.account)

    def verdict(self, found: SecurityAlert, header: Header, verdict: Verdict = Verdict.CONFIRMED) -> Envelope:
        said = Attestation(
            alert_id=alert_id(found),
            block_hash=header.hash,
            verdict=verdict,
            block_number=header.number,
            timestamp=header.timestamp,
        )
        return self.keys.envelope(sign_attestation(self.keys.domain, said, self.keys.key))

    @property
    def records(self) -> list[str]:
        return [type(record).__name__ for record in self.told]


@dataclass
class Scene:
    """The world's operators, and a chain on which nothing happens by itself."""

    chain: Chain
    nodes: list[Node]

    async def head(self) -> Header:
        return header_from_json(msgspec.json.encode(await self.chain.rpc.call("eth_getBlockByNumber", "latest", False)))

    async def go_on(self, blocks: int = 1) -> Header:
        for _ in range(blocks):
            await self.chain.mine()
            head = await self.head()
            for node in self.nodes:
                await node.follow(head)
        return head

    def attest(self, found: SecurityAlert, header: Header, *by: Node) -> None:
        """Each of these comes to the alert, and everybody hears its verdict."""
        for node in by:
            node.brake.confirmed(found, header)
        for envelope in [node.verdict(found, header) for node in by]:
            for node in self.nodes:
                if node.keys.account != envelope.operator:
                    node.watcher.attested(envelope)

    async def is_paused(self, subject: Hash32 | None = None) -> bool:
        node, head = self.nodes[0], await self.head()
        contracts = node.registry.contracts
        query = paused_query(contracts) if subject is None else scope_paused_query(contracts, subject)
        (answer,) = await node.registry.ask([query], head)
        return bool(answer)


def node_of(name: str, endpoints: Endpoints, world: World, policies: dict[str, BrakeSupport]) -> Node:
    member, contracts = Member.of(name), network_contracts(world.manifest)
    registry = Registry(
        endpoints,
        Multicall(endpoints, address_from_hex(world.manifest.contracts["multicall3"])),
        contracts,
        BlockNumber(0),
    )
    domain, now = Domain(ChainId(31337), contracts.staking), UnixMilliseconds(1_790_000_000_000)
    account = address_from_hex(member.owner.address)
    keys = NetworkKeys(domain, account, peer_id_hash(member.peer.secret), member.hot_key.secret, BootId(1), lambda: now)
    membership = Membership(endpoints, registry, keys.key, ChainId(31337))
    node = Node(
        *(member, keys, registry, membership),
        watcher=Watcher(keys, registry, membership),
        brake=Brake(registry, membership, policies),
    )
    node.watcher.on_attested = node.brake.attested
    node.membership.tell = node.brake.tell = node.told.append
    return node


@pytest.fixture
async def scene(request: pytest.FixtureRequest, world_anvil: Anvil, world: World, chain: Chain) -> AsyncIterator[Scene]:
    policies = getattr(request, "param", SUBJECT)
    url = RpcConfig(http=world_anvil.url, websocket=world_anvil.url.replace("http", "ws"))
    endpoints = Endpoints.open([url], SystemClock())
    names = [operator.name for operator in world.manifest.operators]
    made = Scene(chain, [node_of(name, endpoints, world, policies) for name in names])
    await made.go_on(2)
    yield made
    await endpoints.close()


def young(head: Header, **changes: object) -> SecurityAlert:
    return alert(**({"subject": POOL, "expiry": UnixSeconds(head.timestamp + 3_600)} | changes))


async def test_a_pool_is_paused_once_a_third_of_the_stake_attests_the_alert_and_what_it_cost_is_told(
    scene: Scene,
) -> None:
    first, second, *others = scene.nodes
    head = await scene.head()
    found = young(head)
    scene.attest(found, head, first)
    await scene.go_on(2)
    assert first.brake.counts["too few"] == 2, "a fifth of the stake is not a third"
    assert first.records == []

    scene.attest(found, head, second)
    await scene.go_on()
    assert not await scene.is_paused(POOL)
    await scene.go_on()
    assert await scene.is_paused(POOL)
    assert not await scene.is_paused()
    assert await scene.is_paused(hash_of("another pool")) is False
    await scene.go_on(6)

    paid = [record for node in scene.nodes for record in node.told if isinstance(record, PaymentMade)]
    assert {(record.what, record.subject) for record in paid} == {("brake", POOL)}
    assert {record.sender for record in paid} == {
        address_from_hex(one.member.hot_key.address) for one in (first, second)
    }
    assert all(int(record.gas_wei) > 0 for record in paid)
    for node in (first, second):
        assert node.records.count("TransactionSent") == node.records.count("PaymentMade") == 1
        assert [record.kind for record in node.told if isinstance(record, AlertRaised)] == ["brake_supported"]
        assert node.brake.counts["supported"] == 1
    assert all(not node.told for node in others), "who has not come to the alert itself, supports nothing"


@pytest.mark.parametrize("scene", [ALL], indirect=True)
async def test_everything_is_paused_at_two_thirds_and_not_at_less(scene: Scene) -> None:
    head = await scene.head()
    found = young(head)
    enough = -(-2 * len(scene.nodes) // 3)
    scene.attest(found, head, *scene.nodes[: enough - 1])
    await scene.go_on(3)
    assert all(not node.told for node in scene.nodes)
    scene.attest(found, head, scene.nodes[enough - 1])
    await scene.go_on(2)
    assert await scene.is_paused()
    await scene.go_on(6)
    assert {node.brake.counts["supported"] for node in scene.nodes[:enough]} == {1}
    assert not any(node.brake._cases for node in scene.nodes)


@pytest.mark.parametrize("scene", [{}], indirect=True)
async def test_without_a_policy_nothing_is_supported_whoever_attests(scene: Scene) -> None:
    head = await scene.head()
    scene.attest(young(head), head, *scene.nodes)
    await scene.go_on(3)
    assert all(not node.told and not node.brake._said for node in scene.nodes)
    assert not await scene.is_paused(POOL)


async def test_refutations_forgeries_and_strangers_count_for_nothing(scene: Scene) -> None:
    first, second, third, *_ = scene.nodes
    head = await scene.head()
    found = young(head)
    first.brake.confirmed(found, head)
    first.watcher.attested(second.verdict(found, head, Verdict.REFUTED))
    forged = msgspec.structs.replace(third.verdict(found, head), operator=second.keys.account)
    first.watcher.attested(forged)
    of_another_block = msgspec.structs.replace(head, hash=hash_of("another block"))
    first.watcher.attested(third.verdict(found, of_another_block))
    first.brake.attested(address_from_hex("0x" + "77" * 20), second.verdict(found, head).payload.attestation)  # type: ignore[union-attr]
    await scene.go_on(2)
    assert first.watcher.counts["refused"] == 1
    assert first.brake.counts["too few"] == 2
    assert first.records == []


async def test_a_second_pool_within_a_day_costs_nothing_as_the_brake_would_not_count_it(scene: Scene) -> None:
    first, second, *_ = scene.nodes
    head = await scene.head()
    scene.attest(young(head), head, first, second)
    await scene.go_on(2)
    assert await scene.is_paused(POOL)
    other = young(head, subject=hash_of("another pool"))
    scene.attest(other, head, first, second)
    await scene.go_on(3)
    for node in (first, second):
        assert node.brake.counts["not taken"] == 1
        assert node.records.count("TransactionSent") == 1
    assert await scene.is_paused(hash_of("another pool")) is False


async def test_what_is_paused_already_old_or_gone_is_not_supported(scene: Scene) -> None:
    first, second, third, fourth, *_ = scene.nodes
    head = await scene.head()
    found = young(head)
    scene.attest(found, head, first, second)
    await scene.go_on(2)
    for node in (third, fourth):
        node.brake.confirmed(found, head)
    third.brake.retract(head.hash)
    await scene.go_on()
    assert third.brake.counts["paused already"] == 0
    assert fourth.brake.counts["paused already"] == 1
    old = young(head, subject=hash_of("old"), expiry=UnixSeconds(head.timestamp))
    fourth.brake.confirmed(old, head)
    fourth.brake.confirmed(young(head), msgspec.structs.replace(head, number=head.number - YOUNG_BLOCKS - 1))
    await scene.go_on()
    assert fourth.brake.counts["given up"] == 2
    assert third.records == fourth.records == []


async def test_supports_of_one_day_cases_and_verdicts_that_are_remembered_are_bounded(scene: Scene) -> None:
    first, second, *_ = scene.nodes
    head = await scene.head()
    first.brake._sent.extend([head.timestamp] * MAX_A_DAY)
    scene.attest(young(head), head, first, second)
    head = await scene.go_on()
    assert first.brake.counts["held back"] == 1
    assert first.records == []
    assert second.brake.counts["supported"] == 1
    await first.brake.follow(msgspec.structs.replace(head, timestamp=head.timestamp + DAY_SECONDS), first.keys.account)
    assert first.records == [], "it would be too old by then"

    for number in range(MAX_CASES + 3):
        first.brake.confirmed(young(head, subject=hash_of(str(number))), head)
    assert len(first.brake._cases) == MAX_CASES
    for number in range(MAX_SAID_BY_ONE + 3):
        first.watcher.attested(second.verdict(young(head, subject=hash_of(str(number))), head))
    assert len(first.brake._said[second.keys.account]) == MAX_SAID_BY_ONE


async def test_a_support_is_known_again_after_a_restart_and_not_sent_twice(scene: Scene) -> None:
    first, second, *_ = scene.nodes
    head = await scene.head()
    found = young(head)
    scene.attest(found, head, first, second)
    await scene.go_on()
    (sent,) = [record for record in first.told if isinstance(record, TransactionSent)]
    first.brake = Brake(first.registry, first.membership, SUBJECT)
    first.membership.resume([sent], [])
    first.brake.confirmed(found, head)
    first.watcher.on_attested = first.brake.attested
    first.watcher.attested(second.verdict(found, head))
    await scene.go_on(6)
    assert first.records.count("TransactionSent") == first.records.count("PaymentMade") == 1
    assert first.brake.counts["supported"] == 0
