"""docs/protocol.md says what the code does: types, hashes, sizes and numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.engine import token_screen
from node.engine.network import alerts, block_alerts, claims, directory, mined_answers
from node.pipeline.detectors import drain, oracle_jump, sandwich
from protocol import codec, gossip, messages, signing, slashing, statements
from protocol.claims import CLAIM_BYTES
from protocol.evidence import EVIDENCE_HEAD
from protocol.seen import KEPT_MS, SEQUENCES_KEPT
from protocol.statements import Message

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
WORDS = " ".join(TEXT.split())


@pytest.mark.parametrize(
    "message",
    [
        statements.Order,
        statements.Accept,
        statements.Attestation,
        statements.HotKeyBinding,
        messages.Envelope,
        messages.Opportunity,
        messages.SecurityAlert,
        messages.Heartbeat,
        messages.SealedOrder,
        messages.Have,
        messages.Decline,
        statements.SealingKey,
        messages.SealingKeyRequest,
        messages.PeerRecordsRequest,
    ],
)
def test_every_type_is_written_down(message: type[Message]) -> None:
    assert f"`{message.LAYOUT.type_string}`" in TEXT


@pytest.mark.parametrize(
    "message",
    [
        statements.Order,
        statements.Accept,
        statements.Attestation,
        statements.HotKeyBinding,
        statements.SealingKey,
        messages.Envelope,
        messages.SecurityAlert,
    ],
)
def test_every_type_hash_that_is_used_is_written_down(message: type[Message]) -> None:
    assert f"`0x{message.LAYOUT.type_hash.hex()}`" in TEXT


def test_the_domain_is_written_down() -> None:
    assert f"`{signing.DOMAIN_TYPE}`" in TEXT
    assert f"name `{signing.DOMAIN_NAME}`, version `{signing.DOMAIN_VERSION}`" in WORDS


def test_the_sizes_are_written_down() -> None:
    evidence = EVIDENCE_HEAD.size + 2 * (statements.Accept.LAYOUT.size + 65) + 32
    alert, find = messages.SecurityAlert.LAYOUT.size, messages.Opportunity.LAYOUT.size
    for said in (
        f"at most {messages.MAX_ENVELOPE_BYTES:,} bytes",
        f"at most {codec.MAX_DIRECT_BYTES:,} bytes",
        f"1 to {messages.MAX_BOX_BYTES:,} bytes",
        f"1 to {messages.MAX_ROUTE_BYTES:,} bytes",
        f"| {find} + {messages.MAX_REVEALED_BYTES:,} |",
        f"| {alert} + {messages.MAX_EVIDENCE_BYTES:,} |",
        f"**Evidence** ({evidence} bytes)",
        f"by at most {messages.MAX_LIFETIME_MS:,}",
        f"expiry + {messages.CLOCK_TOLERANCE_MS:,}",
        f"**Order** ({statements.Order.LAYOUT.size} bytes)",
    ):
        assert said in WORDS, said


def test_every_verdict_of_gossip_is_written_down() -> None:
    for reasons, verdict in ((gossip.IgnoreReason, "IGNORE"), (gossip.RejectReason, "REJECT")):
        for reason in reasons:
            assert any(f"{verdict} {reason.name}" in line for line in TEXT.splitlines()), reason


def test_the_numbers_of_gossip_are_written_down() -> None:
    limits = gossip.GossipLimits()
    for said in (
        f"{gossip.BLOCKS_AHEAD} blocks ahead",
        f"{gossip.BLOCKS_BEHIND} behind",
        f"last {SEQUENCES_KEPT} accepted",
        f"{limits.forwarder.rate} a second, at most {limits.forwarder.burst:,}",
        f"{limits.operators.base} + ⌊{limits.operators.shared} · stake / total⌋ a second",
        f"at most {limits.operators.seconds} seconds' worth",
        f"{KEPT_MS // 1_000} seconds",
    ):
        assert said in WORDS, said


def test_the_rules_of_slashing_are_written_down() -> None:
    for refusal in slashing.Refusal:
        assert f"| {refusal.name} |" in TEXT, refusal
    assert f"head + {slashing.HORIZON}" in WORDS
    assert f"last {slashing.BLOCKS_REMEMBERED:,} blocks" in WORDS
    assert f"at most {slashing.MAX_EVIDENCE_AGE_SECONDS // 86_400} days" in WORDS


def test_the_numbers_of_alerts_are_written_down() -> None:
    for said in (
        f"block's timestamp + {block_alerts.STANDS_SECONDS:,}",
        f"first {sandwich.MAX_SWAPS:,} swaps of a block",
        f"≤ front's out · {sandwich.TOLERANCE}.",
        f"first {sandwich.MAX_FOUND} by the place",
        f"the reserves · {drain.FALLS_TO} ≤ the product before",
        f"first {drain.MAX_FOUND} pools",
        f"first {oracle_jump.MAX_FEEDS} feeds",
        f"before · {oracle_jump.JUMP:,}",
        f"first {oracle_jump.MAX_FOUND} in the order",
        f"with {mined_answers.GAS:,} gas",
        f"{alerts.MAX_WAITING_OF_ONE} of one operator and {alerts.MAX_WAITING} in all",
        f"{alerts.MAX_REFUTED_OF_ONE} false ones of one operator and {alerts.MAX_REFUTED} of all",
        f"at most {directory.SILENT_MS // 1_000} s ago",
        f"{claims.MAX_SCREENS_OF_ONE} simulations of one operator's and {claims.MAX_SCREENS} of all",
        f"at most {claims.LIES_REMEMBERED} from that of the alert",
        f"by more than {token_screen.ROUNDING_UNITS} units",
        *(f"{size} bytes" for size in (block_alerts.EVIDENCE_BYTES | CLAIM_BYTES).values()),
    ):
        assert said in WORDS, said
