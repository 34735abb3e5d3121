"""The rival and the sandwich attacker: what they see, how they size it, what they offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from devnet.actors import calls
from devnet.actors.cycles import CycleFinder, disjoint
from devnet.actors.intents import BundleIntent, Foreign, Intent
from devnet.actors.parameters import load_parameters
from devnet.actors.pending import PendingReader
from devnet.actors.randomness import Dice
from devnet.actors.rival import Rival
from devnet.actors.sandwicher import Sandwicher
from devnet.actors.view import ConstantProductState, View
from protocol.ethereum.abi import decode_call
from tests.actors_scene import (
    ETHER,
    RIVALS,
    SANDWICHERS,
    SUSHI_USDC,
    V2_LINK,
    V2_USDC,
    V3_USDC,
    address,
    announced,
    make_market,
    make_view,
    pending_swap,
    reserves,
    units,
    v2_swap,
    with_pools,
)

MARKET = make_market()
DEFAULTS = load_parameters()
SEEING = replace(DEFAULTS.rival, sees=Decimal(1), knows=Decimal(1))
ATTACKING = replace(DEFAULTS.sandwicher, sees=Decimal(1), flash_share=Decimal(0), greedy_share=Decimal(0))


def apart(percent: int) -> View:
    """Return a view in which ether costs so much more at Sushi."""
    dollars, ether = reserves(SUSHI_USDC, 3_000_000)
    return with_pools(make_view(), SUSHI_USDC=ConstantProductState((dollars, ether * 100 // (100 + percent))))


def own_of(bundle: BundleIntent) -> list[Intent]:
    return [part for part in bundle.parts if isinstance(part, Intent)]


def test_pools_that_agree_offer_nothing() -> None:
    assert CycleFinder(MARKET).find(make_view().pools, 10**24) == []
    assert Rival(MARKET, SEEING, RIVALS).plan(make_view(), [], Dice(1)) == []


def test_a_gap_is_found_and_the_cycle_buys_where_it_is_cheap() -> None:
    best = CycleFinder(MARKET).find(apart(3).pools, 10**24)[0]
    assert best.hops[0].pool.name == SUSHI_USDC.name  # ether is dear at Sushi: sell it there
    assert best.hops[0].token_in == "WETH"
    assert best.profit > ETHER // 10


def test_the_closed_form_gives_what_the_pools_give_and_no_other_size_gives_more() -> None:
    view = apart(3)
    opportunities = CycleFinder(MARKET).find(view.pools, 10**24)
    assert {len(opportunity.hops) for opportunity in opportunities} == {2, 3}
    for opportunity in opportunities:
        path = [hop.pool for hop in opportunity.hops]

        def profit(amount: int, path: list[Any] = path) -> int:
            return MARKET.path_out(view.pools, path, "WETH", amount) - amount

        # pools round down at each hop, in units as coarse as 1e-6 dollars
        assert abs(profit(opportunity.amount_in) - opportunity.profit) < 10**11
        for other in (opportunity.amount_in * 9 // 10, opportunity.amount_in * 11 // 10):
            assert profit(other) < opportunity.profit


def test_who_knows_fewer_cycles_finds_fewer_and_always_the_same() -> None:
    some, again, everything = (len(CycleFinder(MARKET, Decimal(known)).cycles) for known in ("0.5", "0.5", "1"))
    assert 0 < some == again < everything


def test_a_greedy_attacker_takes_more_victims_for_less() -> None:
    targets = [victim(ether=10), victim(sender="trader-1", ether=2)]
    plans = [sandwich(*targets, parameters=replace(ATTACKING, greedy_share=Decimal(share)))[0] for share in (0, 1)]
    taken = [len(plan.parts) - 2 for plan in plans]
    profits = [int(str(plan.detail["expected_profit"])) for plan in plans]
    assert taken[0] <= taken[1] == 2
    assert profits[0] >= profits[1]


def test_capital_bounds_the_size() -> None:
    best = CycleFinder(MARKET).find(apart(3).pools, 10**17)[0]
    assert best.amount_in == 10**17


def test_disjoint_opportunities_share_no_pool() -> None:
    chosen = disjoint(CycleFinder(MARKET).find(apart(3).pools, 10**24))
    names = [hop.pool.name for opportunity in chosen for hop in opportunity.hops]
    assert chosen
    assert len(names) == len(set(names))


def test_the_rival_bids_for_a_cycle_with_one_bundle_an_account() -> None:
    view = apart(3)
    for bundle, account in zip(Rival(MARKET, SEEING, RIVALS).plan(view, [], Dice(1)), RIVALS, strict=False):
        (own,) = own_of(bundle)
        amount, least, bid, hops = decode_call("run(uint256,uint256,uint256,(address,bool,bool,uint24)[])", own.data)
        assert (own.account, own.to) == (account, address("rival_executor"))
        assert amount <= view.balances["rival_executor", "WETH"] // 2
        assert 0 < least < int(str(bundle.detail["expected_profit"]))
        assert bid in (5000, 7000, 9000)
        assert 2 <= len(hops) <= 3


def test_a_blind_rival_offers_nothing() -> None:
    assert Rival(MARKET, replace(SEEING, sees=Decimal(0)), RIVALS).plan(apart(3), [], Dice(1)) == []


def test_the_rival_is_deterministic() -> None:
    rival = Rival(MARKET, DEFAULTS.rival, RIVALS)
    assert [rival.plan(apart(3), [], Dice(1, n)) for n in range(9)] == [
        rival.plan(apart(3), [], Dice(1, n)) for n in range(9)
    ]


def test_a_large_pending_swap_is_backrun_behind_itself() -> None:
    swap = pending_swap((V2_USDC,), "WETH", 60 * ETHER, 1)
    (bundle, *_) = Rival(MARKET, SEEING, RIVALS).plan(make_view(), [swap], Dice(1))
    assert bundle.action == "backrun"
    assert bundle.parts[0] == swap.transaction
    assert V2_USDC.name in bundle.detail["pools"]  # type: ignore[operator]
    assert Rival(MARKET, replace(SEEING, backruns=False), RIVALS).plan(make_view(), [swap], Dice(1)) == []


def sandwich(*victims: Any, view: View | None = None, parameters: Any = ATTACKING, seed: int = 1) -> list[BundleIntent]:
    return Sandwicher(MARKET, parameters, SANDWICHERS).plan(view or make_view(), list(victims), Dice(seed))


def victim(pool: Any = V2_USDC, ether: int = 20, tolerance_percent: int = 2, sender: str = "trader-0") -> Any:
    amount = ether * ETHER
    out = MARKET.amount_out(pool, make_view().pools[pool.name], "WETH", "USDC", amount)
    return pending_swap((pool,), "WETH", amount, out * (100 - tolerance_percent) // 100, sender=sender)


def replayed(pool: Any, amounts: list[tuple[str, int]]) -> list[int]:
    state, outs = make_view().pools[pool.name], []
    for token, amount in amounts:
        state, out = MARKET.swapped(pool, state, token, amount)
        outs.append(out)
    return outs


def test_a_tolerant_swap_is_sandwiched_and_still_gets_its_least() -> None:
    target = victim()
    (bundle,) = sandwich(target)
    front, middle, back = bundle.parts
    assert isinstance(front, Intent)
    assert isinstance(back, Intent)
    assert middle == target.transaction
    front_in, front_least, *_ = decode_call(calls.V2_EXACT_IN, front.data)
    back_in, *_ = decode_call(calls.V2_EXACT_IN, back.data)
    front_out, victim_out, back_out = replayed(
        V2_USDC, [("WETH", front_in), ("WETH", target.amount_in), ("USDC", back_in)]
    )
    assert front_out == front_least == back_in
    assert target.minimum_out <= victim_out < target.minimum_out * 1001 // 1000
    assert back_out - front_in == int(str(bundle.detail["expected_profit"])) > ETHER // 100
    assert front.account == back.account
    assert back.tip > front.tip


def test_a_swap_without_tolerance_or_of_a_token_without_price_is_left_alone() -> None:
    assert sandwich(victim(tolerance_percent=0)) == []
    assert sandwich(pending_swap((V2_LINK,), "LINK", units("LINK", 100_000), 1)) == []


def test_several_victims_of_one_pool_are_taken_together() -> None:
    targets = [victim(sender=f"trader-{n}", ether=2) for n in range(5)]
    (bundle,) = sandwich(*targets)
    foreign = [part for part in bundle.parts if isinstance(part, Foreign)]
    assert foreign == [target.transaction for target in targets[: ATTACKING.maximum_victims]]
    assert bundle.detail["victims"] == [part.hash for part in foreign]


def test_a_victim_that_leaves_no_room_does_not_spoil_the_others() -> None:
    generous, strict = victim(ether=40), victim(sender="trader-1", tolerance_percent=0)
    (bundle,) = sandwich(strict, generous)
    assert bundle.detail["victims"] == [generous.transaction.hash]


def test_v3_and_flash_swap_are_variants_of_their_own() -> None:
    (bundle,) = sandwich(victim(V3_USDC, ether=300))
    assert bundle.action == "sandwich_v3"
    assert {own.to for own in own_of(bundle)} == {address("uniswap_v3_router")}
    (bundle,) = sandwich(victim(), parameters=replace(ATTACKING, flash_share=Decimal(1)))
    assert bundle.action == "sandwich_flash"
    for own, zero_for_one in zip(own_of(bundle), (False, True), strict=True):
        assert own.to == address("sandwich_executor")
        arguments = decode_call("swap(address,bool,uint256,uint256,uint256)", own.data)
        assert (arguments[0], arguments[1], arguments[4]) == (V2_USDC.address, zero_for_one, 3000)


def test_an_attacker_without_funds_or_luck_does_nothing() -> None:
    assert sandwich(victim(), view=make_view(balances={})) == []
    assert sandwich(victim(), parameters=replace(ATTACKING, sees=Decimal(0))) == []
    assert sandwich(victim(), parameters=replace(ATTACKING, minimum_profit_eth=Decimal(50))) == []


def test_two_sandwiches_of_a_block_use_two_accounts_and_two_pools() -> None:
    bundles = sandwich(victim(), victim(SUSHI_USDC, sender="trader-1"), victim(V3_USDC, 300, sender="trader-2"))
    assert len(bundles) == ATTACKING.sandwiches_per_block == 2
    assert len({own_of(bundle)[0].account for bundle in bundles}) == 2
    assert len({str(bundle.detail["pool"]) for bundle in bundles}) == 2


def read(*bodies: Mapping[str, Any]) -> list[Any]:
    return PendingReader(MARKET).swaps(bodies)


def test_a_router_swap_is_read_from_its_announcement() -> None:
    body = announced(v2_swap("trader-0", 10**18, 5, ["WETH", "USDC"]))
    (swap,) = read(body)
    assert (swap.path, swap.token_in, swap.amount_in, swap.minimum_out) == ((V2_USDC,), "WETH", 10**18, 5)
    assert swap.transaction.hash == body["hash"]
    assert swap.sender == body["from"]


def test_v3_swaps_of_one_and_two_hops_are_read() -> None:
    base = v2_swap("trader-0", 1, 1, ["WETH", "USDC"])
    to = address("uniswap_v3_router")
    tokens = [address(symbol) for symbol in ("USDC", "WETH", "LINK")]
    single = calls.v3_exact_in(7, 3, tokens[:2], [500], address("me"), 2**40)
    double = calls.v3_exact_in(7, 3, tokens, [500, 3000], address("me"), 2**40)
    paths = [read(announced(replace(base, to=to, data=data)))[0].path for data in (single, double)]
    assert [len(path) for path in paths] == [1, 2]
    assert paths[0] == (V3_USDC,)


def test_ether_counts_as_what_is_spent() -> None:
    data = calls.v2_exact_ether_in(5, [address("WETH"), address("USDC")], address("me"), 2**40)
    (swap,) = read(announced(replace(v2_swap("trader-0", 1, 1, ["WETH"]), data=data, value=3 * ETHER)))
    assert (swap.token_in, swap.amount_in) == ("WETH", 3 * ETHER)


def test_only_the_first_transaction_of_a_sender_can_be_bundled() -> None:
    swap = v2_swap("trader-0", 10**18, 5, ["WETH", "USDC"])
    later, first = announced(swap, nonce=8), announced(swap, nonce=7)
    assert [found.nonce for found in read(later, first)] == [7]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x38\xed\x17\x39",
        b"\x38\xed\x17\x39" + b"\xff" * 64,
        calls.v2_exact_in(0, 1, [address("WETH"), address("USDC")], address("me"), 1, odd=False),
        calls.v2_exact_in(5, 1, [address("WETH"), address("nothing")], address("me"), 1, odd=False),
        calls.v2_exact_in(5, 1, [address("WETH")], address("me"), 1, odd=False),
        calls.v2_exact_in(5, 1, [], address("me"), 1, odd=False),
        calls.v2_exact_out(5, 9, [address("WETH"), address("USDC")], address("me"), 1),
    ],
)
def test_call_data_that_makes_no_sense_is_ignored(data: bytes) -> None:
    assert read(announced(replace(v2_swap("trader-0", 1, 1, ["WETH", "USDC"]), data=data))) == []


def test_a_body_that_does_not_hash_to_its_hash_is_ignored() -> None:
    body = dict(announced(v2_swap("trader-0", 10**18, 5, ["WETH", "USDC"])))
    assert read({**body, "value": "0x1"}) == []
    assert read({**body, "to": None}) == []
