"""The whole of Morpho Blue from the chain, all at one block, by Multicall3; and the rates at its head.

Which markets there are and who has anything in them, Morpho's logs tell, read once and then on from where they ended.
An oracle counts as understood if its parts, put together our way, give the price that it says. Sources: morpho-blue,
IMorpho.sol, IIrm.sol (borrowRateView); morpho-blue-oracles, IMorphoChainlinkOracleV2.sol; the devnet's FeedPriceOracle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.loan_logs import OF_FEED, OF_MORPHO, Kinds
from node.engine.loan_reading import submitters_of
from node.engine.log_ranges import logs_by_range
from node.engine.multicall import Multicall, View, number_at
from node.engine.pool_topics import LogJson
from node.pipeline.events import LoansRead, RatesRead
from node.pipeline.lending import morpho_blue
from node.pipeline.lending.aave_book import MAX_POSITIONS
from node.pipeline.lending.errors import LogMalformed, UnknownReserve
from node.pipeline.lending.logs import decode_log, events_of
from node.pipeline.lending.morpho_blue import MorphoMarket, MorphoPosition
from node.pipeline.lending.morpho_book import OPENED, FeedOracle, MarketParams, MorphoBook
from protocol.ethereum.abi import selector
from protocol.units import ZERO_ADDRESS, Address, BlockNumber, Hash32, address_from_hex, address_to_hex

MAX_MARKETS: Final = 2_000
"""Markets beyond are not followed."""
_WORD: Final = 32
_ORACLE_DECIMALS: Final = 36
_ENTERED: Final = OPENED | events_of("""
    Borrow(bytes32 indexed,address,address indexed,address indexed,uint256,uint256)
    SupplyCollateral(bytes32 indexed,address indexed,address indexed,uint256)
""")
_PARAMS: Final = "(address,address,address,address,uint256)"
_MARKET: Final = "(uint128,uint128,uint128,uint128,uint128,uint128)"
_RATE: Final = selector(f"borrowRateView({_PARAMS},{_MARKET})")
_TOTALS, _HELD = selector("market(bytes32)"), selector("position(bytes32,address)")
_PRICE, _DECIMALS, _AGGREGATOR = selector("price()"), selector("decimals()"), selector("aggregator()")
_ANSWER: Final = selector("latestAnswer()")
_OF_FEEDS: Final = (selector("collateralFeed()"), selector("loanFeed()"))
_OF_CHAINLINK: Final = tuple(
    selector(f"{name}()") for name in ("BASE_FEED_1", "BASE_FEED_2", "QUOTE_FEED_1", "QUOTE_FEED_2")
)
_SCALE, _VAULTS = selector("SCALE_FACTOR()"), (selector("BASE_VAULT()"), selector("QUOTE_VAULT()"))


class _Parts(msgspec.Struct, frozen=True):
    """An oracle's feeds, by their proxies, and its scale; None where it follows from the tokens and feeds."""

    base: tuple[Address, ...]
    quote: tuple[Address, ...]
    scale: int | None


class MorphoReader:
    """Reads one Morpho. `sources`: whose logs move what was read last, and by which events."""

    def __init__(self, endpoints: Endpoints, multicall: Multicall, morpho: Address) -> None:
        self.sources: dict[str, Kinds] = {}
        self._endpoints, self._multicall, self._morpho = endpoints, multicall, morpho
        self._params: dict[bytes, tuple[bytes, MarketParams]] = {}
        """By market: the words of its parameters, and what they say but for the loan's decimals."""
        self._users: dict[tuple[bytes, str], None] = {}
        self._next_block = BlockNumber(0)

    async def read(self, head: Header) -> LoansRead:
        """Return the whole book after a block. Raises RpcError."""
        await self._find(head)
        names, at = list(self._params), head.hash
        totals = await self._multicall.read([View(self._morpho, _TOTALS + name) for name in names], at)
        lltvs = [params.lltv for _, params in self._params.values()]
        markets = {name: _market(lltv, total) for name, lltv, total in zip(names, lltvs, totals, strict=True)}
        keys = list(self._users)
        held = await self._multicall.read(
            [View(self._morpho, _HELD + name + _padded(address_from_hex(user))) for name, user in keys], at
        )
        positions = {key: _position(answer) for key, answer in zip(keys, held, strict=True)}
        params = await self._with_decimals(at)
        oracles, answers, refused = await self._oracles(params, at)
        submitters = await submitters_of(self._multicall, list(answers), at)
        morpho = address_to_hex(self._morpho)
        self.sources = {morpho: OF_MORPHO, **dict.fromkeys(answers, OF_FEED)}
        rates = await self._rates(markets, list(markets), at)
        book = MorphoBook(morpho, params, markets, positions, oracles, answers, rates, refused, submitters)
        return LoansRead(head.number, book)

    async def rates(self, book: MorphoBook, head: Header) -> RatesRead:
        """Return the rates after a block, of which the book is. Raises RpcError."""
        return RatesRead(head.number, await self._rates(book.markets, book.owing(), head.hash))

    async def differing(self, book: MorphoBook, head: Header) -> str | None:
        """Compare all markets of a book, which must be that after the head, and their prices with the chain's."""
        names = [name for name in book.owing() if name in self._params]
        totals = await self._multicall.read([View(self._morpho, _TOTALS + name) for name in names], head.hash)
        prices = await self._multicall.read(
            [View(address_from_hex(book.params[name].oracle), _PRICE) for name in names], head.hash
        )
        for name, total, price in zip(names, totals, prices, strict=True):
            theirs = _market(book.params[name].lltv, total)
            if theirs != book.markets[name]:
                return f"market 0x{name.hex()}: Morpho says {theirs}, we {book.markets[name]}"
            if name not in book.refused and price and number_at(price, 0) != book.price(name):
                return f"market 0x{name.hex()}: its oracle says {number_at(price, 0)}, we {book.price(name)}"
        return None

    async def _find(self, head: Header) -> None:
        """Read on in Morpho's logs: markets, and who has entered them."""
        topics = [["0x" + topic.hex() for topic in _ENTERED]]
        wanted = {"address": address_to_hex(self._morpho), "topics": topics}
        async for end, logs in logs_by_range(self._endpoints, wanted, self._next_block, head.number, list[LogJson]):
            for log in logs:
                self._enter(log)
            self._next_block = BlockNumber(end + 1)

    def _enter(self, log: LogJson) -> None:
        data = bytes.fromhex(log.data[2:])
        try:
            event = decode_log(_ENTERED, [bytes.fromhex(topic[2:]) for topic in log.topics], data)
        except LogMalformed:
            return
        if event is None:
            return
        name: bytes = event.values[0]
        if event.name == "CreateMarket" and len(self._params) < MAX_MARKETS:
            loan, collateral, oracle, model, lltv = event.values[1]
            params = MarketParams(loan.lower(), collateral.lower(), oracle.lower(), model.lower(), lltv, 0)
            self._params[name] = data[: 5 * _WORD], params
        elif name in self._params and len(self._users) < MAX_POSITIONS:
            owner = morpho_blue.owner_of(event)
            if owner is not None:
                self._users[name, owner] = None

    async def _with_decimals(self, at: Hash32) -> dict[bytes, MarketParams]:
        tokens = sorted({one.loan for _, one in self._params.values()})
        answers = await self._multicall.read([View(address_from_hex(token), _DECIMALS) for token in tokens], at)
        known = {token: number_at(answer, 0) for token, answer in zip(tokens, answers, strict=True) if answer}
        return {
            name: msgspec.structs.replace(one, loan_decimals=known.get(one.loan, 0))
            for name, (_, one) in self._params.items()
        }

    async def _rates(
        self, markets: Mapping[bytes, MorphoMarket], names: Sequence[bytes], at: Hash32
    ) -> dict[bytes, int]:
        views = []
        for name in names:
            words, params = self._params[name]
            views.append(View(address_from_hex(params.rate_model), _RATE + words + _totals(markets[name])))
        answers = await self._multicall.read(views, at)
        return {name: number_at(answer, 0) for name, answer in zip(names, answers, strict=True) if answer}

    async def _oracles(
        self, params: Mapping[bytes, MarketParams], at: Hash32
    ) -> tuple[dict[str, FeedOracle], dict[str, int], dict[bytes, str]]:
        """(oracles by address, the feeds' answers by aggregator, markets whose oracle is not understood and why)."""
        oracles: dict[str, FeedOracle] = {}
        answers: dict[str, int] = {}
        refused: dict[bytes, str] = {}
        for name, one in params.items():
            if one.oracle not in oracles:
                parts = await self._parts(address_from_hex(one.oracle), at)
                found = None if parts is None else await self._followed(parts, one, at)
                if found is not None:
                    oracles[one.oracle], told = found
                    answers.update(told)
            if one.oracle not in oracles:
                refused[name] = "its oracle's price is not one of feeds that we can follow"
        return oracles, answers, refused

    async def _parts(self, oracle: Address, at: Hash32) -> _Parts | None:
        asked = (*_OF_FEEDS, *_OF_CHAINLINK, _SCALE, *_VAULTS)
        answers = await self._multicall.read([View(oracle, data) for data in asked], at)
        of_feeds, of_chainlink, scale, vaults = answers[:2], answers[2:6], answers[6], answers[7:]
        if all(of_feeds):
            collateral, loan = [_address(answer) for answer in of_feeds]
            return _Parts((collateral,), (loan,), None)
        if not all(of_chainlink) or not scale or any(not one or _address(one) != ZERO_ADDRESS for one in vaults):
            return None
        feeds = [_address(answer) for answer in of_chainlink]
        used = [tuple(feed for feed in pair if feed != ZERO_ADDRESS) for pair in (feeds[:2], feeds[2:])]
        return _Parts(used[0], used[1], number_at(scale, 0))

    async def _followed(
        self, parts: _Parts, params: MarketParams, at: Hash32
    ) -> tuple[FeedOracle, dict[str, int]] | None:
        """The oracle by its feeds' aggregators, with their answers, if that gives the price that it says itself."""
        proxies = (*parts.base, *parts.quote)
        views = [View(proxy, data) for proxy in proxies for data in (_AGGREGATOR, _ANSWER, _DECIMALS)]
        views += [View(address_from_hex(token), _DECIMALS) for token in (params.loan, params.collateral)]
        *told, of_loan, of_collateral, price = await self._multicall.read(
            [*views, View(address_from_hex(params.oracle), _PRICE)], at
        )
        if not all(told) or not of_loan or not of_collateral or not price:
            return None
        behind = [address_to_hex(_address(answer)) for answer in told[0::3]]
        answers = dict(zip(behind, (number_at(answer or b"", 0) for answer in told[1::3]), strict=True))
        decimals = [number_at(answer or b"", 0) for answer in told[2::3]]
        scale = parts.scale
        if scale is None:
            up = _ORACLE_DECIMALS + number_at(of_loan, 0) + decimals[1]
            scale = 10 ** max(0, up - number_at(of_collateral, 0) - decimals[0])
        count = len(parts.base)
        oracle = FeedOracle(scale, tuple(behind[:count]), tuple(behind[count:]))
        try:
            is_its_price = all(answers.values()) and oracle.price(answers) == number_at(price, 0)
        except UnknownReserve:
            return None
        return (oracle, answers) if is_its_price else None


def _market(lltv: int, answer: bytes | None) -> MorphoMarket:
    supply, supply_shares, borrow, borrow_shares, updated, fee = (number_at(answer or b"", _WORD * i) for i in range(6))
    return MorphoMarket(lltv, supply, supply_shares, borrow, borrow_shares, fee, updated)


def _position(answer: bytes | None) -> MorphoPosition:
    return MorphoPosition(number_at(answer or b"", _WORD), number_at(answer or b"", 2 * _WORD))


def _totals(market: MorphoMarket) -> bytes:
    numbers = (
        market.supply_assets,
        market.supply_shares,
        market.borrow_assets,
        market.borrow_shares,
        market.updated,
        market.fee,
    )
    return b"".join(number.to_bytes(_WORD, "big") for number in numbers)


def _padded(address: Address) -> bytes:
    return address.rjust(_WORD, b"\0")


def _address(word: bytes | None) -> Address:
    return Address((word or bytes(_WORD))[_WORD - 20 : _WORD])
