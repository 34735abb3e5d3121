"""Loss after reveal: a leader that reads finds, declines and takes them is told from chance, and given less."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks.market_generator import GeneratedMarket
from node.engine.network.shown import CONTROL_PARTS, MAX_WAITING, WAITS_BLOCKS, Shown
from node.engine.network.trust import (
    FIRST_LIMIT,
    LEAST_LIMIT,
    LEAST_SHOWN,
    MAX_KNOWN,
    MOST_LIMIT,
    OF_LATE,
    Known,
    Trust,
)
from node.engine.network.trust_file import FILE_NAME, TrustFile
from node.engine.receipts import Receipt
from node.engine.rpc_types import HashHex
from node.pipeline.events import HandOver
from node.pipeline.plans import Opportunity
from node.pipeline.reasons import Reason
from node.pipeline.step import step
from protocol.units import Address, BlockNumber, Hash32, Wei
from tests import pipeline_scene as scene
from tests.block_alert_samples import BOT, ROUTER, receipt, v2
from tests.protocol_factories import ALICE, BOB, CAROL, hash_of
from tests.unit.test_pipeline_orders import FINDER, LEADER, TARGET, THIRD, given, member, swap

VALUE = Wei(10**17)


@pytest.fixture(scope="module")
def market() -> GeneratedMarket:
    return scene.small_market()


@pytest.fixture(scope="module")
def find(market: GeneratedMarket) -> Opportunity:
    """What a finder hands over behind one swap."""
    return replace(given(step(member(FINDER, market), swap(market))).opportunity, gross_profit_wei=VALUE)


def block_of(find: Opportunity, taker: bytes | None, to: bytes | None = BOT) -> list[Receipt]:
    """A block with the find's victim, and right behind it who takes what it leaves, if anybody does."""
    pool = find.steps[0].pool_id
    victim = replace(
        receipt("victim", CAROL, v2(10, 0, 0, 4, pool=pool)), transaction_hash=HashHex(find.victims[0].hash)
    )
    theft = receipt("theft", taker or BOB, v2(0, 4, 11, 0, pool=pool), to=to)  # type: ignore[arg-type]
    return [victim] if taker is None else [victim, theft]


class Market:
    """Leaders that are shown finds, and what the blocks say of these."""

    def __init__(self) -> None:
        self.trust = Trust()
        self.shown = Shown(self.trust, [ROUTER], lambda: (ALICE,))

    def goes(self, leader: Any, find: Opportunity, *, is_taken: bool) -> None:
        """One find is shown to a leader (None: to nobody), refused, and its block comes."""
        if leader is None:
            self.shown.withheld(find)
        else:
            self.shown.refused(leader, find)
        self.shown.look(find.target_block, block_of(find, hash_of("an unlinked address")[:20] if is_taken else None))


def test_a_leader_that_declines_and_steals_is_given_less_and_an_honest_one_keeps_what_it_has(find: Opportunity) -> None:
    """Three of ten finds are taken by somebody anyway; the thief takes each that it is shown, from another address."""
    scene_of, drawn = Market(), random.Random(7)
    for _ in range(40):
        scene_of.goes(None, find, is_taken=drawn.random() < 0.3)
        scene_of.goes(BOB, find, is_taken=drawn.random() < 0.3)
        scene_of.goes(CAROL, find, is_taken=True)
    honest, thief = scene_of.trust.of(BOB), scene_of.trust.of(CAROL)
    assert not scene_of.trust.is_beyond_chance(honest)
    assert scene_of.trust.is_beyond_chance(thief)
    assert (honest.limit, honest.lost) == (FIRST_LIMIT, 0)
    assert thief.limit < FIRST_LIMIT // 20
    assert thief.lost == (40 - LEAST_SHOWN + 1) * VALUE
    assert (thief.refused, thief.taken) == (40, 40)


def test_a_leader_that_has_a_part_of_the_finds_itself_and_pays_for_the_rest_is_no_thief(find: Opportunity) -> None:
    """It takes what it has (HAVE) whoever is shown it, so the control loses those, too, and hardly any other."""
    have, drawn = Market(), random.Random(7)
    for number in range(3 * OF_LATE):
        have.goes(None, find, is_taken=drawn.random() < 0.3)
        if drawn.random() < 0.35:
            have.goes(BOB, find, is_taken=True)
        else:
            have.trust.paid(BOB, hash_of(f"order {number}"))
    honest = have.trust.of(BOB)
    assert not have.trust.is_beyond_chance(honest)
    assert honest.lost == 0
    assert honest.refused + honest.executed < OF_LATE


def test_a_thief_that_accepts_nothing_leaves_the_registry_and_comes_back_does_not_begin_anew(find: Opportunity) -> None:
    market = Market()
    for _ in range(2 * LEAST_SHOWN):
        market.goes(None, find, is_taken=False)
        market.goes(BOB, find, is_taken=False)
        market.goes(CAROL, find, is_taken=True)
    thief = market.trust.of(CAROL)
    assert (thief.broken, thief.accepted) == (0, 0)
    market.trust.limits([ALICE])
    assert market.trust.known.keys() == {ALICE, CAROL}, "who took nothing is forgotten"
    assert market.trust.limits([ALICE, CAROL])[CAROL] == thief.limit < FIRST_LIMIT


def test_of_thieves_that_left_so_many_are_kept_and_no_more() -> None:
    low = Known(limit=Wei(FIRST_LIMIT - 1))
    trust = Trust({Address(place.to_bytes(20, "big")): low for place in range(1, MAX_KNOWN + 6)})
    trust.limits([ALICE])
    assert len(trust.known) == MAX_KNOWN + 1


def test_a_leader_that_paid_for_long_and_then_declines_and_steals_is_found(find: Opportunity) -> None:
    market, drawn, stolen = Market(), random.Random(7), 0
    for number in range(OF_LATE):
        market.goes(None, find, is_taken=drawn.random() < 0.3)
        order_hash, limit = hash_of(f"order {number}"), market.trust.of(CAROL).limit
        market.trust.given(CAROL, order_hash, BlockNumber(1), limit, accepted=True)
        market.trust.paid(CAROL, order_hash)
    assert market.trust.of(CAROL).limit == MOST_LIMIT
    while not market.trust.is_beyond_chance(market.trust.of(CAROL)):
        market.goes(CAROL, find, is_taken=True)
        stolen += 1
        assert stolen < OF_LATE
    limit = market.trust.of(CAROL).limit
    market.goes(CAROL, find, is_taken=True)
    assert market.trust.of(CAROL).limit < limit


def test_without_a_control_group_nothing_is_held_against_anybody(find: Opportunity) -> None:
    alone = Market()
    for _ in range(LEAST_SHOWN - 1):
        alone.goes(None, find, is_taken=False)
    for _ in range(40):
        alone.goes(CAROL, find, is_taken=True)
    assert alone.trust.of(CAROL).limit == FIRST_LIMIT
    alone.goes(None, find, is_taken=False)
    alone.goes(CAROL, find, is_taken=True)
    assert alone.trust.of(CAROL).limit < FIRST_LIMIT


def test_where_everything_is_taken_anyway_nobody_is_a_thief(find: Opportunity) -> None:
    crowded = Market()
    for _ in range(40):
        crowded.goes(None, find, is_taken=True)
        crowded.goes(BOB, find, is_taken=True)
    assert crowded.trust.of(BOB).limit == FIRST_LIMIT


def test_what_we_took_ourselves_traders_and_other_blocks_are_no_theft(find: Opportunity) -> None:
    market = Market()
    for taker, to in ((ALICE, BOT), (BOB, ROUTER)):
        market.shown.refused(CAROL, find)
        market.shown.look(find.target_block, block_of(find, taker, to))
    market.shown.refused(CAROL, find)
    market.shown.look(BlockNumber(find.target_block + 1), block_of(find, BOB))
    assert market.trust.of(CAROL).taken == 0
    assert market.trust.of(CAROL).refused == 2
    market.shown.look(BlockNumber(find.target_block + WAITS_BLOCKS), [])
    assert market.shown.counts["left out"] == 1
    for _ in range(MAX_WAITING + 3):
        market.shown.refused(CAROL, find)
    assert len(market.shown._waiting) == MAX_WAITING
    assert market.shown.counts["left out"] == 4


def test_the_control_group_is_drawn_by_ids_that_are_hashes() -> None:
    share = sum(Shown.is_control(Hash32(hash_of(f"find {number}"))) for number in range(16_000))
    assert 0.8 < share * CONTROL_PARTS / 16_000 < 1.2


def test_what_was_long_ago_weighs_less_and_a_limit_has_a_floor(find: Opportunity) -> None:
    market = Market()
    for _ in range(OF_LATE + 10):
        market.goes(None, find, is_taken=False)
        market.goes(CAROL, find, is_taken=True)
    assert market.trust.of(CAROL).refused < OF_LATE
    assert market.trust.control.seen < OF_LATE
    assert market.trust.of(CAROL).limit == LEAST_LIMIT


async def test_what_was_learned_outlives_a_restart_and_a_file_of_before_is_read(
    find: Opportunity, tmp_path: Path
) -> None:
    market = Market()
    for _ in range(LEAST_SHOWN):
        market.goes(None, find, is_taken=False)
        market.goes(CAROL, find, is_taken=True)
    market.trust.paid(CAROL, hash_of("order"))
    await TrustFile(tmp_path).save(market.trust)
    again = TrustFile(tmp_path).load()
    assert again.of(CAROL) == market.trust.of(CAROL)
    assert again.control == market.trust.control
    before = '{"leaders":{"0x%s":{"limit":"5","given":1,"accepted":0,"paid":0,"broken":0,"revealed":"1","lost":"0"}},'
    (tmp_path / FILE_NAME).write_text((before % CAROL.hex()) + '"orders":{}}')
    assert TrustFile(tmp_path).load().of(CAROL).limit == 5


def test_a_find_beyond_the_limit_of_a_leader_that_stole_goes_to_the_next_one(
    market: GeneratedMarket, find: Opportunity
) -> None:
    """The leader's limit falls below the find; the next block's leader, who stole nothing, is given it."""
    learned = Market()
    surplus = given(step(member(FINDER, market), swap(market))).opportunity.gross_profit_wei
    learned.trust.limits([LEADER, THIRD])
    for leader in (LEADER, THIRD):
        learned.trust._known[leader] = replace(learned.trust.of(leader), limit=surplus)
    for _ in range(LEAST_SHOWN):
        learned.goes(None, find, is_taken=False)
        learned.goes(THIRD, find, is_taken=False)
        learned.goes(LEADER, find, is_taken=True)
    limits = learned.trust.limits([LEADER, THIRD])
    assert limits[LEADER] < surplus == limits[THIRD]

    state = member(FINDER, market, value_limits=limits)
    assert not [effect for effect in step(state, swap(market)) if isinstance(effect, HandOver)]
    assert state.dropped[Reason.ABOVE_VALUE_LIMIT] == 1
    order = given(step(state, scene.block()))
    assert (order.order.executor, order.order.target_block) == (THIRD, TARGET + 1)
