"""Messages that arrive at a node one after the other, with what it makes of them: the gossip vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from protocol import codec, signing
from protocol.ethereum.keccak import keccak256
from protocol.gossip import MAX_ALERT_SECONDS, Gossip, GossipLimits, Operator, StakeSnapshot
from protocol.kinds import PayloadKind
from protocol.messages import Payload
from protocol.units import BlockNumber, Hash32, StakeUnits, UnixSeconds
from tests.gossip_factories import HEAD, HEAD_TIME, PEERS, STAKES, gossip, message, snapshot, verdict
from tests.protocol_factories import (
    ADDRESSES,
    DEVNET,
    DOMAINS,
    KEYS,
    alert,
    attestation,
    heartbeat,
    opportunity,
)

REVEALED: Final = bytes(range(32)) + b"what it was"
REVEALED_HASH: Final = Hash32(keccak256(REVEALED))
STAKE = StakeUnits(30 * 10**18)
YEAR_SECONDS: Final = 365 * 24 * 3_600


class Arrival(NamedTuple):
    """One message, `times` over: the kind of its topic, its bytes, who published and forwarded it, ms after NOW."""

    data: bytes
    kind: PayloadKind = PayloadKind.HEARTBEAT
    publisher: str = "bob"
    forwarder: str = "alice"
    at: int = 0
    times: int = 1


class Scenario(NamedTuple):
    """What a fresh node that follows `registry` hears."""

    name: str
    arrivals: tuple[Arrival, ...]
    registry: StakeSnapshot


def scenarios() -> Iterator[Scenario]:
    """Yield every scenario."""
    for name, arrivals, registry in _cases():
        yield Scenario(name, tuple(arrivals), registry or snapshot())


def verdicts(scenario: Scenario, state: Gossip | None = None) -> list[str]:
    """Return what our node makes of each arrival: the same each time that it is heard."""
    state = state or gossip()
    state.follow(scenario.registry)
    said: list[str] = []
    for one in scenario.arrivals:
        each = {verdict(state, one.kind, one.data, one.publisher, one.forwarder, one.at) for _ in range(one.times)}
        assert len(each) == 1, (scenario.name, each)
        said += each
    return said


def _cases() -> Iterator[tuple[str, list[Arrival], StakeSnapshot | None]]:
    beat = message(heartbeat())
    yield "a heartbeat", [Arrival(beat)], None
    yield "a heartbeat twice, from two peers", [Arrival(beat), Arrival(beat, forwarder="carol")], None
    yield "on the topic of another kind", [Arrival(beat, PayloadKind.ALERT)], None
    yield "published by another peer", [Arrival(beat, publisher="eve")], None
    yield "from an operator without stake", [Arrival(beat)], snapshot(bob=None)
    yield "bytes cut short", [Arrival(beat[:-1])], None
    yield "more than 8 KiB", [Arrival(beat + bytes(8_192))], None
    yield "for another chain", [Arrival(DOMAINS["mainnet"].separator + beat[32:])], None
    yield "one bit of the signature changed", [Arrival(beat[:-60] + bytes((beat[-60] ^ 1,)) + beat[-59:])], None
    lie, both = Arrival(_lie("bob")), Operator((ADDRESSES["bob"], ADDRESSES["carol"]), PEERS["bob"], STAKE)
    yield "signed by a key that is not the operator's in our registry, then the true one", [lie, Arrival(beat)], None
    yield "the same from its publisher itself", [lie._replace(forwarder="bob")], None
    yield "the same where the registry has that key since a block", [lie], snapshot(bob=both)
    yield "v of the signature neither 27 nor 28", [Arrival(beat[:-1] + b"\x1d")], None
    lies = [Arrival(_lie("alice", at), publisher="alice", forwarder="alice") for at in range(102)]
    yield "unknown keys from the publisher, more than the stake allows", lies, None
    for at in (-2_001, -2_000, 12_000, 12_001):
        yield f"heard {at} ms after it was made, with 10 s to live", [Arrival(beat, at=at)], None
    overtaken = [Arrival(message(heartbeat(), at=1)), Arrival(beat), Arrival(beat)]
    yield "one overtaken by a later one", overtaken, None
    twin = Arrival(message(heartbeat(capabilities=0)))
    yield "two different ones with one sequence number", [Arrival(beat), twin], None
    many = [Arrival(message(heartbeat(), "alice", at), publisher="alice", forwarder="bob") for at in range(103)]
    yield "more than the stake allows: 25 a second for 10 % of it, for 4 s", many, None
    rules = GossipLimits().forwarder
    junk = Arrival(b"junk", times=rules.burst)
    later = (Arrival(beat, at=1), Arrival(beat, forwarder="carol", at=1), Arrival(b"junk", at=2))
    yield "more from one peer than is looked at, and what another brings", [junk, *later], None
    moved = Operator((ADDRESSES["bob"],), PEERS["eve"], StakeUnits(STAKES["bob"] * 10**18))
    yield "from an operator that has another peer by now", [Arrival(beat)], snapshot(bob=moved)
    for name, kind, payload in _payloads():
        yield name, [Arrival(message(payload), kind)], None
    for ahead in (-YEAR_SECONDS, YEAR_SECONDS):
        time = UnixSeconds(HEAD_TIME + ahead)
        warned = message(alert(expiry=UnixSeconds(time + 3_600)))
        registry = StakeSnapshot(HEAD, snapshot().operators, time)
        yield f"an alert of a chain whose time is {ahead:+} s from ours", [Arrival(warned, PayloadKind.ALERT)], registry


def _lie(name: str, at: int = 0) -> bytes:
    """An envelope of an operator that carol's key signed."""
    whole = codec.decode_envelope(message(heartbeat(), name, at), DEVNET.separator)
    return codec.encode_envelope(replace(whole, signature=signing.sign(DEVNET, whole, KEYS["carol"])), DEVNET.separator)


def _payloads() -> Iterator[tuple[str, PayloadKind, Payload]]:
    for ahead in (-513, -512, 64, 65):
        block = BlockNumber(HEAD + ahead)
        yield f"an opportunity for head {ahead:+}", PayloadKind.OPPORTUNITY, opportunity(target_block=block)
        yield f"a heartbeat of head {ahead:+}", PayloadKind.HEARTBEAT, heartbeat(block_number=block)
        yield f"an attestation of head {ahead:+}", PayloadKind.ATTESTATION, _vote("bob", block_number=block)
    for ahead in (0, 1):
        told = opportunity(target_block=BlockNumber(HEAD + ahead), commitment=REVEALED_HASH, revealed=REVEALED)
        yield f"an opportunity for head {ahead:+} with its payload", PayloadKind.OPPORTUNITY, told
    yield "an attestation that another operator signed", PayloadKind.ATTESTATION, _vote("alice")
    vague = replace(_vote("bob"), signature=b"\xff" * 65)
    yield "an attestation that no key signed", PayloadKind.ATTESTATION, vague
    top = HEAD_TIME + MAX_ALERT_SECONDS
    for expiry in (HEAD_TIME, HEAD_TIME + 1, top, top + 1):
        warning = alert(expiry=UnixSeconds(expiry))
        yield f"an alert until {expiry - HEAD_TIME:+} s", PayloadKind.ALERT, warning


def _vote(signer: str, **changes: Any) -> Payload:
    return signing.sign_attestation(DEVNET, attestation(**changes), KEYS[signer])
