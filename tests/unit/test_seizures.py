"""What ill positions of Morpho's are worth by the ways that our pools lead back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from benchmarks.market_generator import GeneratedMarket, generate
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.lending.liquidations import LiquidationFind, Taken
from node.pipeline.lending.morpho_blue import MorphoPosition
from node.pipeline.lending.morpho_book import FeedOracle, MarketParams, MorphoBook
from node.pipeline.overlay import Overlay
from node.pipeline.seizures import Worth
from node.pipeline.state import PipelineState
from node.pipeline.way_back import Ways
from protocol.units import Address, address_to_hex
from tests.pipeline_scene import pipeline

MARKET: GeneratedMarket = generate(pools=300, tokens=90, hubs=6, profit_tokens=2, seed=7)
DOLLAR = MARKET.profit_tokens[1]
DUST = 8


@pytest.fixture
def state() -> PipelineState:
    return pipeline(MARKET)


def worth(state: PipelineState) -> Worth:
    return Worth(state.market, state.settings.profit_tokens, state.search.prices)


def ill(number: int, collateral: Address, received: int, repaid: int) -> LiquidationFind:
    tokens = address_to_hex(collateral), address_to_hex(DOLLAR)
    return LiquidationFind(f"0x{number:040x}", 1, *tokens, Taken(repaid, received, 0, 1), 1, number.to_bytes(32, "big"))


def legs(state: PipelineState, token: Address, amount: int = 10**18) -> int:
    """Of the way from a token to the debt's; 0 where there is none."""
    return len(Ways(state.market, Overlay(state.market)).best(token, DOLLAR, amount) or ())


def first_with(state: PipelineState, count: int) -> Address:
    """A token whose pools lead back by so many legs, and by two only if none of them has a profit token."""
    market, profit = state.market, set(MARKET.profit_tokens)
    for token in MARKET.tokens:
        others = {other for pool in market.pools_of(token) for other in market.routed[pool]} - {token}
        if token not in profit and legs(state, token) == count and (count == 1 or not others & profit):
            return token
    raise AssertionError(f"no token is {count} legs away")


def test_collateral_that_sells_over_another_token_comes_before_dust(state: PipelineState) -> None:
    far, near = first_with(state, 2), first_with(state, 1)
    real = ill(99, far, 10**24, 1)
    dust = [ill(number, near, 10**18, 1) for number in range(DUST)]
    assert real in worth(state).best([real, *dust], DUST, 32)


def test_a_way_is_worth_no_more_than_what_its_first_pool_holds(state: PipelineState) -> None:
    far, near = first_with(state, 2), first_with(state, 1)
    market = state.market
    for pool in market.pools_of(far):
        held = market.states[pool]
        if isinstance(held, ConstantProductPool):
            small = {field: getattr(held, field) // 10**9 + 1 for field in ("reserve0", "reserve1")}
            market.set_state(pool, msgspec.structs.replace(held, **small))
        else:
            market.quarantine(pool, "out of the way")
    assert legs(state, far) == 2
    crowd = [ill(number, far, 10**40, 1) for number in range(DUST)]
    real = ill(99, near, 10**24, 1)
    assert worth(state).best([*crowd, real], DUST, 32)[0] == real


def in_markets(*markets: tuple[str, Address, int, int], refused: Sequence[int] = (), debt: int = 1) -> MorphoBook:
    """Of each feed a market, in which so much collateral is put up by each of so many who owe something."""
    names = [number.to_bytes(32, "big") for number in range(len(markets))]
    params = {
        name: MarketParams(address_to_hex(DOLLAR), address_to_hex(token), f"oracle of {feed}", "", 1)
        for name, (feed, token, *_) in zip(names, markets, strict=True)
    }
    positions = {
        (name, f"user {user}"): MorphoPosition(debt, held)
        for name, (*_, held, users) in zip(names, markets, strict=True)
        for user in range(users)
    }
    oracles = {f"oracle of {feed}": FeedOracle(1, (feed,), (f"quote of {feed}",)) for feed, *_ in markets}
    return MorphoBook("", params, {}, positions, oracles, {}, {}, {names[number]: "" for number in refused})


def test_feeds_are_ranked_by_what_is_put_up_in_one_market_of_theirs(state: PipelineState) -> None:
    near = first_with(state, 1)
    markets = [
        ("many", near, 10**15, 5),
        ("many", near, 10**14, 1),
        ("one", near, 3 * 10**15, 1),
        ("rich", near, 10**17, 1),
    ]
    ranked = worth(state).feeds(in_markets(*markets), 5, 32)
    assert ranked == ["rich", "quote of rich", "quote of many", "many", "quote of one"]


@pytest.mark.parametrize("why", ["nobody owes", "refused", "its oracle is not known", "no pool knows it"])
def test_feeds_of_markets_in_which_nothing_can_be_seized_are_not_ranked(state: PipelineState, why: str) -> None:
    near = first_with(state, 1)
    one = in_markets(
        ("feed", Address(b"\x99" * 20) if why == "no pool knows it" else near, 10**18, 1),
        refused=[0] if why == "refused" else [],
        debt=0 if why == "nobody owes" else 1,
    )
    if why == "its oracle is not known":
        one = msgspec.structs.replace(one, oracles={})
    assert worth(state).feeds(one, 3, 32) == []
