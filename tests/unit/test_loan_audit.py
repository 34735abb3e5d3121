"""The audit of loans: against the block that the book is of, and a book that contradicts itself is read anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import orjson
import pytest

from node.engine import loan_reading
from node.engine.headers import header_from_json
from node.engine.loan_logs import LoanLogs
from node.engine.loan_reading import LoanReader, NotAave, submitters_of
from node.engine.loan_upkeep import LoanUpkeep
from node.engine.multicall import View
from node.engine.upkeep import Upkeep
from node.pipeline.lending import aave_v3
from node.pipeline.lending.aave_book import AaveBook
from node.pipeline.lending.aave_v3 import Market
from node.pipeline.lending.morpho_book import MorphoBook
from node.pipeline.lending.oracle_view import MOST_SUBMITTERS
from protocol.ethereum.abi import encode, selector
from protocol.units import Address, Hash32, address_from_hex, address_to_hex
from tests.engine_scene import engine_config
from tests.fake_blocks import header_json
from tests.lending_factories import ALICE, BOB, POOL, TIME, book
from tests.manual_clock import ManualClock

CLOCK = Address(b"\x0c" * 20)
HEAD = header_from_json(orjson.dumps(header_json(7)))


class Chain:
    """Answers the clock with a block's time, and every account with what a book says of Alice at that time."""

    def __init__(self, said: AaveBook, time: int) -> None:
        self.said, self.time = said, time

    async def read(self, views: Sequence[View], _at: Hash32) -> list[bytes]:
        account = aave_v3.account(self.said.market, self.said.positions[ALICE], self.said.oracle.prices, self.time)
        words = (account.collateral, account.debt, 0, account.threshold, 0, account.health_factor)
        told = b"".join(word.to_bytes(32, "big") for word in words)
        return [self.time.to_bytes(32, "big") if view.target == CLOCK else told for view in views]


def reader(chain: Chain) -> LoanReader:
    return LoanReader(None, chain, CLOCK, address_from_hex(POOL))  # type: ignore[arg-type]


def updated_at(one: AaveBook, time: int) -> AaveBook:
    reserves = {asset: msgspec.structs.replace(kept, updated=time) for asset, kept in one.market.reserves.items()}
    return msgspec.structs.replace(one, market=Market(reserves, one.market.e_modes))


async def test_a_book_as_the_pool_has_it_does_not_differ() -> None:
    assert await reader(Chain(book(), TIME + 12)).differing(book(), HEAD) is None


async def test_a_book_from_after_the_block_differs_and_raises_nothing() -> None:
    newer = updated_at(book(), TIME + 24)
    differs = await reader(Chain(book(), TIME + 12)).differing(newer, HEAD)
    assert differs == f"{ALICE}: the pool judges it, we cannot: asked for {TIME + 12}, updated at {TIME + 24}"


@pytest.mark.parametrize("told", [None, b"", bytes(32 * 5)])
async def test_an_audit_says_nothing_of_whom_the_pool_does_not_judge(told: bytes | None) -> None:
    """An oracle without a price of something that somebody has reverts `getUserAccountData`."""

    class Unable(Chain):
        async def read(self, views: Sequence[View], at: Hash32) -> list[bytes | None]:  # type: ignore[override]
            return [(await super().read(views, at))[0], *[told for _ in views[1:]]]

    assert await reader(Unable(book(), TIME + 12)).differing(book(), HEAD) is None


async def test_the_book_that_is_audited_is_the_one_after_the_block_that_is_asked_about() -> None:
    """A block that is told while the pools are audited makes another book, and moves its reserves' times on."""
    seen: list[tuple[AaveBook, Any]] = []
    now = SimpleNamespace(book=book())
    first = now.book

    async def sample(*_: Any) -> dict[bytes, str]:
        now.book = updated_at(now.book, TIME + 24)
        return {}

    async def differing(audited: AaveBook, at: Any) -> None:
        seen.append((audited, at))

    readers = SimpleNamespace(
        audit=SimpleNamespace(sample=sample),
        blocks=SimpleNamespace(head=HEAD, is_told=lambda _: True),
        mempool=SimpleNamespace(unasked={}),
        logs=SimpleNamespace(followed=[]),
        loans=SimpleNamespace(differing=differing),
        book=lambda: now.book,
        morpho=None,
        morpho_book=lambda: None,
        state_of=lambda _: None,
    )
    upkeep = Upkeep(engine_config(), readers, lambda _: None, ManualClock())  # type: ignore[arg-type]
    upkeep.block_told()
    await upkeep._audit(HEAD)
    assert [(audited is first, at is HEAD) for audited, at in seen] == [(True, True)]


@pytest.mark.parametrize("lender", ["Aave", "Morpho"])
@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_book_that_differs_is_read_anew_unless_its_head_has_left_the_chain(lender: str, is_gone: bool) -> None:
    left: list[bool] = [False]
    emitted: list[Any] = []

    async def read(_: Any) -> str:
        return f"all of {lender}"

    async def differing(*_: Any) -> str:
        return "it differs"

    told = SimpleNamespace(read=read, differing=differing, is_due=lambda *_: False, sources={})
    readers = SimpleNamespace(
        blocks=SimpleNamespace(head=HEAD),
        mempool=SimpleNamespace(watch=lambda *_: None),
        loan_logs=LoanLogs(),
        loans=told if lender == "Aave" else None,
        book=lambda: book() if lender == "Aave" else None,
        morpho_logs=LoanLogs(),
        morpho=told if lender == "Morpho" else None,
        morpho_book=lambda: MorphoBook("0x" + "0b" * 20, {}, {}, {}, {}, {}, {}) if lender == "Morpho" else None,
    )
    counts = Counter[str]()
    upkeep = LoanUpkeep(readers, counts, lambda _: left[0], emitted.append)  # type: ignore[arg-type]

    async def read_all() -> None:
        await upkeep.read_aave(HEAD)
        await upkeep.read_morpho(HEAD)

    await read_all()
    assert (upkeep.is_idle, emitted) == (True, [f"all of {lender}"])
    left[0] = is_gone
    await upkeep.audit(HEAD, *upkeep.books())
    assert (counts["loans_differed"], upkeep.is_idle) == (0 if is_gone else 1, is_gone)
    await read_all()
    assert (upkeep.is_idle, len(emitted)) == (True, 1 if is_gone else 2)


async def test_a_pool_of_aave_3_3_or_later_is_refused_by_name() -> None:
    class Newer:
        async def read(self, views: Sequence[View], _at: Hash32) -> list[bytes | None]:
            return [bytes(32) if view.data[:4] == selector("getReserveDeficit(address)") else None for view in views]

    loans = LoanReader(None, Newer(), CLOCK, address_from_hex(POOL))  # type: ignore[arg-type]
    with pytest.raises(NotAave, match=r"is Aave 3\.3 or later"):
        await loans.read(HEAD)


async def test_whose_answers_a_feed_takes_is_asked_of_it_and_one_that_does_not_say_has_none() -> None:
    feeds = ["0x" + digit * 40 for digit in "12345"]
    told = {feeds[0]: encode(["address[]"], [[ALICE, BOB]]), feeds[1]: encode(["address[]"], [[]]), feeds[2]: b"\x01"}
    told[feeds[3]] = encode(["address[]"], [[ALICE] * (MOST_SUBMITTERS + 1)])

    class Feeds:
        async def read(self, views: Sequence[View], _at: Hash32) -> list[bytes | None]:
            assert {view.data for view in views} == {selector("getOracles()")}
            return [told.get(address_to_hex(view.target)) for view in views]

    known = await submitters_of(Feeds(), feeds, HEAD.hash)  # type: ignore[arg-type]
    assert known == {feeds[0]: frozenset({ALICE, BOB}), feeds[1]: frozenset()}


async def test_a_borrower_for_whom_there_is_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loan_reading, "MAX_POSITIONS", 1)

    class Nobody:
        async def read(self, views: Sequence[View], _at: Hash32) -> list[bytes | None]:
            return [bytes(32) for _ in views]

    loans = LoanReader(None, Nobody(), CLOCK, address_from_hex(POOL))  # type: ignore[arg-type]
    for _ in range(2):
        await loans.read_positions([ALICE, BOB], HEAD)
    assert loans.beyond == 2
