"""Laws of the ledger: what it adds up to is what its rows say, whatever is told in whatever pieces, also twice."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from node.desk.ledger.ledger import open_ledger
from node.desk.ledger.totals import Totals, read_totals
from node.link import LedgerEntry
from node.pipeline.reasons import Reason
from node.records import AnyRecord, OutcomeRetracted
from tests.record_factories import answered, dropped, entries, found, landed, missed, signed

NUMBERS = st.integers(1, 4)
RECORDS = st.one_of(
    NUMBERS.map(found),
    st.builds(dropped, NUMBERS, st.sampled_from([Reason.NOT_PROFITABLE, Reason.SHADOW])),
    NUMBERS.map(signed),
    NUMBERS.map(answered),
    st.builds(landed, NUMBERS, profit=st.integers(-(10**25), 10**25), gas_wei=st.integers(0, 10**20)),
    st.builds(missed, NUMBERS, st.sampled_from([Reason.OUTBID, Reason.REVERTED]), st.integers(0, 10**20)),
    NUMBERS.map(lambda number: OutcomeRetracted(block_hash=landed(number).block_hash)),
)


async def _told(pieces: list[list[LedgerEntry]]) -> tuple[Totals, dict[str, int]]:
    """What the ledger adds up to, and the same added up here from the rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        ledger = await open_ledger(path)
        for piece in pieces:
            await ledger.append(piece)
        totals = await read_totals(path)
        await ledger.close()
        database = sqlite3.connect(path)
        live = database.execute("SELECT missed, profit, profit_wei, gas_wei FROM outcomes WHERE void = 0").fetchall()
        database.close()
    return totals, {
        "landed": sum(missed is None for missed, *_ in live),
        "missed": sum(missed is not None for missed, *_ in live),
        "profit": sum(int(row[1]) for row in live),
        "profit_wei": sum(int(row[2]) for row in live),
        "gas_wei": sum(int(row[3]) for row in live),
    }


@settings(max_examples=40)
@given(records=st.lists(RECORDS, max_size=25), cuts=st.lists(st.integers(0, 25), max_size=4))
def test_totals_are_what_the_rows_say_however_they_came(records: list[AnyRecord], cuts: list[int]) -> None:
    told = entries(records)
    edges = [0, *sorted(min(cut, len(told)) for cut in cuts), len(told)]
    pieces = [told[max(0, begin - 2) : end] for begin, end in pairwise(edges)]  # each repeats two

    totals, rows = asyncio.run(_told(pieces))
    at_once, _ = asyncio.run(_told([told]))

    assert totals.landed == rows["landed"]
    assert sum(totals.missed.values()) == rows["missed"]
    assert sum(int(amount) for key in totals.keys.values() for amount in key.profit.values()) == rows["profit"]
    assert sum(int(key.profit_wei) for key in totals.keys.values()) == rows["profit_wei"]
    assert sum(int(key.gas_wei) for key in totals.keys.values()) == rows["gas_wei"]
    assert (totals.keys, totals.found, totals.dropped, totals.missed) == (
        at_once.keys, at_once.found, at_once.dropped, at_once.missed
    )  # fmt: skip
