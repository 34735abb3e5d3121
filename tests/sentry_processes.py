"""Sentries as processes of their own, each with an engine that this process plays on the other side of its socket.

Any number of operators, by name: what stands for them in the registry follows from the name.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Final

from node.clock import SystemClock
from node.link import (
    AnswerPeer,
    AnyLinkMessage,
    GossipHeard,
    PeerAsks,
    PublishGossip,
    RegistrySnapshot,
    SentryStatus,
    StakedOperator,
)
from node.link_server import LinkServer
from node.link_sockets import Link
from node.process import READY
from node.sentry.host import hash_of_peer, system_milliseconds
from protocol import codec, signing
from protocol.ethereum.keys import SigningKey
from protocol.messages import Envelope, Heartbeat, SealingKeyRequest
from protocol.units import (
    Address,
    BlockNumber,
    BootId,
    UnixMilliseconds,
    UnixSeconds,
    address_from_hex,
    sequence_number,
)
from tests.protocol_factories import DEVNET, KEYS, SECRETS, hash_of, heartbeat, sealing_key
from tests.sentry_scene import peer_of

ROOT: Final = Path(__file__).resolve().parents[1]
REQUEST: Final = codec.encode_direct(SealingKeyRequest(target_block=BlockNumber(21_000_000)))
TOLD: Final = codec.encode_direct(signing.sign_sealing_key(DEVNET, sealing_key(), KEYS["bob"]))
HEAD: Final = 20_999_999
HEAD_TIME: Final = UnixSeconds(1)
MAX_HEARD: Final = 100_000
END_SECONDS: Final = 20.0
_BOOTS: Final = count(1)


def secret_of(name: str) -> bytes:
    """Return the secret of an operator's hot key."""
    return SECRETS.get(name) or hash_of(f"hot key of {name}")


@lru_cache
def key_of(name: str) -> SigningKey:
    """Return the hot key of an operator."""
    return SigningKey(secret_of(name))


def account_of(name: str) -> Address:
    """Return the account of an operator."""
    return address_from_hex(key_of(name).address)


def seed_of(name: str) -> bytes:
    """Return the seed of an operator's libp2p key."""
    return hash_of(f"libp2p key of {name}")


def registry_message(*names: str) -> RegistrySnapshot:
    """Return the registry in which these have equal stake."""
    operators = [
        StakedOperator(
            account=account_of(name),
            hot_keys=[account_of(name)],
            peer_id_hash=hash_of_peer(peer_of(name)),
            stake=str(10**20),
        )
        for name in names
    ]
    return RegistrySnapshot(block=HEAD, time=HEAD_TIME, operators=operators)


def fresh_envelope(name: str, payload: Heartbeat | None = None) -> bytes:
    """Return a new envelope of an operator, current now."""
    now = system_milliseconds()
    made = Envelope(
        operator=account_of(name),
        peer_id_hash=hash_of_peer(peer_of(name)),
        sequence=sequence_number(now, BootId(next(_BOOTS))),
        expiry=UnixMilliseconds(now + 30_000),
        payload=payload or heartbeat(),
    )
    return codec.encode_envelope(signing.sign_envelope(DEVNET, made, key_of(name)), DEVNET.separator)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Engine:
    """What the other side of a sentry's socket hears and says."""

    def __init__(self, names: Sequence[str] = ("alice", "bob")) -> None:
        self.said: list[AnyLinkMessage] = []
        self.heard: OrderedDict[bytes, float] = OrderedDict()
        self.link: Link | None = None
        self.links = 0
        self._names = names
        self._more = asyncio.Event()

    async def serve(self, link: Link) -> None:
        """Be the engine of one connection."""
        self.link, self.links = link, self.links + 1
        await link.send(registry_message(*self._names))
        try:
            while True:
                message = await link.receive()
                self._take(message)
                if isinstance(message, PeerAsks):
                    await link.send(AnswerPeer(number=message.number, answer=TOLD))
                self._more.set()
        finally:
            if self.link is link:
                self.link = None

    def _take(self, message: AnyLinkMessage) -> None:
        if isinstance(message, GossipHeard):
            self.heard.setdefault(message.envelope, time.monotonic())
            if len(self.heard) > MAX_HEARD:
                self.heard.popitem(last=False)
        if isinstance(message, SentryStatus):  # of these only the newest says something
            self.said = [one for one in self.said if not isinstance(one, SentryStatus)]
        self.said.append(message)
        del self.said[:-1_000]

    @property
    def status(self) -> SentryStatus | None:
        """What the sentry last said of itself."""
        return next((one for one in reversed(self.said) if isinstance(one, SentryStatus)), None)

    async def tell(self, message: AnyLinkMessage) -> None:
        """Send to the sentry, which is linked."""
        assert self.link is not None
        await self.link.send(message)

    async def hears(self, wanted: Callable[[AnyLinkMessage], bool], seconds: float = 60.0) -> AnyLinkMessage:
        """Return the first message that is wanted, also of those before; bounded."""
        await self.until(lambda: any(wanted(message) for message in self.said), seconds)
        return next(message for message in self.said if wanted(message))

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Return when the condition holds, which is looked at after each message. Raises AssertionError."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not condition():
            self._more.clear()
            left = deadline - asyncio.get_running_loop().time()
            assert left > 0, [type(message).__name__ for message in self.said[-20:]]
            try:
                await asyncio.wait_for(self._more.wait(), left)
            except TimeoutError:
                continue

    async def sees(self, number: int) -> None:
        """Return when the sentry has told of so many peers."""
        await self.until(lambda: self.status is not None and len(self.status.peers) == number)


@dataclass
class Sentry:
    """A sentry process, its engine, and what is needed to start it again."""

    name: str
    home: Path
    address: str
    engine: Engine
    options: dict[str, Any] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    starts: int = 0

    async def start(self) -> None:
        """Start the process."""
        command = (sys.executable, "-m", "node.sentry", str(self.home / "settings.json"))
        log = (self.home / "log").open("ab")
        try:
            pipe = asyncio.subprocess.PIPE
            self.process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, stdout=pipe, stderr=log, **self.options
            )
        finally:
            log.close()
        self.starts += 1

    async def ready(self, seconds: float) -> None:
        """Return when the process says that it listens; to be called once for each start. Raises TimeoutError."""
        assert self.process is not None
        assert self.process.stdout is not None
        said = await asyncio.wait_for(self.process.stdout.readline(), seconds)
        assert said.startswith(READY.encode()), said

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process by a signal; return its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), END_SECONDS)

    async def say(self, payload: Heartbeat | None = None) -> bytes:
        """Have a new envelope published, and return it."""
        data = fresh_envelope(self.name, payload)
        await self.engine.tell(PublishGossip(envelope=data))
        return data

    @property
    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self.process is not None and self.process.returncode is None

    @property
    def is_linked(self) -> bool:
        """Tell whether the process speaks with its engine."""
        return self.engine.link is not None


@asynccontextmanager
async def sentry(
    folder: Path,
    name: str,
    address: str,
    bootstrap: Sequence[str],
    names: Sequence[str] = ("alice", "bob"),
    **options: Any,
) -> AsyncIterator[Sentry]:
    """Run the sentry of an operator that listens at an address, with its engine; `options` go to the process."""
    home = folder / name
    home.mkdir(parents=True, exist_ok=True)
    (home / "identity").write_bytes(seed_of(name))
    settings = {
        "engine": str(home / "engine"),
        "identity": str(home / "identity"),
        "book": str(home / "peers.json"),
        "chain_id": DEVNET.chain_id,
        "registry": "0x" + DEVNET.registry.hex(),
        "listen": [address],
        "bootstrap": list(bootstrap),
        "private_peers": True,
    }
    (home / "settings.json").write_text(json.dumps(settings))
    engine = Engine(names)
    async with LinkServer(home / "engine", "engine", engine.serve, SystemClock()):
        made = Sentry(name, home, f"{address}/p2p/{peer_of(name)}", engine, options)
        await made.start()
        try:
            yield made
        finally:
            await made.end()


async def all_hear_all(sentries: Sequence[Sentry], seconds: float) -> float:
    """Return after how many seconds each has heard a message of every other that was said after the call.

    Raises AssertionError after `seconds`. Says again and again: what was said before a mesh stood is lost by design.
    """
    begun = time.monotonic()
    said: dict[str, list[bytes]] = {one.name: [] for one in sentries}

    def missing() -> list[str]:
        return [
            f"{hearer.name} has not heard {speaker.name}"
            for hearer in sentries
            for speaker in sentries
            if hearer is not speaker and not any(data in hearer.engine.heard for data in said[speaker.name])
        ]

    while missing():
        passed = time.monotonic() - begun
        assert passed < seconds, (f"after {passed:.1f} s", missing())
        for one in sentries:
            if one.is_linked:
                said[one.name].append(await one.say())
        await asyncio.sleep(0.1)
    return time.monotonic() - begun
