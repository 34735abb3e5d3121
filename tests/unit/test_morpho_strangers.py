"""Markets of Morpho's that strangers make: what their oracles, feeds and tokens say costs nobody else anything."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import orjson
import pytest

from benchmarks.market_generator import HEAD
from node.engine.headers import Header, header_from_json
from node.engine.loan_logs import OF_FEED, OF_MORPHO, LoanLogs
from node.engine.loan_upkeep import LoanUpkeep
from node.engine.morpho_oracles import FORGIVEN_BLOCKS, READ_SECONDS, SLOW_SECONDS
from node.engine.morpho_prices import AUDIT_SECONDS
from node.engine.morpho_reading import READ_AGAIN_BLOCKS, MorphoReader
from node.engine.multicall import View
from node.engine.pool_topics import LogJson
from node.engine.rpc import Call, RpcError, RpcGarbage, RpcRefused, RpcTimeout
from node.pipeline.events import LoansRead
from node.pipeline.lending import morpho_book
from node.pipeline.lending.aave_book import UNREADABLE, LoanLog
from node.pipeline.lending.errors import UnknownReserve
from node.pipeline.lending.logs import Event
from node.pipeline.lending.morpho_blue import WAD, MorphoMarket, MorphoPosition
from node.pipeline.lending.morpho_book import FeedOracle, MarketParams, MorphoBook
from node.pipeline.lending.oracle_view import MOST_SUBMITTERS
from node.pipeline.loans import MorphoLoans
from protocol.ethereum.abi import encode, selector
from protocol.ethereum.keccak import keccak256
from protocol.units import address_from_hex, address_to_hex
from tests.fake_blocks import header_json
from tests.manual_clock import ManualClock
from tests.pipeline_scene import block
from tests.unit.test_morpho_loans import (
    DOLLAR,
    ETHER,
    LOW,
    NAME,
    STRANGER,
    USER,
    at,
    book,
    told,
)

GOOD, BAD = b"\x0a" * 32, b"\x0b" * 32
MORPHO, MODEL = "0x" + "aa" * 20, "0x" + "1d" * 20
LOAN, COLLATERAL = "0x" + "01" * 20, "0x" + "02" * 20
GOOD_ORACLE, BAD_ORACLE = "0x" + "11" * 20, "0x" + "12" * 20
GOOD_PROXY, BAD_PROXY, BAD_LOAN_PROXY = "0x" + "21" * 20, "0x" + "22" * 20, "0x" + "23" * 20
AGGREGATOR, OWN = "0x" + "c1" * 20, "0x" + "c2" * 20
IDENTITY = "0x" + "04".rjust(40, "0")
PRICE, SCALE = 3_000 * 10**8, 10**20
HEADER = header_from_json(orjson.dumps(header_json(7)))
PARTS = ("BASE_FEED_1", "BASE_FEED_2", "QUOTE_FEED_1", "QUOTE_FEED_2", "BASE_VAULT", "QUOTE_VAULT")


def word(value: int | str) -> bytes:
    return (value if isinstance(value, int) else int(value, 16)).to_bytes(32, "big")


class Chain:
    """What each contract answers, by address and function; nothing is a refusal. Aggregators let no contract read."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, bytes], bytes] = {}
        self.logs: list[LogJson] = []
        self.clock = ManualClock()
        self.seconds: dict[str, float] = {}
        """How long a contract takes whatever it is asked, by address."""
        self.asked: list[str] = []
        self.refusals: dict[str, RpcRefused] = {}
        """Of what is asked from outside, by address."""
        for oracle, proxy in ((GOOD_ORACLE, GOOD_PROXY), (BAD_ORACLE, BAD_PROXY)):
            self.set(oracle, **dict.fromkeys(PARTS, word(0)), SCALE_FACTOR=word(SCALE), price=word(PRICE * SCALE))
            self.set(oracle, BASE_FEED_1=word(proxy))
            self.set(proxy, aggregator=word(AGGREGATOR), latestAnswer=word(PRICE), decimals=word(8))
        self.set(BAD_PROXY, aggregator=word(OWN))
        for aggregator in (AGGREGATOR, OWN):
            self.set(aggregator, latestAnswer=word(PRICE))
        for token in (LOAN, COLLATERAL):
            self.set(token, decimals=word(18))
        self.open(GOOD, GOOD_ORACLE)
        self.open(BAD, BAD_ORACLE)

    def set(self, target: str, **answers: bytes) -> None:
        """By the names of functions without arguments."""
        self.answers |= {(target, selector(f"{name}()")): answer for name, answer in answers.items()}

    def open(self, name: bytes, oracle: str, collateral: str = COLLATERAL) -> None:
        """Create a market."""
        params = encode(["(address,address,address,address,uint256)"], [(LOAN, collateral, oracle, MODEL, WAD // 2)])
        topic = keccak256(b"CreateMarket(bytes32,(address,address,address,address,uint256))")
        self._log([topic, name], params)

    def enter(self, name: bytes, user: str, *, owes: int = 0, has: int = 1) -> None:
        """Let a user put collateral up, and owe so many shares since."""
        topic = keccak256(b"SupplyCollateral(bytes32,address,address,uint256)")
        self._log([topic, name, word(user), word(user)], word(1))
        asked = selector("position(bytes32,address)") + name + word(user)
        self.answers[MORPHO, asked] = word(0) + word(owes) + word(has)

    def _log(self, topics: Sequence[bytes], data: bytes) -> None:
        told = ["0x" + topic.hex() for topic in topics]
        self.logs.append(LogJson(MORPHO, told, "0x" + data.hex(), "0x", hex(len(self.logs))))

    async def read(self, views: Sequence[View], _at: bytes) -> list[bytes | None]:
        """As Multicall does, which no aggregator lets read."""
        targets = [address_to_hex(view.target) for view in views]
        self.asked += targets
        await asyncio.sleep(0)  # a deadline begins
        await self.clock.advance(sum(self.seconds.get(target, 0.0) for target in set(targets)))
        for _ in range(5):
            await asyncio.sleep(0)  # a deadline that has passed ends this
        return [self._answer(target, view.data) for target, view in zip(targets, views, strict=True)]

    async def call(self, method: str, *_: Any, **__: Any) -> list[LogJson]:
        assert method == "eth_getLogs"
        told, self.logs = self.logs, []
        return told

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """From outside."""
        asked = [(call.params[0]["to"], bytes.fromhex(call.params[0]["data"][2:])) for call in calls]
        return [self._outside(*one) for one in asked]

    def _outside(self, target: str, data: bytes) -> Any:
        if target == IDENTITY and target not in self.refusals:
            return data
        told = self.refusals.get(target, self.answers.get((target, data)))
        return told or RpcRefused("node", "eth_call", 3, "execution reverted")

    def _answer(self, target: str, data: bytes) -> bytes | None:
        assert len(address_from_hex(target)) == 20
        if target == MORPHO:
            return self.answers.get((target, data), bytes(32 * (6 if data[:4] == selector("market(bytes32)") else 3)))
        if target in (AGGREGATOR, OWN) and data == selector("latestAnswer()"):
            return None
        return self.answers.get((target, data))


def reader(chain: Chain) -> MorphoReader:
    return MorphoReader(chain, chain, address_from_hex(MORPHO), chain.clock)  # type: ignore[arg-type]


async def read(chain: Chain) -> MorphoBook:
    return await taken(reader(chain))


async def taken(one: MorphoReader, head: Header = HEADER) -> MorphoBook:
    told = (await one.read(head)).book
    assert isinstance(told, MorphoBook)
    return told


# Reading


async def test_an_honest_market_is_priced_by_what_its_aggregator_answers() -> None:
    told = await read(Chain())
    assert told.refused == {}
    assert told.price(GOOD) == told.price(BAD) == PRICE * SCALE
    assert told.answers == {AGGREGATOR: PRICE, OWN: PRICE}


@pytest.mark.parametrize(
    ("target", "function"),
    [
        (BAD_ORACLE, "price"),
        (BAD_ORACLE, "SCALE_FACTOR"),
        (BAD_ORACLE, "BASE_FEED_1"),
        (BAD_ORACLE, "BASE_VAULT"),
        (BAD_PROXY, "aggregator"),
        (OWN, "latestAnswer"),
    ],
)
@pytest.mark.parametrize("answer", [b"", b"\x01", b"\xff" * 31, b"\xff" * 32])
async def test_whatever_a_strangers_contract_answers_refuses_its_market_alone(
    target: str, function: str, answer: bytes
) -> None:
    chain = Chain()
    chain.set(target, **{function: answer})
    told = await read(chain)
    assert set(told.refused) == {BAD}
    assert told.refused[BAD].startswith("its oracle's price is not one of feeds that we can follow: ")
    assert told.price(GOOD) == PRICE * SCALE


@pytest.mark.parametrize("target", [LOAN, COLLATERAL, BAD_PROXY, BAD_LOAN_PROXY])
@pytest.mark.parametrize("answer", [b"", b"\x01", word(78), word(1 << 255)])
async def test_decimals_that_no_word_holds_refuse_the_market_and_cost_no_time(target: str, answer: bytes) -> None:
    chain = Chain()
    chain.set(BAD_ORACLE, collateralFeed=word(BAD_PROXY), loanFeed=word(BAD_LOAN_PROXY), price=word(10**36))
    chain.set(BAD_LOAN_PROXY, aggregator=word(OWN), latestAnswer=word(PRICE), decimals=word(8))
    assert (await read(chain)).refused == {}
    chain = Chain()
    chain.set(BAD_ORACLE, collateralFeed=word(BAD_PROXY), loanFeed=word(BAD_LOAN_PROXY), price=word(10**36))
    chain.set(BAD_LOAN_PROXY, aggregator=word(OWN), latestAnswer=word(PRICE), decimals=word(8))
    chain.set(target, decimals=answer)
    told = await read(chain)
    assert set(told.refused) == {BAD}
    assert told.price(GOOD) == PRICE * SCALE


@pytest.mark.parametrize("answer", [word(0), word((1 << 256) - 1)])
async def test_an_answer_that_is_no_price_refuses_its_market(answer: bytes) -> None:
    chain = Chain()
    chain.set(OWN, latestAnswer=answer)
    chain.set(BAD_PROXY, latestAnswer=answer)
    assert set((await read(chain)).refused) == {BAD}


@pytest.mark.parametrize("code", [-32005, 429])
async def test_a_node_that_is_asked_too_much_refuses_no_market(code: int) -> None:
    chain = Chain()
    chain.refusals[AGGREGATOR] = RpcRefused("node", "eth_call", code, "request rate limited")
    with pytest.raises(RpcRefused, match="rate limited"):
        await read(chain)


async def test_a_node_that_lacks_the_block_refuses_no_market() -> None:
    chain = Chain()
    chain.refusals = dict.fromkeys((AGGREGATOR, IDENTITY), RpcRefused("node", "eth_call", -32000, "header not found"))
    with pytest.raises(RpcRefused, match="header not found"):
        await read(chain)


async def test_an_aggregator_that_takes_all_the_gas_refuses_its_market_alone() -> None:
    chain = Chain()
    chain.refusals[OWN] = RpcRefused("node", "eth_call", -32000, "out of gas")
    told = await read(chain)
    assert set(told.refused) == {BAD}
    assert told.price(GOOD) == PRICE * SCALE


async def test_a_strangers_proxy_that_names_anothers_aggregator_sets_no_price() -> None:
    chain = Chain()
    chain.set(BAD_PROXY, aggregator=word(AGGREGATOR), latestAnswer=word(1))
    chain.set(BAD_ORACLE, price=word(SCALE))
    told = await read(chain)
    assert told.answers == {AGGREGATOR: PRICE}
    assert told.price(GOOD) == PRICE * SCALE
    assert f"it says {SCALE}, its feeds make {PRICE * SCALE}" in told.refused[BAD]


async def test_a_stranger_that_names_morpho_as_its_feed_does_not_stop_its_logs() -> None:
    chain = Chain()
    chain.set(BAD_PROXY, aggregator=word(MORPHO))
    chain.answers[MORPHO, selector("latestAnswer()")] = word(PRICE)
    one = reader(chain)
    await one.read(HEADER)
    assert one.sources[MORPHO] == OF_MORPHO
    assert one.sources[AGGREGATOR] == OF_FEED


async def test_an_oracle_that_says_another_price_than_its_feeds_again_and_again_is_refused() -> None:
    chain = Chain()
    for name in (GOOD, BAD):
        chain.answers[MORPHO, selector("market(bytes32)") + name] = word(9) * 2 + word(5) * 2 + word(1) + word(0)
    one = reader(chain)
    for _ in range(3):
        told = await taken(one)
        assert told.refused == {}
        assert await one.differing(told, HEADER) is None
        chain.set(BAD_ORACLE, price=word(1))
        assert await one.differing(told, HEADER) == f"market 0x{BAD.hex()}: its oracle says 1, we {PRICE * SCALE}"
        chain.set(BAD_ORACLE, price=word(PRICE * SCALE))
    told = await taken(one)
    assert "3 times it said another price" in told.refused[BAD]
    later = header_from_json(orjson.dumps(header_json(7 + FORGIVEN_BLOCKS)))
    assert one.is_due(told, later)
    assert (await taken(one, later)).refused == {}
    assert not one.is_due(told, header_from_json(orjson.dumps(header_json(7 + 2 * FORGIVEN_BLOCKS))))


async def test_an_oracle_of_many_markets_that_is_not_understood_is_asked_once() -> None:
    chain = Chain()
    chain.set(BAD_ORACLE, SCALE_FACTOR=b"")
    for number in range(20, 50):
        chain.open(bytes([number]) * 32, BAD_ORACLE)
    told = await read(chain)
    assert len(told.refused) == 31
    assert len(set(told.refused.values())) == 1
    assert chain.asked.count(BAD_ORACLE) == 9


async def test_tokens_that_lie_refuse_no_other_market_of_an_oracle() -> None:
    chain, liar = Chain(), "0x" + "66" * 20
    chain.logs.clear()
    chain.set(GOOD_ORACLE, collateralFeed=word(GOOD_PROXY), loanFeed=word(BAD_PROXY), price=word(10**36))
    chain.open(OTHERS, GOOD_ORACLE, liar)
    chain.open(GOOD, GOOD_ORACLE)
    told = await read(chain)
    assert set(told.refused) == {OTHERS}
    assert told.price(GOOD) == 10**36


async def test_slow_oracles_are_left_at_the_deadline_and_come_last_from_then_on() -> None:
    chain = Chain()
    one = reader(chain)
    chain.logs.reverse()
    chain.set(BAD_ORACLE, price=b"")
    chain.seconds[BAD_ORACLE] = READ_SECONDS
    told = await taken(one)
    assert told.refused[GOOD] == "its oracle was not read within 20 s"
    later = header_at(7 + READ_AGAIN_BLOCKS)
    assert one.is_due(told, later)
    told = await taken(one, later)
    assert set(told.refused) == {BAD}
    assert not one.is_due(told, header_at(7 + 2 * READ_AGAIN_BLOCKS))


async def test_a_feed_that_is_slow_to_say_whose_answers_it_takes_is_left_at_the_deadline_of_its_oracle() -> None:
    chain = Chain()
    chain.logs.reverse()
    chain.set(AGGREGATOR, latestAnswer=word(PRICE), getOracles=encode(["address[]"], [[USER]]))
    chain.seconds[OWN] = 10 * READ_SECONDS
    one = reader(chain)
    for number in (7, 7 + READ_AGAIN_BLOCKS):
        chain.asked.clear()
        told = await taken(one, header_at(number))
        assert told.refused[BAD] == "its oracle was not read within 20 s"
        assert told.answers.keys() <= {AGGREGATOR}
    assert told.believes(AGGREGATOR, USER)
    assert told.price(GOOD) == PRICE * SCALE
    assert chain.asked.count(OWN) == 1


async def test_slow_oracles_that_are_understood_leave_others_unread_once_at_most() -> None:
    chain = Chain()
    chain.logs.reverse()
    chain.seconds[BAD_ORACLE] = 0.49 * READ_SECONDS
    chain.seconds[GOOD_ORACLE] = SLOW_SECONDS / 4
    one = reader(chain)
    told = await taken(one)
    assert told.refused == {GOOD: "its oracle was not read within 20 s"}
    later = header_at(7 + READ_AGAIN_BLOCKS)
    assert one.is_due(told, later)
    assert set((await taken(one, later)).refused) == {BAD}


async def test_an_audit_asks_no_price_of_a_refused_market() -> None:
    chain = Chain()
    for name in (GOOD, BAD):
        chain.answers[MORPHO, selector("market(bytes32)") + name] = word(9) * 2 + word(5) * 2 + word(1) + word(0)
    chain.set(BAD_ORACLE, price=b"")
    one = reader(chain)
    told = await taken(one)
    assert set(told.refused) == {BAD}
    chain.asked.clear()
    assert await one.differing(told, HEADER) is None
    assert (GOOD_ORACLE in chain.asked, BAD_ORACLE in chain.asked) == (True, False)


async def test_an_oracle_that_is_slow_to_say_its_price_holds_up_an_audit_no_longer_than_its_deadline() -> None:
    chain = Chain()
    for name in (GOOD, BAD):
        chain.answers[MORPHO, selector("market(bytes32)") + name] = word(9) * 2 + word(5) * 2 + word(1) + word(0)
    one = reader(chain)
    told = await taken(one)
    chain.seconds[BAD_ORACLE] = 10 * AUDIT_SECONDS
    chain.set(GOOD_ORACLE, price=word(1))
    differing = []
    for _ in range(4):
        chain.asked.clear()
        differing.append(await one.differing(told, HEADER))
        assert chain.asked.count(BAD_ORACLE) <= 1
    assert differing[0] is None, "all were asked at once"
    assert f"market 0x{GOOD.hex()}: its oracle says 1, we {PRICE * SCALE}" in differing
    assert one.counts["late_prices"] == differing.count(None) < 4


async def test_an_audit_says_nothing_of_a_price_that_is_not_there() -> None:
    chain = Chain()
    for name in (GOOD, BAD):
        chain.answers[MORPHO, selector("market(bytes32)") + name] = word(9) * 2 + word(5) * 2 + word(1) + word(0)
    one = reader(chain)
    told = await taken(one)
    chain.set(BAD_ORACLE, price=b"\x01")
    assert await one.differing(told, HEADER) is None
    unpriced, _ = told.after((LoanLog(OWN, Event("AnswerUpdated", (-1, 1, 1))),), 1)
    chain.set(BAD_ORACLE, price=word(5))
    assert await one.differing(unpriced, HEADER) is None


@pytest.mark.parametrize("answer", [b"", bytes(32 * 5)])
async def test_a_morpho_that_does_not_answer_as_morpho_is_the_nodes_fault_and_asked_again(answer: bytes) -> None:
    chain = Chain()
    chain.answers[MORPHO, selector("market(bytes32)") + GOOD] = answer
    with pytest.raises(RpcGarbage, match="not as many words as it has"):
        await read(chain)


async def test_at_the_bound_who_has_nothing_makes_room_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.engine.morpho_reading.MAX_POSITIONS", 2)
    chain, users = Chain(), ["0x" + f"{number:02x}" * 20 for number in range(1, 6)]
    for user in users[:3]:
        chain.enter(GOOD, user, has=0)
    chain.enter(GOOD, users[3])
    chain.enter(GOOD, users[4], owes=7)
    told = await read(chain)
    assert set(told.positions) == {(GOOD, users[3]), (GOOD, users[4])}
    assert told.positions_beyond == 0

    chain = Chain()
    for user in users[:4]:
        chain.enter(GOOD, user)
    chain.enter(GOOD, users[4], owes=7)
    one = reader(chain)
    told = await taken(one)
    assert set(told.positions) == {(GOOD, users[0]), (GOOD, users[4])}
    assert told.positions_beyond == 3
    assert not one.is_due(told, HEADER)
    assert one.is_due(told, header_from_json(orjson.dumps(header_json(7 + READ_AGAIN_BLOCKS))))


async def test_markets_beyond_the_bound_are_counted_and_what_is_told_of_them_contradicts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.engine.morpho_reading.MAX_MARKETS", 1)
    monkeypatch.setattr(morpho_book, "MAX_MARKETS", 1)
    told = await read(Chain())
    assert (set(told.markets), told.markets_beyond) == ({GOOD}, 1)
    after, _ = told.after((LoanLog(MORPHO, Event("Supply", (BAD, USER, USER, 1, 1))),), 1)
    assert (set(after.markets), after.markets_beyond) == ({GOOD}, 2)


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
            mempool=SimpleNamespace(watch=lambda _: None),
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


def header_at(number: int) -> Header:
    return header_from_json(orjson.dumps(header_json(number)))


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


# Following

OTHERS, OTHERS_ORACLE, OTHERS_FEED = b"\x03" * 32, "0x" + "0f" * 20, "0x" + "0e" * 20


def with_a_strangers(one: MorphoBook, **changes: Any) -> MorphoBook:
    """A second market, with a feed of its own."""
    params = MarketParams(DOLLAR, ETHER, OTHERS_ORACLE, MODEL, 86 * WAD // 100)
    return msgspec.structs.replace(
        one,
        params={**one.params, OTHERS: changes.get("params", params)},
        markets={**one.markets, OTHERS: one.markets[NAME]},
        oracles={**one.oracles, OTHERS_ORACLE: FeedOracle(10**24, (OTHERS_FEED,), ())},
        answers={**one.answers, OTHERS_FEED: 10**8},
        rates={**one.rates, OTHERS: 0},
    )


@pytest.mark.parametrize(
    "log",
    [
        told("AnswerUpdated", 0, 1, 1, source=OTHERS_FEED),
        told("AnswerUpdated", -1, 1, 1, source=OTHERS_FEED),
        told(UNREADABLE, "no words", source=OTHERS_FEED),
    ],
)
def test_a_feed_that_answers_no_price_unprices_its_own_markets_until_it_answers_well(log: LoanLog) -> None:
    one, _ = with_a_strangers(book(LOW)).after((log,), at())
    with pytest.raises(UnknownReserve, match="has no answer"):
        one.price(OTHERS)
    assert [ill.market for ill in one.liquidatable(at())[0]] == [NAME]
    assert (OTHERS_FEED in one.feeds, one.unpriced) == (True, 1)
    healed, _ = one.after((told("AnswerUpdated", 5, 2, 1, source=OTHERS_FEED),), at())
    assert (healed.price(OTHERS), healed.unpriced) == (5 * 10**24, 0)


def test_whom_a_feed_lets_answer_is_no_answer() -> None:
    feed, (oracle,) = next(iter(book().submitters.items()))
    let_in = told("OraclePermissionsUpdated", STRANGER, True, source=feed)
    put_out = told("OraclePermissionsUpdated", oracle, False, source=feed)
    both, _ = book().after((let_in,), at())
    assert both.answers == book().answers
    assert not both.believes(feed, oracle)
    alone, _ = both.after((put_out,), at())
    assert alone.believes(feed, STRANGER)


def test_of_a_feed_that_lets_more_answer_than_a_feed_can_no_more_are_kept() -> None:
    feed = next(iter(book().submitters))
    crowd = [told("OraclePermissionsUpdated", f"0x{number:040x}", True, source=feed) for number in range(100)]
    one, _ = book().after(crowd, at())
    assert len(one.submitters[feed]) == MOST_SUBMITTERS


def test_a_block_in_which_a_feed_lets_somebody_answer_is_taken_in() -> None:
    loans = MorphoLoans(4)
    loans.arrive(block(HEAD))
    loans.read(LoansRead(HEAD, book()), book())
    log = told("OraclePermissionsUpdated", STRANGER, True, source=next(iter(book().submitters)))
    assert loans.arrive(msgspec.structs.replace(block(), morpho_logs=(log,))) == []
    assert loans.book is not None


def test_a_new_market_is_followed_from_its_creation_and_not_liquidated_before_its_oracle_is_read() -> None:
    params = (DOLLAR, ETHER, OTHERS_ORACLE, MODEL, 86 * WAD // 100)
    logs = (
        told("CreateMarket", OTHERS, params),
        told("Supply", OTHERS, USER, USER, 10**9, 10**15),
        told("SupplyCollateral", OTHERS, USER, USER, 1),
        told("Borrow", OTHERS, USER, USER, USER, 10**9, 10**15),
    )
    one, _ = book().after(logs, at())
    assert one.params[OTHERS] == MarketParams(*params)
    assert one.markets[OTHERS] == MorphoMarket(params[-1], 10**9, 10**15, 10**9, 10**15, 0, at())
    assert one.positions[OTHERS, USER] == MorphoPosition(10**15, 1)
    assert one.refused == {OTHERS: "it was created after the oracles were read"}
    assert one.liquidatable(at()) == ([], 1)


async def test_a_book_with_a_market_that_was_not_read_is_due_some_blocks_later() -> None:
    one = reader(Chain())
    told_first = await taken(one)
    created = LoanLog(MORPHO, Event("CreateMarket", (OTHERS, (LOAN, COLLATERAL, BAD_ORACLE, MODEL, 1))))
    after, _ = told_first.after((created,), 1)
    later = header_from_json(orjson.dumps(header_json(7 + READ_AGAIN_BLOCKS)))
    assert (one.is_due(told_first, later), one.is_due(after, HEADER), one.is_due(after, later)) == (False, False, True)
    assert (await one.rates(after, HEADER)).rates == {}


def test_a_position_that_is_empty_again_is_forgotten() -> None:
    enters = told("SupplyCollateral", NAME, STRANGER, STRANGER, 5)
    leaves = told("WithdrawCollateral", NAME, STRANGER, STRANGER, STRANGER, 5)
    one, _ = book().after((enters,), at())
    assert (NAME, STRANGER) in one.positions
    assert one.after((leaves,), at())[0].positions == book().positions


def test_who_comes_when_the_book_is_full_is_counted_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(morpho_book, "MAX_POSITIONS", 1)
    enters = told("SupplyCollateral", NAME, STRANGER, STRANGER, 5)
    one, _ = book(LOW).after((enters,), at())
    assert (one.positions, one.positions_beyond) == (book(LOW).positions, 1)
    assert [ill.user for ill in one.liquidatable(at())[0]] == [USER]
    leaves = told("WithdrawCollateral", NAME, STRANGER, STRANGER, STRANGER, 5)
    assert one.after((leaves,), at())[0].positions_beyond == 2
