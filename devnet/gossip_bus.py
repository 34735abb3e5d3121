"""What carries gossip and orders between nodes in lockstep, at the place of each node's sentry.

It speaks to each engine over the socket on which that waits for its sentry, and is exchanged for the network below the
protocol: who is told what is decided by `protocol.gossip` for each node on its own, with the registry that its engine
told. Connections, streams and their bounds do not exist here: every node hears every other at once.

In each block all engines are quiet before anything is delivered, and it is delivered in one order: by the name of who
said it, then as it was said. So one seed gives the same words, to the byte: `digest` is of all that was delivered.
A question that was not answered when nobody has anything more to say gets no answer, as if its time were over.

BusBroken    an engine is gone, or says what no engine says
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

from devnet.errors import DevnetError
from node.clock import Clock
from node.link import (
    AnswerPeer,
    AnyLinkMessage,
    AskPeer,
    GossipHeard,
    PeerAnswered,
    PeerAsks,
    PublishGossip,
    RegistrySnapshot,
    StageQuiet,
    StageResumed,
    encode_frame,
)
from node.link_errors import LinkError
from node.link_sockets import Link, connect
from node.registry_snapshot import snapshot_of
from protocol.codec import decode_direct, decode_envelope
from protocol.errors import ProtocolError, RemoteProtocolError
from protocol.gossip import Gossip, GossipVerdict
from protocol.signing import Domain
from protocol.units import Hash32, PeerIdHash, UnixMilliseconds

CONNECT_SECONDS: Final = 240.0
"""An engine listens once it has read its keys and found its record on the chain."""
MAX_ROUNDS: Final = 64
"""Of one block: an order takes three. Beyond it something answers for ever."""
MAX_SAID: Final = 4_096
"""Messages of one engine in one round."""


class BusBroken(DevnetError):
    """An engine is gone, or says what no engine says."""


class Member(NamedTuple):
    """A node: its name, where its engine waits for a sentry, and its peer id as text and as the protocol names it."""

    name: str
    engine: Path
    peer: str
    peer_id_hash: PeerIdHash


class _Node:
    """One node's place: its link, and its own judgement of what others say."""

    def __init__(self, member: Member, link: Link, domain: Domain) -> None:
        self.member, self.link, self.gossip = member, link, Gossip(domain)
        self.hears: list[AnyLinkMessage] = []
        """What is to be delivered to it at the end of the round."""

    async def said(self) -> tuple[int, list[AnyLinkMessage]]:
        """Return what it says until it is quiet, and in which block. Raises BusBroken."""
        messages: list[AnyLinkMessage] = []
        try:
            while not isinstance(message := await self.link.receive(), StageQuiet):
                messages.append(message)
                if len(messages) > MAX_SAID:
                    raise BusBroken(f"{self.member.name}: more than {MAX_SAID} messages in one round")
        except (LinkError, RemoteProtocolError) as error:
            raise BusBroken(f"{self.member.name}: {error}") from None
        return message.block, messages

    async def go_on(self, *, is_over: bool) -> None:
        """Deliver what it is to hear, and let it go on. Raises BusBroken."""
        heard, self.hears = self.hears, []
        try:
            for message in (*heard, StageResumed(is_over=is_over)):
                await self.link.send(message)
        except LinkError as error:
            raise BusBroken(f"{self.member.name}: {error}") from None


class _Question(NamedTuple):
    """Who waits for an answer, and under which number of its own."""

    asker: _Node
    number: int


class GossipBus:
    """See the module; `run` it. `counts`: what was delivered, by kind, and what was not, by reason."""

    def __init__(
        self, members: Sequence[Member], domain: Domain, clock: Clock, now: Callable[[], UnixMilliseconds]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.digests: dict[int, str] = {}
        """By block: of all that was delivered up to it."""
        self._members = sorted(members, key=lambda member: member.name)
        self._domain, self._clock, self._now = domain, clock, now
        self._nodes: list[_Node] = []
        self._questions: dict[int, _Question] = {}
        self._asked = 0
        self._hash = hashlib.sha256()

    async def run(self) -> None:
        """Connect to all engines and carry what they say until cancelled. Raises BusBroken."""
        async with AsyncExitStack() as stack:
            for member in self._members:
                try:
                    link = await connect(member.engine, "sentry", self._clock, CONNECT_SECONDS)
                except (LinkError, RemoteProtocolError) as error:
                    raise BusBroken(f"{member.name}: {error}") from None
                self._nodes.append(_Node(member, await stack.enter_async_context(link), self._domain))
            while True:
                await self._block()

    async def _block(self) -> None:
        """Carry what is said in one block, until nobody has anything to say."""
        for _ in range(MAX_ROUNDS):
            said = await asyncio.gather(*(node.said() for node in self._nodes))
            blocks = {block for block, _ in said}
            if len(blocks) != 1:
                raise BusBroken(f"the engines are not in one block: {sorted(blocks)}")
            self._take_all([messages for _, messages in said])
            if not any(node.hears for node in self._nodes):
                self._give_up()
            is_over = not any(node.hears for node in self._nodes)
            self._note()
            if is_over:
                self.digests[min(blocks)] = self._hash.hexdigest()
            await asyncio.gather(*(node.go_on(is_over=is_over) for node in self._nodes))
            if is_over:
                return
        raise BusBroken(f"the engines are not done with one block after {MAX_ROUNDS} rounds")

    def _take_all(self, said: Sequence[Sequence[AnyLinkMessage]]) -> None:
        """Take what was said in a round, the registries first: all are in one block."""
        for node, messages in zip(self._nodes, said, strict=True):
            for message in messages:
                if isinstance(message, RegistrySnapshot):
                    node.gossip.follow(snapshot_of(message))
        for node, messages in zip(self._nodes, said, strict=True):
            for message in messages:
                if not isinstance(message, RegistrySnapshot):
                    self._take(node, message)

    def _take(self, node: _Node, message: AnyLinkMessage) -> None:
        match message:
            case PublishGossip(envelope=data):
                self._publish(node, data)
            case AskPeer():
                self._ask(node, message)
            case AnswerPeer():
                self._answer(message)
            case _:
                raise BusBroken(f"{node.member.name} says {type(message).__name__}, which no engine says to its sentry")

    def _publish(self, speaker: _Node, data: bytes) -> None:
        member, now = speaker.member, self._now()
        try:
            kind = decode_envelope(data, self._domain.separator).kind
        except ProtocolError as error:
            raise BusBroken(f"{member.name} publishes what is no envelope: {error}") from None
        for hearer in self._nodes:
            if hearer is speaker:
                continue
            try:
                hearer.gossip.validate(kind, data, member.peer_id_hash, member.peer_id_hash, now)
            except GossipVerdict as verdict:
                self.counts[verdict.reason.name] += 1
                continue
            self.counts[kind.name.lower()] += 1
            hearer.hears.append(GossipHeard(envelope=data, peer=member.peer))

    def _ask(self, asker: _Node, message: AskPeer) -> None:
        """Put a question to the peer that it is for, if each of the two lets the other in."""
        peers = {node.member.peer_id_hash: node for node in self._nodes if node is not asker}
        wanted, own = PeerIdHash(Hash32(message.peer_id_hash)), asker.member.peer_id_hash
        asked = peers.get(wanted)
        if asked is None or wanted not in asker.gossip.snapshot.by_peer or own not in asked.gossip.snapshot.by_peer:
            self.counts["not connected"] += 1
            asker.hears.append(PeerAnswered(number=message.number, answer=b"", why="not connected"))
            return
        self._asked += 1
        self._questions[self._asked] = _Question(asker, message.number)
        self.counts["asked"] += 1
        asked.hears.append(PeerAsks(number=self._asked, peer_id_hash=own, question=message.question))

    def _answer(self, message: AnswerPeer) -> None:
        question = self._questions.pop(message.number, None)
        if question is None:
            self.counts["answered too late"] += 1
            return
        why = ""
        try:
            if message.answer:
                decode_direct(message.answer)
            else:
                why = "it said nothing"
        except RemoteProtocolError as error:
            why = str(error)[:200]
        self.counts["unanswered" if why else "answered"] += 1
        answer = b"" if why else message.answer
        question.asker.hears.append(PeerAnswered(number=question.number, answer=answer, why=why))

    def _give_up(self) -> None:
        """Nobody has anything to say: what is not answered now would not be in time."""
        for question in self._questions.values():
            self.counts["unanswered"] += 1
            question.asker.hears.append(PeerAnswered(number=question.number, answer=b"", why="not in time"))
        self._questions.clear()

    def _note(self) -> None:
        for node in self._nodes:
            for message in node.hears:
                self._hash.update(node.member.name.encode() + b"\0" + encode_frame(message))
