"""The pipeline's smaller parts, each alone."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.market_generator import HEAD, GeneratedMarket, generate, opening, settings_of
from governance.executor import decode_plan
from node.engine.call_data import VaultCallData
from node.pipeline.decoders import RoutedSwap, decode_steps, decode_swaps
from node.pipeline.decoders_core import ROUTER as ITSELF
from node.pipeline.decoders_core import ROUTERS_ALL, SENDER, UNLIMITED, Payment, PlannedSwap
from node.pipeline.events import AlertKind, PoolDiscovered, PoolSynced, RaiseAlert
from node.pipeline.gas import GasModel, gas_limit
from node.pipeline.lenders import LenderBook, flash_loan, locks_out
from node.pipeline.market import Market
from node.pipeline.pending import PendingBook, PendingSwap
from node.pipeline.plans import FlashLender, LenderKind
from node.pipeline.pools import V2_KEYS, V3_KEY, PoolFamily, swap_exact_out
from node.pipeline.prices import reference_price
from node.pipeline.router_functions import describe_call
from node.pipeline.settings import Bounds, RouterKind
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.errors import InvalidField
from protocol.ethereum.abi import encode_call
from protocol.ethereum.hot_path import pending_from_json
from protocol.units import ZERO_ADDRESS, Address, BlockNumber, Gas, UnixNanoseconds, address_to_hex
from tests.pipeline_scene import (
    ALICE,
    BOB,
    block,
    call_data,
    pipeline,
    plans,
    pools_of_family,
    seen,
    small_market,
    swap_of,
)

COIN = Address(b"\xee" * 20)
ONE, TWO, THREE = (Address(bytes((number,)) * 20) for number in (1, 2, 3))
A, B, C = (address_to_hex(token) for token in (ONE, TWO, THREE))
PATH = ONE + (3000).to_bytes(3, "big") + TWO + (500).to_bytes(3, "big") + THREE
KEYS = (V3_KEY + ONE + (3000).to_bytes(3, "big") + TWO, V3_KEY + TWO + (500).to_bytes(3, "big") + THREE)
V3_SINGLE = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
SINGLE_02 = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"

# Decoders


def test_v2_calls_name_their_pairs_in_the_order_of_the_path() -> None:
    data = encode_call("swapExactTokensForTokens(uint256,uint256,address[],address,uint256)", 5, 4, (A, B, C), A, 99)
    for kind, family in ((RouterKind.UNISWAP_V2, PoolFamily.UNISWAP_V2), (RouterKind.SUSHI_V2, PoolFamily.SUSHI_V2)):
        tag = V2_KEYS[family]
        swap = RoutedSwap((tag + ONE + TWO, tag + TWO + THREE), ONE, THREE, True, 5, 4, 0, 99)
        assert decode_swaps(kind, data, 0, COIN) == (swap,)


def test_ether_sent_is_the_input_or_the_most() -> None:
    exact_in = encode_call("swapExactETHForTokens(uint256,address[],address,uint256)", 4, (A, B), A, 99)
    exact_out = encode_call("swapETHForExactTokens(uint256,address[],address,uint256)", 4, (A, B), A, 99)
    (one,) = decode_swaps(RouterKind.UNISWAP_V2, exact_in, 7, COIN)
    (other,) = decode_swaps(RouterKind.UNISWAP_V2, exact_out, 7, COIN)
    assert (one.exact_in, one.amount, one.limit) == (True, 7, 4)
    assert (other.exact_in, other.amount, other.limit) == (False, 4, 7)


def test_v3_paths_run_forwards_whichever_way_they_are_packed() -> None:
    backwards = THREE + (500).to_bytes(3, "big") + TWO + (3000).to_bytes(3, "big") + ONE
    exact_in = encode_call("exactInput((bytes,address,uint256,uint256,uint256))", (PATH, A, 99, 5, 4))
    exact_out = encode_call("exactOutput((bytes,address,uint256,uint256,uint256))", (backwards, A, 99, 4, 5))
    assert decode_swaps(RouterKind.UNISWAP_V3, exact_in, 0, COIN) == (RoutedSwap(KEYS, ONE, THREE, True, 5, 4, 0, 99),)
    assert decode_swaps(RouterKind.UNISWAP_V3, exact_out, 0, COIN) == (
        RoutedSwap(KEYS, ONE, THREE, False, 4, 5, 0, 99),
    )


def test_the_second_router_has_no_deadline_but_in_its_multicall() -> None:
    single = encode_call(SINGLE_02, (A, B, 3000, A, 5, 4, 77))
    pairs = encode_call("swapExactTokensForTokens(uint256,uint256,address[],address)", 0, 4, (B, C), A)
    multicall = encode_call("multicall(uint256,bytes[])", 99, (single, pairs, b"\x01\x02\x03\x04"))
    first, second = decode_swaps(RouterKind.SWAP_ROUTER_02, multicall, 0, COIN)
    assert first == PlannedSwap(KEYS[:1], ONE, TWO, True, 5, 4, 77, 99, recipient=ONE)
    assert (second.amount, second.deadline) == (ROUTERS_ALL, 99)
    assert second.keys == (V2_KEYS[PoolFamily.UNISWAP_V2] + TWO + THREE,)
    by_hash = encode_call("multicall(bytes32,bytes[])", bytes(32), (single,))
    assert decode_swaps(RouterKind.SWAP_ROUTER_02, by_hash, 0, COIN)[0].deadline == 0


def test_what_the_second_router_pays_out_is_read_beside_its_swaps_and_not_without_them() -> None:
    single = encode_call(SINGLE_02, (A, B, 3000, address_to_hex(ITSELF), 5, 4, 0))
    payments = (
        encode_call("wrapETH(uint256)", 3),
        encode_call("pull(address,uint256)", A, 4),
        encode_call("unwrapWETH9(uint256,address)", 6, address_to_hex(SENDER)),
        encode_call("unwrapWETH9(uint256)", 7),
        encode_call("sweepToken(address,uint256,address)", B, 8, A),
    )
    data = encode_call("multicall(bytes[])", (single, *payments))
    steps = decode_steps(RouterKind.SWAP_ROUTER_02, data, 0, COIN, None, ONE)

    assert steps[1:] == (
        Payment(COIN, SENDER, ITSELF, 3),
        Payment(ONE, SENDER, ITSELF, 4),
        Payment(COIN, ITSELF, SENDER, ROUTERS_ALL, 6, UNLIMITED, becomes=ZERO_ADDRESS),
        Payment(COIN, ITSELF, SENDER, ROUTERS_ALL, 7, UNLIMITED, becomes=ZERO_ADDRESS),
        Payment(TWO, ITSELF, SENDER, ROUTERS_ALL, 8),
    )
    assert decode_steps(RouterKind.SWAP_ROUTER_02, encode_call("multicall(bytes[])", payments), 0, COIN) == ()
    positions = encode_call("multicall(bytes[])", (single, encode_call("callPositionManager(bytes)", b"")))
    assert decode_steps(RouterKind.SWAP_ROUTER_02, positions, 0, COIN) == ()


def test_a_multicall_inside_a_multicall_is_followed_to_a_depth() -> None:
    inner = encode_call("multicall(bytes[])", (encode_call(V3_SINGLE, (A, B, 3000, A, 99, 5, 4, 0)),))
    nested = inner
    for _ in range(3):
        nested = encode_call("multicall(bytes[])", (nested,))
    assert decode_swaps(RouterKind.UNISWAP_V3, nested, 0, COIN) == decode_swaps(RouterKind.UNISWAP_V3, inner, 0, COIN)
    assert decode_swaps(RouterKind.UNISWAP_V3, encode_call("multicall(bytes[])", (nested,)), 0, COIN) == ()
    many = encode_call("multicall(bytes[])", (inner,) * 17)
    assert decode_swaps(RouterKind.UNISWAP_V3, many, 0, COIN) == ()


def test_ether_on_balancer_is_the_wrapped_coin() -> None:
    single = (bytes(32), 1, "0x" + "00" * 20, A, 5, b"")
    signature = "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)"
    data = encode_call(signature, single, (A, False, A, False), 9, 99)
    expected = RoutedSwap((bytes(32) + COIN + ONE,), COIN, ONE, False, 5, 9, 0, 99)
    assert decode_swaps(RouterKind.BALANCER_V2, data, 0, COIN) == (expected,)


@pytest.mark.parametrize("hops", [0, 9])
def test_a_path_of_no_hop_or_too_many_is_no_swap(hops: int) -> None:
    path = [A, *[B, A, B, A, B, A, B, A, B][:hops]]
    data = encode_call("swapExactTokensForTokens(uint256,uint256,address[],address,uint256)", 5, 4, path, A, 99)
    assert decode_swaps(RouterKind.UNISWAP_V2, data, 0, COIN) == ()


def test_a_call_is_described_by_its_arguments_names() -> None:
    inner = encode_call(V3_SINGLE, (A, B, 3000, A, 99, 5, 4, 0))
    described = describe_call(RouterKind.UNISWAP_V3, encode_call("multicall(bytes[])", (inner,)))
    assert described is not None
    assert described.arguments == {"data": [inner]}
    (call,) = described.inner
    assert call.function == V3_SINGLE
    assert call.arguments["params"] == {
        "tokenIn": A,
        "tokenOut": B,
        "fee": 3000,
        "recipient": A,
        "deadline": 99,
        "amountIn": 5,
        "amountOutMinimum": 4,
        "sqrtPriceLimitX96": 0,
    }
    assert describe_call(RouterKind.UNISWAP_V2, b"\x00\x01\x02\x03") is None


# The exact swaps behind the overlay


@pytest.mark.parametrize("family", list(dict.fromkeys(spec.family for spec, _ in small_market().pools)))
def test_an_exact_output_costs_what_it_says(family: PoolFamily) -> None:
    _, state = pools_of_family(small_market(), family)[0]
    wanted = 10**6
    after, moved = swap_exact_out(state, 0, 1, wanted)
    assert after != state
    assert moved.amount_out == wanted
    assert moved.amount_in > 0


# The pending book


def pending(
    nonce: int, trader: str = "carol", *, pool: int = 0, at: int = 0, account_nonce: int | None = 0
) -> PendingSwap:
    spec, state = small_market().pools[pool]
    transaction = swap_of(spec, state, trader=trader, nonce=nonce)
    return PendingSwap(transaction, (), (pool,), UnixNanoseconds(at), HEAD, account_nonce)


def test_a_transaction_with_the_same_sender_and_nonce_replaces_the_earlier() -> None:
    book = PendingBook(10)
    first, second = pending(1), pending(1, pool=1)
    book.add(first)
    book.add(second)
    assert list(book) == [second]
    assert book.on_pools([0]) == []
    assert first.transaction.hash not in book


def test_the_oldest_leaves_a_full_book_and_is_counted() -> None:
    book = PendingBook(2)
    for nonce in range(3):
        book.add(pending(nonce))
    assert [one.transaction.nonce for one in book] == [1, 2]
    assert (len(book), book.overflowed) == (2, 1)


def test_a_gap_of_nonces_or_too_many_predecessors_leave_no_chain() -> None:
    book = PendingBook(20)
    for nonce in (0, 1, 3):
        book.add(pending(nonce))
    chain = book.with_predecessors(pending(1))
    assert chain is not None
    assert [one.transaction.nonce for one in chain] == [0, 1]
    assert book.with_predecessors(pending(3)) is None
    assert book.with_predecessors(pending(2**40)) is None


def test_once_the_first_of_a_sender_is_mined_the_second_stands_alone() -> None:
    book = PendingBook(20)
    first, second, third, strange = pending(0), pending(1, pool=1), pending(3), pending(2, "dave")
    for one in (first, second, third, strange):
        book.add(one)
    book.mined(first.transaction.hash)
    book.mined(b"\0" * 32)
    left = book.get(second.transaction.hash)
    assert left is not None
    assert book.with_predecessors(left) == [left]
    assert book.on_pools([1]) == [left]
    assert [one.transaction.hash for one in book] == [one.transaction.hash for one in (second, third, strange)]
    last, other = book.get(third.transaction.hash), book.get(strange.transaction.hash)
    assert last is not None
    assert (last.account_nonce, other) == (1, strange)
    assert book.with_predecessors(last) is None
    book.mined(second.transaction.hash)
    assert book.remove(third.transaction.hash)
    assert book.on_pools([0]) == [strange]


def test_what_no_block_took_is_forgotten() -> None:
    book = PendingBook(2)
    book.add(pending(0))
    assert book.expire(HEAD) == 0
    assert book.expire(BlockNumber(HEAD + 1)) == 1
    assert not book.remove(pending(0).transaction.hash)


# Lenders and gas


def lender(kind: LenderKind, fee: int, available: int | None = None, address: Address = ONE) -> FlashLender:
    return FlashLender(kind, address, COIN, fee, available)


def test_the_cheapest_lender_that_has_enough_lends() -> None:
    book = LenderBook([lender(LenderKind.AAVE_V3, 500, 10**6), lender(LenderKind.BALANCER_V2, 0, 100, TWO)])
    spec, _ = small_market().pools[0]
    for amount, address in ((100, TWO), (101, ONE)):
        chosen = book.lender_for(COIN, amount, [spec])
        assert chosen is not None
        assert chosen.address == address
    assert book.lender_for(COIN, 10**6 + 1, [spec]) is None
    assert book.lender_for(ONE, 1, [spec]) is None
    assert book.most(COIN) == 10**6
    book.read(TWO, COIN, 10**7)
    assert book.most(COIN) == 10**7


def test_a_lender_does_not_lend_while_its_own_pools_swap() -> None:
    market = small_market()
    balancer, _ = pools_of_family(market, PoolFamily.BALANCER_V2_WEIGHTED)[0]
    concentrated, _ = pools_of_family(market, PoolFamily.UNISWAP_V3)[0]
    assert locks_out(lender(LenderKind.BALANCER_V2, 0), [balancer])
    assert not locks_out(lender(LenderKind.BALANCER_V2, 0), [concentrated])
    assert locks_out(lender(LenderKind.UNISWAP_V3, 500, None, concentrated.address), [concentrated])
    assert not locks_out(lender(LenderKind.AAVE_V3, 500), [balancer, concentrated])


@pytest.mark.parametrize(
    ("kind", "amount", "fee"),
    [(LenderKind.AAVE_V3, 999, 0), (LenderKind.AAVE_V3, 1_000, 1), (LenderKind.UNISWAP_V3, 1, 1)],
)
def test_fees_are_rounded_as_each_lender_rounds_them(kind: LenderKind, amount: int, fee: int) -> None:
    assert flash_loan(lender(kind, 500), amount).fee == fee


def test_gas_is_learnt_by_shape() -> None:
    model, families = GasModel(), [PoolFamily.UNISWAP_V2, PoolFamily.UNISWAP_V3]
    first = model.expected(LenderKind.VAULT, families)
    model.learn(LenderKind.VAULT, families, Gas(first - 4_000))
    assert model.expected(LenderKind.VAULT, families) == first - 1_000
    assert model.expected(LenderKind.AAVE_V3, families) > first
    assert gas_limit(Gas(100)) == 160


# Market and prices


def test_prices_agree_with_the_pools_and_know_their_error() -> None:
    state = pipeline()
    coin, other = (token.address for token in state.settings.profit_tokens)
    price = reference_price(state.market, other, coin, HEAD)
    assert price is not None
    assert price.wei_down(10**6) == pytest.approx(3e8 * 10**6, rel=0.01)
    assert price.error < 100
    assert price.tokens_up(price.wei_down(10**9)) <= 10**9
    assert reference_price(state.market, ONE, coin, HEAD) is None
    itself = reference_price(state.market, coin, coin, HEAD)
    assert itself is not None
    assert itself.wei_down(5) == 5


def test_pools_and_cycles_stay_within_their_bounds() -> None:
    made = generate(pools=40, tokens=14, hubs=4, profit_tokens=2, seed=7)
    market = Market(made.profit_tokens, max_pools=30, max_cycles=50)
    for spec, _ in made.pools:
        market.discover(spec)
    market.reindex()
    assert (len(market.specs), market.refused_pools) == (30, 10)
    assert len(market.index.cycles) == 50
    assert market.index.left_out > 0
    assert not market.discover(made.pools[0][0])


def test_too_many_cycles_raise_an_alert_once() -> None:
    made = small_market()
    state = PipelineState(msgspec.structs.replace(settings_of(made, [ALICE]), bounds=Bounds(max_cycles=50)), call_data)
    effects = [effect for event in opening(made, [ALICE]) for effect in step(state, event)]
    effects += step(state, block())
    assert [effect.kind for effect in effects if isinstance(effect, RaiseAlert)] == [AlertKind.CYCLES_CAPPED]


def test_a_pool_discovered_late_is_in_cycles_from_the_next_block_on() -> None:
    made = small_market()
    (late, late_state), rest = made.pools[0], made.pools[1:]
    state = pipeline(GeneratedMarket(rest, made.tokens, made.profit_tokens))
    known = len(state.market.index.cycles)
    step(state, PoolDiscovered(late))
    step(state, PoolSynced(late.id, late_state, HEAD))
    found = [
        plans(step(state, seen(swap_of(spec, pool, trader=spec.id.hex())))) for spec, pool in (made.pools[0], *rest)
    ]
    assert found[0] == []
    assert any(found[1:])
    step(state, block())
    assert len(state.market.index.cycles) == len(pipeline(made).market.index.cycles) > known


# Call data


def test_call_data_says_what_the_plan_says() -> None:
    market = small_market()
    state = PipelineState(settings_of(market, [ALICE]), VaultCallData({ALICE: BOB}))
    for event in opening(market, [ALICE]):
        step(state, event)
    sent = [
        plan
        for spec, pool in market.pools[:12]
        for plan in plans(step(state, seen(swap_of(spec, pool, trader=spec.id.hex()))))
        if len(plan.executions) == 1
    ]
    assert sent
    for plan in sent:
        (execution,) = plan.executions
        said = decode_plan(_plan_in(execution.call_data))
        assert said.last_block == plan.target_block
        assert said.minimum_profit == execution.minimum_profit
        assert said.builder_payment == execution.bid.coinbase_wei
        assert said.loan is not None
        assert said.loan.amount == execution.opportunity.loan.amount
        for hop, leg in zip(said.hops, execution.opportunity.steps, strict=True):
            assert hop.token_out == leg.token_out
            assert hop.minimum_out <= leg.minimum_out < leg.amount_out


def _plan_in(data: bytes) -> bytes:
    """The packed plan: the last argument, a length and its bytes."""
    start = 4 + 4 * 32
    length = int.from_bytes(data[start : start + 32], "big")
    return data[start + 32 : start + 32 + length]


def test_a_loan_of_a_pool_needs_its_other_token() -> None:
    market = small_market()
    state = pipeline(market)
    (execution,) = next(
        sent[0].executions
        for spec, pool in market.pools
        if (sent := plans(step(state, seen(swap_of(spec, pool, trader=spec.id.hex())))))
    )
    opportunity = execution.opportunity
    bad = msgspec.structs.replace(opportunity.loan, lender=lender(LenderKind.UNISWAP_V3, 500))
    with pytest.raises(InvalidField, match="other token"):
        VaultCallData({ALICE: BOB})(
            sender=ALICE,
            steps=opportunity.steps,
            loan=bad,
            profit_token=opportunity.profit_token,
            minimum_profit=0,
            bid=execution.bid,
            deadline_block=HEAD,
        )


# Reading


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        pending_from_json(b"[]", ())
