"""The spool: what is on it is on it, whatever died, and what an earlier process left open is found again."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.engine.errors import SpoolFailed
from node.engine.outcomes import Outcomes
from node.engine.record_making import found_record, signed_record
from node.engine.resume import LeftOpen, records_of, resume, retracted_since
from node.engine.signer import SignedBundle
from node.engine.spool import KEPT_SEGMENTS, Spool
from node.link import LedgerEntry, Ping, encode_frame
from node.pipeline.events import ExecutionLanded
from node.pipeline.reasons import Reason
from node.records import (
    AlertRaised,
    AnyRecord,
    ExecutionLandedRecord,
    ExecutionMissedRecord,
    OpportunityDropped,
    OpportunityFound,
    OutcomeRetracted,
    PaymentMade,
    RelayAnswered,
    TransactionSent,
    decode_record,
)
from protocol.units import BlockNumber, Gas, Hash32, UnixMilliseconds, UnixNanoseconds
from tests.unit.test_engine_outcomes import ALICE, Chain, own, profit_log, sync_log
from tests.unit.test_engine_simulator import header
from tests.vault_stand_in import MODULE, signed, victim

NOW = UnixMilliseconds(1_800_000_000_000)


def alert(detail: str) -> AlertRaised:
    return AlertRaised(kind="test", detail=detail, at=UnixNanoseconds(1))


def opened(folder: Path, **bounds: Any) -> Spool:
    spool = Spool(folder, **bounds)
    spool.open()
    return spool


def filled(folder: Path, count: int, **bounds: Any) -> Spool:
    spool = opened(folder, **bounds)
    for number in range(count):
        spool.append(alert(str(number)), NOW)
    return spool


def told(spool: Spool, after: int = 0) -> list[tuple[int, str]]:
    entries = spool.after(after, 1_000)
    return [(entry.sequence, decode_record(entry.body).detail) for entry in entries]  # type: ignore[union-attr]


def test_entries_are_numbered_and_kept_in_order(tmp_path: Path) -> None:
    spool = filled(tmp_path, 3)
    assert told(spool) == [(1, "0"), (2, "1"), (3, "2")]
    assert told(spool, after=2) == [(3, "2")]
    assert told(spool, after=3) == []
    assert spool.has_after(2)
    assert not spool.has_after(3)
    assert len(spool.after(0, 2)) == 2


def test_an_empty_spool_has_nothing(tmp_path: Path) -> None:
    spool = opened(tmp_path / "new" / "folder")
    assert told(spool) == []
    assert not spool.has_after(0)
    assert (tmp_path / "new" / "folder").stat().st_mode & 0o777 == 0o700


def test_a_process_that_dies_without_a_word_loses_nothing(tmp_path: Path) -> None:
    filled(tmp_path, 3)  # never closed
    again = opened(tmp_path)
    assert told(again) == [(1, "0"), (2, "1"), (3, "2")]
    again.append(alert("more"), NOW)
    assert told(again, after=3) == [(4, "more")]


@pytest.mark.parametrize("kept", [1, 7, 9, -1])
def test_a_torn_end_is_cut_off_and_counted(tmp_path: Path, kept: int) -> None:
    filled(tmp_path, 1).close()
    (path,) = tmp_path.glob("*.spool")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    again = opened(tmp_path)
    assert (told(again), again.damaged) == ([(1, "0")], 1)
    again.append(alert("after"), NOW)
    assert told(opened(tmp_path)) == [(1, "0"), (2, "after")]


def test_a_damaged_entry_ends_its_file(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    (path,) = tmp_path.glob("*.spool")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    again = opened(tmp_path)
    assert (told(again), again.damaged) == ([(1, "0")], 1)


def test_bytes_with_a_right_checksum_that_are_no_entry_are_damage(tmp_path: Path) -> None:
    filled(tmp_path, 1).close()
    (path,) = tmp_path.glob("*.spool")
    for body in (b"\xff", encode_frame(Ping(nonce=1))[4:]):
        path.write_bytes(path.read_bytes() + struct.pack(">II", zlib.crc32(body), len(body)) + body)
        again = opened(tmp_path)
        assert (len(again), again.damaged) == (1, 1)
        again.close()


def test_what_the_desk_has_is_forgotten(tmp_path: Path) -> None:
    spool = filled(tmp_path, 4)
    spool.acknowledge(2)
    assert told(spool) == [(3, "2"), (4, "3")]
    spool.acknowledge(1)
    assert len(spool) == 2


def test_files_that_the_desk_has_go_but_the_newest_stay(tmp_path: Path) -> None:
    spool = filled(tmp_path, 10, segment_bytes=1)
    assert len(list(tmp_path.glob("*.spool"))) == 10
    spool.acknowledge(10)
    assert len(list(tmp_path.glob("*.spool"))) == KEPT_SEGMENTS
    assert told(opened(tmp_path)) == [(9, "8"), (10, "9")]


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    spool = filled(tmp_path, 3, segment_bytes=1)
    spool.acknowledge(3)
    spool.close()
    assert opened(tmp_path).append(alert("next"), NOW).sequence == 4


def test_a_spool_that_was_set_back_takes_the_desks_number(tmp_path: Path) -> None:
    spool = filled(tmp_path, 1)
    spool.acknowledge(40)
    assert spool.append(alert("next"), NOW).sequence == 41
    assert told(opened(tmp_path), after=1) == [(41, "next")]


def test_what_a_lost_folder_began_anew_is_numbered_behind_the_desks_last(tmp_path: Path) -> None:
    spool = filled(tmp_path, 3)
    assert spool.greet(40) == 3
    assert told(spool) == [(41, "0"), (42, "1"), (43, "2")]
    assert spool.append(alert("next"), NOW).sequence == 44
    spool.close()
    again = opened(tmp_path)
    assert told(again) == [(41, "0"), (42, "1"), (43, "2"), (44, "next")], "on disk as well, and once each"
    again.acknowledge(43)
    assert told(again) == [(44, "next")]


def test_a_spool_that_a_desk_has_answered_keeps_its_numbers_and_forgets_what_the_desk_has(tmp_path: Path) -> None:
    spool = filled(tmp_path, 3)
    assert spool.greet(0) == 0
    spool.close()
    again = opened(tmp_path)
    assert again.greet(2) == 0
    assert told(again) == [(3, "2")]


def test_an_empty_spool_takes_the_desks_number(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    assert spool.greet(40) == 0
    assert spool.append(alert("next"), NOW).sequence == 41
    assert told(opened(tmp_path)) == [(41, "next")]


def test_a_death_while_numbers_change_leaves_the_old_or_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = filled(tmp_path, 3)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(SpoolFailed, match="no space left"):
            spool.greet(40)
    assert told(opened(tmp_path)) == [(1, "0"), (2, "1"), (3, "2")]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", full)
        with pytest.raises(SpoolFailed, match="no space left"):
            spool.greet(40)
    assert told(opened(tmp_path)) == [(41, "0"), (42, "1"), (43, "2")]


@pytest.mark.parametrize("desks", [1, 5, 6, 19, 20, 40])
def test_of_several_files_that_are_renumbered_none_is_left(tmp_path: Path, desks: int) -> None:
    spool = filled(tmp_path, 20, segment_bytes=200)
    assert len(list(tmp_path.glob("*.spool"))) > KEPT_SEGMENTS
    assert spool.greet(desks) == 20
    expected = [(desks + 1 + place, str(place)) for place in range(20)]
    assert told(spool) == told(opened(tmp_path)) == expected


@pytest.mark.parametrize("dies_at", range(9))
def test_a_death_while_files_are_renumbered_loses_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    spool = filled(tmp_path, 20, segment_bytes=200)
    done, steps = [0], [(Path, "unlink"), (Path, "rename"), (Path, "replace")]

    def dying(step: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            if done[0] == dies_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done[0] += 1
            return step(*args, **named)

        return call

    with monkeypatch.context() as patch:
        for owner, name in steps:
            patch.setattr(owner, name, dying(getattr(owner, name)))
        with pytest.raises(SpoolFailed, match="No space left"):
            spool.greet(5)
    again = opened(tmp_path)
    assert again.greet(5) == (20 if dies_at < 2 else 0), "before the desk's number is there, all is as it was"
    assert told(again) == told(opened(tmp_path)) == [(6 + place, str(place)) for place in range(20)]


def test_numbers_that_are_missing_in_between_hide_nothing(tmp_path: Path) -> None:
    spool = filled(tmp_path, 1)
    spool.acknowledge(40)
    spool.append(alert("late"), NOW)
    again = opened(tmp_path)
    assert told(again, after=5) == [(41, "late")]


def test_as_much_as_is_allowed_may_wait_and_no_more(tmp_path: Path) -> None:
    spool = opened(tmp_path, max_bytes=300)
    waiting = 2
    for number in range(waiting):
        spool.append(alert(str(number)), NOW)
    with pytest.raises(SpoolFailed, match="no more than 300"):
        spool.append(alert("x" * 200), NOW)
    spool.acknowledge(1)
    assert spool.append(alert("room again"), NOW).sequence == waiting + 1


def test_a_full_disk_is_told_and_leaves_no_half_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = filled(tmp_path, 1)
    write = os.write
    monkeypatch.setattr("os.write", lambda descriptor, raw: write(descriptor, raw[:10]))
    with pytest.raises(SpoolFailed, match="only a part"):
        spool.append(alert("lost"), NOW)
    monkeypatch.setattr("os.write", _full)
    with pytest.raises(SpoolFailed, match="No space left"):
        spool.append(alert("lost"), NOW)
    monkeypatch.setattr("os.write", write)
    assert spool.append(alert("kept"), NOW).sequence == 2
    assert told(opened(tmp_path)) == [(1, "0"), (2, "kept")]


def _full(*_: Any, **__: Any) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolFailed, match="cannot be used"):
        opened(tmp_path / "file")


def test_a_file_that_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = filled(tmp_path, 4, segment_bytes=1)
    monkeypatch.setattr(Path, "unlink", _full)
    with pytest.raises(SpoolFailed, match="No space left"):
        spool.acknowledge(4)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "note.spool").write_text("mine")
    assert told(filled(tmp_path, 1)) == [(1, "0")]
    assert (tmp_path / "note.spool").read_text() == "mine"


# What an earlier process left open


def left_behind(folder: Path, *records: AnyRecord) -> Spool:
    """A spool after a restart, with these records on it."""
    before = opened(folder)
    for record in records:
        before.append(record, NOW)
    return opened(folder)


def sent(bundle: SignedBundle) -> tuple[AnyRecord, AnyRecord]:
    (opportunity,) = bundle.plan.opportunities
    return found_record(opportunity), signed_record(bundle, UnixNanoseconds(1), 2)


def landed(bundle: SignedBundle, block: Hash32) -> ExecutionLandedRecord:
    (opportunity,) = bundle.plan.opportunities
    return ExecutionLandedRecord(
        opportunity_id=opportunity.id,
        transaction_hash=bundle.own[0],
        block=BlockNumber(11),
        block_hash=block,
        profit="5",
        gas_used=Gas(1),
        gas_wei="1",
        bid_wei="1",
    )


def missed(bundle: SignedBundle) -> ExecutionMissedRecord:
    (opportunity,) = bundle.plan.opportunities
    return ExecutionMissedRecord(
        opportunity_id=opportunity.id, block=BlockNumber(11), reason=Reason.OUTBID, lost_to=None, spent_wei="0"
    )


def resumed(chain: Chain, spool: Spool) -> Outcomes:
    outcomes = Outcomes(chain.endpoints, MODULE, [ALICE], [])
    resume(outcomes, records_of(spool.after(0, len(spool))))
    return outcomes


async def test_a_bundle_whose_outcome_was_not_told_is_judged_after_the_restart(tmp_path: Path) -> None:
    bundle, chain = signed(11), Chain()
    outcomes = resumed(chain, left_behind(tmp_path, alert("x"), *sent(bundle)))
    ((event, _),) = await outcomes.judge(chain.holds(header(11), own(bundle, sync_log(), profit_log(5))))
    assert isinstance(event, ExecutionLanded)
    assert (event.profit, event.opportunity_id) == (5, bundle.plan.executions[0].opportunity.id)


async def test_after_a_restart_reasons_are_found_as_before(tmp_path: Path) -> None:
    bundle, chain = signed(11, victim(3)), Chain()
    answer = RelayAnswered(bundle_hash=bundle.hash, relay="swift", error="refused: no", took_ns=1)
    outcomes = resumed(chain, left_behind(tmp_path, *sent(bundle), answer))
    ((_, record),) = await outcomes.judge(chain.holds(header(11)))
    assert isinstance(record, ExecutionMissedRecord)
    assert record.reason is Reason.VICTIM_NOT_INCLUDED
    alone = signed(11)
    answer = RelayAnswered(bundle_hash=alone.hash, relay="swift", error="refused: no", took_ns=1)
    outcomes = resumed(chain, left_behind(tmp_path / "other", *sent(alone), answer))
    ((_, record),) = await outcomes.judge(chain.holds(header(11)))
    assert isinstance(record, ExecutionMissedRecord)
    assert record.reason is Reason.RELAY_REFUSED


def test_what_was_told_is_not_told_again(tmp_path: Path) -> None:
    one, two = signed(11, name=b"one"), signed(11, name=b"two")
    spool = left_behind(tmp_path, *sent(one), *sent(two), landed(one, Hash32(b"\1" * 32)), missed(two))
    assert len(resumed(Chain(), spool)) == 0


def test_a_revert_that_was_taken_back_is_open_again(tmp_path: Path) -> None:
    bundle, block = signed(11), Hash32(b"\1" * 32)
    reverted = msgspec.structs.replace(missed(bundle), reason=Reason.REVERTED, block_hash=block)
    assert len(resumed(Chain(), left_behind(tmp_path, *sent(bundle), reverted))) == 0
    outcomes = resumed(
        Chain(), left_behind(tmp_path / "b", *sent(bundle), reverted, OutcomeRetracted(block_hash=block))
    )
    (again,) = outcomes._sent.values()
    assert again.included


def test_an_outcome_that_was_taken_back_is_open_again(tmp_path: Path) -> None:
    one, two, block = signed(11, name=b"one"), signed(11, name=b"two"), Hash32(b"\1" * 32)
    records = (*sent(one), *sent(two), landed(one, block), missed(two), OutcomeRetracted(block_hash=block))
    assert len(resumed(Chain(), left_behind(tmp_path, *records))) == 1


async def test_what_landed_in_a_block_that_left_the_chain_meanwhile_is_judged_anew(tmp_path: Path) -> None:
    bundle, chain = signed(11), Chain()
    records = records_of(entries_of(left_behind(tmp_path, *sent(bundle), landed(bundle, Hash32(b"\1" * 32)))))
    chain.headers[hex(11)] = {"hash": "0x" + header(11).hash.hex()}
    (gone,) = await retracted_since(chain.endpoints, records)
    assert gone.block_hash == b"\1" * 32
    outcomes = Outcomes(chain.endpoints, MODULE, [ALICE], [])
    assert len(resume(outcomes, [*records, gone]).sent) == 1
    ((_, record),) = await outcomes.judge(chain.holds(header(11)))
    assert isinstance(record, ExecutionMissedRecord)
    assert record.reason is Reason.REORGED


async def test_what_landed_in_a_block_that_stands_or_is_not_known_yet_stays_told(tmp_path: Path) -> None:
    bundle, chain = signed(11), Chain()
    standing = header(11)
    chain.headers = {hex(11): {"hash": "0x" + standing.hash.hex()}, hex(12): None}
    records = records_of(entries_of(left_behind(tmp_path, *sent(bundle), landed(bundle, standing.hash))))
    assert await retracted_since(chain.endpoints, records) == []
    later = payment(12, Hash32(b"\2" * 32))
    assert await retracted_since(chain.endpoints, [later]) == [], "the node is behind: it may come"


def test_what_was_sent_and_paid_for_the_membership_goes_on_after_a_restart() -> None:
    block, gone = Hash32(b"\1" * 32), Hash32(b"\2" * 32)
    under_way = TransactionSent(what="roll", transaction_hash=Hash32(b"\3" * 32), subject=Hash32(b"\4" * 32))
    records: list[AnyRecord] = [under_way, payment(12, block), payment(13, gone), OutcomeRetracted(block_hash=gone)]
    left = resume(Outcomes(Chain().endpoints, MODULE, [ALICE], []), records)
    assert left == LeftOpen([], [], [under_way], [payment(12, block)], BlockNumber(12))


def payment(block: int, block_hash: Hash32) -> PaymentMade:
    return PaymentMade(
        what="finder_paid",
        transaction_hash=Hash32(bytes([block]) * 32),
        sender=ALICE,
        token=ALICE,
        amount="5",
        block=BlockNumber(block),
        block_hash=block_hash,
        gas_wei="0",
        bid_wei="0",
        subject=Hash32(b"\5" * 32),
    )


def entries_of(spool: Spool) -> list[LedgerEntry]:
    return spool.after(0, len(spool))


def test_also_what_the_desk_has_already_is_resumed(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for record in sent(signed(11)):
        spool.append(record, NOW)
    spool.acknowledge(2)
    assert len(resumed(Chain(), opened(tmp_path))) == 1


def test_a_bundle_of_which_the_find_is_not_known_any_more_is_left(tmp_path: Path) -> None:
    assert len(resumed(Chain(), left_behind(tmp_path, sent(signed(11))[1]))) == 0


def test_a_find_that_was_told_and_never_sent_is_left_over_once(tmp_path: Path) -> None:
    sent_one, unsent = signed(11, name=b"one"), signed(11, name=b"two")
    lonely, _ = sent(unsent)
    assert isinstance(lonely, OpportunityFound)
    spool = left_behind(tmp_path, *sent(sent_one), lonely)
    left = resume(Outcomes(Chain().endpoints, MODULE, [ALICE], []), records_of(spool.after(0, len(spool))))
    assert left.unsent == [lonely]
    assert [record.opportunity_id for record in left.sent] == [sent_one.plan.executions[0].opportunity.id]
    told = OpportunityDropped(found=lonely, reason=Reason.ENGINE_ENDED, at=UnixNanoseconds(3))
    spool.append(told, NOW)
    again = resume(Outcomes(Chain().endpoints, MODULE, [ALICE], []), records_of(spool.after(0, len(spool))))
    assert again.unsent == []
