"""What carries gossip between nodes in lockstep: one order of everything, and each node's own judgement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from devnet import gossip_bus
from devnet.gossip_bus import MAX_ROUNDS, BusBroken, GossipBus, Member
from node.clock import SystemClock
from node.link import (
    AnswerPeer,
    AnyLinkMessage,
    AskPeer,
    GossipHeard,
    PeerAnswered,
    PeerAsks,
    PublishGossip,
    RegistrySnapshot,
    ShutDown,
    StageQuiet,
    StageResumed,
    StakedOperator,
)
from node.link_errors import LinkClosed, LinkUnavailable
from protocol.codec import encode_direct
from protocol.messages import Have
from tests.gossip_factories import HEAD, PEERS, STAKES, message
from tests.protocol_factories import ADDRESSES, DEVNET, NOW, hash_of, heartbeat

ANSWER = encode_direct(Have(order_hash=hash_of("order")))
QUIET = StageQuiet(block=7)


class Engine:
    """A link whose other end is an engine: it says its rounds one after the other; what it hears is kept."""

    def __init__(self, *rounds: Sequence[AnyLinkMessage], block: int = 7) -> None:
        self.heard: list[AnyLinkMessage] = []
        self.saying = [message for said in rounds for message in (*said, StageQuiet(block=block))]
        self.delay = 0

    async def receive(self) -> AnyLinkMessage:
        for _ in range(self.delay):
            await asyncio.sleep(0)
        if not self.saying:
            raise LinkClosed("engine has closed")
        return self.saying.pop(0)

    async def send(self, message: AnyLinkMessage) -> None:
        self.heard.append(message)

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *_: object) -> None:
        return


def registry(*names: str) -> RegistrySnapshot:
    operators = [
        StakedOperator(
            account=ADDRESSES[name], hot_keys=[ADDRESSES[name]], peer_id_hash=PEERS[name], stake=str(STAKES[name])
        )
        for name in names
    ]
    return RegistrySnapshot(block=HEAD, time=1, operators=operators)


ALL = registry(*STAKES)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., GossipBus]:
    """Let these engines say all that they have to say, until the first of them closes."""

    def run(**engines: Engine) -> GossipBus:
        async def connect(path: Path, *_: object) -> Engine:
            return engines[path.name]

        monkeypatch.setattr(gossip_bus, "connect", connect)
        members = [Member(name, Path(name), f"peer of {name}", PEERS[name]) for name in engines]
        bus = GossipBus(members, DEVNET, SystemClock(), lambda: NOW)
        with pytest.raises(BusBroken, match="engine has closed"):
            asyncio.run(bus.run())
        return bus

    return run


def says(name: str, at: int = 0) -> PublishGossip:
    return PublishGossip(envelope=message(heartbeat(block_number=HEAD), name, at))


def told(engine: Engine) -> list[AnyLinkMessage]:
    return [message for message in engine.heard if not isinstance(message, StageResumed)]


def test_everybody_hears_everybody_else_in_the_order_of_names(run: Callable[..., GossipBus]) -> None:
    words = {name: says(name) for name in STAKES}
    digests = []
    for slow in STAKES:
        engines = {name: Engine([ALL, words[name]], []) for name in STAKES}
        engines[slow].delay = 20
        bus = run(**engines)
        for name, engine in engines.items():
            others = [GossipHeard(envelope=words[one].envelope, peer=f"peer of {one}") for one in STAKES if one != name]
            assert engine.heard == [*others, StageResumed(is_over=False), StageResumed(is_over=True)]
        assert bus.counts == {"heartbeat": 6}
        digests.append(bus.digests)
    assert digests[0].keys() == {7}
    assert digests[0] == digests[1] == digests[2], "who is slow changes nothing"


def test_each_node_judges_by_its_own_registry(run: Callable[..., GossipBus]) -> None:
    alice, bob, carol = Engine([ALL, says("alice")], []), Engine([ALL], []), Engine([registry("bob", "carol")], [])
    bus = run(alice=alice, bob=bob, carol=carol)

    assert len(told(bob)) == 1
    assert told(carol) == []
    assert bus.counts == {"heartbeat": 1, "UNKNOWN_OPERATOR": 1}


def test_another_words_are_nobodys_own_and_old_ones_are_not_repeated(run: Callable[..., GossipBus]) -> None:
    alice, bob = Engine([ALL, says("bob"), says("alice"), says("alice")], []), Engine([ALL], [])
    bus = run(alice=alice, bob=bob)

    assert len(told(bob)) == 1
    assert bus.counts == {"WRONG_PUBLISHER": 1, "heartbeat": 1, "DUPLICATE": 1}


def test_a_question_goes_to_its_peer_and_the_answer_back(run: Callable[..., GossipBus]) -> None:
    ask = AskPeer(number=5, peer_id_hash=PEERS["bob"], question=b"a question", deadline_ms=250)
    alice, bob = Engine([ALL, ask], [], []), Engine([ALL], [AnswerPeer(number=1, answer=ANSWER)], [])
    bus = run(alice=alice, bob=bob)

    assert told(bob) == [PeerAsks(number=1, peer_id_hash=PEERS["alice"], question=b"a question")]
    assert told(alice) == [PeerAnswered(number=5, answer=ANSWER, why="")]
    assert [message.is_over for message in alice.heard if isinstance(message, StageResumed)] == [False, False, True]
    assert bus.counts == {"asked": 1, "answered": 1}


@pytest.mark.parametrize(
    ("said", "why"), [([], "not in time"), ([b""], "it said nothing"), ([b"no message"], "no kind")]
)
def test_what_is_no_answer_is_told_as_none(run: Callable[..., GossipBus], said: list[bytes], why: str) -> None:
    ask = AskPeer(number=5, peer_id_hash=PEERS["bob"], question=b"a question", deadline_ms=250)
    answers = [AnswerPeer(number=1, answer=answer) for answer in said]
    alice, bob = Engine([ALL, ask], [], [], []), Engine([ALL], answers, [], [*answers])
    bus = run(alice=alice, bob=bob)

    (answer,) = told(alice)
    assert isinstance(answer, PeerAnswered)
    assert answer.answer == b""
    assert why in answer.why
    assert bus.counts["unanswered"] == 1


def test_an_answer_that_comes_when_nobody_waits_any_more_is_counted(run: Callable[..., GossipBus]) -> None:
    bus = run(alice=Engine([AnswerPeer(number=9, answer=ANSWER)]))
    assert bus.counts == {"answered too late": 1}


@pytest.mark.parametrize("asked", ["eve", "carol", "alice"])
def test_who_is_not_let_in_is_not_connected(run: Callable[..., GossipBus], asked: str) -> None:
    ask = AskPeer(number=5, peer_id_hash=PEERS[asked], question=b"a question", deadline_ms=250)
    alice, bob = Engine([registry("alice", "bob"), ask], []), Engine([ALL], [])
    carol = Engine([ALL], [])
    run(alice=alice, bob=bob, carol=carol)

    assert told(alice) == [PeerAnswered(number=5, answer=b"", why="not connected")]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([PublishGossip(envelope=b"no envelope")], "alice publishes what is no envelope"),
        ([ShutDown(reason="")], "alice says ShutDown"),
        ([ALL] * (gossip_bus.MAX_SAID + 1), "alice: more than 4096 messages"),
    ],
)
def test_what_no_engine_says_ends_it_with_the_engines_name(
    monkeypatch: pytest.MonkeyPatch, said: list[AnyLinkMessage], why: str
) -> None:
    with pytest.raises(BusBroken, match=why):
        asyncio.run(bus_of(monkeypatch, alice=Engine(said)).run())


def test_engines_in_different_blocks_or_without_an_end_break_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BusBroken, match=r"not in one block: \[7, 8\]"):
        asyncio.run(bus_of(monkeypatch, alice=Engine([]), bob=Engine([], block=8)).run())
    endless: list[Sequence[AnyLinkMessage]] = [[ALL, says("alice", 1_000 * at)] for at in range(MAX_ROUNDS)]
    bob = Engine([ALL], *[[] for _ in range(MAX_ROUNDS)])
    with pytest.raises(BusBroken, match="not done with one block after 64 rounds"):
        asyncio.run(bus_of(monkeypatch, alice=Engine(*endless), bob=bob, rate_ms=1_000).run())


async def test_an_engine_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: object) -> Engine:
        raise LinkUnavailable("engine.sock: nobody answered within 240.0 s")

    bus = bus_of(monkeypatch, alice=Engine())
    monkeypatch.setattr(gossip_bus, "connect", connect)
    with pytest.raises(BusBroken, match=r"alice: engine\.sock: nobody answered"):
        await bus.run()


def bus_of(monkeypatch: pytest.MonkeyPatch, rate_ms: int = 0, **engines: Engine) -> GossipBus:
    """A bus whose clock goes on by `rate_ms` each time that it is read."""

    async def connect(path: Path, *_: object) -> Engine:
        return engines[path.name]

    now = [int(NOW)]

    def read() -> int:
        now[0] += rate_ms
        return now[0]

    monkeypatch.setattr(gossip_bus, "connect", connect)
    members = [Member(name, Path(name), f"peer of {name}", PEERS[name]) for name in engines]
    return GossipBus(members, DEVNET, SystemClock(), read)  # type: ignore[arg-type]
