"""Markets of Morpho's that strangers make: what their oracles, feeds and tokens say costs nobody else anything."""

from __future__ import annotations

import orjson
import pytest

from node.engine.headers import header_from_json
from node.engine.loan_logs import OF_FEED, OF_MORPHO
from node.engine.morpho_oracles import FORGIVEN_BLOCKS, READ_SECONDS, SLOW_SECONDS
from node.engine.morpho_prices import AUDIT_SECONDS
from node.engine.morpho_reading import READ_AGAIN_BLOCKS
from node.engine.rpc import RpcGarbage, RpcRefused
from node.pipeline.lending import morpho_book
from node.pipeline.lending.aave_book import LoanLog
from node.pipeline.lending.logs import Event
from protocol.ethereum.abi import encode, selector
from tests.fake_blocks import header_json
from tests.morpho_scene import (
    AGGREGATOR,
    BAD,
    BAD_LOAN_PROXY,
    BAD_ORACLE,
    BAD_PROXY,
    COLLATERAL,
    GOOD,
    GOOD_ORACLE,
    GOOD_PROXY,
    HEADER,
    IDENTITY,
    LOAN,
    MORPHO,
    OTHERS,
    OWN,
    PRICE,
    SCALE,
    Chain,
    header_at,
    read,
    reader,
    taken,
    word,
)
from tests.unit.test_morpho_loans import (
    USER,
)


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
    chain.lend(GOOD, BAD)
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
    chain.lend(GOOD, BAD)
    chain.set(BAD_ORACLE, price=b"")
    one = reader(chain)
    told = await taken(one)
    assert set(told.refused) == {BAD}
    chain.asked.clear()
    assert await one.differing(told, HEADER) is None
    assert (GOOD_ORACLE in chain.asked, BAD_ORACLE in chain.asked) == (True, False)


async def test_an_oracle_that_is_slow_to_say_its_price_holds_up_an_audit_no_longer_than_its_deadline() -> None:
    chain = Chain()
    chain.lend(GOOD, BAD)
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
    chain.lend(GOOD, BAD)
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
