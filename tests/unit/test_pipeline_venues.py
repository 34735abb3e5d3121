"""Pools of V4 and of Curve's kind in the pipeline: which are traded, what a route holds, what the executor is told."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.market_generator import GeneratedMarket, opening
from governance.contracts import VAULT_MODULE, contract
from governance.executor import CurveHop, SingletonHop, decode_plan
from governance.executor_list import is_taken, question
from governance.vault_reading import executor_of
from node.engine.call_data import TRADED, VaultCallData
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.curve_stableswap import CurvePool
from node.pipeline.amm.uniswap_v4 import V4Pool, pool_id
from node.pipeline.events import HandOver, OrderVerdict
from node.pipeline.market import Market
from node.pipeline.plans import Bid, FlashLender, FlashLoan, LenderKind, SwapStep
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState
from node.pipeline.prices import reference_price
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.ethereum.abi import decode, selector
from protocol.units import ZERO_ADDRESS, Address, BlockNumber, TokenAmount, Wei, address_to_hex
from tests import pipeline_scene as scene
from tests.unit import test_pipeline_orders as orders_between

COIN, DOLLAR, OTHER = Address(b"\xc0" * 20), Address(b"\xd0" * 20), Address(b"\xd1" * 20)
MANAGER, HOOK = Address(b"\x44" * 20), Address(b"\x01" * 20)
PAIR = PoolSpec(Address(b"\x22" * 20), PoolFamily.UNISWAP_V2, Address(b"\x22" * 20), (COIN, DOLLAR), 3000)
CURVE = PoolSpec(Address(b"\x33" * 20), PoolFamily.CURVE_PLAIN, Address(b"\x33" * 20), (OTHER, DOLLAR), 0)
COINS = CurvePool((10**12, 10**12), (10**30, 10**30), 20_000, 4_000_000, 5 * 10**9)
LISTED = "PoolNotListed(address)"


def v4_spec(token0: Address, token1: Address, hooks: Address = ZERO_ADDRESS) -> PoolSpec:
    identity = pool_id(token0, token1, 500, 10, hooks)
    return PoolSpec(identity, PoolFamily.UNISWAP_V4, MANAGER, (token0, token1), 500, 10, hooks)


def v4_state(market: GeneratedMarket) -> V4Pool:
    """A state of V3's, as V4 would keep it."""
    state = next(state for _, state in market.pools if isinstance(state, ConcentratedPool))
    return V4Pool(state.fee_pips, state.sqrt_price_x96, state.tick, state.liquidity, state.ticks)


def market_of(*pools: tuple[PoolSpec, PoolState]) -> Market:
    """A market whose coin is COIN, where every token but ether is trusted."""
    market = Market([COIN, DOLLAR], 100, 1_000, TRADED)
    for token in (COIN, DOLLAR, OTHER):
        market.trust(token, trusted=True)
    for number, (spec, state) in enumerate(pools):
        market.discover(spec)
        market.set_state(number, state)
    market.reindex()
    return market


def test_where_a_v4_pool_holds_ether_a_route_holds_the_wrapped_coin() -> None:
    ether, state = v4_spec(ZERO_ADDRESS, DOLLAR), v4_state(scene.small_market())
    market = market_of((PAIR, ConstantProductPool(10**21, 10**12)), (ether, state))

    assert market.is_eligible(1)
    assert market.pools_of(COIN) == [0, 1]
    assert market.routed[1] == (COIN, DOLLAR)
    assert {(edge.token_in, edge.token_out) for edge in market.edges} == {(0, 1), (1, 0)}
    assert len(market.index.cycles) > 0
    assert reference_price(market_of((ether, state)), DOLLAR, COIN, BlockNumber(1)) is not None


@pytest.mark.parametrize(
    "spec",
    [
        v4_spec(ZERO_ADDRESS, COIN),
        v4_spec(DOLLAR, OTHER, HOOK),
        msgspec.structs.replace(CURVE, is_unlisted=True),
        msgspec.structs.replace(CURVE, family=PoolFamily.CURVE_CRYPTO),
        v4_spec(DOLLAR, Address(b"\xee" * 20)),
    ],
    ids=["ether for its own wrapper", "a hook", "not on the executor's list", "no venue", "a token not trusted"],
)
def test_what_the_executor_cannot_call_is_seen_not_traded(spec: PoolSpec) -> None:
    state = COINS if spec.family is not PoolFamily.UNISWAP_V4 else v4_state(scene.small_market())
    market = market_of((spec, state))

    assert not market.is_eligible(0)
    assert market.state_of(spec.id) is state
    assert not market.rows[: market.first_edge[1]].any()


def test_a_curve_pool_on_the_list_is_traded() -> None:
    assert market_of((CURVE, COINS)).is_eligible(0)


def further(market: GeneratedMarket, hooks: Address = ZERO_ADDRESS) -> GeneratedMarket:
    """The market, in which each V3 pool is one of V4's, with ether where the coin was its first token."""
    pools: list[tuple[PoolSpec, PoolState]] = []
    for spec, state in market.pools:
        if not isinstance(state, ConcentratedPool):
            pools.append((spec, state))
            continue
        tokens = tuple(ZERO_ADDRESS if token == market.tokens[0] == spec.tokens[0] else token for token in spec.tokens)
        identity = pool_id(tokens[0], tokens[1], spec.fee_pips, spec.tick_spacing, hooks)
        moved = PoolSpec(identity, PoolFamily.UNISWAP_V4, MANAGER, tokens, spec.fee_pips, spec.tick_spacing, hooks)
        pools.append((moved, V4Pool(spec.fee_pips, state.sqrt_price_x96, state.tick, state.liquidity, state.ticks)))
    return GeneratedMarket(tuple(pools), market.tokens, market.profit_tokens)


def test_finds_through_v4_tell_the_executor_the_pool_and_whether_it_holds_ether() -> None:
    steps = [leg for leg in _steps_found(further(scene.small_market())) if leg.family is PoolFamily.UNISWAP_V4]

    assert {leg.in_ether for leg in steps} == {True, False}
    for leg in steps:
        assert ZERO_ADDRESS not in (leg.token_in, leg.token_out)
        held = (leg.token_in, leg.token_out) if leg.index_in == 0 else (leg.token_out, leg.token_in)
        currencies = (ZERO_ADDRESS if leg.in_ether else held[0], held[1])
        assert pool_id(*currencies, leg.fee_pips, leg.tick_spacing, ZERO_ADDRESS) == leg.pool_id


def test_a_leader_takes_an_order_through_a_v4_pool_that_holds_ether() -> None:
    """The route holds the wrapped coin there, and the pool's own name ether."""
    market, orders = further(scene.small_market()), list[HandOver]()
    for spec, pool in scene.pools_of_family(market, PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2):
        for into in (0, 1):
            finder = orders_between.member(orders_between.FINDER, market)
            effects = step(finder, scene.seen(scene.swap_of(spec, pool, into=into)))
            orders += [effect for effect in effects if isinstance(effect, HandOver)]
    through = [
        order for order in orders if any(isinstance(leg, SwapStep) and leg.in_ether for leg in order.opportunity.steps)
    ]
    assert through
    for order in through:
        leader = orders_between.member(orders_between.LEADER, market)
        effects = step(leader, orders_between.arriving(order))
        assert orders_between.answer_in(effects) == (OrderVerdict.ACCEPT, None)
        (plan,) = scene.plans(effects)
        (execution,) = plan.executions
        taken = [leg.in_ether for leg in execution.opportunity.steps if isinstance(leg, SwapStep)]
        assert taken == [leg.in_ether for leg in order.opportunity.steps if isinstance(leg, SwapStep)]


def test_no_find_goes_through_a_v4_pool_with_a_hook() -> None:
    found = _steps_found(further(scene.small_market(), HOOK))

    assert found
    assert PoolFamily.UNISWAP_V4 not in {leg.family for leg in found}


def _steps_found(market: GeneratedMarket) -> list[SwapStep]:
    settings = scene.settings(market, traded=TRADED)
    state = PipelineState(settings, VaultCallData({scene.ALICE: scene.BOB}))
    for event in opening(market, [scene.ALICE]):
        step(state, event)
    pairs = scene.pools_of_family(market, PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2)
    return [
        leg
        for spec, pool in pairs
        for into in (0, 1)
        for plan in scene.plans(
            step(state, scene.seen(scene.swap_of(spec, pool, into=into, trader=f"{spec.id.hex()}{into}")))
        )
        for opportunity in plan.opportunities
        for leg in opportunity.steps
        if isinstance(leg, SwapStep)
    ]


def test_an_executor_is_asked_with_one_hop_and_answers_by_how_it_refuses() -> None:
    hop = CurveHop(
        token_out=DOLLAR, pool=CURVE.address, coin_in=0, coin_out=1, is_crypto=False, minimum_out=TokenAmount(0)
    )
    asked = question(OTHER, hop)

    _, token, drawn, cap, packed = decode(["address", "address", "uint256", "uint256", "bytes"], asked[4:])
    assert (token, drawn, cap) == (address_to_hex(OTHER), 1, 0)
    assert decode_plan(packed).hops == (hop,)
    assert not is_taken(selector(LISTED) + CURVE.address.rjust(32, b"\0"))
    assert not is_taken(selector("NotModule()"))
    assert is_taken(b"")
    assert is_taken(selector("Error(string)"))


def test_hops_of_v4_and_of_curves_kind_are_packed_as_their_steps_say() -> None:
    ether, amounts = v4_spec(ZERO_ADDRESS, DOLLAR), (1_000, 999, 512)
    steps = (
        SwapStep(ether.id, ether.family, MANAGER, COIN, DOLLAR, 0, 1, 500, *amounts, 10, in_ether=True),
        SwapStep(CURVE.id, CURVE.family, CURVE.address, DOLLAR, OTHER, 1, 0, 0, *amounts),
        SwapStep(PAIR.id, PAIR.family, PAIR.address, OTHER, COIN, 0, 1, 3000, *amounts),
    )
    data = VaultCallData({scene.ALICE: scene.BOB})(
        sender=scene.ALICE,
        steps=steps,
        loan=FlashLoan(FlashLender(LenderKind.BALANCER_V2, MANAGER, COIN, 0), 1_000, 0),
        profit_token=COIN,
        minimum_profit=1,
        bid=Bid(Wei(0), Wei(0), 0),
        deadline_block=BlockNumber(9),
    )
    first, second, _ = decode_plan(decode(["address", "address", "uint256", "bytes"], data[4:])[3]).hops
    assert first == SingletonHop(
        token_out=DOLLAR, fee_pips=500, tick_spacing=10, in_ether=True, minimum_out=TokenAmount(512)
    )
    assert second == CurveHop(
        token_out=OTHER, pool=CURVE.address, coin_in=1, coin_out=0, is_crypto=False, minimum_out=TokenAmount(512)
    )


def test_the_executor_of_a_vault_is_read_out_of_its_settings() -> None:
    fields = next(entry for entry in contract(VAULT_MODULE).abi if entry.get("name") == "vaultOf")["outputs"][0]
    names = [member["name"] for member in fields["components"]]
    words = [MANAGER.rjust(32, b"\0") if name == "executor" else bytes(32) for name in names]
    assert executor_of(b"".join(words)) == MANAGER
