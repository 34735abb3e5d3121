"""Morpho's loans as the engine reads them, then follows them by logs: after everything the chain's own numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from devnet.accounts import account
from devnet.anvil import Anvil
from devnet.protocols import morpho_blue as devnet_morpho
from devnet.world import World
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints
from node.engine.headers import Header, header_from_json
from node.engine.loan_logs import LoanLogs
from node.engine.morpho_reading import MorphoReader
from node.engine.multicall import Multicall
from node.engine.pool_topics import LogJson
from node.pipeline.lending.morpho_book import MorphoBook
from protocol.units import address_from_hex
from tests.chain import Chain

pytestmark = pytest.mark.anvil

ORACLE, PROVIDER = account("oracle-0"), account("lp-0")
UNKNOWN = "0x5f5ffd"
"""Code that refuses every call."""


@pytest.fixture
async def endpoints(world_anvil: Anvil) -> AsyncIterator[Endpoints]:
    opened = Endpoints.open([RpcConfig(http=world_anvil.url, websocket="")], SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
def reader(endpoints: Endpoints, world: World) -> MorphoReader:
    contracts = world.manifest.contracts
    multicall = Multicall(endpoints, address_from_hex(contracts["multicall3"]))
    return MorphoReader(endpoints, multicall, address_from_hex(contracts["morpho"]), SystemClock())


async def head(endpoints: Endpoints) -> Header:
    return header_from_json(await endpoints.call("eth_getBlockByNumber", "latest", False, shape=msgspec.Raw))


async def read(reader: MorphoReader, endpoints: Endpoints) -> MorphoBook:
    book = (await reader.read(await head(endpoints))).book
    assert isinstance(book, MorphoBook)
    return book


async def followed(book: MorphoBook, reader: MorphoReader, endpoints: Endpoints, since: int) -> MorphoBook:
    """The book after the logs of all blocks since."""
    logs, at = LoanLogs(), await head(endpoints)
    logs.watch(reader.sources)
    for number in range(since + 1, at.number + 1):
        one = header_from_json(await endpoints.call("eth_getBlockByNumber", hex(number), False, shape=msgspec.Raw))
        found = await endpoints.call("eth_getLogs", {"blockHash": "0x" + one.hash.hex()}, shape=list[LogJson])
        book, _ = book.after(logs.read(found), one.timestamp)
    return book


async def test_all_markets_and_all_that_borrow_there_are_found_with_prices_that_we_can_follow(
    reader: MorphoReader, endpoints: Endpoints, world: World
) -> None:
    book = await read(reader, endpoints)
    listed = {bytes.fromhex(market.id[2:]): market for market in world.manifest.morpho_markets}
    assert set(book.markets) == set(listed) == set(book.rates)
    for name, market in listed.items():
        assert {account(one).address for one in market.borrowers} <= {user for at, user in book.positions if at == name}
    assert book.refused == {}
    assert set(book.feeds) == {world.manifest.aggregators[symbol].lower() for symbol in ("WETH", "USDC", "WBTC", "DAI")}
    assert await reader.differing(book, await head(endpoints)) is None


async def test_followed_by_logs_it_stays_what_the_chain_says(
    reader: MorphoReader, endpoints: Endpoints, chain: Chain, world: World
) -> None:
    book, since = await read(reader, endpoints), (await head(endpoints)).number
    manifest = world.manifest
    market, feed = manifest.morpho_markets[0], manifest.aggregators["WETH"]
    (answer,) = await chain.read(feed, "latestAnswer()", ["int256"])
    (number,) = await chain.read(feed, "latestRound()", ["uint256"])
    await chain.send(ORACLE, feed, "submit(uint256,int256)", number + 1, answer * 95 // 100)
    loan, collateral = manifest.token(market.debt).address, manifest.token(market.collateral).address
    params = (loan, collateral, market.oracle, market.irm, market.lltv)
    await chain.send(ORACLE, manifest.contracts["morpho"], f"accrueInterest({devnet_morpho.PARAMS})", params)

    after = await followed(book, reader, endpoints, since)

    at = await head(endpoints)
    assert after != book
    assert await reader.differing(after, at) is None
    assert await reader.differing(book, at) is not None
    assert after.liquidatable(at.timestamp)[0]
    assert (await reader.rates(after, at)).rates == (await read(reader, endpoints)).rates


async def test_a_market_whose_oracle_cannot_be_understood_is_followed_and_not_liquidated(
    reader: MorphoReader, endpoints: Endpoints, chain: Chain, world: World
) -> None:
    market = world.manifest.morpho_markets[0]
    await chain.rpc.call("anvil_setCode", market.oracle, UNKNOWN)
    await chain.mine()
    book = await read(reader, endpoints)
    name = bytes.fromhex(market.id[2:])
    assert set(book.refused) == {name}
    assert name in book.markets
    finds, unjudged = book.liquidatable((await head(endpoints)).timestamp)
    assert (finds, unjudged) == ([], len(market.borrowers))
