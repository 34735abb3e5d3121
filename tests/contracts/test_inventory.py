"""Inventory mode from Python: limits, trades and deposits, with the genuine feed, pool and Safe; the theft bound."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest

from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.errors import RpcError
from devnet.manifest import OperatorVault
from devnet.world import World
from governance.contracts import ARB_EXECUTOR, VAULT_MODULE, error_meanings
from governance.executor import BalancerLoan, ConcentratedHop, Plan
from governance.inventory import InventoryLimits, MarketLimits, deposit_call, deposit_change, trade_call
from governance.reverts import explain_revert
from governance.vaults import Change, ChangeKind, SafeTransaction, enact_call, propose_call, tighten_call
from protocol.errors import InvalidField
from protocol.units import Address, BasisPoints, BlockNumber, ChainId, TokenAmount, Wei
from tests.chain import Chain

ETHER, DOLLAR = 10**18, 10**6
EXCHANGE = Address(b"\x05" * 20)
POOL = "uniswap_v3:WETH/USDC:500"


def raw(address: str) -> Address:
    return Address(bytes.fromhex(address[2:]))


LIMITS = InventoryLimits(
    unit=Address(b"\x01" * 20),
    loss_band=BasisPoints(100),
    agreement=BasisPoints(200),
    max_loss=TokenAmount(1_000 * DOLLAR),
    max_turnover=TokenAmount(50_000 * DOLLAR),
)


def plan_to(token: Address, block: int = 1) -> Plan:
    hop = ConcentratedHop(token_out=token, fee_pips=500, minimum_out=TokenAmount(1))
    return Plan(
        last_block=BlockNumber(block),
        minimum_profit=TokenAmount(1),
        builder_payment=Wei(0),
        loan=None,
        hops=(hop,),
    )


@pytest.mark.parametrize(
    ("error", "days", "priced", "bound"),
    [
        (0, 0, 2, 1_000_000_000),
        (100, 0, 1, 1_505_050_506),  # 50,000 · 1/99 on top
        (100, 0, 2, 2_000_100_011),  # 50,000 · (100/99 - 100/101)
        (100, 0, 7, 2_000_100_011),
        (100, 3, 2, 4 * 2_000_100_011),
        (5_000, 0, 1, 51_000_000_000),
    ],
)
def test_a_thief_takes_at_most_what_the_buckets_hold_and_leak(error: int, days: int, priced: int, bound: int) -> None:
    assert LIMITS.theft_bound_rounded_up(BasisPoints(error), days, priced_tokens=priced) == bound


@pytest.mark.parametrize("error", [1, 100, 3_333])
def test_the_bound_is_what_is_lost_where_both_prices_are_off_as_far_as_they_may_be(error: int) -> None:
    off, turnover = Fraction(error, 10_000), Fraction(LIMITS.max_turnover)
    given, got = turnover / (1 - off), turnover / (1 + off)  # what both sides that count the same were worth
    assert LIMITS.theft_bound_rounded_up(BasisPoints(error)) == LIMITS.max_loss + ceil(given - got)
    one = LIMITS.theft_bound_rounded_up(BasisPoints(error), priced_tokens=1)
    assert one == LIMITS.max_loss + ceil(max(given - turnover, turnover - got))


def test_an_error_in_the_price_is_rounded_against_the_vault() -> None:
    odd = replace(LIMITS, max_turnover=TokenAmount(1), max_loss=TokenAmount(0))
    assert odd.theft_bound_rounded_up(BasisPoints(1)) == 1
    with pytest.raises(InvalidField, match="negative"):
        odd.theft_bound_rounded_up(BasisPoints(1), days=-1)
    with pytest.raises(InvalidField, match="wrong altogether"):
        odd.theft_bound_rounded_up(BasisPoints(10_000))


def test_a_trade_that_the_module_would_refuse_is_not_built() -> None:
    safe, sold, bought = (Address(bytes([i]) * 20) for i in (1, 2, 3))
    plan, amount = plan_to(bought), TokenAmount(1)
    with pytest.raises(InvalidField, match="something else"):
        trade_call(safe, sold, amount, sold, plan)
    with pytest.raises(InvalidField, match="something else"):
        trade_call(safe, sold, TokenAmount(0), bought, plan)
    with pytest.raises(InvalidField, match="borrows nothing"):
        trade_call(
            safe,
            sold,
            amount,
            bought,
            Plan(
                last_block=plan.last_block,
                minimum_profit=plan.minimum_profit,
                builder_payment=plan.builder_payment,
                loan=BalancerLoan(TokenAmount(1)),
                hops=plan.hops,
            ),
        )
    with pytest.raises(InvalidField, match="last hop"):
        trade_call(safe, sold, amount, safe, plan)


def test_what_does_not_fit_beside_an_address_is_refused_by_name() -> None:
    with pytest.raises(InvalidField, match="daily_cap"):
        deposit_change(EXCHANGE, EXCHANGE, TokenAmount(1 << 96))


class InventoryVault:
    """A Safe of the world whose vault trades WETH against dollars."""

    def __init__(self, chain: Chain, world: World) -> None:
        self.chain, self.manifest = chain, world.manifest
        operator = world.manifest.operators[0]
        self.owners = [account(name) for name in operator.owners[:2]]
        self.vault: OperatorVault = operator.vaults[0]
        self.module = world.manifest.contracts["vault_module"]
        self.safe = raw(self.vault.safe)

    def token(self, symbol: str) -> Address:
        return raw(self.manifest.token(symbol).address)

    async def by_safe(self, data: bytes) -> None:
        (nonce,) = await self.chain.read(self.vault.safe, "nonce()", ["uint256"])
        transaction = SafeTransaction(raw(self.module), data, int(nonce))
        digest = transaction.digest(ChainId(CHAIN_ID), self.safe)
        signatures = {raw(owner.address): owner.key.sign_digest(digest) for owner in self.owners}
        receipt = await self.chain.send_data(self.owners[0], self.vault.safe, transaction.execution(signatures))
        assert receipt["status"] == "0x1"

    async def by_hot_key(self, data: bytes) -> str:
        """Send it; return the error's name, or nothing."""
        sender = account(self.vault.hot_key)
        request = {"from": sender.address, "to": self.module, "data": "0x" + data.hex()}
        try:
            await self.chain.rpc.call("eth_call", request, "latest")
        except RpcError as error:
            told = explain_revert(
                bytes.fromhex(str(error.data or "0x")[2:]), error_meanings(VAULT_MODULE, ARB_EXECUTOR)
            )
            return told.name
        receipt = await self.chain.send_data(sender, self.module, data)
        assert receipt["status"] == "0x1"
        return ""

    async def head(self) -> tuple[int, int]:
        block = await self.chain.rpc.call("eth_getBlockByNumber", "latest", False)
        return int(block["number"], 16), int(block["timestamp"], 16)

    async def turn_on(self) -> None:
        """The Safe proposes, 48 hours pass, anybody enacts; the feed's oracle answers anew."""
        for owner in self.owners:
            await self.chain.rpc.call("anvil_setBalance", owner.address, hex(100 * ETHER))
        pool = next(pool for pool in self.manifest.pools if pool.name == POOL)
        market = MarketLimits(
            token=self.token("WETH"),
            feed=raw(self.manifest.feeds["WETH"]),
            max_age_seconds=3_600,
            pool=raw(pool.address),
            held_at_least=TokenAmount(1),
            held_at_most=TokenAmount(10**24),
        )
        dollars = Change(kind=ChangeKind.HELD_AT_MOST, subject=self.token("USDC"), value=10**15)
        deposit = deposit_change(EXCHANGE, self.token("USDC"), TokenAmount(500 * DOLLAR))
        limits = replace(LIMITS, unit=self.token("USDC"))
        changes = [*market.changes(), *limits.changes(), dollars, deposit]
        for change in changes:
            await self.by_safe(propose_call(change))
        _, now = await self.head()
        await self.chain.rpc.call("evm_setNextBlockTimestamp", now + 48 * 3_600)
        await self.chain.rpc.call("evm_mine")
        for change in changes:
            receipt = await self.chain.send_data(self.owners[1], self.module, enact_call(self.safe, change))
            assert receipt["status"] == "0x1", change
        await self.answer()

    async def answer(self) -> None:
        """The feed's oracle submits the same price anew."""
        aggregator = self.manifest.aggregators["WETH"]
        (answer,) = await self.chain.read(aggregator, "latestAnswer()", ["int256"])
        (last,) = await self.chain.read(aggregator, "latestRound()", ["uint256"])
        await self.chain.send(account("oracle-0"), aggregator, "submit(uint256,int256)", int(last) + 1, int(answer))

    async def trade(self, sold: str, amount: int, bought: str) -> str:
        block, _ = await self.head()
        plan = plan_to(self.token(bought), block + 1)
        return await self.by_hot_key(
            trade_call(self.safe, self.token(sold), TokenAmount(amount), self.token(bought), plan)
        )


@pytest.mark.anvil
async def test_a_vault_trades_inventory_once_its_safe_has_turned_it_on(chain: Chain, world: World) -> None:
    vault = InventoryVault(chain, world)
    assert await vault.trade("WETH", ETHER, "USDC") == "InventoryOff"
    await vault.turn_on()
    weth, usdc = (vault.manifest.token(symbol).address for symbol in ("WETH", "USDC"))
    before = await chain.balance(weth, vault.vault.safe), await chain.balance(usdc, vault.vault.safe)
    assert await vault.trade("WETH", ETHER, "USDC") == ""
    assert await chain.balance(weth, vault.vault.safe) == before[0] - ETHER
    assert await chain.balance(usdc, vault.vault.safe) > before[1]
    assert await vault.trade("USDC", 49_000 * DOLLAR, "WETH") == "TurnoverAboveMaximum"
    off = tighten_call(vault.safe, Change(kind=ChangeKind.UNIT))
    assert (await chain.send_data(vault.owners[1], vault.module, off))["status"] == "0x1"
    assert await vault.trade("WETH", ETHER, "USDC") == "InventoryOff"


@pytest.mark.anvil
async def test_a_vault_deposits_with_a_pinned_account_up_to_its_cap(chain: Chain, world: World) -> None:
    vault = InventoryVault(chain, world)
    await vault.turn_on()
    usdc = vault.token("USDC")

    def deposit(dollars: int, to: Address = EXCHANGE) -> bytes:
        return deposit_call(vault.safe, usdc, to, TokenAmount(dollars * DOLLAR))

    assert await vault.by_hot_key(deposit(400)) == ""
    assert await chain.balance("0x" + usdc.hex(), "0x" + EXCHANGE.hex()) == 400 * DOLLAR
    assert await vault.by_hot_key(deposit(101)) == "DepositAboveCap"
    assert await vault.by_hot_key(deposit(1, Address(b"\x06" * 20))) == "DepositAboveCap"
