"""Who is there: heartbeats, how long they count, and that nothing is kept of who has left."""

from __future__ import annotations

from node.engine.network.directory import SILENT_MS, PeerDirectory
from node.engine.network.trust import Trust
from node.link import PeerSeen, SentryStatus
from protocol.kinds import Capability
from protocol.messages import Envelope, Payload
from protocol.units import BlockNumber, UnixMilliseconds
from tests import protocol_factories as make
from tests.protocol_factories import ALICE, BOB, CAROL
from tests.unit.test_network_orders import Known

NOW = UnixMilliseconds(1_790_000_000_000)
EXECUTES = Capability.ACCEPTS_ORDERS | Capability.EXECUTOR_LIVE


def envelope_of(operator: bytes, payload: Payload | None = None) -> Envelope:
    return make.envelope(payload or make.heartbeat(capabilities=int(EXECUTES) | 1 << 20), operator=operator)


def directory() -> tuple[PeerDirectory, Known]:
    known = Known()
    return PeerDirectory(known), known  # type: ignore[arg-type]


def test_what_an_operator_offers_counts_until_it_was_silent_for_too_long() -> None:
    peers, _ = directory()
    assert not peers.offers(BOB, EXECUTES, NOW)
    peers.heard(envelope_of(BOB), NOW)
    peers.heard(envelope_of(BOB, make.alert()), UnixMilliseconds(NOW + 10))

    assert peers.offers(BOB, EXECUTES, UnixMilliseconds(NOW + SILENT_MS))
    assert not peers.offers(BOB, EXECUTES, UnixMilliseconds(NOW + SILENT_MS + 1)), "an alert is no heartbeat"
    assert not peers.offers(BOB, Capability.ATTESTS_ALERTS, NOW)


def test_nothing_is_kept_of_a_stranger_nor_of_who_has_left_the_registry() -> None:
    peers, known = directory()
    peers.heard(envelope_of(CAROL), NOW)
    assert not peers._heard
    peers.heard(envelope_of(BOB), NOW)
    record = known.operators.pop(BOB)
    peers.follow(BlockNumber(1))
    assert not peers._heard
    known.operators[BOB] = record
    assert not peers.offers(BOB, EXECUTES, NOW), "who comes back has to be heard again"


def test_who_names_anothers_peer_takes_nothing_from_its_line() -> None:
    peers, _ = directory()
    seen = [PeerSeen(peer="12D3", operator=operator, score=7) for operator in (ALICE, BOB)]
    told = peers.seen(SentryStatus(at=NOW, peers=seen, counts={}), Trust())

    assert [(one.operator, one.peer, one.score) for one in told] == [(ALICE, "12D3", 7), (BOB, "12D3", 7)]
