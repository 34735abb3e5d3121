"""Gossip: what is accepted, what is ignored, and what is rejected and blamed."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from protocol import codec, gossip, signing
from protocol.buckets import BucketRules, StakeRates
from protocol.errors import InvalidField
from protocol.ethereum.keccak import keccak256
from protocol.gossip import (
    GossipIgnore,
    GossipReject,
    IgnoreReason,
    Operator,
    RejectReason,
    StakeSnapshot,
)
from protocol.kinds import PayloadKind
from protocol.seen import SEQUENCES_KEPT, Sequences
from protocol.units import (
    BlockNumber,
    BootId,
    Hash32,
    PeerIdHash,
    StakeUnits,
    UnixMilliseconds,
    UnixSeconds,
    sequence_number,
)
from tests import gossip_factories as make
from tests.gossip_factories import HEAD, PEERS, message, verdict
from tests.protocol_factories import (
    ADDRESSES,
    ALICE,
    DEVNET,
    DOMAINS,
    KEYS,
    NOW,
    alert,
    attestation,
    envelope,
    hash_of,
    heartbeat,
    opportunity,
)

BEAT = PayloadKind.HEARTBEAT


def vote(signer: str = "bob", **changes: Any) -> Any:
    return signing.sign_attestation(DEVNET, attestation(**changes), KEYS[signer])


def revealed(**changes: Any) -> Any:
    secret = hash_of("salt") + b"what was found"
    return opportunity(commitment=Hash32(keccak256(secret)), revealed=secret, **changes)


@pytest.mark.parametrize("payload", [opportunity(), alert(), vote(), heartbeat(), revealed()])
def test_what_a_staked_operator_signs_is_accepted_on_its_topic_once(payload: Any) -> None:
    state, data = make.gossip(), message(payload)
    kind = codec.decode_envelope(data, DEVNET.separator).kind
    assert verdict(state, kind, data) == "ACCEPT"
    assert verdict(state, kind, data) == "DUPLICATE"
    assert (state.accepted, state.counts[IgnoreReason.DUPLICATE]) == (1, 1)
    others = [other for other in PayloadKind if other is not kind]
    assert [verdict(make.gossip(), other, data) for other in others] == ["WRONG_TOPIC"] * 3


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (opportunity(target_block=BlockNumber(HEAD + 64)), "ACCEPT"),
        (opportunity(target_block=BlockNumber(HEAD + 65)), "BLOCK_AHEAD"),
        (opportunity(target_block=BlockNumber(HEAD - 512)), "ACCEPT"),
        (opportunity(target_block=BlockNumber(HEAD - 513)), "BLOCK_BEHIND"),
        (revealed(target_block=BlockNumber(HEAD + 1)), "EARLY_REVEAL"),
        (heartbeat(block_number=BlockNumber(HEAD + 65)), "BLOCK_AHEAD"),
        (heartbeat(block_number=BlockNumber(1)), "BLOCK_BEHIND"),
        (vote(block_number=BlockNumber(HEAD + 65)), "BLOCK_AHEAD"),
        (vote(block_number=BlockNumber(HEAD - 513)), "BLOCK_BEHIND"),
        (vote(signer="alice"), "UNKNOWN_KEY"),
        (alert(expiry=make.HEAD_TIME + gossip.MAX_ALERT_SECONDS), "ACCEPT"),
        (alert(expiry=make.HEAD_TIME + gossip.MAX_ALERT_SECONDS + 1), "ALERT_TOO_LONG"),
        (alert(expiry=make.HEAD_TIME + 1), "ACCEPT"),
        (alert(expiry=make.HEAD_TIME), "ALERT_OVER"),
    ],
)
def test_each_payload_has_its_rules(payload: Any, expected: str) -> None:
    data = message(payload)
    assert verdict(make.gossip(), codec.decode_envelope(data, DEVNET.separator).kind, data) == expected


@pytest.mark.parametrize("ahead", [-(10**7), 0, 10**7])
def test_an_alert_stands_by_the_chains_time_and_not_by_ours(ahead: int) -> None:
    """What it tells of is a block's; a chain may be far behind the wall, or ahead of it, as devnets are."""
    state, registry, time = make.gossip(), make.snapshot(), make.HEAD_TIME + ahead
    state.follow(StakeSnapshot(registry.block, registry.operators, UnixSeconds(time)))
    stands = (0, 60, gossip.MAX_ALERT_SECONDS, gossip.MAX_ALERT_SECONDS + 1)
    told = [message(alert(expiry=UnixSeconds(time + seconds)), at=at) for at, seconds in enumerate(stands)]
    said = [verdict(state, PayloadKind.ALERT, one, at=9_000) for one in told]
    assert said == ["ALERT_OVER", "ACCEPT", "ACCEPT", "ALERT_TOO_LONG"]


def test_who_relays_an_alert_that_stands_too_long_for_our_head_is_not_to_blame() -> None:
    told = message(alert(expiry=UnixSeconds(make.HEAD_TIME + gossip.MAX_ALERT_SECONDS + 1)))
    state = make.gossip()
    with pytest.raises(GossipIgnore):
        state.validate(PayloadKind.ALERT, told, PEERS["bob"], PEERS["alice"], NOW)
    later = make.snapshot()
    state.follow(StakeSnapshot(later.block, later.operators, UnixSeconds(make.HEAD_TIME + 1)))
    assert verdict(state, PayloadKind.ALERT, told) == "ACCEPT"


def test_an_attestation_with_a_signature_of_no_shape_is_rejected() -> None:
    vague = replace(vote(), signature=b"\xff" * 65)
    assert verdict(make.gossip(), PayloadKind.ATTESTATION, message(vague)) == "BAD_ATTESTATION"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(8_193), RejectReason.OVERSIZE),
        (b"", RejectReason.MALFORMED),
        (message(heartbeat())[:-1], RejectReason.MALFORMED),
        (DOMAINS["mainnet"].separator + message(heartbeat())[32:], RejectReason.WRONG_DOMAIN),
    ],
)
def test_bytes_that_are_no_envelope_here_are_rejected(data: bytes, reason: RejectReason) -> None:
    state = make.gossip()
    with pytest.raises(GossipReject) as caught:
        state.validate(BEAT, data, PEERS["bob"], PEERS["alice"], NOW)
    assert caught.value.reason is reason
    assert state.counts == {reason: 1}


@pytest.mark.parametrize(("at", "expected"), [(-2_000, "ACCEPT"), (-2_001, "STALE"), (12_000, "ACCEPT")])
def test_clocks_may_differ_by_two_seconds(at: int, expected: str) -> None:
    assert verdict(make.gossip(), BEAT, message(heartbeat()), at=at) == expected
    assert verdict(make.gossip(), BEAT, message(heartbeat()), at=12_001) == "STALE"


def test_who_publishes_as_another_peer_is_rejected() -> None:
    assert verdict(make.gossip(), BEAT, message(heartbeat()), publisher="alice") == "WRONG_PUBLISHER"


def test_who_has_no_stake_is_ignored_for_our_registry_may_be_behind() -> None:
    state = make.gossip()
    state.follow(make.snapshot(bob=None))
    with pytest.raises(GossipIgnore) as caught:
        state.validate(BEAT, message(heartbeat()), PEERS["bob"], PEERS["alice"], NOW)
    assert caught.value.reason is IgnoreReason.UNKNOWN_OPERATOR


def test_an_operator_bound_to_another_peer_is_ignored() -> None:
    data = message(heartbeat(), peer_id_hash=PEERS["eve"])
    assert verdict(make.gossip(), BEAT, data, publisher="eve") == "OTHER_PEER"


def signed_by(name: str, at: int = 0, payload: Any = None) -> bytes:
    """An envelope of bob's that another key signed."""
    whole = codec.decode_envelope(message(payload or heartbeat(), at=at), DEVNET.separator)
    whole = replace(whole, signature=signing.sign(DEVNET, whole, KEYS[name]))
    return codec.encode_envelope(whole, DEVNET.separator)


def test_what_no_key_signed_is_rejected_and_silences_nobody() -> None:
    state = make.gossip(operators=StakeRates(base=1, shared=0, seconds=2))
    forged = message(heartbeat())[:-1] + b"\x1d"
    for _ in range(20):
        assert verdict(state, BEAT, forged) == "BAD_SIGNATURE"
    assert verdict(state, BEAT, message(heartbeat())) == "ACCEPT"


@pytest.mark.parametrize("forwarder", ["alice", "bob"])
@pytest.mark.parametrize(
    ("kind", "payload"), [(BEAT, heartbeat()), (PayloadKind.ATTESTATION, vote(signer="carol"))], ids=["beat", "vote"]
)
def test_a_key_of_a_block_that_we_have_not_seen_blames_nobody_and_is_taken_once_we_have(
    kind: PayloadKind, payload: Any, forwarder: str
) -> None:
    state, both = make.gossip(), (ADDRESSES["bob"], ADDRESSES["carol"])
    said = [verdict(state, kind, signed_by("carol", at, payload), forwarder=forwarder) for at in range(4)]
    assert said == ["UNKNOWN_KEY"] * 4
    state.follow(make.snapshot(HEAD + 1, bob=Operator(both, PEERS["bob"], StakeUnits(1))))
    assert verdict(state, kind, signed_by("carol", payload=payload), forwarder=forwarder) == "ACCEPT"


def test_unknown_keys_silence_nobody_and_only_their_own_peer_sends_too_much() -> None:
    state = make.gossip(operators=StakeRates(base=1, shared=0, seconds=2))
    relayed = [verdict(state, BEAT, signed_by("carol", at), forwarder="alice") for at in range(20)]
    assert relayed == ["UNKNOWN_KEY"] * 20
    direct = [verdict(state, BEAT, signed_by("carol", at), forwarder="bob") for at in range(5)]
    assert direct == ["UNKNOWN_KEY"] * 2 + ["FORWARDER_TOO_FAST"] * 3
    assert verdict(state, BEAT, message(heartbeat()), forwarder="bob") == "ACCEPT"


def test_a_key_that_ended_a_moment_ago_still_signs() -> None:
    state = make.gossip()
    state.follow(make.snapshot(bob=Operator((ALICE, ADDRESSES["bob"]), PEERS["bob"], StakeUnits(1))))
    assert verdict(state, BEAT, message(heartbeat())) == "ACCEPT"


def test_an_operator_sends_as_much_as_its_stake_allows() -> None:
    state = make.gossip(operators=StakeRates(base=1, shared=10, seconds=2))
    sent = {
        name: [verdict(state, BEAT, message(heartbeat(), name, at), name, "eve") for at in range(20)]
        for name in PEERS
        if name != "eve"
    }
    assert {name: said.count("ACCEPT") for name, said in sent.items()} == {"alice": 4, "bob": 8, "carol": 14}
    assert sent["alice"][4:] == ["OPERATOR_TOO_FAST"] * 16
    assert verdict(state, BEAT, message(heartbeat(), "alice", 500), "alice", "eve", at=500) == "ACCEPT"


def test_one_that_forwards_too_much_is_ignored_and_others_are_not() -> None:
    state = make.gossip(forwarder=BucketRules(rate=1, burst=3))
    said = [verdict(state, BEAT, b"rubbish", forwarder="eve") for _ in range(5)]
    assert said == ["MALFORMED"] * 3 + ["FORWARDER_TOO_FAST"] * 2
    assert verdict(state, BEAT, message(heartbeat())) == "ACCEPT"
    assert verdict(state, BEAT, b"rubbish", forwarder="eve", at=1_000) == "MALFORMED"


def test_a_message_that_another_overtook_is_taken_once() -> None:
    state = make.gossip()
    late, early = message(heartbeat(), at=0), message(heartbeat(), at=1)
    assert [verdict(state, BEAT, data) for data in (early, late, late)] == ["ACCEPT", "ACCEPT", "DUPLICATE"]


def test_two_messages_with_one_sequence_number_are_not_both_taken() -> None:
    state = make.gossip()
    other = message(heartbeat(capabilities=0))
    assert [verdict(state, BEAT, data) for data in (message(heartbeat()), other)] == ["ACCEPT", "OLD_SEQUENCE"]


def test_a_replay_that_was_forgotten_is_still_refused_by_its_number() -> None:
    state = make.gossip(seen=1, operators=StakeRates(base=1_000, shared=0, seconds=1))
    first = message(heartbeat())
    assert verdict(state, BEAT, first) == "ACCEPT"
    for at in range(1, SEQUENCES_KEPT + 1):
        assert verdict(state, BEAT, message(heartbeat(), at=at)) == "ACCEPT"
    assert verdict(state, BEAT, first) == "OLD_SEQUENCE"


def test_what_was_never_accepted_does_not_count_as_seen() -> None:
    state = make.gossip()
    state.follow(make.snapshot(bob=None))
    assert verdict(state, BEAT, message(heartbeat())) == "UNKNOWN_OPERATOR"
    state.follow(make.snapshot())
    assert verdict(state, BEAT, message(heartbeat())) == "ACCEPT"


def test_who_leaves_and_comes_back_cannot_be_replayed() -> None:
    state = make.gossip(seen=0)
    assert verdict(state, BEAT, message(heartbeat())) == "ACCEPT"
    state.follow(make.snapshot(bob=None))
    state.follow(make.snapshot())
    assert verdict(state, BEAT, message(heartbeat())) == "OLD_SEQUENCE"


def test_of_too_many_operators_those_without_stake_are_forgotten() -> None:
    sequences, number = Sequences(), sequence_number(NOW, BootId(7))
    for name in ("alice", "bob", "carol"):
        sequences.add(ADDRESSES[name], number)
    sequences.make_room({ALICE}, cap=3)
    assert len(sequences) == 3
    sequences.make_room({ALICE}, cap=2)
    assert len(sequences) == 1
    assert not sequences.is_new(ALICE, number)


def test_a_snapshot_is_bounded_and_knows_stakes_only() -> None:
    one = Operator((ALICE,), PEERS["alice"], StakeUnits(1))
    too_many: Any = {number.to_bytes(20, "big"): one for number in range(gossip.MAX_OPERATORS + 1)}
    for wrong in (too_many, {ALICE: one._replace(stake=StakeUnits(0))}):
        with pytest.raises(InvalidField):
            StakeSnapshot(HEAD, wrong, make.HEAD_TIME)
    assert make.snapshot().by_peer[PEERS["carol"]] == (ADDRESSES["carol"],)
    taken = make.snapshot().operators[ADDRESSES["bob"]]._replace(peer_id_hash=PEERS["carol"])
    assert make.snapshot(bob=taken).by_peer[PEERS["carol"]] == (ADDRESSES["bob"], ADDRESSES["carol"])


def test_topics_name_chain_registry_and_version() -> None:
    assert gossip.topic(DEVNET, PayloadKind.ALERT) == "/hft/31337/5fbdb231/1/alert"
    assert gossip.orders_protocol(DEVNET) == "/hft/31337/5fbdb231/1/orders"
    assert len({gossip.topic(domain, kind) for domain in DOMAINS.values() for kind in PayloadKind}) == 8


def test_an_envelope_of_the_factories_is_what_a_node_accepts() -> None:
    state = make.gossip()
    state.follow(make.snapshot(carol=Operator((ALICE,), PeerIdHash(hash_of("peer id")), StakeUnits(1))))
    data = codec.encode_envelope(envelope(heartbeat(), sequence=sequence_number(NOW, BootId(7))), DEVNET.separator)
    found = state.validate(BEAT, data, PeerIdHash(hash_of("peer id")), PEERS["bob"], UnixMilliseconds(NOW))
    assert found.payload == heartbeat()
