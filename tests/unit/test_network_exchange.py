"""Rounds of lockstep as an engine takes part in them: it says all it has to say, hears the others, and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from node.engine.errors import EngineFault
from node.engine.network.exchange import Exchange, SteppedLink
from node.engine.network.keys import Repeated
from node.link import (
    AnyLinkMessage,
    AskPeer,
    GossipHeard,
    PeerAnswered,
    PublishGossip,
    RegistrySnapshot,
    StageQuiet,
    StageResumed,
)
from node.link_errors import LinkClosed
from protocol.codec import encode_direct
from protocol.messages import Have, SealingKeyRequest
from protocol.units import BlockNumber, PeerIdHash
from tests.manual_clock import ManualClock
from tests.protocol_factories import hash_of

BLOCK = BlockNumber(7)
PEER = PeerIdHash(hash_of("peer"))
HAVE = Have(order_hash=hash_of("order"))
GO_ON, OVER = StageResumed(is_over=False), StageResumed(is_over=True)


class Bus:
    """The other end of the link: answers each `StageQuiet` by the next of these words."""

    def __init__(self, *answers: Sequence[AnyLinkMessage]) -> None:
        self.heard: list[AnyLinkMessage] = []
        self.answers = list(answers)
        self.words: asyncio.Queue[AnyLinkMessage | None] = asyncio.Queue()

    async def send(self, message: AnyLinkMessage) -> None:
        self.heard.append(message)
        if isinstance(message, StageQuiet):
            for word in self.answers.pop(0) if self.answers else [None]:
                self.words.put_nowait(word)

    async def receive(self) -> AnyLinkMessage:
        word = await self.words.get()
        if word is None:
            raise LinkClosed("the other side has closed")
        return word


class Idle:
    """Orders or alerts of which so many are under way for so many looks."""

    def __init__(self, looks: int = 0) -> None:
        self.looks = looks

    @property
    def busy(self) -> int:
        self.looks -= self.looks > 0
        return int(self.looks > 0)


async def served(link: SteppedLink, bus: Bus) -> asyncio.Task[None]:
    task = asyncio.create_task(link.handle(bus))  # type: ignore[arg-type]
    await link.linked()
    return task


async def nothing() -> None:
    return


async def test_what_is_said_waits_for_the_exchange_and_what_is_heard_comes_with_it() -> None:
    link, bus = SteppedLink(ManualClock()), Bus([GossipHeard(envelope=b"theirs", peer="p"), GO_ON], [OVER])
    heard: list[GossipHeard] = []
    link.heard = heard.append
    await link.follow(RegistrySnapshot(block=7, time=1, operators=[]))
    await link.publish(b"ours")
    task = await served(link, bus)
    assert [type(message) for message in bus.heard] == [RegistrySnapshot], "a sentry is told who is there at once"

    exchange = Exchange(link, Idle(), Idle())  # type: ignore[arg-type]
    await exchange.play(BLOCK, nothing)

    said = [
        RegistrySnapshot(block=7, time=1, operators=[]),
        PublishGossip(envelope=b"ours"),
        *[StageQuiet(block=7)] * 2,
    ]
    assert bus.heard[1:] == said
    assert [message.envelope for message in heard] == [b"theirs"]
    task.cancel()


async def test_a_question_is_answered_in_a_later_round_and_keeps_nobody_busy_meanwhile() -> None:
    link = SteppedLink(ManualClock())
    bus = Bus([GO_ON], [PeerAnswered(number=1, answer=encode_direct(HAVE), why=""), GO_ON], [OVER])
    task = await served(link, bus)
    asking = asyncio.create_task(link.ask(PEER, SealingKeyRequest(target_block=BLOCK), 0.25))
    await asyncio.sleep(0)
    settled = 0

    async def settle() -> None:
        nonlocal settled
        settled += 1

    await Exchange(link, Idle(3), Idle(5)).play(BLOCK, settle)  # type: ignore[arg-type]

    assert await asking == HAVE
    assert [type(message) for message in bus.heard] == [AskPeer, StageQuiet, StageQuiet, StageQuiet]
    assert settled > 3, "it settles again as long as something goes on"
    task.cancel()


async def test_without_a_bus_the_engine_ends_with_a_reason() -> None:
    clock = ManualClock()
    link = SteppedLink(clock)
    with pytest.raises(EngineFault, match="away"):
        await link.exchanged(BLOCK)
    waiting = asyncio.create_task(link.linked())
    await clock.until_asleep(240.0)
    await clock.advance(240.0)
    with pytest.raises(EngineFault, match="nobody came to carry gossip within 240 s"):
        await waiting


async def test_a_bus_that_goes_in_mid_round_is_told() -> None:
    link = SteppedLink(ManualClock())
    task = await served(link, Bus())
    with pytest.raises(EngineFault, match="has ended"):
        await link.exchanged(BLOCK)
    with pytest.raises(LinkClosed):
        await task


def test_in_place_of_chance_the_same_bytes_follow_from_a_secret_and_never_twice_in_a_run() -> None:
    one, again, other = Repeated(b"secret"), Repeated(b"secret"), Repeated(b"another")
    drawn = [one(count) for count in (8, 32, 100, 32)]
    assert [len(each) for each in drawn] == [8, 32, 100, 32]
    assert drawn == [again(count) for count in (8, 32, 100, 32)]
    assert drawn[1] != drawn[3] != other(32)
    assert "secret" not in repr(one)
