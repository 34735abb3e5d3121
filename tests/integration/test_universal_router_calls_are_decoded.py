"""The Universal Router in its own bytecode: what it does with a plan is what the decoder and the market state foretell.

Of every call: whether it reverts, and if not, every pool afterwards and all that its sender and the router hold then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest

from devnet.anvil import Anvil
from devnet.home import Home
from devnet.packages import Packages, ensure_packages
from devnet.rpc import RpcClient
from devnet.world import World
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints
from protocol.ethereum.abi import encode_call
from scripts.tree import ROOT
from tests.chain import Chain
from tests.conftest import quiet, undone
from tests.universal_router import (
    ALL,
    ETHER,
    MOST,
    OPEN,
    ROUTER,
    SENDER,
    Action,
    Command,
    Given,
    PoolKey,
    along,
    ether,
    execute,
    paid,
    settle,
    settle_all,
    single,
    sub_plan,
    swap,
    take,
    take_all,
    transfers,
    v4,
)
from tests.universal_router_scene import FAR_FUTURE, WHALE, Stage, deploy_router, set_stage

pytestmark = pytest.mark.anvil

FRIEND: Final = "0x" + "7e" * 20
ONE_ETHER: Final = 10**18


@pytest.fixture(scope="session")
def router_packages(home: Home) -> Packages:
    """The router's npm package, which nothing but these tests needs."""
    return ensure_packages(home, quiet, ROOT / "tests" / "npm")


@pytest.fixture(scope="module")
async def stage(shared_world_anvil: Anvil, world: World, router_packages: Packages) -> AsyncIterator[Stage]:
    async with undone(shared_world_anvil), RpcClient(shared_world_anvil.url) as rpc:
        rpcs = [RpcConfig(http=shared_world_anvil.url, websocket=shared_world_anvil.url)]
        endpoints = Endpoints.open(rpcs, SystemClock())
        try:
            made = await set_stage(Chain(rpc), world, endpoints)
            await deploy_router(made, router_packages)
            yield made
        finally:
            await endpoints.close()


def packed(*path: str | int) -> bytes:
    """A V3 path: token, fee, token …"""
    return b"".join(bytes.fromhex(one[2:]) if isinstance(one, str) else one.to_bytes(3, "big") for one in path)


async def test_pairs_are_moved_forwards_for_an_exact_output_too(stage: Stage) -> None:
    for path in ([stage.usdc, stage.weth], [stage.usdc, stage.weth, stage.wbtc], [stage.dai, stage.usdc, stage.usdt]):
        given = 12_345_678_901 if path[0] == stage.usdc else 12_345_678_901 * 10**12
        assert await stage.does_as_foretold(swap(Command.V2_IN, given, 0, path)) == len(path) - 1
        # The router pays what an output costs, and the pair gives for that as much as it can: often more.
        for amount in (1, 987_654, 1_234_567):
            assert await stage.does_as_foretold(swap(Command.V2_OUT, amount, MOST, path)) == len(path) - 1


async def test_concentrated_pools_are_moved_by_inputs_and_outputs_over_one_hop_and_over_several(stage: Stage) -> None:
    there = packed(stage.usdc, 500, stage.weth), packed(stage.usdc, 3000, stage.weth, 500, stage.wbtc)
    for path in there:
        hops = len(path) // 23
        assert await stage.does_as_foretold(swap(Command.V3_IN, 98_765_432_109, 0, path)) == hops
    back = packed(stage.weth, 500, stage.usdc), packed(stage.wbtc, 500, stage.weth, 3000, stage.usdc)
    for path in back:
        assert await stage.does_as_foretold(swap(Command.V3_OUT, 1_234_567, MOST, path)) == len(path) // 23


async def test_what_just_misses_its_limit_reverts_and_what_just_meets_it_does_not(stage: Stage) -> None:
    path, backwards = packed(stage.usdc, 500, stage.weth), packed(stage.weth, 500, stage.usdc)
    for command, amount, way in (
        (Command.V3_IN, 10**9, path),
        (Command.V3_OUT, 10**15, backwards),
        (Command.V2_IN, 10**9, [stage.usdc, stage.weth]),
        (Command.V2_OUT, 10**15, [stage.usdc, stage.weth]),
    ):
        exact_in = command in (Command.V3_IN, Command.V2_IN)
        limit = await _exact_limit(stage, command, amount, way)
        missed = limit + 1 if exact_in else limit - 1
        await stage.is_refused_as_foretold(swap(command, amount, missed, way))
        # The flag saves no one: a swap that fails is the router's own failure.
        await stage.is_refused_as_foretold(swap(command, amount, missed, way).may_fail)
        await stage.does_as_foretold(swap(command, amount, limit, way))


async def _exact_limit(stage: Stage, command: Command, amount: int, way: bytes | list[str]) -> int:
    """What the chain says that a swap takes or gives, by doing it and taking it back."""
    snapshot = await stage.chain.rpc.call("evm_snapshot")
    exact_in = command in (Command.V3_IN, Command.V2_IN)
    token = stage.weth if exact_in else stage.usdc
    before = await stage.chain.balance(token, WHALE.address)
    data = execute(swap(command, amount, 0 if exact_in else MOST, way))
    receipt = await stage.chain.send_data(WHALE, stage.router, data)
    assert receipt["status"] == "0x1"
    after = await stage.chain.balance(token, WHALE.address)
    assert await stage.chain.rpc.call("evm_revert", snapshot)
    return abs(after - before)


async def test_a_deadline_is_kept_to_the_second_and_zero_is_one_that_has_passed(stage: Stage) -> None:
    one = swap(Command.V2_IN, 10**9, 0, [stage.usdc, stage.weth])
    head = await stage.chain.rpc.call("eth_getBlockByNumber", "latest", False)
    now = int(head["timestamp"], 16)
    await stage.does_as_foretold(one, deadline=now + 2)  # the next block's own time
    await stage.is_refused_as_foretold(one, deadline=now + 1)
    await stage.is_refused_as_foretold(one, deadline=0)
    await stage.does_as_foretold(one, deadline=None)


async def test_a_signed_plan_does_what_one_that_is_not_signed_does(stage: Stage) -> None:
    one, nothing = swap(Command.V2_IN, 10**9, 0, [stage.usdc, stage.weth]), bytes(32)
    signature = WHALE.key.sign_digest(nothing).to_bytes()  # whose it is matters to nobody here
    call = "executeSigned(bytes,bytes[],bytes32,bytes32,bool,bytes32,bytes,uint256)"
    plan = bytes((one.kind,)), [one.data], nothing, nothing, True, nothing, signature
    assert await stage.call_does_as_foretold(encode_call(call, *plan, FAR_FUTURE)) == 1


async def test_ether_is_wrapped_and_unwrapped_as_the_plan_says(stage: Stage) -> None:
    path = packed(stage.weth, 500, stage.usdc)
    half, rest = (
        swap(Command.V3_IN, ONE_ETHER // 3, 0, path, by_user=False),
        swap(Command.V3_IN, ALL, 0, packed(stage.weth, 3000, stage.usdc), by_user=False),
    )
    for amount in (ALL, ONE_ETHER):
        assert await stage.does_as_foretold(ether(Command.WRAP, ROUTER, amount), half, rest, value=ONE_ETHER) == 2
    # Wrapped for somebody else, it is not the router's to swap.
    await stage.is_refused_as_foretold(ether(Command.WRAP, SENDER, ALL), half, value=ONE_ETHER)
    await stage.is_refused_as_foretold(ether(Command.WRAP, ROUTER, ONE_ETHER + 1), half, value=ONE_ETHER)
    await stage.is_refused_as_foretold(ether(Command.WRAP, ROUTER, ONE_ETHER // 4), half, value=ONE_ETHER)
    sold = swap(Command.V3_IN, 10**9, 0, packed(stage.usdc, 500, stage.weth), to=ROUTER)
    await stage.does_as_foretold(sold, ether(Command.UNWRAP, SENDER, 1))
    await stage.is_refused_as_foretold(sold, ether(Command.UNWRAP, SENDER, ONE_ETHER))
    await stage.is_refused_as_foretold(
        swap(Command.V3_IN, 10**9, 0, packed(stage.usdc, 500, stage.weth)), ether(Command.UNWRAP, SENDER, 1)
    )


async def test_what_the_router_holds_goes_on_into_the_next_swap(stage: Stage) -> None:
    first = swap(Command.V3_IN, 10**10, 0, packed(stage.usdc, 500, stage.weth), to=ROUTER)
    also = swap(Command.V2_IN, 10**10, 0, [stage.usdc, stage.weth], to=ROUTER)
    onward = packed(stage.weth, 500, stage.wbtc)
    everything = swap(Command.V3_IN, ALL, 0, onward, by_user=False)
    assert await stage.does_as_foretold(first, also, everything) == 3
    # An output wanted leaves a rest, which the next one takes; and what is not there cannot be paid.
    bought = swap(Command.V3_OUT, 10**16, MOST, packed(stage.weth, 500, stage.usdc), to=ROUTER)
    of_it = swap(Command.V3_OUT, 10**4, MOST, packed(stage.wbtc, 500, stage.weth), by_user=False)
    rest = swap(Command.V2_IN, ALL, 0, [stage.weth, stage.usdt], by_user=False)
    assert await stage.does_as_foretold(bought, of_it, rest) == 3
    await stage.is_refused_as_foretold(bought, swap(Command.V3_IN, 10**16 + 1, 0, onward, by_user=False))
    await stage.is_refused_as_foretold(everything)
    # All that the router holds may be the measure of what the sender pays.
    assert await stage.does_as_foretold(bought, swap(Command.V3_IN, ALL, 0, onward)) == 2
    # Named by its address, the router is the router.
    named = swap(Command.V3_IN, 10**10, 0, packed(stage.usdc, 500, stage.weth), to=stage.router)
    assert await stage.does_as_foretold(named, everything) == 2


async def test_a_pair_that_was_paid_ahead_swaps_what_it_was_paid(stage: Stage) -> None:
    pair = stage.pair(stage.weth, stage.usdt)
    one = swap(Command.V2_IN, 0, 0, [stage.weth, stage.usdt])
    into = swap(Command.V3_IN, 10**9, 0, packed(stage.usdc, 500, stage.weth), to=pair)
    assert await stage.does_as_foretold(into, one) == 2
    assert await stage.does_as_foretold(paid(Command.PERMIT2_TRANSFER, stage.weth, pair, 10**17), one) == 1
    batch = transfers((WHALE.address, pair, 10**16, stage.weth), (WHALE.address, pair, 3, stage.weth))
    assert await stage.does_as_foretold(batch, one) == 1
    held = paid(Command.PERMIT2_TRANSFER, stage.weth, ROUTER, 10**16)
    assert await stage.does_as_foretold(held, paid(Command.TRANSFER, stage.weth, pair, ALL), one) == 1
    assert await stage.does_as_foretold(held, paid(Command.TRANSFER, stage.weth, pair, 10**15), one) == 1
    more = swap(Command.V2_IN, 10**15, 0, [stage.weth, stage.usdt])
    assert await stage.does_as_foretold(paid(Command.PERMIT2_TRANSFER, stage.weth, pair, 7), more) == 1
    await stage.is_refused_as_foretold(one)
    await stage.is_left_unread(transfers((FRIEND, pair, 1, stage.weth)), more, succeeds=False)


async def test_a_share_for_somebody_and_a_sweep_are_taken_from_what_the_router_holds(stage: Stage) -> None:
    first = swap(Command.V3_IN, 10**10 + 7, 0, packed(stage.usdc, 500, stage.weth), to=ROUTER)
    share = paid(Command.PAY_PORTION, stage.weth, FRIEND, 25)
    onward = swap(Command.V2_IN, ALL, 0, [stage.weth, stage.usdt], by_user=False)
    assert await stage.does_as_foretold(first, share, onward) == 2
    sweep = paid(Command.SWEEP, stage.weth, FRIEND, 1)
    assert await stage.does_as_foretold(first, sweep) == 1
    await stage.is_refused_as_foretold(first, sweep, onward)
    await stage.is_refused_as_foretold(first, paid(Command.SWEEP, stage.weth, SENDER, 100 * ONE_ETHER))
    await stage.is_refused_as_foretold(first, paid(Command.TRANSFER, stage.weth, FRIEND, 100 * ONE_ETHER))
    refund = paid(Command.SWEEP, ETHER, SENDER, 10**17)
    wrapped = ether(Command.WRAP, ROUTER, 9 * 10**17)
    assert await stage.does_as_foretold(wrapped, onward, refund, value=ONE_ETHER) == 1
    await stage.is_refused_as_foretold(wrapped, onward, refund, value=ONE_ETHER - 1)


async def test_plans_inside_plans_share_what_the_router_holds(stage: Stage) -> None:
    first = swap(Command.V3_IN, 10**10, 0, packed(stage.usdc, 500, stage.weth), to=ROUTER)
    onward = swap(Command.V2_IN, ALL, 0, [stage.weth, stage.usdt], by_user=False)
    assert await stage.does_as_foretold(sub_plan(first), sub_plan(sub_plan(onward))) == 2
    missed = swap(Command.V2_IN, 10**9, MOST, [stage.usdc, stage.weth])
    await stage.is_refused_as_foretold(first, sub_plan(missed))
    # One that may fail leaves the rest as it is: which it was, only the chain tells.
    await stage.is_left_unread(first, sub_plan(missed).may_fail, succeeds=True)
    await stage.is_left_unread(first, sub_plan(onward).may_fail, succeeds=True)


async def test_v4_is_settled_and_taken_from_in_every_way(stage: Stage) -> None:
    key, ether_key = stage.key(stage.usdc, stage.weth, 3000, 60), PoolKey(ETHER, stage.usdc, 500, 10)
    forth = key.first == stage.usdc
    swap_in = single(Action.IN_SINGLE, key, forth, 10**9, 0)
    assert await stage.does_as_foretold(v4(swap_in, settle_all(stage.usdc, 10**9), take_all(stage.weth, 1))) == 1
    swap_out = single(Action.OUT_SINGLE, key, forth, 10**15, MOST)
    assert await stage.does_as_foretold(v4(swap_out, settle_all(stage.usdc, MOST), take_all(stage.weth, 10**15))) == 1
    way = [(stage.weth, 3000, 60), (stage.wbtc, 3000, 60)]
    paths = along(Action.IN, stage.usdc, way, 10**9, 0)
    assert await stage.does_as_foretold(v4(paths, settle(stage.usdc, OPEN), take(stage.wbtc, FRIEND, OPEN))) == 2
    back = along(Action.OUT, stage.wbtc, [(stage.usdc, 3000, 60), (stage.weth, 3000, 60)], 10**4, MOST)
    assert await stage.does_as_foretold(v4(back, settle(stage.usdc, OPEN), take(stage.wbtc, SENDER, OPEN))) == 2
    # Ether itself, sent along; paid first, then swapped as a credit; a share for somebody.
    one = single(Action.IN_SINGLE, ether_key, True, OPEN, 0)
    credit = settle(ETHER, ALL, by_user=False)
    share = take(stage.usdc, FRIEND, 30, portion=True)
    plan = v4(credit, one, share, take_all(stage.usdc, 1))
    assert await stage.does_as_foretold(plan, value=ONE_ETHER) == 1
    bought = v4(
        single(Action.OUT_SINGLE, ether_key, True, 10**8, MOST), settle_all(ETHER, MOST), take_all(stage.usdc, 1)
    )
    assert await stage.does_as_foretold(bought, paid(Command.SWEEP, ETHER, SENDER, 0), value=ONE_ETHER) == 1
    await stage.is_refused_as_foretold(bought, value=10**15)
    # The debt of one swap is the output of another.
    debt = single(Action.OUT_SINGLE, key, not forth, OPEN, MOST)
    both = v4(swap_in, debt, settle_all(stage.weth, MOST), take(stage.weth, SENDER, OPEN))
    assert await stage.ends_as_foretold(both)


async def test_v4s_limits_are_those_of_its_swaps_its_payments_and_its_own_account(stage: Stage) -> None:
    key = stage.key(stage.usdc, stage.weth, 3000, 60)
    one = single(Action.IN_SINGLE, key, key.first == stage.usdc, 10**9, 0)
    await stage.is_refused_as_foretold(v4(one, settle_all(stage.usdc, 10**9 - 1), take_all(stage.weth, 1)))
    await stage.is_refused_as_foretold(v4(one, settle_all(stage.usdc, 10**9), take_all(stage.weth, ONE_ETHER)))
    missed = single(Action.IN_SINGLE, key, key.first == stage.usdc, 10**9, ONE_ETHER)
    await stage.is_refused_as_foretold(v4(missed, settle_all(stage.usdc, 10**9), take_all(stage.weth, 1)))
    dear = single(Action.OUT_SINGLE, key, key.first == stage.usdc, 10**15, 10**5)
    await stage.is_refused_as_foretold(v4(dear, settle_all(stage.usdc, MOST), take_all(stage.weth, 1)))
    # What is owed or due in the end ends the whole.
    await stage.is_refused_as_foretold(v4(one, settle_all(stage.usdc, 10**9)))
    await stage.is_refused_as_foretold(v4(one, take_all(stage.weth, 1)))
    await stage.is_refused_as_foretold(v4(one, settle(stage.usdc, 10**9 + 1), take_all(stage.weth, 1)))
    await stage.is_refused_as_foretold(v4(single(Action.IN_SINGLE, key, True, OPEN, 0)))


async def test_v4_takes_over_what_other_pools_gave_and_gives_on_to_them(stage: Stage) -> None:
    first = swap(Command.V3_IN, 10**10, 0, packed(stage.usdc, 500, stage.weth), to=ROUTER)
    also = swap(Command.V2_IN, 10**10, 0, [stage.usdc, stage.weth], to=ROUTER)
    key = stage.key(stage.weth, stage.wbtc, 3000, 60)
    one = single(Action.IN_SINGLE, key, key.first == stage.weth, OPEN, 0)
    credit = settle(stage.weth, ALL, by_user=False)
    assert await stage.does_as_foretold(first, also, v4(credit, one, take_all(stage.wbtc, 1))) == 3
    on = swap(Command.V2_IN, ALL, 0, [stage.wbtc, stage.weth], by_user=False)
    assert await stage.does_as_foretold(first, v4(credit, one, take(stage.wbtc, ROUTER, OPEN)), on) == 3
    pair = stage.pair(stage.weth, stage.wbtc)
    ahead = swap(Command.V2_IN, 0, 0, [stage.wbtc, stage.weth])
    assert await stage.does_as_foretold(first, v4(credit, one, take(stage.wbtc, pair, OPEN)), ahead) == 3


async def test_limits_of_each_hop_are_left_to_the_chain(stage: Stage) -> None:
    """Which way they are counted has changed from one version of the router to the next."""
    for limits, succeeds in (([1 << 200, 1 << 200], True), ([0, 0], False)):
        way = [(stage.weth, 3000, 60), (stage.wbtc, 3000, 60)]
        one = along(Action.IN, stage.usdc, way, 10**9, 0, limits)
        plan = v4(one, settle_all(stage.usdc, 10**9), take_all(stage.wbtc, 1))
        await stage.is_left_unread(plan, succeeds=succeeds)


async def test_the_last_liquidity_is_taken_as_the_chain_takes_it(stage: Stage) -> None:
    path = packed(stage.usdc, 10000, stage.weth)
    await stage.ends_as_foretold(swap(Command.V3_IN, 10**16, 0, path))
    await stage.ends_as_foretold(swap(Command.V3_OUT, 10**24, MOST, packed(stage.weth, 10000, stage.usdc)))
    key = stage.key(stage.usdc, stage.weth, 3000, 60)
    for action, amount in ((Action.OUT_SINGLE, 10**24), (Action.IN_SINGLE, 1 << 126)):
        one = single(action, key, key.first == stage.usdc, amount, MOST if action is Action.OUT_SINGLE else 0)
        assert await stage.ends_as_foretold(v4(one, settle_all(stage.usdc, MOST), take_all(stage.weth, 0)))
    # The pool is locked while it calls back for its input: it cannot be on the way to itself.
    twice = packed(stage.weth, 500, stage.usdc, 500, stage.weth)
    await stage.is_refused_as_foretold(swap(Command.V3_OUT, 10**15, MOST, twice))
    assert await stage.does_as_foretold(swap(Command.V3_IN, 10**15, 0, twice)) == 1


async def test_commands_that_may_move_pools_in_other_ways_are_left_unread(stage: Stage) -> None:
    one = swap(Command.V2_IN, 10**9, 0, [stage.usdc, stage.weth])
    broken = Given(Command.ACROSS, swap(Command.V3_IN, 10**9, 0, packed(stage.usdc, 500, stage.weth)).data)
    await stage.is_left_unread(one, broken, succeeds=False)
    check = paid(Command.BALANCE_CHECK, WHALE.address, stage.usdc, 1)
    await stage.is_left_unread(one, check, succeeds=True)
    await stage.does_as_foretold(one, paid(Command.BALANCE_CHECK, WHALE.address, stage.usdc, 1 << 200).may_fail)
