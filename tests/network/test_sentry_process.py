"""The sentry as a process of its own, with an engine on the other side of its socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from node.clock import SystemClock
from node.link import (
    AnswerPeer,
    AnyLinkMessage,
    AskPeer,
    GossipHeard,
    PeerAnswered,
    PeerAsks,
    Ping,
    Pong,
    PublishGossip,
    RegistrySnapshot,
    SentryStatus,
    ShutDown,
    StakedOperator,
)
from node.link_server import LinkServer
from node.link_sockets import Link
from node.sentry import app as app_module
from node.sentry.app import SentryApp, Wiring, snapshot_of
from node.sentry.host import hash_of_peer, load_identity
from node.sentry.peers import PeerBook
from protocol import codec, signing
from protocol.messages import SealingKeyRequest
from protocol.units import BlockNumber
from tests.protocol_factories import ADDRESSES, DEVNET, KEYS, hash_of, sealing_key
from tests.sentry_scene import envelope_of, identity, in_trio, peer_of, settings_of

ROOT = Path(__file__).resolve().parents[2]
REQUEST = codec.encode_direct(SealingKeyRequest(target_block=BlockNumber(21_000_000)))
TOLD = codec.encode_direct(signing.sign_sealing_key(DEVNET, sealing_key(), KEYS["bob"]))


def registry_message(*names: str) -> RegistrySnapshot:
    operators = [
        StakedOperator(
            account=ADDRESSES[name],
            hot_keys=[ADDRESSES[name]],
            peer_id_hash=hash_of_peer(peer_of(name)),
            stake=str(10**20),
        )
        for name in names
    ]
    return RegistrySnapshot(block=20_999_999, operators=operators)


class Engine:
    """What the other side of a sentry's socket hears and says."""

    def __init__(self) -> None:
        self.said: list[AnyLinkMessage] = []
        self.link: Link | None = None
        self.links = 0
        self._more = asyncio.Event()

    async def serve(self, link: Link) -> None:
        self.link, self.links = link, self.links + 1
        await link.send(registry_message("alice", "bob"))
        while True:
            message = await link.receive()
            self.said.append(message)
            if isinstance(message, PeerAsks):
                await link.send(AnswerPeer(number=message.number, answer=TOLD))
            self._more.set()

    async def tell(self, message: AnyLinkMessage) -> None:
        assert self.link is not None
        await self.link.send(message)

    async def hears(self, wanted: Callable[[AnyLinkMessage], bool], seconds: float = 20.0) -> AnyLinkMessage:
        """Return the first message that is wanted, also of those before; bounded."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not (found := [message for message in self.said if wanted(message)]):
            self._more.clear()
            left = deadline - asyncio.get_running_loop().time()
            await asyncio.wait([asyncio.ensure_future(self._more.wait())], timeout=max(0.0, left))
            assert left > 0, [type(message).__name__ for message in self.said]
        return found[0]

    async def sees(self, count: int) -> None:
        """Return when the sentry has told of so many peers."""
        await self.hears(lambda message: isinstance(message, SentryStatus) and len(message.peers) == count)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def sentry(
    folder: Path, name: str, port: int, bootstrap: list[str]
) -> AsyncIterator[tuple[Engine, asyncio.subprocess.Process]]:
    """Run a sentry with the key of `name`, and its engine."""
    home = folder / name
    home.mkdir(exist_ok=True)
    (home / "identity").write_bytes(hash_of(f"libp2p key of {name}"))
    settings = {
        "engine": str(home / "engine"),
        "identity": str(home / "identity"),
        "book": str(home / "peers.json"),
        "chain_id": DEVNET.chain_id,
        "registry": "0x" + DEVNET.registry.hex(),
        "listen": [f"/ip4/127.0.0.1/tcp/{port}"],
        "bootstrap": bootstrap,
    }
    (home / "settings.json").write_text(json.dumps(settings))
    engine = Engine()
    command = (sys.executable, "-m", "node.sentry", str(home / "settings.json"))
    async with LinkServer(home / "engine", "engine", engine.serve, SystemClock()):
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL)
        try:
            yield engine, process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 20)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[tuple[Engine, asyncio.subprocess.Process]]]:
    async with AsyncExitStack() as stack:
        port = free_port()
        alice = await stack.enter_async_context(sentry(tmp_path, "alice", port, []))
        address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_of('alice')}"
        bob = await stack.enter_async_context(sentry(tmp_path, "bob", free_port(), [address]))
        for engine, _ in (alice, bob):
            await engine.sees(1)
        yield [alice, bob]


def is_heard(data: bytes) -> Callable[[AnyLinkMessage], bool]:
    return lambda message: isinstance(message, GossipHeard) and message.envelope == data


async def test_engines_speak_through_their_sentries(
    pair: list[tuple[Engine, asyncio.subprocess.Process]],
) -> None:
    (alice, alice_process), (bob, bob_process) = pair
    data = envelope_of("alice")
    await alice.tell(PublishGossip(envelope=data))
    heard = await bob.hears(is_heard(data))
    assert isinstance(heard, GossipHeard)
    assert heard.peer == str(peer_of("alice"))

    asked = AskPeer(number=7, peer_id_hash=hash_of_peer(peer_of("bob")), question=REQUEST, deadline_ms=2_000)
    await alice.tell(asked)
    answered = await alice.hears(lambda message: isinstance(message, PeerAnswered) and message.number == 7)
    assert answered == PeerAnswered(number=7, answer=TOLD, why="")
    await alice.tell(AskPeer(number=8, peer_id_hash=hash_of("nobody"), question=REQUEST, deadline_ms=100))
    answered = await alice.hears(lambda message: isinstance(message, PeerAnswered) and message.number == 8)
    assert answered == PeerAnswered(number=8, answer=b"", why="not connected")
    await alice.tell(AskPeer(number=9, peer_id_hash=hash_of_peer(peer_of("bob")), question=b"?", deadline_ms=100))
    refused = await alice.hears(lambda message: isinstance(message, PeerAnswered) and message.number == 9)
    assert isinstance(refused, PeerAnswered)
    assert "no kind" in refused.why

    await alice.tell(Ping(nonce=3))
    assert await alice.hears(lambda message: message == Pong(nonce=3))
    await bob.tell(ShutDown(reason="the test is over"))
    assert await asyncio.wait_for(bob_process.wait(), 20) == 0
    alice_process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(alice_process.wait(), 20) == 0


async def test_gossip_outlives_a_broken_link_and_a_killed_peer(
    pair: list[tuple[Engine, asyncio.subprocess.Process]], tmp_path: Path
) -> None:
    (alice, _), (bob, bob_process) = pair
    assert bob.link is not None
    await bob.link.close()
    data = envelope_of("alice")
    await alice.tell(PublishGossip(envelope=data))
    await bob.hears(is_heard(data))
    assert bob.links >= 2
    bob_process.kill()
    await asyncio.wait_for(bob_process.wait(), 20)
    port = json.loads((tmp_path / "bob" / "settings.json").read_text())["listen"][0].rsplit("/", 1)[1]
    bootstrap = json.loads((tmp_path / "bob" / "settings.json").read_text())["bootstrap"]
    (tmp_path / "again").mkdir()
    async with sentry(tmp_path / "again", "bob", int(port), bootstrap) as (again, _):
        await again.sees(1)
        later = envelope_of("alice")
        await alice.tell(PublishGossip(envelope=later))
        await again.hears(is_heard(later))


def in_memory(tmp_path: Path) -> SentryApp:
    return SentryApp(Wiring(settings_of(), DEVNET, identity("alice"), PeerBook(), tmp_path / "nobody"))


@in_trio
async def test_what_the_engine_does_not_take_is_counted(tmp_path: Path) -> None:
    app = in_memory(tmp_path)
    for number in range(app_module.OUTGOING + 5):
        app._tell(Pong(nonce=number))
    assert app.dropped == 5
    app._questions = dict.fromkeys(range(app_module.MAX_QUESTIONS), app._to_engine)  # type: ignore[arg-type]
    assert await app._answer(peer_of("bob"), codec.decode_direct(REQUEST)) is None
    assert app.dropped == 6


def test_a_snapshot_keeps_whom_the_protocol_can_name() -> None:
    whole = registry_message("alice", "bob")
    broken = StakedOperator(account=b"short", hot_keys=[], peer_id_hash=b"", stake="1")
    found = snapshot_of(RegistrySnapshot(block=5, operators=[*whole.operators, broken]))
    assert set(found.operators) == {ADDRESSES["alice"], ADDRESSES["bob"]}
    assert (found.block, found.total_stake) == (5, 2 * 10**20)


def test_the_identity_of_the_file_is_that_of_the_scene(tmp_path: Path) -> None:
    (tmp_path / "identity").write_bytes(hash_of("libp2p key of alice"))
    assert load_identity(tmp_path / "identity").public_key == identity("alice").public_key
    assert os.access(tmp_path / "identity", os.R_OK)
