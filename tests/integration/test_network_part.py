"""Two operators' engines and their real sentries over the devnet's world: they hear each other and ask each other."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from devnet.accounts import account
from devnet.anvil import Anvil
from devnet.demo.network_contracts import networks
from devnet.demo.operators import EVERYTHING, PreparedNode, prepare_node
from devnet.run_folder import RunRecord
from devnet.world import World
from node.clock import SystemClock
from node.config import AlertAction, Mode, RpcConfig
from node.config_file import load_config
from node.engine.endpoints import Endpoints
from node.engine.headers import Header, header_from_json
from node.engine.network.part import NetworkPart
from node.engine.network.policy import MAX_STOPPED
from node.engine.network.wiring import network_part
from node.engine.rpc import RpcError
from node.errors import NodeError, SetupError
from node.identity import write_identity
from node.keyfile import Password
from node.link import GossipHeard, NetworkPeer, PeerAsks, SentryStatus
from node.pipeline.events import Event, KillSwitchSet, NetworkRead
from node.records import AlertRaised, AnyRecord
from node.sentry.__main__ import settings_of
from protocol.codec import decode_direct, encode_direct, encode_envelope
from protocol.kinds import AlertKind, Capability
from protocol.messages import Have, SealedOrder, SealingKeyRequest, SignedSealingKey
from protocol.signing import verify
from protocol.units import BlockNumber, PeerIdHash, UnixMilliseconds, address_from_hex
from tests.chain import Chain
from tests.protocol_factories import alert, hash_of

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(240)]

SECONDS = 100.0


def prepared(anvil: Anvil, world: World, root: Path) -> list[PreparedNode]:
    """North and east with everything that they need to run."""
    record = RunRecord(
        pid=os.getpid(),
        seed=1,
        manifest_path="",
        log_folder=str(root),
        rpc_url=anvil.url,
        ws_url=anvil.url.replace("http", "ws"),
        admin_url=anvil.url,
        builder_urls={"swift": anvil.url},
        chain_id=31337,
        block_time_seconds=2.0,
        lockstep=False,
    )
    operators = world.manifest.operators[:2]
    network = networks(operators, world.manifest, root)
    return [
        prepare_node(one, EVERYTHING, record, world.manifest, root / one.name, network[one.name]) for one in operators
    ]


@dataclass
class Member:
    """One operator: its part in the network, and its sentry."""

    node: PreparedNode
    part: NetworkPart
    sentry: asyncio.subprocess.Process


@asynccontextmanager
async def opened(node: PreparedNode) -> AsyncIterator[NetworkPart | None]:
    """The engine's part of a node, without a sentry."""
    clock = SystemClock()
    endpoints = Endpoints.open(
        [RpcConfig(http=rpc.http, websocket=rpc.websocket) for rpc in node.config.chain.rpcs], clock
    )
    password = Password(node.password_path.read_text().strip())
    try:
        async with network_part(node.config, password, endpoints, clock) as part:
            yield part
    finally:
        await endpoints.close()


@asynccontextmanager
async def member(node: PreparedNode) -> AsyncIterator[Member]:
    async with opened(node) as part:
        assert part is not None
        sentry = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "node.sentry", "--config", str(node.config_path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield Member(node, part, sentry)
        finally:
            if sentry.returncode is None:
                sentry.send_signal(signal.SIGTERM)
                await sentry.wait()


async def head_of(chain: Chain) -> Header:
    return header_from_json(msgspec.json.encode(await chain.rpc.call("eth_getBlockByNumber", "latest", False)))


async def until(holds: Callable[[], bool], act: Callable[[], object] | None = None) -> None:
    """Look again and again, acting in between; fail when the time is up."""
    deadline = asyncio.get_running_loop().time() + SECONDS
    while not holds():
        assert asyncio.get_running_loop().time() < deadline
        if act is not None:
            await act()  # type: ignore[misc]
        await asyncio.sleep(0.1)


async def test_two_members_meet_hear_each_other_and_ask_for_sealing_keys(
    world_anvil: Anvil, world: World, chain: Chain, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        north, east = [await stack.enter_async_context(member(node)) for node in prepared(world_anvil, world, tmp_path)]
        parts = north.part, east.part

        async def go_on() -> None:
            await chain.mine()
            for part in parts:
                part.head_seen(await head_of(chain))

        following = [asyncio.create_task(part.run()) for part in parts]
        assert north.sentry.stdout is not None
        ready = await asyncio.wait_for(north.sentry.stdout.readline(), SECONDS)
        assert ready.startswith(b"ready peer=12D3KooW")
        await until(lambda: all(part.counts["heard heartbeat"] > 1 for part in parts), go_on)

        now = UnixMilliseconds(parts[0]._now_ms())
        assert parts[0].directory.offers(parts[1].keys.account, Capability.ATTESTS_ALERTS, now)

        def seen_by_north() -> dict[bytes, NetworkPeer]:
            return {peer.operator: peer for peer in parts[0].status().peers}

        await until(lambda: seen_by_north()[parts[1].keys.account].peer.startswith("12D3KooW"))
        seen = seen_by_north()
        assert seen[parts[1].keys.account].heard_at > 0
        assert parts[0].status().operators == 5

        head = await head_of(chain)
        assert parts[0].sentry is not None
        their_peer = parts[0].registry.operators[parts[1].keys.account].peer_id_hash
        question = SealingKeyRequest(target_block=BlockNumber(head.number + 1))
        told = await parts[0].sentry.ask(their_peer, question, 5.0)
        assert isinstance(told, SignedSealingKey)
        assert told.sealing_key.from_block <= head.number + 1 <= told.sealing_key.until_block
        verify(parts[0].keys.domain, told.sealing_key, told.signature, parts[1].keys.hot_key)

        stranger = PeerIdHash(hash_of("nobody"))
        assert await parts[0].sentry.ask(stranger, question, 1.0) is None
        assert parts[0].sentry.counts["unanswered"] == 1
        assert north.sentry.stdin is not None
        north.sentry.stdin.close()  # the supervisor is gone
        assert await asyncio.wait_for(north.sentry.wait(), SECONDS) == 0
        await until(lambda: parts[0].sentry is not None and not parts[0].sentry.is_connected)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def test_what_is_said_without_a_sentry_is_dropped_and_counted(
    world_anvil: Anvil, world: World, chain: Chain, tmp_path: Path
) -> None:
    node, other = prepared(world_anvil, world, tmp_path)
    async with opened(node) as part, opened(other) as elsewhere:
        assert part is not None
        assert elsewhere is not None
        head = await head_of(chain)
        await part.follow(head)
        await elsewhere.follow(head)
        assert part.status().counts["sentry unpublished"] == 1
        assert not part.status().is_connected

        part.heard(GossipHeard(envelope=b"no envelope", peer="12D3KooW"))
        assert part.counts["undecodable"] == 1
        ours = part.keys.envelope(part._heartbeat(head))
        part.heard(GossipHeard(envelope=encode_envelope(ours, part.keys.domain.separator), peer="12D3KooW"))
        assert part.keys.slashable is not None, "our own words are no twin's"
        ask = PeerAsks(number=1, peer_id_hash=bytes(32), question=b"nothing")
        assert await part.asked(ask) is None
        far = encode_direct(SealingKeyRequest(target_block=BlockNumber(head.number + 1_000)))
        assert await part.asked(msgspec.structs.replace(ask, question=far)) is None
        have = encode_direct(Have(order_hash=hash_of("order")))
        assert await part.asked(msgspec.structs.replace(ask, question=have)) is None
        assert isinstance(decode_direct(have), Have)


async def test_a_head_that_cannot_be_read_is_read_again_and_a_fault_ends_nothing(
    world_anvil: Anvil, world: World, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, _ = prepared(world_anvil, world, tmp_path)
    async with opened(node) as part:
        assert part is not None
        follow, failures = (
            part.registry.follow,
            [RuntimeError("a fault of ours"), RpcError("the chain", "eth_call", "no")],
        )

        async def fails_twice(header: Header) -> None:
            if failures:
                raise failures.pop()
            await follow(header)

        monkeypatch.setattr(part.registry, "follow", fails_twice)
        running = asyncio.create_task(part.run())
        part.head_seen(await head_of(chain))
        await until(lambda: part.counts["faults"] == 1)
        assert part.counts["unread"] == 1
        part.head_seen(await head_of(chain))
        await until(lambda: part.counts["followed"] == 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_confirmed_alert_does_what_the_operators_policy_says(
    world_anvil: Anvil, world: World, chain: Chain, tmp_path: Path
) -> None:
    node, _ = prepared(world_anvil, world, tmp_path)
    async with opened(node) as part:
        assert part is not None
        told: list[AnyRecord] = []
        fed: list[Event] = []
        part.tell, part.feed = told.append, fed.append
        head = await head_of(chain)
        for action in AlertAction:
            part.terms = msgspec.structs.replace(part.terms, policies={"sandwich_seen": action})
            part.alerts.on_confirmed(alert(), head)

        (record,), (event,) = told, fed
        assert isinstance(record, AlertRaised)
        assert record.kind == "sandwich_seen"
        assert isinstance(event, KillSwitchSet)
        assert event.on


async def test_a_policy_stops_the_pool_that_an_alert_is_about_at_once_and_while_the_alert_stands(
    world_anvil: Anvil, world: World, chain: Chain, tmp_path: Path
) -> None:
    node, _ = prepared(world_anvil, world, tmp_path)
    async with opened(node) as part:
        assert part is not None
        part.terms = msgspec.structs.replace(part.terms, policies={"sandwich_seen": AlertAction.STOP_SUBJECT})
        fed: list[Event] = []
        part.feed = fed.append
        await part.follow(head := await head_of(chain))
        pool, by_id = bytes(range(1, 21)), bytes(range(1, 33))
        for subject in (pool.rjust(32, b"\0"), by_id):
            part.alerts.on_confirmed(alert(subject=subject, expiry=head.timestamp + 60), head)

        def stopped() -> frozenset[bytes]:
            event = fed[-1]
            assert isinstance(event, NetworkRead)
            return event.view.removed

        assert len(fed) == 3, "it does not wait for the next block"
        assert stopped() == {pool, by_id}
        for seconds, expected in ((59, {pool, by_id}), (60, set())):
            await part.follow(msgspec.structs.replace(head, timestamp=head.timestamp + seconds))
            assert stopped() == expected

        for number in range(MAX_STOPPED + 1):
            name = number.to_bytes(32, "big")
            part.alerts.on_confirmed(alert(subject=b"\x01" + name[1:], expiry=head.timestamp + 100 + number), head)
        assert len(part.policy.stopped) == MAX_STOPPED
        assert b"\x01" + bytes(31) not in part.policy.stopped, "the one that would have been free first"


async def test_a_policy_stops_dealing_with_a_peer_and_never_stops_a_token_that_the_operator_trusts(
    world_anvil: Anvil, world: World, chain: Chain, tmp_path: Path
) -> None:
    node, _ = prepared(world_anvil, world, tmp_path)
    async with opened(node) as part:
        assert part is not None
        trusted = bytes(range(1, 21))
        policies = {"peer_misbehaves": AlertAction.STOP_SUBJECT, "contract_flagged": AlertAction.STOP_SUBJECT}
        part.terms = msgspec.structs.replace(part.terms, policies=policies, trusted=frozenset([trusted]))
        fed: list[Event] = []
        part.feed = fed.append
        await part.follow(head := await head_of(chain))
        peer = part.registry.peer_of(part.keys.account)
        assert peer is not None
        part.directory.offers = lambda *_: True  # type: ignore[method-assign]

        def deals() -> bool:
            event = fed[-1]
            assert isinstance(event, NetworkRead)
            return part.keys.account in event.view.takes_orders

        await part.follow(head)
        assert deals()
        flagged = alert(kind=AlertKind.CONTRACT_FLAGGED, subject=trusted.rjust(32, b"\0"), expiry=head.timestamp + 60)
        part.alerts.on_confirmed(flagged, head)
        assert part.policy.counts["trusted"] == 1
        told = alert(kind=AlertKind.PEER_MISBEHAVES, subject=peer, expiry=head.timestamp + 60)
        part.alerts.on_confirmed(told, head)
        assert not deals(), "at once"
        await part.follow(head)
        assert not deals(), "and while the alert stands"
        box = SealedOrder(target_block=BlockNumber(head.number + 1), ephemeral_key=hash_of("key"), box=b"box")
        asked = await part.asked(PeerAsks(number=1, peer_id_hash=peer, question=encode_direct(box)))
        assert asked is None
        assert part.counts["orders of stopped peers"] == 1
        await part.follow(msgspec.structs.replace(head, timestamp=head.timestamp + 60))
        assert deals()


async def test_a_node_whose_own_clock_is_wrong_tells_its_operator_once_until_it_was_right(
    world_anvil: Anvil, world: World, chain: Chain, tmp_path: Path
) -> None:
    node, _ = prepared(world_anvil, world, tmp_path)
    async with opened(node) as part:
        assert part is not None
        told: list[AnyRecord] = []
        part.tell = told.append
        head = await head_of(chain)
        right = SentryStatus(at=UnixMilliseconds(1), peers=[], counts={})
        wrong = msgspec.structs.replace(right, clock_ahead_ms=-7_000, clock_peers=3)
        for status in (None, right, wrong, wrong, right, wrong):
            part.sentry.status = status
            await part.follow(head)

        assert [record.kind for record in told if isinstance(record, AlertRaised)] == ["clock_wrong"] * 2
        (first, _) = told
        assert isinstance(first, AlertRaised)
        assert "7.0 s behind those of 3 peers" in first.detail
        assert (part.status().clock_ahead_ms, part.status().clock_peers) == (-7_000, 3)


async def test_a_node_says_what_is_wrong_with_its_membership(world_anvil: Anvil, world: World, tmp_path: Path) -> None:
    node, _ = prepared(world_anvil, world, tmp_path)
    network = node.config.network
    assert network is not None
    write_identity(tmp_path / "another", account("another").secret)
    (tmp_path / "short").write_bytes(b"short")
    nobody = address_from_hex(account("nobody").address)
    for wrong, said in (
        ({"operator": nobody}, "is not registered"),
        ({"identity": tmp_path / "another"}, "is not the peer that is registered"),
        ({"identity": tmp_path / "short"}, "has 5 bytes"),
        ({"identity": tmp_path / "none"}, "No such file"),
    ):
        config = msgspec.structs.replace(node.config, network=msgspec.structs.replace(network, **wrong))
        with pytest.raises(SetupError, match=said):
            async with opened(replace(node, config=config)):
                pass
    execution = msgspec.structs.replace(node.config.execution, vaults=node.config.execution.vaults[1:])
    with pytest.raises(SetupError, match="is in no keystore"):
        async with opened(replace(node, config=msgspec.structs.replace(node.config, execution=execution))):
            pass
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with pytest.raises(NodeError, match="too long"):
        async with opened(replace(node, config=msgspec.structs.replace(node.config, data_folder=deep))):
            pass
    async with opened(replace(node, config=msgspec.structs.replace(node.config, mode=Mode.SHADOW))) as part:
        assert part is None


def test_the_sentrys_settings_come_out_of_the_configuration(world_anvil: Anvil, world: World, tmp_path: Path) -> None:
    node, _ = prepared(world_anvil, world, tmp_path)
    settings = settings_of(load_config(node.config_path, {}))

    assert settings.engine == str(node.config.engine_socket)
    assert settings.listen[0].startswith("/ip4/127.0.0.1/tcp/")
    assert len(settings.bootstrap) == 1
    with pytest.raises(SetupError, match="network"):
        settings_of(msgspec.structs.replace(node.config, network=None))
