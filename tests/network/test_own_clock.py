"""Hosts whose clocks differ: who is alone with its time hears of it, and nobody else is alarmed."""

from __future__ import annotations

import pytest
import trio

from node.sentry.host import system_milliseconds
from protocol.kinds import PayloadKind
from protocol.units import UnixMilliseconds
from tests.sentry_scene import Node, envelope_of, in_trio, settings_of, until


def skewed(name: str, known: list[str], ahead: int) -> Node:
    made = Node(name, settings_of(known))
    made.sentry._now = lambda: UnixMilliseconds(system_milliseconds() + ahead)
    return made


@pytest.mark.parametrize("ahead", [30_000, -30_000, 6_000, -6_000])
@in_trio
async def test_a_node_whose_clock_is_wrong_hears_it_of_its_peers_and_they_are_not_alarmed(ahead: int) -> None:
    async with trio.open_nursery() as nursery:
        nodes: list[Node] = []
        for name, by in (("alice", ahead), ("bob", 0), ("carol", 0)):
            node = skewed(name, [address for other in nodes for address in other.sentry.addresses], by)
            await nursery.start(node.sentry.run)
            nodes.append(node)
        alice, bob, carol = nodes
        for node in nodes:
            others = {other.sentry.id for other in nodes if other is not node}
            await until(lambda node=node, others=others: others <= set(node.sentry.connected))  # type: ignore[misc]

        def is_told() -> bool:
            return alice.sentry.clock_doubt is not None

        with trio.fail_after(20):
            while not is_told():
                for node in nodes:
                    said = envelope_of(node.name, ahead=ahead if node is alice else 0)
                    await node.sentry.publish(PayloadKind.HEARTBEAT, said)
                await trio.sleep(0.1)
        doubt = alice.sentry.clock_doubt
        assert doubt is not None
        assert abs(doubt.ahead_ms - ahead) < 3_000, "a second of it is the test's own dice"
        assert (doubt.peers, doubt.heard) == (2, 2)
        assert bob.sentry.clock_doubt is None
        assert carol.sentry.clock_doubt is None
        assert not any(node.sentry.book.banned(system_milliseconds()) for node in nodes)
        nursery.cancel_scope.cancel()
