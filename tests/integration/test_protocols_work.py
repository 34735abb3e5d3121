"""One real action on each protocol of the devnet, checked against its own formula or its own quoter."""

from __future__ import annotations

from typing import Any

import pytest

from devnet.accounts import account
from devnet.home import Home
from devnet.manifest import Pool
from devnet.packages import Packages
from devnet.protocols.aave_v3 import FLASH_LOAN_PREMIUM_BPS, LOANS
from devnet.protocols.compilations import compile_all
from devnet.world import World
from protocol.ethereum.abi import decode, encode_call
from protocol.ethereum.keccak import keccak256
from tests.chain import Chain
from tests.conftest import quiet

pytestmark = pytest.mark.anvil

TRADER, OPERATOR, ORACLE = account("trader-0"), account("operator-0"), account("oracle-0")
ZERO = "0x" + "00" * 20
NEVER = 2**40
BORROWED = "0x" + keccak256(b"Borrowed(address,address,uint256,uint256,uint256)").hex()


def pool(world: World, name: str) -> Pool:
    return next(pool for pool in world.manifest.pools if pool.name == name)


def address(world: World, symbol: str) -> str:
    return world.manifest.token(symbol).address


@pytest.mark.parametrize(
    ("router", "name"),
    [("uniswap_v2_router", "uniswap_v2:WETH/USDC:3000"), ("sushi_router", "sushi_v2:WETH/USDC:3000")],
)
async def test_a_swap_gives_what_the_constant_product_says(router: str, name: str, chain: Chain, world: World) -> None:
    usdc, weth = address(world, "USDC"), address(world, "WETH")
    reserve0, reserve1, _ = await chain.read(
        pool(world, name).address, "getReserves()", ["uint112", "uint112", "uint32"]
    )
    reserve_in, reserve_out = (reserve0, reserve1) if usdc < weth else (reserve1, reserve0)
    amount = 25_000 * 10**6
    expected = amount * 997 * reserve_out // (reserve_in * 1000 + amount * 997)
    before = await chain.balance(weth, TRADER.address)
    swap = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
    await chain.send(
        TRADER, world.manifest.contracts[router], swap, amount, expected, [usdc, weth], TRADER.address, NEVER
    )
    assert await chain.balance(weth, TRADER.address) - before == expected


@pytest.mark.parametrize("fee_pips", [500, 3000])
async def test_a_uniswap_v3_swap_gives_what_the_quoter_says(fee_pips: int, chain: Chain, world: World) -> None:
    usdc, weth, contracts = address(world, "USDC"), address(world, "WETH"), world.manifest.contracts
    amount = 900_000 * 10**6
    quote = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
    quoted, _, ticks_crossed, _ = await chain.read(
        contracts["uniswap_v3_quoter"],
        quote,
        ["uint256", "uint160", "uint32", "uint256"],
        (usdc, weth, amount, fee_pips, 0),
    )
    before = await chain.balance(weth, OPERATOR.address)
    swap = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
    arguments = (usdc, weth, fee_pips, OPERATOR.address, NEVER, amount, quoted, 0)
    await chain.send(OPERATOR, contracts["uniswap_v3_router"], swap, arguments)
    assert await chain.balance(weth, OPERATOR.address) - before == quoted
    assert ticks_crossed >= 1


async def test_the_second_router_swaps_on_uniswap_v3_too(chain: Chain, world: World) -> None:
    usdc, weth = address(world, "USDC"), address(world, "WETH")
    swap = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"
    before = await chain.balance(weth, TRADER.address)
    arguments = (usdc, weth, 500, TRADER.address, 3_200 * 10**6, 1, 0)
    await chain.send(TRADER, world.manifest.contracts["uniswap_v3_router02"], swap, arguments)
    assert 99 * 10**16 < await chain.balance(weth, TRADER.address) - before < 101 * 10**16


@pytest.mark.parametrize(
    ("name", "sold", "bought"),
    [
        ("balancer_v2_weighted:WETH/USDC:3000", "USDC", "WETH"),
        ("balancer_v2_weighted:AAVE/WETH:3000", "AAVE", "WETH"),
        ("balancer_v2_weighted:WBTC/WETH/USDC:3000", "WBTC", "USDC"),
        ("balancer_v2_stable:USDC/USDT/DAI:400", "USDC", "DAI"),
        ("balancer_v2_stable:GUSD/USDC:400", "GUSD", "USDC"),
    ],
)
async def test_a_balancer_swap_gives_what_its_query_says(
    name: str, sold: str, bought: str, chain: Chain, world: World
) -> None:
    token, contracts = world.manifest.token(sold), world.manifest.contracts
    amount = 5_000 * 10**8 * 10**token.decimals // token.usd_price_e8
    pool_id = bytes.fromhex(pool(world, name).pool_id[2:])
    single = (pool_id, 0, token.address, address(world, bought), amount, b"")
    funds = (TRADER.address, False, TRADER.address, False)
    shape = "(bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool)"
    (quoted,) = await chain.read(contracts["balancer_queries"], f"querySwap({shape})", ["uint256"], single, funds)
    before = await chain.balance(address(world, bought), TRADER.address)
    swap = f"swap({shape},uint256,uint256)"
    await chain.send(TRADER, contracts["balancer_vault"], swap, single, funds, quoted, NEVER)
    assert await chain.balance(address(world, bought), TRADER.address) - before == quoted
    worth = quoted * world.manifest.token(bought).usd_price_e8 // 10 ** world.manifest.token(bought).decimals
    assert 4_900 * 10**8 < worth < 5_000 * 10**8


async def probe_with(chain: Chain, packages: Packages, home: Home, token: str, amount: int) -> str:
    """Deploy a borrower of flash loans that holds `amount` of `token` to pay the fee from."""
    probe = await chain.create(OPERATOR, compile_all(packages, home, quiet)["FlashLoanProbe"].creation)
    await chain.send(OPERATOR, token, "transfer(address,uint256)", probe, amount)
    return probe


def borrowed(receipt: dict[str, Any]) -> tuple[Any, ...]:
    """What the probe saw: lender, token, amount, fee, what it held meanwhile."""
    (data,) = [log["data"] for log in receipt["logs"] if log["topics"][0] == BORROWED]
    return decode(["address", "address", "uint256", "uint256", "uint256"], bytes.fromhex(data[2:]))


async def test_aave_lends_for_the_time_of_a_call(chain: Chain, world: World, packages: Packages, home: Home) -> None:
    usdc, aave = address(world, "USDC"), world.manifest.contracts["aave_pool"]
    loan = 1_000_000 * 10**6
    fee = loan * FLASH_LOAN_PREMIUM_BPS // 10_000
    probe = await probe_with(chain, packages, home, usdc, fee)
    receipt = await chain.send(OPERATOR, probe, "borrowFromAave(address,address,uint256)", aave, usdc, loan)
    assert borrowed(receipt) == (aave, usdc, loan, fee, loan + fee)
    assert await chain.balance(usdc, probe) == 0


async def test_balancer_lends_for_the_time_of_a_call_for_nothing(
    chain: Chain, world: World, packages: Packages, home: Home
) -> None:
    weth, vault = address(world, "WETH"), world.manifest.contracts["balancer_vault"]
    probe = await probe_with(chain, packages, home, weth, 0)
    receipt = await chain.send(
        OPERATOR, probe, "borrowFromBalancer(address,address,uint256)", vault, weth, 100 * 10**18
    )
    assert borrowed(receipt) == (vault, weth, 100 * 10**18, 0, 100 * 10**18)


async def test_a_flash_loan_that_is_not_paid_back_fails(
    chain: Chain, world: World, packages: Packages, home: Home
) -> None:
    usdc, aave = address(world, "USDC"), world.manifest.contracts["aave_pool"]
    probe = await probe_with(chain, packages, home, usdc, 0)
    receipt = await chain.try_send(OPERATOR, probe, "borrowFromAave(address,address,uint256)", aave, usdc, 10**12)
    assert receipt["status"] == "0x0"


async def submit(chain: Chain, world: World, symbol: str, price_e8: int) -> None:
    """Let the oracle answer the feed's next round."""
    aggregator = world.manifest.aggregators[symbol]
    (latest,) = await chain.read(aggregator, "latestRound()", ["uint256"])
    await chain.send(ORACLE, aggregator, "submit(uint256,int256)", latest + 1, price_e8)


async def test_the_oracle_moves_a_feed_and_nobody_else_does(chain: Chain, world: World) -> None:
    price = world.manifest.token("WBTC").usd_price_e8 * 101 // 100
    await submit(chain, world, "WBTC", price)
    returns = ["uint80", "int256", "uint256", "uint256", "uint80"]
    round_id, answer, *_ = await chain.read(world.manifest.feeds["WBTC"], "latestRoundData()", returns)
    assert (round_id % 2**64, answer) == (3, price)
    aggregator = world.manifest.aggregators["WBTC"]
    receipt = await chain.try_send(TRADER, aggregator, "submit(uint256,int256)", 4, 1)
    assert receipt["status"] == "0x0"


async def health(chain: Chain, world: World, borrower: str) -> int:
    """A borrower's health factor in thousandths."""
    data = await chain.read(
        world.manifest.contracts["aave_pool"], "getUserAccountData(address)", ["uint256"] * 6, borrower
    )
    return int(data[5] // 10**15)


async def test_every_borrower_is_as_near_to_liquidation_as_planned(chain: Chain, world: World) -> None:
    for index, loan in enumerate(LOANS):
        found = await health(chain, world, account(f"borrower-{index}").address)
        assert loan.health_thousandths - 2 <= found <= loan.health_thousandths + 2


async def test_a_borrower_is_liquidated_after_the_price_fell(chain: Chain, world: World) -> None:
    borrower, aave = account("borrower-0").address, world.manifest.contracts["aave_pool"]
    weth, usdc = address(world, "WETH"), address(world, "USDC")
    liquidate, debt = "liquidationCall(address,address,address,uint256,bool)", 50_000 * 10**6
    early = await chain.try_send(OPERATOR, aave, liquidate, weth, usdc, borrower, debt, False)
    assert early["status"] == "0x0"
    price = world.manifest.token("WETH").usd_price_e8 * 97 // 100
    await submit(chain, world, "WETH", price)
    assert await health(chain, world, borrower) < 1000
    weth_before, usdc_before = await chain.balance(weth, OPERATOR.address), await chain.balance(usdc, OPERATOR.address)
    await chain.send(OPERATOR, aave, liquidate, weth, usdc, borrower, debt, False)
    gained = await chain.balance(weth, OPERATOR.address) - weth_before
    paid = usdc_before - await chain.balance(usdc, OPERATOR.address)
    assert paid == debt
    assert abs(gained - debt * 10**12 * 10**8 * 105 // 100 // price) < 10**13  # five percent more than was paid


SAFE_CALL = "(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address"


async def test_two_of_three_owners_move_the_safes_ether(chain: Chain, world: World) -> None:
    safe, receiver = world.manifest.contracts["safe"], "0x" + "ab" * 20
    await chain.rpc.call("anvil_setBalance", safe, hex(10**18))
    call = (receiver, 10**17, b"", 0, 0, 0, 0, ZERO, ZERO)
    (digest,) = await chain.read(safe, f"getTransactionHash{SAFE_CALL},uint256)", ["bytes32"], *call, 0)
    owners = sorted((account(f"safe-owner-{i}") for i in range(2)), key=lambda owner: owner.address)
    signatures = [owner.key.sign_digest(digest).to_bytes() for owner in owners]
    execute = f"execTransaction{SAFE_CALL},bytes)"
    alone = await chain.try_send(OPERATOR, safe, execute, *call, signatures[0])
    assert alone["status"] == "0x0"
    await chain.send(OPERATOR, safe, execute, *call, b"".join(signatures))
    assert int(await chain.rpc.call("eth_getBalance", receiver, "latest"), 16) == 10**17


async def test_multicall_answers_many_calls_at_once(chain: Chain, world: World) -> None:
    symbols = [token.symbol for token in world.manifest.tokens]
    calls = [(address(world, symbol), False, encode_call("symbol()")) for symbol in symbols]
    (results,) = await chain.read(
        world.manifest.contracts["multicall3"], "aggregate3((address,bool,bytes)[])", ["(bool,bytes)[]"], calls
    )
    assert [decode(["string"], data)[0] for _, data in results] == symbols


async def test_less_arrives_of_a_token_that_takes_a_fee(chain: Chain, world: World) -> None:
    token, receiver = address(world, "FEE"), "0x" + "cd" * 20
    await chain.send(TRADER, token, "transfer(address,uint256)", receiver, 10_000)
    assert await chain.balance(token, receiver) == 9_900


async def test_a_router_swaps_a_token_that_takes_a_fee_only_where_it_supports_that(chain: Chain, world: World) -> None:
    router, path = world.manifest.contracts["uniswap_v2_router"], [address(world, "FEE"), address(world, "WETH")]
    arguments = (1_000 * 10**18, 1, path, TRADER.address, NEVER)
    plain = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
    refused = await chain.try_send(TRADER, router, plain, *arguments)
    assert refused["status"] == "0x0"
    await chain.send(TRADER, router, plain.replace("Tokens(", "TokensSupportingFeeOnTransferTokens("), *arguments)


async def test_all_balances_of_a_rebasing_token_move_at_once(chain: Chain, world: World) -> None:
    token, deployer = address(world, "REB"), account("deployer")
    before = [await chain.balance(token, account(f"trader-{i}").address) for i in range(3)]
    await chain.send(deployer, token, "rebase(uint256)", 11 * 10**17)
    after = [await chain.balance(token, account(f"trader-{i}").address) for i in range(3)]
    assert after == [balance * 11 // 10 for balance in before]
    refused = await chain.try_send(TRADER, token, "rebase(uint256)", 2 * 10**18)
    assert refused["status"] == "0x0"


async def test_a_rebase_leaves_a_pair_with_more_than_its_reserves(chain: Chain, world: World) -> None:
    pair, token = pool(world, "uniswap_v2:REB/WETH:3000"), address(world, "REB")
    await chain.send(account("deployer"), token, "rebase(uint256)", 11 * 10**17)
    reserves = await chain.read(pair.address, "getReserves()", ["uint112", "uint112", "uint32"])
    reserve = reserves[pair.tokens.index("REB")]
    assert await chain.balance(token, pair.address) == reserve * 11 // 10
    await chain.send(TRADER, pair.address, "sync()")
    synced = await chain.read(pair.address, "getReserves()", ["uint112", "uint112", "uint32"])
    assert synced[pair.tokens.index("REB")] == reserve * 11 // 10


async def test_a_blocked_account_cannot_sell(chain: Chain, world: World) -> None:
    token, router = address(world, "BAN"), world.manifest.contracts["uniswap_v2_router"]
    arguments = (10**18, 1, [token, address(world, "WETH")], TRADER.address, NEVER)
    swap = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
    await chain.send(TRADER, router, swap, *arguments)
    await chain.send(account("deployer"), token, "setBlocked(address,bool)", TRADER.address, True)
    refused = await chain.try_send(TRADER, router, swap, *arguments)
    assert refused["status"] == "0x0"
