"""What is taken to the court, when, and what is not: on a registry and a court that a test holds."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from governance.network import NetworkContracts
from node.engine.network import watcher as watcher_module
from node.engine.network.keys import NetworkKeys
from node.engine.network.watcher import MAX_PAUSE, MAX_REPORTS, Promised, Watcher
from protocol.evidence import Evidence
from protocol.gossip import BLOCKS_BEHIND
from protocol.kinds import OpportunityKind, Verdict
from protocol.messages import Envelope
from protocol.signing import sign_accept, sign_attestation
from protocol.units import (
    Address,
    BlockNumber,
    BootId,
    Hash32,
    LegKey,
    PeerIdHash,
    UnixMilliseconds,
    UnixSeconds,
    Wei,
    address_from_hex,
)
from tests import protocol_factories as make
from tests.protocol_factories import ALICE, BOB, DEVNET, SECRETS, hash_of

TIME = UnixSeconds(1_790_000_000)
KEY_OF_BOB = address_from_hex(make.KEYS["bob"].address)


class Offence(msgspec.Struct):
    """The court's record, as far as it is looked at."""

    state: int


class Court:
    """A registry with a court: `takes` tells of each call whether it would go through."""

    def __init__(self) -> None:
        names = NetworkContracts.__struct_fields__
        self.contracts = NetworkContracts(**{name: Address(bytes([place]) * 20) for place, name in enumerate(names, 1)})
        self.staked = {BOB}
        self.states: list[int] = []
        self.takes = True
        self.asked = 0
        self.sent: list[Hash32] = []

    def key_of(self, account: Address, _block: BlockNumber, _time: UnixSeconds) -> Address | None:
        return KEY_OF_BOB if account == BOB else None

    def has_stake(self, account: Address) -> bool:
        return account in self.staked

    async def ask(self, queries: list[Any], _header: Any) -> list[Offence]:
        return [Offence(self.states[place] if place < len(self.states) else 0) for place in range(len(queries))]

    async def would_pass(self, contract: Address, calls: list[bytes], _header: Any) -> list[bool]:
        assert contract == self.contracts.court
        self.asked += len(calls)
        return [self.takes] * len(calls)

    async def report(self, offence: Hash32, _evidence: Any, _header: Any) -> None:
        self.sent.append(offence)


class Head(msgspec.Struct):
    """As much of a header as the watcher looks at."""

    number: BlockNumber


def watching() -> tuple[Watcher, Court]:
    court = Court()
    keys = NetworkKeys(
        DEVNET, ALICE, PeerIdHash(hash_of("peer")), SECRETS["alice"], BootId(1), lambda: UnixMilliseconds(1)
    )
    return Watcher(keys, court, court), court  # type: ignore[arg-type]


def promises(watcher: Watcher, leg: str, *orders: str, leader: Address = BOB) -> None:
    for order in orders:
        accept = make.accept(
            order_hash=hash_of(order), primary_key=LegKey(hash_of(leg)), target_block=BlockNumber(101),
            block_number=BlockNumber(100), timestamp=TIME,
        )  # fmt: skip
        signed = sign_accept(DEVNET, accept, make.KEYS["bob"])
        watcher.got(Promised(leader, signed, OpportunityKind.BACKRUN, Wei(1)))


def follow(watcher: Watcher, *blocks: int) -> None:
    async def all_blocks() -> None:
        for number in blocks:
            await watcher.follow(Head(BlockNumber(number)))  # type: ignore[arg-type]

    asyncio.run(all_blocks())


def test_evidence_is_sent_at_each_block_until_the_court_has_it() -> None:
    watcher, court = watching()
    promises(watcher, "leg", "one", "another")

    follow(watcher, 101, 102)
    assert len(court.sent) == 2
    court.states = [1]
    follow(watcher, 103, 104)

    assert len(court.sent) == 2
    assert watcher.counts["settled"] == 1


def test_what_the_court_would_refuse_is_not_sent_asked_ever_more_seldom_and_given_up() -> None:
    watcher, court = watching()
    court.takes = False
    promises(watcher, "leg", "one", "another")

    follow(watcher, *range(101, 101 + 4 * MAX_PAUSE))

    assert court.sent == []
    assert watcher.counts["given up"] == 1
    assert court.asked == watcher.counts["not taken"] == MAX_PAUSE.bit_length()


def test_what_the_court_would_refuse_holds_up_nothing_that_it_would_take() -> None:
    watcher, court = watching()
    court.takes = False
    promises(watcher, "false", "one", "another")
    follow(watcher, 101)
    court.takes = True
    promises(watcher, "true", "one", "another")

    follow(watcher, 101)

    assert len(court.sent) == 1


def test_of_several_one_is_sent_a_block_as_they_would_share_a_nonce() -> None:
    watcher, court = watching()
    for leg in ("first", "second"):
        promises(watcher, leg, "one", "another")

    follow(watcher, 101)

    assert len(court.sent) == 1


def test_who_has_nothing_at_stake_is_no_case() -> None:
    watcher, court = watching()
    court.staked = set()
    promises(watcher, "leg", "one", "another")

    follow(watcher, 101)

    assert (court.sent, court.asked, watcher.counts["without stake"]) == ([], 0, 1)


def test_no_more_cases_are_kept_than_the_bound_and_the_first_ones_stay() -> None:
    watcher, court = watching()
    for place in range(MAX_REPORTS + 1):
        promises(watcher, f"leg {place}", "one", "another")

    follow(watcher, 101)

    assert (court.asked, watcher.counts["full"]) == (MAX_REPORTS, 1)


def attested(verdict: Verdict, alert: str = "alert", key: str = "bob") -> Envelope:
    """Bob's verdict as it comes by gossip; the sentry has checked the envelope."""
    said = make.attestation(alert_id=hash_of(alert), verdict=verdict, block_number=BlockNumber(100), timestamp=TIME)
    signed = sign_attestation(DEVNET, said, make.KEYS[key])
    return msgspec.structs.replace(make.envelope(signed), operator=BOB)


def test_two_verdicts_on_one_alert_are_taken_to_the_court_and_two_alerts_are_two() -> None:
    watcher, court = watching()
    watcher.attested(attested(Verdict.CONFIRMED))
    watcher.attested(attested(Verdict.CONFIRMED))
    watcher.attested(attested(Verdict.REFUTED, "another"))
    follow(watcher, 101)
    assert court.sent == []

    watcher.attested(attested(Verdict.REFUTED))
    follow(watcher, 102)

    assert len(court.sent) == 1
    assert watcher.counts["found"] == 1


def test_a_verdict_that_another_key_signed_is_nobodys() -> None:
    watcher, court = watching()
    watcher.attested(attested(Verdict.CONFIRMED))
    watcher.attested(attested(Verdict.REFUTED, key="carol"))
    follow(watcher, 101)

    assert court.sent == []
    assert watcher.counts["refused"] == 1


def test_no_flood_of_verdicts_makes_a_node_forget_the_accepts_that_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "MAX_WATCHED", 4)
    watcher, court = watching()
    promises(watcher, "leg", "one")
    for number in range(9):
        watcher.attested(attested(Verdict.CONFIRMED, f"alert {number}"))
    promises(watcher, "leg", "another")
    follow(watcher, 101)

    assert len(court.sent) == 1


def test_a_verdict_is_remembered_as_long_as_gossip_may_tell_another_and_no_longer() -> None:
    watcher, court = watching()
    watcher.attested(attested(Verdict.CONFIRMED))
    promises(watcher, "leg", "one")
    follow(watcher, 100 + BLOCKS_BEHIND)
    watcher.attested(attested(Verdict.REFUTED))
    follow(watcher, 100 + BLOCKS_BEHIND)
    assert len(court.sent) == 1

    follow(watcher, 102 + BLOCKS_BEHIND)
    assert (len(watcher._verdicts), len(watcher._accepts)) == (0, 0)


def test_evidence_is_told_once_and_what_anothers_alert_proves_goes_to_the_court_too() -> None:
    found, heard = watching(), watching()
    told: list[Evidence] = []
    found[0].on_contradicted = told.append
    promises(found[0], "leg", "one", "another", "a third")
    (evidence,) = told

    for _ in range(2):
        heard[0].proven(evidence)
    follow(heard[0], 101)

    assert heard[0].counts["found"] == len(heard[1].sent) == 1
