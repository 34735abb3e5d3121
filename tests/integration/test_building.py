"""Whole blocks planned on a real Anvil, and mined as planned."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from devnet.anvil import Anvil
from devnet.errors import RpcError
from devnet.relay.building import build_block
from devnet.relay.context import BlockContext, BlockPlan, Bundle, DropReason, PooledTransaction
from devnet.relay.ranking import TopOfBlockCache
from devnet.relay.sealing import Sealed, Sealer
from devnet.relay.simulation import Simulator
from devnet.rpc import RpcClient
from protocol.ethereum.transactions import SignedTransaction
from tests.bundle_factories import (
    COINBASE,
    ETHER,
    FADING,
    GRUMBLER,
    GWEI,
    TIP_JAR,
    TURNSTILE,
    bundle,
    hex_of,
    next_block,
    prepare_chain,
    slot,
    transaction,
)

pytestmark = pytest.mark.anvil

NAMES = ("alice", "bob", "carol", "dave", "erin")


class CountingClient(RpcClient):
    """A client that counts its requests."""

    requests = 0

    async def call(self, method: str, *params: Any) -> Any:
        self.requests += 1
        return await super().call(method, *params)

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any | RpcError]:
        self.requests += 1
        return await super().batch(calls)


@pytest.fixture
async def rpc(anvil: Anvil) -> AsyncIterator[CountingClient]:
    async with CountingClient(anvil.url) as client:
        await prepare_chain(client, *NAMES)
        yield client


@pytest.fixture
async def context(rpc: CountingClient) -> BlockContext:
    return await next_block(rpc)


def takes(name: str, number: int, value: int = ETHER, **changes: Any) -> SignedTransaction:
    """Return a transaction that wants slot `number` of the turnstile and pays `value`."""
    settings: dict[str, Any] = {"to": TURNSTILE, "data": slot(number), "value": value}
    return transaction(name, **(settings | changes))


def public(*transactions: SignedTransaction) -> list[PooledTransaction]:
    return [PooledTransaction(one, arrival, public=True) for arrival, one in enumerate(transactions, 1)]


def of(context: BlockContext, *transactions: SignedTransaction, **changes: Any) -> Bundle:
    return bundle(*transactions, block_number=context.number, **changes)


async def check_mined_as_planned(rpc: RpcClient, context: BlockContext, plan: BlockPlan) -> None:
    """Mine the plan and compare: order, payment and gas, and no revert that is not allowed."""
    foreseen = await Simulator(rpc, context).run(plan.transactions)
    before = int(await rpc.call("eth_getBalance", COINBASE, "latest"), 16)
    sealed = await Sealer(rpc).seal(context, plan)
    assert isinstance(sealed, Sealed), sealed
    assert sealed.refused == ()
    assert sealed.block["transactions"] == [hex_of(one.hash) for one in plan.transactions]
    receipts = await rpc.call("eth_getBlockReceipts", hex(context.number))
    assert [int(receipt["gasUsed"], 16) for receipt in receipts] == [result.gas_used for result in foreseen]
    paid = int(await rpc.call("eth_getBalance", COINBASE, "latest"), 16) - before
    assert sum(result.payment for result in foreseen) == paid
    for placed in plan.placed:
        own = slice(placed.first_index, placed.first_index + len(placed.bundle.transactions))
        assert plan.transactions[own] == placed.bundle.transactions
        assert placed.payment == sum(result.payment for result in foreseen[own])
        assert placed.gas_used == sum(result.gas_used for result in foreseen[own])
        for receipt in receipts[own]:
            allowed = bytes.fromhex(receipt["transactionHash"][2:]) in placed.bundle.reverting_hashes
            assert receipt["status"] == "0x1" or allowed


async def test_bundles_come_by_payment_per_gas_then_the_mempool_by_tip(
    rpc: CountingClient, context: BlockContext
) -> None:
    low, high = of(context, takes("alice", 1, 1 * GWEI)), of(context, takes("bob", 2, 9 * ETHER))
    slow, fast = transaction("carol", tip=1 * GWEI), transaction("dave", tip=2 * GWEI)
    plan = await build_block(rpc, context, [low, high], public(slow, fast))
    assert plan.transactions == (*high.transactions, *low.transactions, fast, slow)
    assert [placed.bundle for placed in plan.placed] == [high, low]
    assert {one.arrival for one, _ in plan.simulated} == {low.arrival, high.arrival}
    await check_mined_as_planned(rpc, context, plan)


async def test_tips_of_the_mempools_transactions_do_not_raise_a_bundles_bid(
    rpc: CountingClient, context: BlockContext
) -> None:
    generous = transaction("carol", tip=50 * GWEI)
    padded = of(context, generous, takes("alice", 1, 1, tip=GWEI))
    honest = of(context, takes("bob", 1, 1, tip=5 * GWEI))
    plan = await build_block(rpc, context, [padded, honest], public(generous))
    assert [placed.bundle for placed in plan.placed] == [honest]
    assert plan.dropped == ((padded, DropReason.CONFLICT),)
    assert plan.transactions == (*honest.transactions, generous)
    await check_mined_as_planned(rpc, context, plan)


async def test_equal_payment_goes_by_arrival(rpc: CountingClient, context: BlockContext) -> None:
    first, second = of(context, takes("alice", 1)), of(context, takes("bob", 2))
    plan = await build_block(rpc, context, [second, first], [])
    assert [placed.bundle for placed in plan.placed] == [first, second]


async def test_a_direct_payment_counts_as_much_as_tips(rpc: CountingClient, context: BlockContext) -> None:
    direct = of(context, transaction("alice", to=TIP_JAR, value=2 * ETHER, tip=0))
    tipped = of(context, transaction("bob", to=TIP_JAR, value=0, tip=10_000 * GWEI, fee_cap=11_000 * GWEI))
    plan = await build_block(rpc, context, [tipped, direct], [])
    assert [placed.bundle for placed in plan.placed] == [direct, tipped]


async def test_a_whole_calm_block_costs_four_requests(rpc: CountingClient, context: BlockContext) -> None:
    bundles = [of(context, takes(name, number)) for number, name in enumerate(NAMES[:3])]
    rpc.requests = 0
    await build_block(rpc, context, bundles, public(transaction("dave"), transaction("erin")))
    assert rpc.requests == 4


async def test_a_block_planned_again_does_not_run_its_bundles_alone_again(
    rpc: CountingClient, context: BlockContext
) -> None:
    cache = TopOfBlockCache()
    bundles = [of(context, takes("alice", 1)), of(context, transaction("bob", to=GRUMBLER))]
    first = await build_block(rpc, context, bundles, [], cache=cache)
    rpc.requests = 0
    assert await build_block(rpc, context, bundles, [], cache=cache) == first
    assert rpc.requests == 2


async def test_an_empty_block_is_a_plan_too(rpc: CountingClient, context: BlockContext) -> None:
    assert await build_block(rpc, context, [], []) == BlockPlan((), (), ())


async def test_a_transaction_in_a_bundle_and_in_the_mempool_is_mined_once(
    rpc: CountingClient, context: BlockContext
) -> None:
    victim = transaction("alice", tip=3 * GWEI)
    backrun = of(context, victim, takes("bob", 1))
    plan = await build_block(rpc, context, [backrun], public(victim, transaction("alice", 1)))
    assert plan.transactions == (*backrun.transactions, transaction("alice", 1))
    await check_mined_as_planned(rpc, context, plan)


async def test_rivals_for_one_chance_are_settled_and_the_rest_is_merged(
    rpc: CountingClient, context: BlockContext
) -> None:
    best, rival = of(context, takes("alice", 1, 5 * ETHER)), of(context, takes("bob", 1, 4 * ETHER))
    other = of(context, takes("carol", 2, 3 * ETHER))
    plan = await build_block(rpc, context, [rival, other, best], [])
    assert [placed.bundle for placed in plan.placed] == [best, other]
    assert plan.dropped == ((rival, DropReason.CONFLICT),)
    await check_mined_as_planned(rpc, context, plan)


async def test_an_allowed_revert_is_mined_as_a_revert(rpc: CountingClient, context: BlockContext) -> None:
    loser = takes("bob", 1, 0)
    best = of(context, takes("alice", 1, 5 * ETHER))
    lenient = of(context, loser, takes("carol", 2), reverting=[loser])
    plan = await build_block(rpc, context, [best, lenient], [])
    assert len(plan.placed) == 2
    await check_mined_as_planned(rpc, context, plan)


async def test_every_hopeless_bundle_is_dropped_with_its_reason(rpc: CountingClient, context: BlockContext) -> None:
    now = context.timestamp
    hopeless = {
        DropReason.TIMESTAMP: of(context, takes("alice", 1), min_timestamp=now + 1),
        DropReason.NONCE_TOO_HIGH: of(context, takes("alice", 1, nonce=1)),
        DropReason.FEE_TOO_LOW: of(context, takes("alice", 1, fee_cap=context.base_fee - 1, tip=0)),
        DropReason.INSUFFICIENT_FUNDS: of(context, takes("poor", 1)),
        DropReason.REVERTED: of(context, transaction("alice", to=GRUMBLER)),
        DropReason.GAS_LIMIT: of(context, takes("alice", 1, gas_limit=context.gas_limit + 1)),
    }
    plan = await build_block(rpc, context, list(hopeless.values()), [])
    assert plan.placed == ()
    assert {reason: one for one, reason in plan.dropped} == hopeless
    expired = of(context, takes("alice", 1), max_timestamp=now - 1)
    punctual = of(context, takes("alice", 1), min_timestamp=now, max_timestamp=now)
    plan = await build_block(rpc, context, [expired, punctual], [])
    assert ([placed.bundle for placed in plan.placed], plan.dropped) == ([punctual], ((expired, DropReason.TIMESTAMP),))


async def test_a_used_nonce_is_too_low(rpc: CountingClient, context: BlockContext) -> None:
    await rpc.call("eth_sendRawTransaction", hex_of(transaction("alice").raw))
    await rpc.call("evm_mine")
    context = await next_block(rpc)
    stale = of(context, takes("alice", 1))
    assert (await build_block(rpc, context, [stale], [])).dropped == ((stale, DropReason.NONCE_TOO_LOW),)


async def test_a_bundle_that_would_take_from_the_builder_is_dropped(rpc: CountingClient, context: BlockContext) -> None:
    # The coinbase itself sends ETH away: it loses more than its tip.
    context = replace(context, coinbase=bundle(transaction("alice")).signer)
    costly = of(context, transaction("alice", to="0x" + "99" * 20, value=ETHER))
    assert (await build_block(rpc, context, [costly], [])).dropped == ((costly, DropReason.UNDERPAYS),)


async def test_a_bundle_whose_payment_fades_behind_another_is_dropped(
    rpc: CountingClient, context: BlockContext
) -> None:
    best = of(context, takes("alice", 1, 5 * ETHER, to=FADING))
    fading = of(context, takes("bob", 1, 4 * ETHER, to=FADING))
    plan = await build_block(rpc, context, [best, fading], [])
    assert plan.dropped == ((fading, DropReason.UNDERPAYS),)


async def test_a_sender_who_pays_for_a_bundle_cannot_pay_again_behind_it(
    rpc: CountingClient, context: BlockContext
) -> None:
    first = of(context, takes("alice", 1, 60 * ETHER))
    broke, good = takes("alice", 2, 60 * ETHER, nonce=1, tip=9 * GWEI), transaction("bob")
    plan = await build_block(rpc, context, [first], public(broke, good))
    assert plan.transactions == (*first.transactions, good)
    await check_mined_as_planned(rpc, context, plan)


async def test_public_transactions_that_cannot_run_are_left_out(rpc: CountingClient, context: BlockContext) -> None:
    good, broke = transaction("alice"), transaction("poor", tip=9 * GWEI)
    plan = await build_block(rpc, context, [], public(broke, good))
    assert plan.transactions == (good,)
    await check_mined_as_planned(rpc, context, plan)


async def test_a_public_revert_is_mined_and_a_creation_comes_last(rpc: CountingClient, context: BlockContext) -> None:
    creation = transaction("alice", to=None, data=bytes.fromhex("5f5ff3"), tip=9 * GWEI)
    revert, plain = transaction("bob", to=GRUMBLER, tip=2 * GWEI), transaction("carol")
    plan = await build_block(rpc, context, [], public(creation, revert, plain))
    assert plan.transactions == (revert, plain, creation)
    sealed = await Sealer(rpc).seal(context, plan)
    assert isinstance(sealed, Sealed)
    assert sealed.block["transactions"] == [hex_of(one.hash) for one in plan.transactions]


@pytest.fixture
async def small_blocks(rpc: CountingClient) -> AsyncIterator[int]:
    limit = 200_000
    before = (await rpc.call("eth_getBlockByNumber", "latest", False))["gasLimit"]
    await rpc.call("evm_setBlockGasLimit", hex(limit))
    await rpc.call("evm_mine")
    yield limit
    await rpc.call("evm_setBlockGasLimit", before)


async def test_a_full_block_keeps_to_its_gas_limit(rpc: CountingClient, small_blocks: int) -> None:
    context = await next_block(rpc)
    assert context.gas_limit == small_blocks
    own = of(context, takes("alice", 1))
    crowd = [transaction(name, nonce) for name in NAMES[1:] for nonce in range(4)]
    plan = await build_block(rpc, context, [own], public(*crowd))
    assert plan.transactions[:1] == own.transactions
    assert 1 < len(plan.transactions) < 17
    await check_mined_as_planned(rpc, context, plan)


@pytest.mark.parametrize("seed", range(4))
async def test_a_crowd_of_bundles_is_mined_exactly_as_planned(
    rpc: CountingClient, context: BlockContext, seed: int
) -> None:
    draw = random.Random(seed)
    crowd = [f"crowd-{index}" for index in range(40)]
    await prepare_chain(rpc, *crowd)
    context = await next_block(rpc)
    pool = [
        transaction(
            name,
            nonce,
            to=draw.choice((TURNSTILE, TURNSTILE, FADING, TIP_JAR)),
            data=slot(draw.randrange(8)),
            value=draw.randrange(ETHER),
            tip=draw.randrange(5 * GWEI),
        )
        for name in crowd
        for nonce in range(2)
    ]
    bundles = []
    for _ in range(50):
        inside = sorted(draw.sample(pool, draw.randint(1, 3)), key=lambda one: one.nonce)
        bundles.append(of(context, *inside, reverting=draw.sample(inside, draw.randint(0, 1))))
    plan = await build_block(rpc, context, bundles, public(*pool))
    assert len(plan.placed) + len(plan.dropped) == 50
    assert len(plan.placed) > 5
    assert not any(reason is DropReason.UNEXECUTABLE for _, reason in plan.dropped)
    await check_mined_as_planned(rpc, context, plan)
