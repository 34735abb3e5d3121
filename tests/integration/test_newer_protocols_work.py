"""Real actions on Uniswap V4, our StableSwap pool, Morpho Blue and the vault with shares, against their formulas."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from devnet.accounts import account
from devnet.artifacts import load
from devnet.manifest import MorphoMarket, Pool
from devnet.packages import Packages
from devnet.protocols import morpho_blue, share_vault, uniswap_v4
from devnet.world import World
from node.pipeline.amm import curve_stableswap
from node.pipeline.amm.curve_stableswap import CurvePool
from protocol.ethereum.abi import decode
from tests.chain import Chain

pytestmark = pytest.mark.anvil

TRADER, OPERATOR, ORACLE = account("trader-0"), account("operator-0"), account("oracle-0")
APPROVE = "approve(address,uint256)"
CURVE_STEPS = 30
V4_POOLS = ("WETH/USDC:500", "WETH/USDC:3000", "WBTC/WETH:3000", "USDC/USDT:100")


def pool(world: World, name: str) -> Pool:
    return next(pool for pool in world.manifest.pools if pool.name == name)


def address(world: World, symbol: str) -> str:
    return world.manifest.token(symbol).address


async def held(chain: Chain, currency: str, owner: str) -> int:
    """A balance of a token, or of ether."""
    if currency == uniswap_v4.NATIVE:
        return int(await chain.rpc.call("eth_getBalance", owner, "latest"), 16)
    return await chain.balance(currency, owner)


@pytest.mark.parametrize("name", V4_POOLS)
async def test_a_uniswap_v4_swap_gives_what_the_quoter_says(
    name: str, chain: Chain, world: World, packages: Packages
) -> None:
    found = pool(world, f"uniswap_v4:{name}")
    currencies = [address(world, symbol) for symbol in found.tokens]
    if found.native_ether:
        currencies[0] = uniswap_v4.NATIVE
    key = (*currencies, found.fee_pips, found.tick_spacing, uniswap_v4.NATIVE)
    sold = world.manifest.token(found.tokens[1])
    amount = 20_000 * 10**8 * 10**sold.decimals // sold.usd_price_e8
    quote = f"quoteExactInputSingle(({uniswap_v4.KEY},bool,uint128,bytes))"
    quoter = world.manifest.contracts["uniswap_v4_quoter"]
    quoted, _ = await chain.read(quoter, quote, ["uint256", "uint256"], (key, False, amount, b""))
    artifact = load(packages, f"{uniswap_v4.ARTIFACTS}/PoolSwapTest.sol/PoolSwapTest.default.json")
    manager = world.manifest.contracts["uniswap_v4_pool_manager"]
    router = await chain.create(OPERATOR, artifact.creation, ("address",), (manager,))
    await chain.send(TRADER, sold.address, APPROVE, router, amount)
    before = await held(chain, currencies[0], TRADER.address)
    swap = f"swap({uniswap_v4.KEY},(bool,int256,uint160),(bool,bool),bytes)"
    highest = 1461446703485210103287273052203988822378723970341
    receipt = await chain.send(TRADER, router, swap, key, (False, -amount, highest), (False, False), b"")
    fees = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16) if found.native_ether else 0
    assert await held(chain, currencies[0], TRADER.address) - before + fees == quoted
    bought = world.manifest.token(found.tokens[0])
    worth = quoted * bought.usd_price_e8 // 10**bought.decimals
    assert 19_600 * 10**8 < worth < 20_000 * 10**8


async def test_every_position_of_uniswap_v4_belongs_to_a_provider(untouched_chain: Chain, world: World) -> None:
    manager = world.manifest.contracts["uniswap_v4_position_manager"]
    counts = [
        (await untouched_chain.read(manager, "balanceOf(address)", ["uint256"], account(name).address))[0]
        for name in world.manifest.funded["liquidity_provider"]
    ]
    (minted,) = await untouched_chain.read(manager, "nextTokenId()", ["uint256"])
    assert sum(counts) == minted - 1 >= 25


async def curve_state(chain: Chain, world: World, found: Pool) -> CurvePool:
    """Our picture of the pool, read from the chain."""

    async def number(signature: str, *arguments: int) -> int:
        return int((await chain.read(found.address, signature, ["uint256"], *arguments))[0])

    decimals = [world.manifest.token(symbol).decimals for symbol in found.tokens]
    return CurvePool(
        balances=tuple([await number("balances(uint256)", index) for index in range(len(decimals))]),
        rates=tuple(10 ** (36 - digits) for digits in decimals),
        amplification=await number("A_precise()"),
        fee=await number("fee()"),
        admin_fee=await number("admin_fee()"),
    )


async def test_every_exchange_on_the_stable_swap_pool_leaves_it_as_curves_formulas_say(
    chain: Chain, world: World
) -> None:
    found, random = pool(world, "curve_stable:DAI/USDC/USDT:400"), Random(7)
    state = await curve_state(chain, world, found)
    assert (state.amplification, state.fee) == (20_000, 4 * 10**6)
    coins = [address(world, symbol) for symbol in found.tokens]
    for coin in coins:
        await chain.send(OPERATOR, coin, APPROVE, found.address, 2**256 - 1)
    for _ in range(CURVE_STEPS):
        sold, bought = random.sample(range(len(coins)), 2)
        decimals = world.manifest.token(found.tokens[sold]).decimals
        amount = random.randrange(1, 10 ** random.randrange(1, decimals + 6))
        order = (sold, bought, amount)
        (quoted,) = await chain.read(found.address, "get_dy(int128,int128,uint256)", ["uint256"], *order)
        state, expected = curve_stableswap.exchange(state, *order)
        before = await chain.balance(coins[bought], OPERATOR.address)
        await chain.send(OPERATOR, found.address, "exchange(int128,int128,uint256,uint256)", *order, expected)
        assert await chain.balance(coins[bought], OPERATOR.address) - before == expected == quoted
        assert await curve_state(chain, world, found) == state


async def test_deposits_and_withdrawals_of_the_stable_swap_pool_are_curves_too(chain: Chain, world: World) -> None:
    found = pool(world, "curve_stable:DAI/USDC/USDT:400")
    for symbol in found.tokens:
        await chain.send(OPERATOR, address(world, symbol), APPROVE, found.address, 2**256 - 1)
    (supply,) = await chain.read(found.address, "totalSupply()", ["uint256"])
    uneven = (250_000 * 10**18, 0, 1_000 * 10**6)
    state, minted = curve_stableswap.add_liquidity(await curve_state(chain, world, found), uneven, supply)
    await chain.send(OPERATOR, found.address, "add_liquidity(uint256[3],uint256)", uneven, minted)
    assert await curve_state(chain, world, found) == state
    assert await chain.balance(found.address, OPERATOR.address) == minted
    (price,) = await chain.read(found.address, "get_virtual_price()", ["uint256"])
    assert price == curve_stableswap.virtual_price(state, supply + minted)
    await chain.send(OPERATOR, found.address, "remove_liquidity(uint256,uint256[3])", minted, (0, 0, 0))
    left = tuple(balance - balance * minted // (supply + minted) for balance in state.balances)
    assert (await curve_state(chain, world, found)).balances == left


@pytest.mark.parametrize("order", [(0, 0, 10), (3, 0, 10), (-1, 0, 10)])
async def test_the_stable_swap_pool_refuses_coins_it_has_not(
    order: tuple[int, int, int], chain: Chain, world: World
) -> None:
    found = pool(world, "curve_stable:DAI/USDC/USDT:400")
    refused = await chain.try_send(OPERATOR, found.address, "exchange(int128,int128,uint256,uint256)", *order, 0)
    assert refused["status"] == "0x0"


def params(world: World, market: MorphoMarket) -> tuple[Any, ...]:
    tokens = address(world, market.debt), address(world, market.collateral)
    return (*tokens, market.oracle, market.irm, market.lltv)


async def morpho_health(chain: Chain, world: World, market: MorphoMarket, borrower: str) -> int:
    """What a loan may be at most, in thousandths of what it is."""
    morpho, market_id = world.manifest.contracts["morpho"], bytes.fromhex(market.id[2:])
    await chain.send(OPERATOR, morpho, f"accrueInterest({morpho_blue.PARAMS})", params(world, market))
    position = ["uint256", "uint128", "uint128"]
    _, shares, collateral = await chain.read(morpho, "position(bytes32,address)", position, market_id, borrower)
    *_, assets, all_shares, _, _ = await chain.read(morpho, "market(bytes32)", ["uint128"] * 6, market_id)
    (price,) = await chain.read(market.oracle, "price()", ["uint256"])
    owed = -(-shares * (assets + 1) // (all_shares + 10**6))
    return int(collateral * price // 10**36 * market.lltv // 10**18 * 1000 // owed)


async def test_every_borrower_on_morpho_is_as_near_to_liquidation_as_planned(chain: Chain, world: World) -> None:
    loans = [loan for market in morpho_blue.MARKETS for loan in market.loans]
    borrowers = [(market, name) for market in world.manifest.morpho_markets for name in market.borrowers]
    for loan, (market, name) in zip(loans, borrowers, strict=True):
        found = await morpho_health(chain, world, market, account(name).address)
        assert loan.health_thousandths - 2 <= found <= loan.health_thousandths, name


async def test_a_borrower_on_morpho_is_liquidated_after_the_price_fell(chain: Chain, world: World) -> None:
    market, morpho = world.manifest.morpho_markets[0], world.manifest.contracts["morpho"]
    borrower, weth, usdc = account(market.borrowers[0]).address, address(world, "WETH"), address(world, "USDC")
    await chain.send(OPERATOR, usdc, APPROVE, morpho, 2**256 - 1)
    liquidate = f"liquidate({morpho_blue.PARAMS},address,uint256,uint256,bytes)"
    order = (params(world, market), borrower, 10**18, 0, b"")
    early = await chain.try_send(OPERATOR, morpho, liquidate, *order)
    assert early["status"] == "0x0"
    aggregator = world.manifest.aggregators["WETH"]
    (latest,) = await chain.read(aggregator, "latestRound()", ["uint256"])
    price = world.manifest.token("WETH").usd_price_e8 * 97 // 100
    await chain.send(ORACLE, aggregator, "submit(uint256,int256)", latest + 1, price)
    before = [await chain.balance(token, OPERATOR.address) for token in (weth, usdc)]
    await chain.send(OPERATOR, morpho, liquidate, *order)
    after = [await chain.balance(token, OPERATOR.address) for token in (weth, usdc)]
    assert after[0] - before[0] == 10**18
    bonus = 10_438  # 1 / (1 - 0.3 * (1 - 0.86)), in 1e-4
    paid = price * 10**6 * 10_000 // (10**8 * bonus)
    assert abs(before[1] - after[1] - paid) < paid // 10_000


async def test_morpho_lends_only_against_collateral(chain: Chain, world: World) -> None:
    market, morpho = world.manifest.morpho_markets[1], world.manifest.contracts["morpho"]
    borrow = f"borrow({morpho_blue.PARAMS},uint256,uint256,address,address)"
    order = (params(world, market), 10**18, 0, TRADER.address, TRADER.address)
    assert (await chain.try_send(TRADER, morpho, borrow, *order))["status"] == "0x0"
    wbtc, deposit = address(world, "WBTC"), f"supplyCollateral({morpho_blue.PARAMS},uint256,address,bytes)"
    await chain.send(TRADER, wbtc, APPROVE, morpho, 10**6)
    await chain.send(TRADER, morpho, deposit, params(world, market), 10**6, TRADER.address, b"")
    await chain.send(TRADER, morpho, borrow, *order)


async def test_the_oracle_of_a_market_is_the_quotient_of_two_feeds(untouched_chain: Chain, world: World) -> None:
    for market in world.manifest.morpho_markets:
        collateral, debt = world.manifest.token(market.collateral), world.manifest.token(market.debt)
        digits = 36 + debt.decimals - collateral.decimals
        (price,) = await untouched_chain.read(market.oracle, "price()", ["uint256"])
        assert price == collateral.usd_price_e8 * 10**digits // debt.usd_price_e8


async def test_a_share_of_the_vault_has_earned_something(chain: Chain, world: World) -> None:
    vault, asset = world.manifest.contracts["share_vault"], address(world, share_vault.ASSET)
    one = 10 ** (world.manifest.token(share_vault.ASSET).decimals + share_vault.OFFSET)
    (worth,) = await chain.read(vault, "convertToAssets(uint256)", ["uint256"], one)
    assert worth == 1_030_000 - 1  # rounded down
    await chain.send(TRADER, asset, APPROVE, vault, 10**9)
    before = await chain.balance(asset, TRADER.address)
    receipt = await chain.send(TRADER, vault, "deposit(uint256,address)", 10**9, TRADER.address)
    shares = await chain.balance(vault, TRADER.address)
    assert decode(["uint256", "uint256"], bytes.fromhex(receipt["logs"][-1]["data"][2:])) == (10**9, shares)
    await chain.send(TRADER, vault, "redeem(uint256,address,address)", shares, TRADER.address, TRADER.address)
    assert 0 <= before - await chain.balance(asset, TRADER.address) <= 1
