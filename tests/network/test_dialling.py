"""When a peer is dialled that says of itself each second that it is elsewhere, and whom that delays: nobody."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from node.sentry.dialling import MAX_PAUSE_SECONDS, Rank
from protocol.messages import PeerRecords, PeerRecordsRequest
from protocol.units import Hash32
from tests.peer_record_samples import MADE_AT, address, sealed
from tests.protocol_factories import NOW
from tests.sentry_scene import Node, peer_of, settings_of, with_stake

START = PeerRecordsRequest(after=Hash32(bytes(32)))
SECONDS = 240


class Knocker:
    """Alice's dialler, by a clock that the test sets, among peers that are nowhere."""

    def __init__(self, *names: str) -> None:
        self.clock = MockClock()
        self.sentry = Node("alice", settings_of()).sentry
        self.sentry.follow(with_stake(["alice", "carol", *names]))
        self.names = names
        self.knocks: Counter[str] = Counter()

    def hears(self, name: str, port: int, sequence: int) -> None:
        """Have alice take a record, as she does when she has asked."""
        answer = PeerRecords(records=(sealed(name, address("127.0.0.1", port), sequence=sequence),))
        for whose in self.sentry.records.take(peer_of("carol"), START, answer, NOW):
            self.sentry.dialler.is_there(whose)

    async def round(self) -> None:
        """Dial whoever is due, and let a second pass."""
        dialler = self.sentry.dialler
        names = {peer_of(name): name for name in self.names}
        due = dialler.due(set())
        for rank, info in due:
            dialler._under_way[info.peer_id] = rank
        for rank, info in due:
            await dialler._dial(rank, info)
            self.knocks[names[info.peer_id]] += 1
        self.clock.jump(1.0)


@pytest.mark.parametrize("ports", [1, 7])
def test_who_signs_a_record_each_second_is_not_knocked_at_each_second(ports: int) -> None:
    knocker = Knocker("bob")

    async def knock() -> None:
        for second in range(2 * SECONDS):
            knocker.hears("bob", 1 + second % ports, MADE_AT + second)
            if second == SECONDS:
                knocker.knocks.clear()
            await knocker.round()

    trio.run(knock, clock=knocker.clock)
    often = 2 if ports > 1 else 1  # other addresses end each pause once; the same ones none
    assert 0 < knocker.knocks["bob"] <= often * (SECONDS / MAX_PAUSE_SECONDS[Rank.RECORDED] + 1)


def test_a_crowd_that_moves_each_second_keeps_nobody_from_being_dialled() -> None:
    crowd = [f"sybil {number}" for number in range(40)]
    knocker = Knocker("bob", *crowd)

    async def knock() -> None:
        for number, name in enumerate(knocker.names):
            knocker.hears(name, 1 + number, MADE_AT)
        for _ in range(SECONDS // 2):
            for name in crowd:
                knocker.sentry.dialler.is_there(peer_of(name))
            await knocker.round()

    trio.run(knock, clock=knocker.clock)
    assert knocker.knocks["bob"] >= 4


def test_an_address_of_the_book_is_read_once_and_not_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    sentry = Knocker("bob").sentry
    sentry.book.told(str(peer_of("bob")), ["/ip4/127.0.0.1/tcp/4711"], NOW)
    first = sentry.dialler.wanted()
    assert [info.peer_id for _, info in first] == [peer_of("bob")]
    monkeypatch.setattr("node.sentry.dialling.Multiaddr", lambda text: pytest.fail(f"{text} was read again"))
    assert [info.addrs for _, info in sentry.dialler.wanted()] == [first[0][1].addrs]


def test_who_moves_is_dialled_at_once() -> None:
    knocker = Knocker("bob")

    async def knock() -> None:
        knocker.hears("bob", 1, MADE_AT)
        for _ in range(40):
            await knocker.round()
        before = knocker.knocks["bob"]
        await knocker.round()
        assert knocker.knocks["bob"] == before
        knocker.hears("bob", 2, MADE_AT + 1)
        await knocker.round()
        assert knocker.knocks["bob"] == before + 1

    trio.run(knock, clock=knocker.clock)
