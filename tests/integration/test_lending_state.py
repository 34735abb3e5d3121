"""Our picture of Aave's positions, kept from logs alone, beside the genuine contracts' answers after every action."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from devnet.accounts import Account, account
from devnet.protocols.aave_v3 import LOANS, RESERVES
from devnet.world import World
from node.pipeline.lending import aave_v3
from node.pipeline.lending.aave_v3 import Market, Position, Reserve, ReserveSettings
from node.pipeline.lending.liquidations import liquidatable
from node.pipeline.lending.logs import Event, decode_log
from node.pipeline.lending.oracle_view import FEED_EVENTS, OracleView, pending_answer
from protocol.ethereum.abi import decode, encode_call
from tests.chain import BLOCK_SECONDS, Chain

pytestmark = pytest.mark.anvil

DEPLOYER, OPERATOR, ORACLE = account("deployer"), account("operator-0"), account("oracle-0")
BORROWERS = [account(f"borrower-{index}") for index in range(len(LOANS))]
_RESERVE = (
    "(uint256,uint128,uint128,uint128,uint128,uint128,uint40,uint16,address,address,address,address,uint128,uint128,"
    "uint128)"
)
_ACCOUNT = ["uint256"] * 6
VARIABLE = 2


class Kept:
    """The state that is loaded once and then follows the logs."""

    def __init__(self, chain: Chain, world: World) -> None:
        self.chain, self.world = chain, world
        self.pool = world.manifest.contracts["aave_pool"]
        self.market = Market({})
        self.positions: dict[str, Position] = {}
        self.oracle = OracleView({}, {})
        self._tokens: dict[str, tuple[str, bool]] = {}
        self._block = 0

    async def load(self, users: Iterable[Account]) -> None:
        """The first load, by calls."""
        reserves: dict[str, Reserve] = {}
        ids: dict[str, int] = {}
        for listed in RESERVES:
            asset = self.world.manifest.token(listed.symbol).address
            (data,) = await self.chain.read(self.pool, "getReserveData(address)", [_RESERVE], asset)
            settings = _settings(data[0])
            reserves[asset] = Reserve(settings, data[1], data[3], data[2], data[4], data[6])
            ids[asset] = data[7]
            self._tokens |= {data[8]: (asset, False), data[10]: (asset, True)}
        self.market = Market(reserves)
        for user in users:
            self.positions[user.address] = await self._position(user.address, ids)
        self._block = int(await self.chain.rpc.call("eth_blockNumber"), 16)
        await self._load_prices()

    async def _position(self, user: str, ids: dict[str, int]) -> Position:
        (flags,) = await self.chain.read(self.pool, "getUserConfiguration(address)", ["uint256"], user)
        position = Position(collateral=frozenset(asset for asset, place in ids.items() if flags >> 2 * place + 1 & 1))
        for token, (asset, is_debt) in self._tokens.items():
            (scaled,) = await self.chain.read(token, "scaledBalanceOf(address)", ["uint256"], user)
            position = aave_v3.with_scaled_change(position, asset, scaled, is_debt=is_debt)
        return position

    async def _load_prices(self) -> None:
        manifest, prices = self.world.manifest, {}
        for asset in self.market.reserves:
            (prices[asset],) = await self.chain.read(
                manifest.contracts["aave_oracle"], "getAssetPrice(address)", ["uint256"], asset
            )
        feeds = {manifest.aggregators[listed.symbol]: (manifest.token(listed.symbol).address,) for listed in RESERVES}
        self.oracle = OracleView(feeds, prices)

    async def follow(self) -> list[Any]:
        """Take in the logs since the last time; return the liquidations among them."""
        head = int(await self.chain.rpc.call("eth_blockNumber"), 16)
        span = {"fromBlock": hex(self._block + 1), "toBlock": hex(head)}
        liquidations = []
        for log in await self.chain.rpc.call("eth_getLogs", span):
            topics, data = [bytes.fromhex(topic[2:]) for topic in log["topics"]], bytes.fromhex(log["data"][2:])
            if log["address"] == self.pool:
                event = decode_log(aave_v3.POOL_EVENTS, topics, data)
                if event is not None and event.name == "LiquidationCall":
                    liquidations.append(event.values)
                elif event is not None:
                    await self._pool_event(event, int(log["blockNumber"], 16))
            elif log["address"] in self._tokens:
                event = decode_log(aave_v3.TOKEN_EVENTS, topics, data)
                if event is not None:
                    self._token_event(event, *self._tokens[log["address"]])
            elif log["address"] in self.oracle.assets:
                event = decode_log(FEED_EVENTS, topics, data)
                if event is not None:
                    self.oracle = self.oracle.after(log["address"], event)
        self._block = head
        return liquidations

    async def _pool_event(self, event: Event, number: int) -> None:
        if event.name == "ReserveDataUpdated":
            block = await self.chain.rpc.call("eth_getBlockByNumber", hex(number), False)
            asset = event.values[0]
            after = aave_v3.reserve_after(self.market.reserves[asset], event, int(block["timestamp"], 16))
            self.market = Market({**self.market.reserves, asset: after})
            return
        user = event.values[0 if event.name == "UserEModeSet" else 1]
        if user in self.positions:
            self.positions[user] = aave_v3.position_after_flag(self.positions[user], event)

    def _token_event(self, event: Event, asset: str, is_debt: bool) -> None:
        for user, change in aave_v3.scaled_changes(event):
            if user in self.positions:
                self.positions[user] = aave_v3.with_scaled_change(self.positions[user], asset, change, is_debt=is_debt)

    async def compare(self) -> None:
        """Every position by our picture and by the pool's own account data, at the same moment."""
        multicall = self.world.manifest.contracts["multicall3"]
        for user, position in self.positions.items():
            calls = [
                (multicall, False, encode_call("getCurrentBlockTimestamp()")),
                (self.pool, False, encode_call("getUserAccountData(address)", user)),
            ]
            (answers,) = await self.chain.read(
                multicall, "aggregate3((address,bool,bytes)[])", ["(bool,bytes)[]"], calls
            )
            (now,) = decode(["uint256"], answers[0][1])
            collateral, debt, _, threshold, _, health = decode(_ACCOUNT, answers[1][1])
            ours = aave_v3.account(self.market, position, self.oracle.prices, now)
            assert ours == aave_v3.Account(collateral, debt, threshold, health), user


def _settings(bits: int) -> ReserveSettings:
    """ReserveConfiguration.sol: 16 bits each of ltv, threshold and bonus, then decimals; the protocol's fee at 152."""
    return ReserveSettings(
        decimals=bits >> 48 & 0xFF,
        liquidation_threshold=bits >> 16 & 0xFFFF,
        liquidation_bonus=bits >> 32 & 0xFFFF,
        liquidation_protocol_fee=bits >> 152 & 0xFFFF,
        e_mode_category=bits >> 168 & 0xFF,
    )


async def test_positions_kept_from_logs_are_those_of_the_pool_after_every_action(chain: Chain, world: World) -> None:
    kept = Kept(chain, world)
    await kept.load([*BORROWERS, OPERATOR])
    await kept.compare()
    weth, usdc = (world.manifest.token(symbol).address for symbol in ("WETH", "USDC"))
    first, second = BORROWERS[0], BORROWERS[2]
    (reserve,) = await chain.read(kept.pool, "getReserveData(address)", [_RESERVE], weth)
    for sender, to, call in (
        (first, usdc, ("approve(address,uint256)", kept.pool, 10**12)),
        (first, kept.pool, ("repay(address,uint256,uint256,address)", usdc, 10**9 + 7, VARIABLE, first.address)),
        (OPERATOR, weth, ("approve(address,uint256)", kept.pool, 10**20)),
        (OPERATOR, kept.pool, ("supply(address,uint256,address,uint16)", weth, 10**18 + 3, OPERATOR.address, 0)),
        (OPERATOR, kept.pool, ("borrow(address,uint256,uint256,uint16,address)", usdc, 10**8, 2, 0, OPERATOR.address)),
        (OPERATOR, reserve[8], ("transfer(address,uint256)", second.address, 10**17 + 1)),
        (OPERATOR, kept.pool, ("withdraw(address,uint256,address)", weth, 10**16, OPERATOR.address)),
        (second, kept.pool, ("borrow(address,uint256,uint256,uint16,address)", usdc, 5, VARIABLE, 0, second.address)),
    ):
        await chain.send(sender, to, *call)
        await kept.follow()
        await kept.compare()
    await chain.rpc.call("evm_increaseTime", 40 * 24 * 3600)
    await chain.rpc.call("evm_mine")
    await kept.compare()


async def _is_ill(chain: Chain, pool: str, user: str) -> bool:
    answers = await chain.read(pool, "getUserAccountData(address)", _ACCOUNT, user)
    return bool(answers[5] < 10**18)


@pytest.mark.parametrize("fallen", [98, 90, 60])
async def test_a_liquidation_moves_what_we_said_before(fallen: int, chain: Chain, world: World) -> None:
    kept, configurator = Kept(chain, world), world.manifest.contracts["aave_pool_configurator"]
    kept_by_aave = "setLiquidationProtocolFee(address,uint256)"
    await chain.send(DEPLOYER, configurator, kept_by_aave, world.manifest.token("WETH").address, 1_000)
    await kept.load(BORROWERS)
    weth, usdc = (world.manifest.token(symbol).address for symbol in ("WETH", "USDC"))
    aggregator = world.manifest.aggregators["WETH"]
    (latest,) = await chain.read(aggregator, "latestRound()", ["uint256"])
    (oracles,) = await chain.read(aggregator, "getOracles()", ["address[]"])
    view = OracleView({}, {}, {aggregator: frozenset(oracles)})
    assert view.believes(aggregator, ORACLE.address)
    assert not view.believes(aggregator, OPERATOR.address)
    price = world.manifest.token("WETH").usd_price_e8 * fallen // 100
    submit = ("submit(uint256,int256)", latest + 1, price)
    answer = pending_answer(encode_call(*submit))
    assert answer is not None
    expected = kept.oracle.with_answer(aggregator, answer)
    await chain.send(ORACLE, aggregator, *submit)
    await kept.follow()
    assert kept.oracle == expected
    now = int((await chain.rpc.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    finds, unknown = liquidatable(kept.market, kept.positions, expected.prices, now)
    ill = [user for user in kept.positions if await _is_ill(chain, kept.pool, user)]
    assert (sorted(find.user for find in finds), unknown) == (sorted(ill), 0)
    borrower = BORROWERS[0].address
    head = await chain.rpc.call("eth_getBlockByNumber", "latest", False)
    at = int(head["timestamp"], 16) + BLOCK_SECONDS
    said = aave_v3.liquidation(kept.market, kept.positions[borrower], kept.oracle.prices, weth, usdc, at)
    assert said is not None
    assert said.protocol_fee > 0

    liquidate = "liquidationCall(address,address,address,uint256,bool)"
    await chain.send(OPERATOR, kept.pool, liquidate, weth, usdc, borrower, (1 << 256) - 1, False)

    ((_, _, user, repaid, received, _, _),) = await kept.follow()
    assert (user, repaid, received) == (borrower, said.debt_repaid, said.collateral_received)
    await kept.compare()
