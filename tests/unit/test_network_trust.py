"""How much is handed to whom: what leaders did with what they were given decides."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from node.durable import replace_file
from node.engine.network import trust_file
from node.engine.network.trust import (
    FIRST_LIMIT,
    LEAST_LIMIT,
    MAX_KNOWN,
    MAX_OPEN,
    MOST_LIMIT,
    PAID_TIMES,
    SETTLED_AFTER,
    Trust,
)
from node.engine.network.trust_file import FILE_NAME, TrustDamaged, TrustFile
from protocol.units import Address, BlockNumber, Wei
from tests.protocol_factories import ALICE, BOB, hash_of

TARGET, VALUE = BlockNumber(100), Wei(10**17)


def paid(trust: Trust, value: Wei, name: str = "paid") -> None:
    """One order of this value, accepted, executed and paid for."""
    trust.given(BOB, hash_of(name), TARGET, value, accepted=True)
    trust.paid(BOB, hash_of(name))


def test_a_leader_that_pays_is_given_more_up_to_a_bound() -> None:
    trust = Trust()
    paid(trust, FIRST_LIMIT)

    assert trust.of(BOB).limit == 2 * FIRST_LIMIT
    for _ in range(20):
        paid(trust, trust.of(BOB).limit)
    assert trust.of(BOB).limit == MOST_LIMIT
    trust.begin(BlockNumber(TARGET + 10))
    assert trust.of(BOB).broken == 0


def test_who_pays_for_dust_has_shown_nothing() -> None:
    trust = Trust()
    for _ in range(20):
        paid(trust, Wei(10**9))
    assert trust.of(BOB).limit == FIRST_LIMIT
    for _ in range(20):
        paid(trust, VALUE)
    assert trust.of(BOB).limit == PAID_TIMES * VALUE
    trust.paid(BOB, hash_of("what we do not know"))
    assert trust.of(BOB).limit == PAID_TIMES * VALUE


def broken(trust: Trust, orders: int) -> None:
    """So many orders that are accepted and not executed."""
    for place in range(orders):
        trust.given(BOB, hash_of(f"broken {place}"), TARGET, VALUE, accepted=True)
    trust.begin(BlockNumber(TARGET + SETTLED_AFTER))


def test_a_leader_that_accepts_and_does_not_execute_is_given_less_down_to_a_bound() -> None:
    trust = Trust()
    for place in range(60):
        trust.given(BOB, hash_of(f"order {place}"), TARGET, VALUE, accepted=True)
    trust.begin(BlockNumber(TARGET + SETTLED_AFTER - 1))
    assert trust.of(BOB).broken == 0
    trust.begin(BlockNumber(TARGET + SETTLED_AFTER))

    known = trust.of(BOB)
    assert (known.given, known.accepted, known.broken, known.limit) == (60, 60, 60, LEAST_LIMIT)


def test_a_leader_that_is_often_outbid_and_pays_now_and_then_keeps_its_limit() -> None:
    """Of six, one is executed; each as large as it may be."""
    trust = Trust()
    for _ in range(20):
        broken(trust, 5)
        paid(trust, trust.of(BOB).limit)
    assert trust.of(BOB).limit >= FIRST_LIMIT


def test_what_a_leader_that_never_pays_can_take_in_all_is_bounded() -> None:
    trust, lost = Trust(), 0
    while trust.of(BOB).limit > LEAST_LIMIT:
        lost += trust.of(BOB).limit
        broken(trust, 1)
    assert lost <= 8 * FIRST_LIMIT


def test_what_was_shown_and_what_of_it_was_promised_and_lost_is_counted_in_wei() -> None:
    trust = Trust()
    for name, accepted in (("paid", True), ("broken", True), ("declined", False)):
        trust.revealed(BOB, VALUE)
        trust.given(BOB, hash_of(name), TARGET, VALUE, accepted=accepted)
    trust.paid(BOB, hash_of("paid"))
    trust.begin(BlockNumber(TARGET + SETTLED_AFTER))

    known = trust.of(BOB)
    assert (known.revealed, known.lost, known.broken) == (3 * VALUE, VALUE, 1)


def test_who_broke_something_and_leaves_the_registry_does_not_begin_anew() -> None:
    trust = Trust()
    broken(trust, 1)
    limit = trust.of(BOB).limit
    assert trust.limits([ALICE]) == {ALICE: FIRST_LIMIT}
    assert trust.limits([ALICE, BOB])[BOB] == limit < FIRST_LIMIT
    gone = [Address(place.to_bytes(20, "big")) for place in range(1, MAX_KNOWN + 6)]
    for place, leader in enumerate(gone):
        trust.given(leader, hash_of(f"{place}"), TARGET, VALUE, accepted=True)
        trust.begin(BlockNumber(TARGET + SETTLED_AFTER))
    trust.limits([ALICE])
    assert len(trust.known) == MAX_KNOWN + 1


async def test_a_restart_gives_nobody_its_first_limit_again(tmp_path: Path) -> None:
    before = TrustFile(tmp_path / "new").load()
    before.revealed(BOB, VALUE)
    broken(before, 3)
    before.given(BOB, hash_of("open"), TARGET, VALUE, accepted=True)
    file = TrustFile(tmp_path / "new")
    await file.save(before)
    written = (tmp_path / "new" / FILE_NAME).stat().st_mtime_ns
    await file.save(before)
    assert (tmp_path / "new" / FILE_NAME).stat().st_mtime_ns == written, "nothing new, nothing written"

    after = TrustFile(tmp_path / "new").load()

    assert after.of(BOB) == before.of(BOB)
    assert after.of(BOB).limit < FIRST_LIMIT
    after.begin(BlockNumber(TARGET + SETTLED_AFTER))
    assert (after.of(BOB).broken, after.of(BOB).lost) == (4, 4 * VALUE), "what was open counts when its time is over"


async def test_what_orders_change_while_it_is_written_is_written_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def slow(path: Path, content: bytes) -> None:
        begun.set()
        assert goes_on.wait(10)
        replace_file(path, content)

    monkeypatch.setattr(trust_file, "replace_file", slow)
    trust, file = Trust(), TrustFile(tmp_path)
    trust.revealed(BOB, VALUE)
    saving = asyncio.create_task(file.save(trust))
    await asyncio.to_thread(begun.wait, 10)
    trust.revealed(ALICE, VALUE)  # the loop is free meanwhile, and what is written was taken before
    goes_on.set()
    await saving
    assert TrustFile(tmp_path).load().known.keys() == {BOB}
    await file.save(trust)
    assert TrustFile(tmp_path).load().known.keys() == {BOB, ALICE}


async def test_a_damaged_file_is_named_and_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    await TrustFile(None).save(Trust())
    assert TrustFile(None).load().known == {}
    for content in (b"", b"{", b'{"leaders": {"0x12": {}}, "orders": {}}', b'{"leaders": {}, "orders": {"zz": {}}}'):
        (tmp_path / FILE_NAME).write_bytes(content)
        with pytest.raises(TrustDamaged, match=r"trust\.json is damaged"):
            TrustFile(tmp_path).load()


def test_what_was_declined_changes_no_limit() -> None:
    trust = Trust()
    trust.given(BOB, hash_of("order"), TARGET, VALUE, accepted=False)
    trust.begin(BlockNumber(TARGET + 10))

    assert (trust.of(BOB).given, trust.of(BOB).limit) == (1, FIRST_LIMIT)


def test_who_leaves_the_registry_is_forgotten_and_open_orders_are_bounded() -> None:
    trust = Trust()
    for place in range(MAX_OPEN + 5):
        trust.given(BOB, hash_of(f"order {place}"), TARGET, VALUE, accepted=True)
    assert len(trust._open) == MAX_OPEN
    assert trust.limits([ALICE]) == {ALICE: FIRST_LIMIT}
    assert trust.of(BOB).given == 0
    assert trust.of(Address(b"\x09" * 20)).limit == FIRST_LIMIT
