"""What no block says by itself: told once, believed only where our own means come to the same, and bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from node.engine.headers import Header
from node.engine.network import alerts as alerts_module
from node.engine.network import claims as claims_module
from node.engine.network.alerts import MAX_REFUTED, MAX_REFUTED_OF_ONE, MAX_WAITING_OF_ONE, UNJUDGED
from node.engine.network.block_alerts import alert_of
from node.engine.network.claims import MAX_QUEUED, MAX_SCREENS_OF_ONE, claim_alert, relay_subject
from node.engine.rpc import RpcUnreachable
from node.pipeline.events import TokenVerdict
from protocol.claims import FlaggedContract, LyingRelay, MisbehavingPeer, decode_claim
from protocol.kinds import AlertKind, ContractFault, Severity, Verdict
from protocol.messages import SecurityAlert
from protocol.units import Address, BlockNumber, Hash32, UnixSeconds
from tests.block_alert_samples import OTHER_POOL, POOL, header
from tests.claim_samples import PEER_OF_BOB, RELAY, TOKEN, TOKEN_SUBJECT, double_accept, flagged, lying, misbehaving
from tests.claims_scene import HONEYPOT, Node, alice, carol, told_by
from tests.protocol_factories import ALICE, hash_of

__all__ = ["alice", "carol"]


async def test_a_token_that_lies_is_screened_once_more_and_told_with_the_block_and_the_pool(alice: Node) -> None:
    alice.tokens[TOKEN] = HONEYPOT
    alice.claims.flagged(TOKEN, TokenVerdict.HONEYPOT)
    alert = await told_by(alice)

    assert (alert.kind, alert.subject, alert.severity) == (AlertKind.CONTRACT_FLAGGED, TOKEN_SUBJECT, Severity.HIGH)
    assert decode_claim(alert.kind, alert.evidence) == flagged(ContractFault.HONEYPOT, POOL)
    assert alice.screened == [(TOKEN, header(7).hash)]
    assert (alice.verdicts(ALICE), alice.attested()) == (["confirmed"], [Verdict.CONFIRMED])
    assert alice.believed == [alert]


@pytest.mark.parametrize(
    "verdict", [TokenVerdict.PLAIN, TokenVerdict.REBASES, TokenVerdict.PAUSABLE, TokenVerdict.BLACKLISTS]
)
async def test_a_token_that_only_may_do_harm_is_not_told(alice: Node, verdict: TokenVerdict) -> None:
    alice.tokens[TOKEN] = POOL, verdict
    alice.claims.flagged(TOKEN, verdict)
    await alice.block(7)
    assert not alice.said
    assert not alice.screened


async def test_others_false_alerts_take_no_room_of_what_we_found_ourselves(alice: Node, carol: Node) -> None:
    for place in range(MAX_REFUTED):
        pool = bytes([1 + place]) * 20
        false = carol.keys.envelope(alert_of(header(7), AlertKind.POOL_DRAINED, pool, Severity.HIGH, bytes(32)))
        operator = Address(bytes([1 + place // MAX_REFUTED_OF_ONE]) * 20)
        alice.alerts.heard(replace(false, operator=operator))
    alice.tokens[TOKEN] = HONEYPOT
    alice.claims.flagged(TOKEN, TokenVerdict.HONEYPOT)

    alert = await told_by(alice)

    assert alice.alerts.counts["refuted"] == MAX_REFUTED
    assert alert.kind is AlertKind.CONTRACT_FLAGGED
    assert alice.believed == [alert], "our own policies follow"


async def test_what_we_found_of_a_block_that_is_not_looked_at_any_more_is_acted_on_and_told_later(
    alice: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts_module, "BLOCKS_KNOWN", 1)
    alice.claims.contradicted(double_accept())
    await alice.sees_two_blocks_while_it_screens()
    assert alice.alerts.counts["not told"] == 1
    assert [one.kind for one in alice.believed] == [AlertKind.PEER_MISBEHAVES]
    assert not alice.alerts_told()
    assert not alice.claims._told


async def test_a_token_that_behaves_when_it_is_to_be_told_is_not(alice: Node) -> None:
    alice.tokens[TOKEN] = POOL, TokenVerdict.PLAIN
    alice.claims.flagged(TOKEN, TokenVerdict.HONEYPOT)
    await alice.block(7)
    assert not alice.said
    assert alice.claims.counts["plain by now"] == 1


async def test_a_token_that_cannot_be_screened_is_told_with_a_later_block(alice: Node) -> None:
    alice.tokens[TOKEN] = RpcUnreachable("the chain", "eth_call", "away")
    alice.claims.flagged(TOKEN, TokenVerdict.HONEYPOT)
    await alice.block(7)
    assert not alice.said
    alice.tokens[TOKEN] = HONEYPOT
    alert = await told_by(alice, 8)
    assert alert.evidence[:32] == header(8).hash


async def test_one_token_a_block_is_told_none_twice_while_it_stands_and_what_waits_is_bounded(alice: Node) -> None:
    tokens = [Address(number.to_bytes(20, "big")) for number in range(1, MAX_QUEUED + 4)]
    for token in tokens:
        alice.tokens[token] = POOL, TokenVerdict.TAKES_FEE
        alice.claims.flagged(token, TokenVerdict.TAKES_FEE)
    assert alice.claims.counts["left out"] == 3
    await alice.block(7)
    await alice.block(8)
    assert [one.subject[-20:] for one in alice.alerts_told()] == tokens[:2]

    alice.claims.flagged(tokens[0], TokenVerdict.TAKES_FEE)
    for number in range(9, 9 + MAX_QUEUED):
        await alice.block(number)
    assert [one.subject[-20:] for one in alice.alerts_told()] == tokens[:MAX_QUEUED]
    assert alice.claims.counts["told before"] == 1


async def test_what_is_remembered_as_told_is_bounded(alice: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_module, "MAX_TOLD", 2)
    for number in range(7, 12):
        token = Address(number.to_bytes(20, "big"))
        alice.tokens[token] = HONEYPOT
        alice.claims.flagged(token, TokenVerdict.HONEYPOT)
        await alice.block(number)
    assert len(alice.claims._told) == 2
    assert len(alice.alerts_told()) == 5


async def test_anothers_flag_is_believed_only_where_our_own_pools_say_the_same(alice: Node, carol: Node) -> None:
    alice.tokens[TOKEN] = carol.tokens[TOKEN] = HONEYPOT
    alice.claims.flagged(TOKEN, TokenVerdict.HONEYPOT)
    alert = await told_by(alice)
    await carol.block(7)
    await carol.judges(alice, alert, 8)

    assert carol.screened == [(TOKEN, header(7).hash)], "after the block that it is about"
    assert (carol.verdicts(ALICE), carol.attested(), carol.believed) == (["confirmed"], [Verdict.CONFIRMED], [alert])
    carol.claims.flagged(TOKEN, TokenVerdict.HONEYPOT)
    await carol.judges(alice, alert, 9)
    assert not carol.alerts_told(), "what another told is not told again"
    assert len(carol.screened) == 1, "nor looked at again"


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ((POOL, TokenVerdict.PLAIN), "refuted"),
        ((POOL, TokenVerdict.TAKES_FEE), "refuted"),
        ((OTHER_POOL, TokenVerdict.HONEYPOT), "confirmed"),
        ((OTHER_POOL, TokenVerdict.PLAIN), UNJUDGED),
        ((POOL, TokenVerdict.UNKNOWN), UNJUDGED),
        (None, UNJUDGED),
    ],
)
async def test_a_flag_is_called_false_only_where_the_same_pool_says_another_thing(
    alice: Node, carol: Node, found: tuple[Address, TokenVerdict] | None, verdict: str
) -> None:
    if found is not None:
        carol.tokens[TOKEN] = found
    await carol.block(7)
    await carol.judges(alice, claim_alert(header(), flagged(), TOKEN_SUBJECT), 8)

    assert carol.verdicts(ALICE) == [verdict]
    assert bool(carol.believed) == (verdict == "confirmed")
    assert len(carol.attested()) == (verdict != UNJUDGED)


async def test_a_claim_in_another_form_than_the_one_is_refuted_and_costs_no_look(alice: Node, carol: Node) -> None:
    carol.tokens[TOKEN] = HONEYPOT
    await carol.block(7)
    right = claim_alert(header(), flagged(), TOKEN_SUBJECT)
    for number, changes in enumerate(
        (
            {"severity": Severity.CRITICAL},
            {"expiry": UnixSeconds(right.expiry + 1)},
            {"subject": Hash32(b"\1" + right.subject[1:])},
        ),
        8,
    ):
        await carol.judges(alice, replace(right, **changes), number)  # type: ignore[arg-type]
    assert carol.verdicts(ALICE) == ["refuted"] * 3
    assert not carol.screened
    assert not carol.believed


async def test_who_claims_much_has_us_simulate_little(
    alice: Node, carol: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await carol.block(7)
    for number in range(1, 20):
        subject = Hash32(number.to_bytes(32, "big"))
        await carol.hears(alice, claim_alert(header(), flagged(), subject))
    await carol.block(8)
    assert len(carol.screened) == MAX_SCREENS_OF_ONE
    assert carol.verdicts(ALICE) == [UNJUDGED] * MAX_REFUTED_OF_ONE
    assert carol.claims.counts["screens refused"] == MAX_REFUTED_OF_ONE - MAX_SCREENS_OF_ONE
    assert carol.alerts.counts["left waiting"] == 3
    assert carol.alerts.counts["not answered"] == 16 - MAX_REFUTED_OF_ONE
    await carol.block(9)
    assert len(carol.screened) == MAX_SCREENS_OF_ONE, "what was not answered is not looked at later"

    monkeypatch.setattr(claims_module, "MAX_SCREENS", 1)
    bob = Node("bob", tmp_path, monkeypatch)
    for by in (alice, bob):
        await carol.hears(by, claim_alert(header(), flagged(), hash_of(by.keys.account.hex())))
    subjects = [Hash32(bytes([0] * 31 + [200 + place])) for place in range(2)]
    for by, subject in zip((alice, bob), subjects, strict=True):
        await carol.hears(by, claim_alert(header(), flagged(), subject))
    await carol.block(10)
    assert len(carol.screened) == MAX_SCREENS_OF_ONE + 1, "of all together"


async def test_one_token_after_one_block_is_screened_once_whoever_claims_what_of_it(alice: Node, carol: Node) -> None:
    carol.tokens[TOKEN] = POOL, TokenVerdict.PLAIN
    await carol.block(7)
    for fault, holder in ((ContractFault.HONEYPOT, POOL), (ContractFault.TAKES_FEE, POOL)):
        await carol.hears(alice, claim_alert(header(), flagged(fault, holder), TOKEN_SUBJECT))
    await carol.block(8)
    assert carol.verdicts(ALICE) == ["refuted"] * 2
    assert len(carol.screened) == 1


async def test_where_the_chains_node_fails_the_rest_of_the_claims_wait_and_the_failed_one_is_left(
    alice: Node, carol: Node
) -> None:
    carol.tokens[TOKEN] = RpcUnreachable("the chain", "eth_call", "away")
    other = Address(b"\x22" * 20)
    carol.tokens[other] = HONEYPOT
    await carol.block(7)
    for token in (TOKEN, other):
        await carol.hears(alice, claim_alert(header(), flagged(), Hash32(token.rjust(32, b"\0"))))
    await carol.block(8)
    assert not carol.verdicts(ALICE)
    await carol.block(9)
    assert carol.verdicts(ALICE) == ["confirmed"]
    assert carol.alerts.counts["unread"] == 1


async def test_a_claim_about_a_block_that_is_not_here_yet_waits_for_it(alice: Node, carol: Node) -> None:
    carol.tokens[TOKEN] = HONEYPOT
    await carol.hears(alice, claim_alert(header(), flagged(), TOKEN_SUBJECT))
    assert not carol.screened
    await carol.block(7)
    assert carol.verdicts(ALICE) == ["confirmed"]


async def test_of_one_block_only_so_many_claims_are_kept(
    alice: Node, carol: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts_module, "MAX_OF_BLOCK", 1)
    carol.tokens[TOKEN] = HONEYPOT
    await carol.block(7)
    await carol.hears(alice, claim_alert(header(), flagged(), TOKEN_SUBJECT))
    await carol.hears(alice, claim_alert(header(), lying(), relay_subject(RELAY)))
    await carol.block(8)
    assert carol.verdicts(ALICE) == ["confirmed"]
    assert carol.alerts.counts["not answered"] == 1


async def test_a_false_claim_of_any_kind_leads_to_nothing(alice: Node, carol: Node) -> None:
    carol.tokens[TOKEN] = POOL, TokenVerdict.PLAIN
    claims: list[tuple[FlaggedContract | LyingRelay | MisbehavingPeer, Hash32]] = [
        (flagged(), TOKEN_SUBJECT),
        (lying(), relay_subject(RELAY)),
        (misbehaving(double_accept("carol")), PEER_OF_BOB),
    ]
    for claim, subject in claims:
        await carol.hears(alice, claim_alert(header(), claim, subject))
    await carol.block(7)
    assert carol.verdicts(ALICE) == ["refuted", UNJUDGED, "refuted"]
    assert not carol.believed


async def test_what_was_screened_is_forgotten_with_the_next_block(alice: Node, carol: Node) -> None:
    carol.tokens[TOKEN] = HONEYPOT
    await carol.block(7)
    await carol.judges(alice, claim_alert(header(), flagged(), TOKEN_SUBJECT), 8)
    assert carol.claims._screened == {(TOKEN, header(7).hash): HONEYPOT}
    assert carol.claims._screens == {ALICE: 1}

    await carol.block(9)

    assert not carol.claims._screened
    assert not carol.claims._screens


async def test_beside_the_work_a_slow_look_holds_up_no_block_and_the_claims_behind_it_wait(
    alice: Node, carol: Node
) -> None:
    carol.alerts._in_order = False
    gate = asyncio.Event()

    async def slowly(token: Address, block: Hash32) -> tuple[Address, TokenVerdict] | None:
        carol.screened.append((token, block))
        await gate.wait()
        return HONEYPOT

    carol.claims.screen = slowly
    await carol.block(7)
    await carol.hears(alice, claim_alert(header(), flagged(), TOKEN_SUBJECT))
    await carol.block(8)
    await carol.block(9)
    assert not carol.verdicts(ALICE)
    assert carol.alerts.counts["claims put off"] > 0
    gate.set()
    for number in (10, 11):
        await asyncio.sleep(0)
        await carol.block(number)
    await asyncio.sleep(0)
    assert carol.verdicts(ALICE) == ["confirmed"]

    gate.clear()
    await carol.hears(alice, claim_alert(header(8), flagged(number=8), TOKEN_SUBJECT))
    await carol.block(12)
    await asyncio.sleep(0)
    await carol.alerts.close()
    assert carol.verdicts(ALICE) == ["confirmed"], "what is looked at is given up in the end"


async def test_what_waits_keeps_its_bounds_where_the_chains_node_fails_while_more_comes(
    alice: Node, carol: Node
) -> None:
    carol.alerts._in_order = False
    gate = asyncio.Event()

    async def fails_late(_token: Address, _block: Hash32) -> tuple[Address, TokenVerdict] | None:
        await gate.wait()
        raise RpcUnreachable("the chain", "eth_call", "away")

    carol.claims.screen = fails_late
    await carol.block(7)
    await carol.settled()
    subjects = [Hash32(number.to_bytes(32, "big")) for number in range(1, 1 + 4 * MAX_WAITING_OF_ONE)]
    for number in range(8, 12):
        await carol.block(number)
        await asyncio.sleep(0)
        assert len(carol.alerts._waiting) == 0, "they are looked at, in their order"
        for _ in range(MAX_WAITING_OF_ONE):
            await carol.hears(alice, claim_alert(header(), flagged(), subjects.pop(0)))
        gate.set()
        await carol.settled()
        gate.clear()
        assert len(carol.alerts._waiting) == MAX_WAITING_OF_ONE
    assert carol.alerts.counts["unread"] == 3, "of each that was looked at"
    assert carol.alerts.counts["left waiting"] == 3 * (MAX_WAITING_OF_ONE - 1), "the oldest of those behind it"


async def test_a_fault_of_a_screen_is_counted_and_loses_nothing_else_that_is_to_be_told(alice: Node) -> None:
    alice.tokens[TOKEN] = ZeroDivisionError()
    alice.claims.flagged(TOKEN, TokenVerdict.HONEYPOT)
    alice.claims.lied(RELAY, hash_of("bundle"), BlockNumber(7))
    alice.claims.contradicted(double_accept())
    await alice.block(7)
    await alice.block(8)
    assert [alert.kind for alert in alice.alerts_told()] == [AlertKind.RELAY_LIES, AlertKind.PEER_MISBEHAVES]
    assert (alice.claims.counts["faults"], len(alice.screened)) == (1, 1)


async def test_a_fault_where_anothers_claim_is_judged_costs_that_claim_alone(alice: Node, carol: Node) -> None:
    other = Address(b"\x22" * 20)
    carol.tokens |= {TOKEN: ZeroDivisionError(), other: HONEYPOT}
    await carol.block(7)
    for token in (TOKEN, other):
        await carol.hears(alice, claim_alert(header(), flagged(), Hash32(token.rjust(32, b"\0"))))
    await carol.block(8)
    assert carol.verdicts(ALICE) == ["confirmed"]
    assert carol.alerts.counts["faults"] == 1


async def test_a_fault_beside_the_work_is_counted_and_ends_nothing(carol: Node) -> None:
    def fails(_alert: SecurityAlert, _header: Header) -> None:
        raise ZeroDivisionError

    carol.alerts._in_order = False
    carol.alerts.on_confirmed = fails
    carol.claims.lied(RELAY, hash_of("bundle"), BlockNumber(7))
    for number in (7, 8):
        await carol.block(number)
        await carol.settled()
    assert carol.alerts.counts["faults"] == 1
    assert carol.alerts._claiming is None
