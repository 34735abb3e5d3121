"""Relays that lie and operators that contradict themselves: told once, believed by what we saw or what is signed."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from node.engine.network.alerts import UNJUDGED
from node.engine.network.claims import LIES_REMEMBERED, claim_alert, relay_subject
from protocol.claims import MisbehavingPeer, decode_claim
from protocol.evidence import Evidence
from protocol.kinds import AlertKind, Verdict
from protocol.units import BlockNumber, Hash32
from tests.block_alert_samples import header
from tests.claim_samples import PEER_OF_BOB, RELAY, double_accept, lying, misbehaving, two_verdicts
from tests.claims_scene import Node, alice, carol, told_by
from tests.protocol_factories import ALICE, CAROL, hash_of

__all__ = ["alice", "carol"]


async def test_a_relays_lie_is_told_once_its_block_is_there_and_once_while_it_stands(alice: Node) -> None:
    alice.claims.lied(RELAY, hash_of("bundle"), BlockNumber(8))
    alice.claims.lied(RELAY, hash_of("another"), BlockNumber(8))
    await alice.block(7)
    assert not alice.said, "nothing is said of a bundle whose block is to come"
    alert = await told_by(alice, 8)

    assert (alert.kind, alert.subject) == (AlertKind.RELAY_LIES, relay_subject(RELAY))
    assert decode_claim(alert.kind, alert.evidence) == lying(8)
    alice.claims.lied(RELAY, hash_of("a third"), BlockNumber(9))
    await alice.block(9)
    assert len(alice.alerts_told()) == 1
    alice.claims.lied("https://other.example", hash_of("bundle"), BlockNumber(9))
    await alice.block(10)
    assert len(alice.alerts_told()) == 1, "of a relay that is not configured nothing is known"


@pytest.mark.parametrize(
    ("lied_for", "verdict"),
    [(None, UNJUDGED), (7 + LIES_REMEMBERED, "confirmed"), (8 + LIES_REMEMBERED, UNJUDGED), (7, "confirmed")],
)
async def test_a_relay_is_believed_to_lie_only_where_it_lied_to_us_too_and_is_never_cleared(
    alice: Node, carol: Node, lied_for: int | None, verdict: str
) -> None:
    if lied_for is not None:
        carol.claims.lied(RELAY, hash_of("our bundle"), BlockNumber(lied_for))
    await carol.block(7)
    await carol.hears(alice, claim_alert(header(), lying(), relay_subject("https://other.example")))
    await carol.judges(alice, claim_alert(header(), lying(), relay_subject(RELAY)), 8)

    assert carol.verdicts(ALICE) == [UNJUDGED, verdict]
    assert len(carol.believed) == (verdict == "confirmed") + (lied_for == 7)


@pytest.mark.parametrize("evidence", [double_accept(), two_verdicts()], ids=["accepts", "verdicts"])
async def test_two_signatures_that_contradict_each_other_are_told_and_prove_themselves(
    alice: Node, carol: Node, evidence: Evidence
) -> None:
    await alice.block(7)
    alice.claims.contradicted(evidence)
    alice.claims.contradicted(evidence)
    await alice.block(8)
    (alert,) = alice.alerts_told()
    assert alert == claim_alert(header(7), misbehaving(evidence), PEER_OF_BOB)
    assert (alert.kind, alert.subject) == (AlertKind.PEER_MISBEHAVES, PEER_OF_BOB)

    await carol.block(7)
    await carol.judges(alice, alert, 8)
    assert (carol.verdicts(ALICE), carol.attested()) == (["confirmed"], [Verdict.CONFIRMED])
    assert (carol.believed, carol.proven) == ([alert], [evidence])
    carol.claims.contradicted(evidence)
    await carol.block(9)
    assert not carol.alerts_told(), "one offence is told once"


async def test_an_offence_of_any_block_of_those_that_were_looked_at_at_once_is_told(alice: Node) -> None:
    for number in (7, 8):
        alice.blocks[header(number).hash] = []
        alice.alerts.expect(header(number))
    await alice.alerts.work()
    alice.claims.contradicted(double_accept(number=7))

    await alice.block(9)

    assert alice.alerts_told() == [claim_alert(header(7), misbehaving(double_accept(number=7)), PEER_OF_BOB)]
    assert alice.claims.counts["block unknown"] == 0


async def test_an_offence_of_a_block_that_came_while_claims_were_looked_at_is_told(alice: Node) -> None:
    await alice.sees_two_blocks_while_it_screens()
    alice.claims.contradicted(double_accept(number=8))

    await alice.block(9)
    await alice.settled()

    evidence = double_accept(number=8)
    assert alice.alerts_told() == [claim_alert(header(8), misbehaving(evidence, 8), PEER_OF_BOB)]


async def test_accepts_for_a_number_that_two_blocks_had_are_told_of_the_one_that_came_last(alice: Node) -> None:
    fork = replace(header(7), hash=hash_of("fork 7"))
    for one in (header(7), fork, header(7)):
        alice.blocks[one.hash] = []
        alice.alerts.expect(one)
        await alice.alerts.work()
    alice.claims.contradicted(double_accept(number=7))

    await alice.block(8)

    assert [one.evidence[:32] for one in alice.alerts_told()] == [header(7).hash]


async def test_evidence_about_a_block_that_nobody_has_is_not_told(alice: Node) -> None:
    await alice.block(7)
    alice.claims.contradicted(two_verdicts(block_hash=hash_of("no block")))
    alice.claims.contradicted(double_accept(number=99))
    await alice.block(8)
    assert not alice.said
    assert alice.claims.counts["block unknown"] == 2


@pytest.mark.parametrize(
    ("claim", "subject", "verdict"),
    [
        (misbehaving(double_accept("carol")), PEER_OF_BOB, "refuted"),
        (misbehaving(double_accept(number=9)), PEER_OF_BOB, "refuted"),
        (misbehaving(two_verdicts(block_hash=hash_of("another"))), PEER_OF_BOB, "refuted"),
        (misbehaving(double_accept()), hash_of("peer of another"), "refuted"),
        (misbehaving(two_verdicts(block_number=BlockNumber(1_000))), PEER_OF_BOB, UNJUDGED),
        (misbehaving(replace(double_accept(), operator=CAROL)), PEER_OF_BOB, UNJUDGED),
    ],
    ids=["another key", "another block", "verdicts on another block", "another peer", "no key then", "no operator"],
)
async def test_what_does_not_prove_itself_accuses_nobody(
    alice: Node, carol: Node, claim: MisbehavingPeer, subject: Hash32, verdict: str
) -> None:
    await carol.block(7)
    await carol.judges(alice, claim_alert(header(), claim, subject), 8)
    assert carol.verdicts(ALICE) == [verdict]
    assert not carol.believed
    assert not carol.proven


async def test_of_ourselves_nothing_is_judged(alice: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bob = Node("bob", tmp_path, monkeypatch)
    await bob.block(7)
    await bob.judges(alice, claim_alert(header(), misbehaving(double_accept()), PEER_OF_BOB), 8)
    assert bob.verdicts(ALICE) == [UNJUDGED]
    assert not bob.attested()
