"""The ledger: each entry once, batches whole or not at all, sums that are the rows', files that are none."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from node.desk.ledger import ledger as ledger_module
from node.desk.ledger.errors import LedgerUnusable, LedgerUnwritable
from node.desk.ledger.ledger import Ledger, open_ledger
from node.desk.ledger.schema import MIGRATIONS
from node.desk.ledger.stories import NoSuchStory, latest_ids, read_story
from node.desk.ledger.totals import KeySums, read_totals
from node.link import LedgerEntry
from node.pipeline.reasons import Reason
from node.records import AlertRaised, AnyRecord, OutcomeRetracted, PaymentMade, TransactionSent
from protocol.units import ZERO_ADDRESS, BlockNumber, UnixMilliseconds
from tests.config_factories import WETH, numbered
from tests.record_factories import (
    HOT_KEY,
    SEEN_AT,
    USDC,
    alert_told,
    answered,
    bundle_hash,
    dropped,
    entries,
    found,
    hash_of,
    landed,
    missed,
    opportunity_id,
    signed,
    simulated,
    transaction_hash,
)

KEY = "0x" + HOT_KEY.hex()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await open_ledger(tmp_path / "data" / "ledger.sqlite")
    yield opened
    await opened.close()


async def test_a_landed_execution_tells_its_whole_story(ledger: Ledger) -> None:
    records: list[AnyRecord] = [
        found(),
        simulated(),
        signed(),
        answered(),
        answered(relay="titan", error="too late"),
        landed(),
    ]

    assert await ledger.append(entries(records)) == 6
    story = await read_story(ledger.path, opportunity_id(1).hex())

    assert story.found == found()
    assert story.dropped is None
    assert [simulation.profit for simulation in story.simulated] == [str(9 * 10**17)]
    (sent,) = story.sent
    assert sent.sender == KEY
    assert sent.tick_to_bundle_ns == 420_000
    assert [(answer.relay, answer.error) for answer in sent.answers] == [("flashbots", ""), ("titan", "too late")]
    (outcome,) = story.outcomes
    assert (outcome.missed, outcome.profit, outcome.void) == (None, str(5 * 10**17), False)
    assert outcome.transaction_hash == "0x" + transaction_hash(1).hex()


async def test_a_miss_tells_its_reason_and_who_took_it(ledger: Ledger) -> None:
    await ledger.append(entries([found(), signed(), missed()]))

    (outcome,) = (await read_story(ledger.path, opportunity_id(1).hex())).outcomes

    assert outcome.missed is Reason.OUTBID
    assert outcome.lost_to == "0x" + hash_of(1, 0x1057).hex()
    assert (await read_totals(ledger.path)).missed == {"outbid": 1}


async def test_a_dropped_find_is_told_although_nobody_told_it_before(ledger: Ledger) -> None:
    await ledger.append(entries([dropped(3, Reason.BUNDLE_LIMIT), simulated(4, Reason.SIMULATION_REVERTED)]))

    story = await read_story(ledger.path, "0x" + opportunity_id(3).hex())

    assert story.dropped is Reason.BUNDLE_LIMIT
    totals = await read_totals(ledger.path)
    assert totals.found == {"backrun": 1}
    assert totals.dropped == {"bundle_limit": 1}
    assert totals.simulated == {"simulation_reverted": 1}


async def test_a_story_is_found_by_every_hash_in_it_and_by_a_unique_beginning(ledger: Ledger) -> None:
    await ledger.append(entries([found(1), signed(1), found(2), signed(2)]))

    for name in (opportunity_id(1), bundle_hash(1), transaction_hash(1), hash_of(1, 0xEEEE)):
        assert (await read_story(ledger.path, "0x" + name.hex().upper())).found.opportunity_id == opportunity_id(1)
    with pytest.raises(NoSuchStory, match="0x0b0b names 2 opportunities"):
        await read_story(ledger.path, "0x0b0b")
    with pytest.raises(NoSuchStory, match="has no opportunity"):
        await read_story(ledger.path, "0xabcdef")
    with pytest.raises(NoSuchStory, match="is no id"):
        await read_story(ledger.path, "0x12")
    assert await latest_ids(ledger.path, 5) == ["0x" + opportunity_id(2).hex(), "0x" + opportunity_id(1).hex()]


async def test_an_odd_number_of_digits_is_a_beginning_too(ledger: Ledger) -> None:
    await ledger.append(entries([found(1)]))

    assert (await read_story(ledger.path, "0b0b0")).found.opportunity_id == opportunity_id(1)


async def test_sums_are_exact_beyond_64_bits_and_apart_by_key_and_token(ledger: Ledger) -> None:
    bob = numbered(0xB0B)
    huge = 10**30 + 1
    await ledger.append(
        entries([
            found(1), signed(1), landed(1, profit=huge, gas_wei=7, bid_wei=3),
            found(2, token=USDC), signed(2), landed(2, profit=11, gas_wei=5, bid_wei=2),
            found(3), signed(3, bob), landed(3, profit=1, gas_wei=4, bid_wei=0),
            found(4), signed(4, bob), missed(4, Reason.REVERTED, spent_wei=9),
        ])
    )  # fmt: skip

    totals = await read_totals(ledger.path)

    assert totals.keys[KEY] == KeySums(
        profit={"0x" + WETH.hex(): str(huge), "0x" + USDC.hex(): "11"},
        profit_wei=str(huge + 5),
        gas_wei="12",
        bid_wei="5",
    )
    assert totals.keys["0x" + bob.hex()].net_wei == 1 - 4 - 9
    assert (totals.bundles, totals.executions, totals.landed) == (4, 4, 3)


async def test_what_came_again_counts_once(ledger: Ledger) -> None:
    told = entries([found(), signed(), answered(), landed()])
    await ledger.append(told)
    before = await read_totals(ledger.path)

    assert await ledger.append(told[1:]) == 4
    after = await read_totals(ledger.path)

    assert after.ledger == {"repeated": 3}
    assert (after.keys, after.landed, after.executions) == (before.keys, before.landed, before.executions)
    assert len((await read_story(ledger.path, opportunity_id(1).hex())).outcomes) == 1


async def test_the_same_number_with_other_bytes_is_noticed_and_changes_nothing(ledger: Ledger) -> None:
    await ledger.append(entries([found(1), found(2)]))
    await ledger.append(entries([found(3)], first=2))

    assert (await read_totals(ledger.path)).ledger == {"contradicted": 1}
    with pytest.raises(NoSuchStory):
        await read_story(ledger.path, opportunity_id(3).hex())


async def test_entries_that_never_came_are_counted(ledger: Ledger) -> None:
    await ledger.append(entries([found(1)], first=500))
    await ledger.append(entries([found(2)], first=504))

    assert ledger.last_sequence == 504
    assert (await read_totals(ledger.path)).ledger == {"lost": 3}


async def test_an_entry_that_cannot_be_read_is_kept_and_stops_nothing(ledger: Ledger) -> None:
    wrong = LedgerEntry(sequence=1, at=UnixMilliseconds(0), kind="of tomorrow", body=b"\x81\xa4type\xa3new")
    await ledger.append([wrong, *entries([found()], first=2)])

    assert (await read_totals(ledger.path)).ledger == {"unreadable": 1}
    assert (await read_story(ledger.path, opportunity_id(1).hex())).found == found()
    with sqlite3.connect(ledger.path) as database:
        assert database.execute("SELECT kind, body FROM unreadable").fetchall() == [("of tomorrow", wrong.body)]


async def test_a_reorganisation_takes_back_what_its_block_gave(ledger: Ledger) -> None:
    await ledger.append(entries([found(1), signed(1), landed(1), found(2), signed(2), missed(2)]))
    await ledger.append(entries([OutcomeRetracted(block_hash=landed(1).block_hash)], first=7))

    totals = await read_totals(ledger.path)
    assert totals.landed == 0
    assert totals.keys[KEY].net_wei == 0
    assert totals.missed == {"outbid": 1}
    assert [outcome.void for outcome in (await read_story(ledger.path, opportunity_id(1).hex())).outcomes] == [True]

    await ledger.append(entries([landed(1, profit=3, gas_wei=1)], first=8))
    assert (await read_totals(ledger.path)).keys[KEY].net_wei == 2


async def test_a_reorganisation_takes_back_what_reverted_in_its_block(ledger: Ledger) -> None:
    reverted = msgspec.structs.replace(missed(1, Reason.REVERTED, 10**15), block_hash=hash_of(101, 0xB10C))
    await ledger.append(entries([found(1), signed(1), reverted, found(2), signed(2), missed(2)]))
    assert (await read_totals(ledger.path)).keys[KEY].net_wei == -(10**15)
    await ledger.append(entries([OutcomeRetracted(block_hash=hash_of(101, 0xB10C))], first=7))
    totals = await read_totals(ledger.path)
    assert totals.missed == {"outbid": 1}
    assert totals.keys[KEY].net_wei == 0


async def test_payments_beside_executions_count_until_their_block_leaves_the_chain(
    ledger: Ledger, tmp_path: Path
) -> None:
    paid = PaymentMade(
        what="finder_paid",
        transaction_hash=hash_of(1),
        sender=ZERO_ADDRESS,
        token=WETH,
        amount=str(10**20),
        block=BlockNumber(7),
        block_hash=hash_of(7),
        gas_wei="0",
        bid_wei="0",
        subject=hash_of(2),
    )
    rolled = msgspec.structs.replace(
        paid, what="roll", sender=HOT_KEY, amount="0", gas_wei="9", bid_wei="4", block_hash=hash_of(8)
    )
    await ledger.append(entries([paid, rolled]))
    totals = await read_totals(ledger.path)
    assert totals.keys["0x" + ZERO_ADDRESS.hex()].profit == {"0x" + WETH.hex(): str(10**20)}
    assert totals.keys["0x" + HOT_KEY.hex()].gas_wei == "9"

    await ledger.append(entries([OutcomeRetracted(block_hash=hash_of(7))], first=3))

    totals = await read_totals(ledger.path)
    assert totals.keys["0x" + ZERO_ADDRESS.hex()].profit == {"0x" + WETH.hex(): "0"}
    assert totals.keys["0x" + HOT_KEY.hex()].bid_wei == "4"


async def test_a_payment_that_is_told_again_counts_once_in_the_block_of_the_last_word(ledger: Ledger) -> None:
    paid = PaymentMade(
        what="finder_paid",
        transaction_hash=hash_of(1),
        sender=ZERO_ADDRESS,
        token=WETH,
        amount="5",
        block=BlockNumber(7),
        block_hash=hash_of(7),
        gas_wei="0",
        bid_wei="0",
        subject=hash_of(2),
    )
    elsewhere = msgspec.structs.replace(paid, block=BlockNumber(8), block_hash=hash_of(8))
    another = msgspec.structs.replace(paid, subject=hash_of(3))
    await ledger.append(entries([paid, paid, elsewhere, another]))
    total = (await read_totals(ledger.path)).keys["0x" + ZERO_ADDRESS.hex()]
    assert total.profit == {"0x" + WETH.hex(): "10"}

    await ledger.append(entries([OutcomeRetracted(block_hash=hash_of(7))], first=5))

    total = (await read_totals(ledger.path)).keys["0x" + ZERO_ADDRESS.hex()]
    assert total.profit == {"0x" + WETH.hex(): "5"}


async def test_what_was_sent_for_the_membership_is_counted(ledger: Ledger) -> None:
    await ledger.append(entries([TransactionSent(what="roll", transaction_hash=hash_of(1), subject=hash_of(2))]))
    assert ledger.last_sequence == 1
    assert not (await read_totals(ledger.path)).missed


async def test_the_last_word_on_an_execution_counts(ledger: Ledger) -> None:
    await ledger.append(entries([found(1), signed(1), missed(1, Reason.LATE), landed(1), landed(1), missed(1)]))

    totals = await read_totals(ledger.path)

    assert totals.landed == 0
    assert totals.missed == {"outbid": 1}
    assert totals.keys[KEY].profit_wei == "0"


async def test_an_outcome_of_what_the_ledger_never_heard_of_is_kept(ledger: Ledger) -> None:
    await ledger.append(entries([landed(9), missed(8)]))

    totals = await read_totals(ledger.path)

    assert totals.landed == 1
    assert totals.keys["0x"].profit == {"0x": str(5 * 10**17)}


async def test_a_find_that_is_aimed_again_is_one_find(ledger: Ledger) -> None:
    await ledger.append(entries([found(1, gross=5), found(1, gross=6)]))

    assert (await read_totals(ledger.path)).found == {"backrun": 1}
    assert (await read_story(ledger.path, opportunity_id(1).hex())).found.gross_profit == "6"


async def test_shadow_mode_tells_what_it_would_have_sent(ledger: Ledger) -> None:
    await ledger.append(entries([dropped(1, Reason.SHADOW), dropped(2, Reason.SHADOW), dropped(3)]))

    totals = await read_totals(ledger.path)

    assert totals.shadow == {"0x" + WETH.hex(): str(2 * 10**18)}
    assert totals.shadow_wei == str(2 * 10**18)
    assert totals.keys == {}


async def test_alerts_are_kept_and_counted(ledger: Ledger) -> None:
    await ledger.append(entries([AlertRaised(kind="treasury_low", detail="0xa1", at=SEEN_AT)]))

    assert (await read_totals(ledger.path)).alerts == {"treasury_low": 1}


async def test_alerts_of_the_network_are_counted_by_kind_and_verdict(ledger: Ledger) -> None:
    told = [alert_told(), alert_told(), alert_told("relay_lies", "unjudged")]
    await ledger.append(entries(told))

    totals = await read_totals(ledger.path)
    assert totals.network_alerts == {"relay_lies unjudged": 1, "sandwich_seen confirmed": 2}


async def test_what_is_bounded_is_forgotten_and_what_was_signed_stays(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("ENTRIES_KEPT", "FINDS_KEPT", "ALERTS_KEPT"):
        monkeypatch.setattr(ledger_module, bound, 3)
    monkeypatch.setattr(ledger_module, "_PRUNE_EVERY", 10)
    await ledger.append(entries([found(1), signed(1), *(dropped(number) for number in range(2, 11))]))

    totals = await read_totals(ledger.path)

    assert totals.found == {"backrun": 10}
    assert (await read_story(ledger.path, opportunity_id(1).hex())).sent
    with sqlite3.connect(ledger.path) as database:
        assert database.execute("SELECT count(*) FROM entries").fetchone() == (3,)
        assert database.execute("SELECT count(*) FROM opportunities").fetchone() == (4,)


async def test_a_reopened_ledger_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    first = await open_ledger(path)
    await first.append(entries([found()]))
    await first.close()
    second = await open_ledger(path)

    assert second.last_sequence == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await second.close()


async def test_a_full_disk_is_told_loses_nothing_and_can_be_tried_again(ledger: Ledger) -> None:
    await ledger.append(entries([found(1)]))
    await ledger._db.execute("PRAGMA max_page_count = 30")
    many = entries((found(number) for number in range(2, 400)), first=2)

    with pytest.raises(LedgerUnwritable, match="is its disk full"):
        await ledger.append(many)

    assert ledger.last_sequence == 1
    assert (await read_totals(ledger.path)).found == {"backrun": 1}
    await ledger._db.execute("PRAGMA max_page_count = 1000000")
    assert await ledger.append(many) == 399
    assert (await read_totals(ledger.path)).found == {"backrun": 399}


async def test_a_ledger_that_another_program_holds_is_told(ledger: Ledger) -> None:
    await ledger._db.execute("PRAGMA busy_timeout = 1")
    with sqlite3.connect(ledger.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnwritable, match="locked"):
            await ledger.append(entries([found(1)]))
        other.execute("ROLLBACK")
    other.close()
    assert await ledger.append(entries([found(1)])) == 1


async def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"my holiday pictures " * 100)

    with pytest.raises(LedgerUnusable, match="file is not a database; move it away"):
        await open_ledger(path)
    assert path.read_bytes() == b"my holiday pictures " * 100


async def test_a_database_of_another_program_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE pictures (name TEXT)")
    database.close()
    before = path.read_bytes()

    with pytest.raises(LedgerUnusable, match="a database of another program"):
        await open_ledger(path)
    assert path.read_bytes() == before


async def test_a_ledger_of_a_newer_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await (await open_ledger(path)).close()
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()

    for reading in (open_ledger(path), read_totals(path)):
        with pytest.raises(LedgerUnusable, match="written by a newer hftnode"):
            await reading


async def test_a_reader_neither_makes_nor_migrates_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with pytest.raises(LedgerUnusable, match="there is none yet"):
        await read_totals(path)
    path.touch()
    with pytest.raises(LedgerUnusable, match="of an older version"):
        await read_totals(path)


async def test_a_damaged_ledger_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    made = await open_ledger(path)
    await made.append(entries(found(number) for number in range(1, 200)))
    await made.close()
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\x5a" * (len(raw) - 4096)
    path.write_bytes(bytes(raw))

    with pytest.raises(LedgerUnusable, match="malformed"):
        await read_totals(path)


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    with pytest.raises(LedgerUnusable, match=r"File exists|Not a directory"):
        await open_ledger(tmp_path / "data" / "ledger.sqlite")


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.desk.ledger.schema.MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE broken (",)))
    path = tmp_path / "ledger.sqlite"

    with pytest.raises(LedgerUnusable, match="incomplete input"):
        await open_ledger(path)
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    database.close()
