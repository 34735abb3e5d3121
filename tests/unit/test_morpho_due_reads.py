"""When Morpho's book is read again beside the blocks, and when what was read is told."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from node.engine.headers import Header
from node.engine.loan_logs import OF_FEED, LoanLogs
from node.engine.loan_upkeep import LoanUpkeep
from node.engine.morpho_reading import READ_AGAIN_BLOCKS
from node.engine.pool_topics import LogJson
from node.engine.rpc import RpcError, RpcTimeout
from node.pipeline.events import LoansRead
from node.pipeline.lending.aave_book import LoanLog
from node.pipeline.lending.logs import Event
from node.pipeline.lending.morpho_book import MorphoBook
from tests.morpho_scene import (
    AGGREGATOR,
    COLLATERAL,
    GOOD_PROXY,
    HEADER,
    LOAN,
    MODEL,
    MORPHO,
    OTHERS,
    OTHERS_FEED,
    OTHERS_ORACLE,
    PARTS,
    PRICE,
    SCALE,
    Chain,
    header_at,
    reader,
    word,
)


class Followed:
    """What upkeep reads Morpho with; each whole read takes a block, or fails as `failures` says."""

    def __init__(self, chain: Chain, book: MorphoBook | None = None) -> None:
        self.reader, self.book = reader(chain), book
        self.blocks = SimpleNamespace(head=HEADER)
        self.failures: list[RpcError] = []
        self.logs = LoanLogs()
        self.emitted: list[Any] = []
        self.morpho = SimpleNamespace(read=self._read, is_due=self.reader.is_due, rates=self.reader.rates)
        readers = SimpleNamespace(
            blocks=self.blocks,
            loans=None,
            morpho=self.morpho,
            morpho_book=lambda: self.book,
            morpho_logs=self.logs,
            mempool=SimpleNamespace(watch=lambda *_: None),
        )
        counts = Counter[str]()
        self.upkeep = LoanUpkeep(readers, counts, lambda _: False, self.emitted.append)  # type: ignore[arg-type]

    async def _read(self, head: Header) -> LoansRead:
        told = await self.reader.read(head)
        self.morpho.sources = self.reader.sources
        self.blocks.head = header_at(head.number + 1)
        if self.failures:
            raise self.failures.pop()
        return told

    async def work(self) -> None:
        """At the newest head, of which the rates are due."""
        self.upkeep.block_told()
        await self.upkeep.read_morpho(self.blocks.head)


async def test_a_book_that_takes_longer_than_a_block_to_read_is_taken_once_its_sources_logs_are_read() -> None:
    one = Followed(Chain())
    for count in (0, 1):
        await one.work()
        assert len(one.emitted) == count


async def followed_with_a_new_market() -> tuple[Chain, Followed]:
    """A book was read and told; since, a market was made with an aggregator of its own. A read is due."""
    chain = Chain()
    one = Followed(chain)
    await one.work()
    await one.work()
    one.book = one.emitted.pop().book
    assert one.book is not None
    created = LoanLog(MORPHO, Event("CreateMarket", (OTHERS, (LOAN, COLLATERAL, OTHERS_ORACLE, MODEL, 1))))
    one.book, _ = one.book.after((created,), 1)
    proxy = "0x" + "24" * 20
    chain.set(OTHERS_ORACLE, **dict.fromkeys(PARTS, word(0)), SCALE_FACTOR=word(SCALE), price=word(PRICE * SCALE))
    chain.set(OTHERS_ORACLE, BASE_FEED_1=word(proxy))
    chain.set(proxy, aggregator=word(OTHERS_FEED), latestAnswer=word(PRICE))
    chain.set(OTHERS_FEED, latestAnswer=word(PRICE))
    chain.open(OTHERS, OTHERS_ORACLE)
    one.blocks.head = header_at(100 + READ_AGAIN_BLOCKS)
    return chain, one


async def test_a_due_read_that_crosses_a_block_is_done_again_until_its_book_is_told() -> None:
    _, one = await followed_with_a_new_market()
    await one.work()
    assert one.emitted == []
    await one.work()
    (told_one,) = one.emitted
    assert told_one.book.refused == {}


async def test_a_due_read_that_fails_is_done_again_until_its_book_is_told() -> None:
    _, one = await followed_with_a_new_market()
    one.failures = [RpcTimeout("node", "eth_call", "no answer")]
    with pytest.raises(RpcTimeout):
        await one.work()
    await one.work()
    await one.work()
    assert [read.book.refused for read in one.emitted] == [{}]


async def test_until_a_new_book_is_told_the_logs_of_the_one_in_use_are_read_on() -> None:
    chain, one = await followed_with_a_new_market()
    chain.set(GOOD_PROXY, aggregator=word("0x" + "c9" * 20))
    chain.set("0x" + "c9" * 20, latestAnswer=word(PRICE))
    await one.work()
    assert one.emitted == []
    topic = next(iter(OF_FEED))
    answer = [
        LogJson(
            AGGREGATOR,
            ["0x" + topic.hex(), "0x" + word(5).hex(), "0x" + word(1).hex()],
            "0x" + word(1).hex(),
            "0x",
            "0x0",
        )
    ]
    assert len(one.logs.read(answer)) == 1
    await one.work()
    assert len(one.emitted) == 1
    assert one.logs.read(answer) == ()
