"""The whole of Morpho Blue from the chain, all at one block, by Multicall3; and the rates at its head.

Which markets there are and who has anything in them, Morpho's logs tell, read once and then on from where they ended.
Morpho's own answers are trusted to be laid out as they should; everybody else's cost their own market at most. Sources:
morpho-blue, IMorpho.sol, IIrm.sol (borrowRateView).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from node.clock import Clock
from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.loan_logs import OF_FEED, OF_MORPHO, Kinds
from node.engine.log_ranges import logs_by_range
from node.engine.morpho_oracles import OracleReader
from node.engine.morpho_prices import OraclePrices
from node.engine.multicall import Multicall, View, number_at
from node.engine.pool_topics import LogJson
from node.engine.rpc import RpcGarbage
from node.pipeline.events import LoansRead, RatesRead
from node.pipeline.lending import morpho_blue
from node.pipeline.lending.aave_book import MAX_POSITIONS
from node.pipeline.lending.errors import LendingError, LogMalformed
from node.pipeline.lending.logs import decode_log, events_of
from node.pipeline.lending.morpho_blue import MorphoMarket, MorphoPosition
from node.pipeline.lending.morpho_book import MAX_MARKETS, OPENED, MarketParams, MorphoBook, params_of
from protocol.ethereum.abi import selector
from protocol.units import Address, BlockNumber, Hash32, address_from_hex, address_to_hex

READ_AGAIN_BLOCKS: Final = 300
"""After so many blocks a book is read anew that left anything out, or has oracles that were not read or may heal."""
_WORD: Final = 32
_ENTERED: Final = OPENED | events_of("""
    Borrow(bytes32 indexed,address,address indexed,address indexed,uint256,uint256)
    SupplyCollateral(bytes32 indexed,address indexed,address indexed,uint256)
""")
_PARAMS: Final = "(address,address,address,address,uint256)"
_MARKET: Final = "(uint128,uint128,uint128,uint128,uint128,uint128)"
_RATE: Final = selector(f"borrowRateView({_PARAMS},{_MARKET})")
_TOTALS, _HELD = selector("market(bytes32)"), selector("position(bytes32,address)")


class MorphoReader:
    """Reads one Morpho. `sources`: whose logs move what was read last, and by which events; `counts`: `late_prices`."""

    def __init__(self, endpoints: Endpoints, multicall: Multicall, morpho: Address, clock: Clock) -> None:
        self.sources: dict[str, Kinds] = {}
        self._endpoints, self._multicall, self._morpho = endpoints, multicall, morpho
        self.counts: Counter[str] = Counter()
        self._oracles = OracleReader(endpoints, multicall, clock)
        self._prices = OraclePrices(multicall, clock, self.counts)
        self._params: dict[bytes, tuple[bytes, MarketParams]] = {}
        """By market: the words of its parameters, and what they say."""
        self._users: dict[tuple[bytes, str], None] = {}
        self._next_block = BlockNumber(0)
        self._read_at = BlockNumber(0)
        self._markets_beyond = self._positions_beyond = 0

    async def read(self, head: Header) -> LoansRead:
        """Return the whole book after a block. Raises RpcError."""
        await self._find(head)
        names, at = list(self._params), head.hash
        totals = await self._multicall.read([View(self._morpho, _TOTALS + name) for name in names], at)
        params = {name: one for name, (_, one) in self._params.items()}
        markets = {
            name: self._market(one.lltv, total) for (name, one), total in zip(params.items(), totals, strict=True)
        }
        positions = await self._held(at)
        understood = await self._oracles.read(params, head)
        oracles, answers, refused = understood.oracles, understood.answers, understood.refused
        morpho = address_to_hex(self._morpho)
        self.sources = {**dict.fromkeys(answers, OF_FEED), morpho: OF_MORPHO}
        rates = await self._rates(markets, list(markets), at)
        beyond = self._markets_beyond, self._positions_beyond
        self._read_at = head.number
        told = oracles, answers, rates, refused, understood.submitters
        book = MorphoBook(morpho, params, markets, positions, *told, *beyond)
        return LoansRead(head.number, book)

    def is_due(self, book: MorphoBook, head: Header) -> bool:
        """Whether it is time to read a book anew that leaves something out."""
        beyond = bool(book.markets_beyond or book.positions_beyond)
        lacks = beyond or len(book.params) > len(self._params) or self._oracles.refuses_some
        return lacks and head.number >= self._read_at + READ_AGAIN_BLOCKS

    async def rates(self, book: MorphoBook, head: Header) -> RatesRead:
        """Return the rates after a block, of which the book is. Raises RpcError."""
        return RatesRead(head.number, await self._rates(book.markets, book.owing(), head.hash))

    async def differing(self, book: MorphoBook, head: Header) -> str | None:
        """Compare all markets of a book, which must be that after the head, and the next prices with the chain's."""
        names = [name for name in book.owing() if name in self._params]
        totals = await self._multicall.read([View(self._morpho, _TOTALS + name) for name in names], head.hash)
        # Of a refused market nothing would follow, and its oracle may take all the gas of a request.
        priced = list(dict.fromkeys(book.params[name].oracle for name in names if name not in book.refused))
        prices = await self._prices.next(priced, head.hash)
        differs: list[str] = []
        lying: set[str] = set()
        for name, total in zip(names, totals, strict=True):
            theirs = self._market(book.params[name].lltv, total)
            if theirs != book.markets[name]:
                differs.append(f"market 0x{name.hex()}: Morpho says {theirs}, we {book.markets[name]}")
            oracle = book.params[name].oracle
            if name in book.refused or oracle not in prices:
                continue
            if (why := _differing_price(book, name, prices[oracle])) is not None:
                differs.append(f"market 0x{name.hex()}: {why}")
                lying.add(oracle)
        for oracle in lying:
            self._oracles.differed(oracle, head.number)
        return differs[0] if differs else None

    async def _find(self, head: Header) -> None:
        """Read on in Morpho's logs: markets, and who has entered them."""
        topics = [["0x" + topic.hex() for topic in _ENTERED]]
        wanted = {"address": address_to_hex(self._morpho), "topics": topics}
        async for end, logs in logs_by_range(self._endpoints, wanted, self._next_block, head.number, list[LogJson]):
            for log in logs:
                self._enter(log)
            self._next_block = BlockNumber(end + 1)
            if len(self._users) > MAX_POSITIONS:
                await self._make_room(head)

    async def _make_room(self, head: Header) -> None:
        """Forget who has nothing any more; if that is not enough the last that came, first those without a debt."""
        held = await self._held(head.hash)
        owing_first = sorted(held, key=lambda key: not held[key].borrow_shares)
        self._users = dict.fromkeys(owing_first[:MAX_POSITIONS])
        self._positions_beyond += len(held) - len(self._users)

    async def _held(self, at: Hash32) -> dict[tuple[bytes, str], MorphoPosition]:
        """What everybody who entered a market has there, of those who have anything."""
        keys = list(self._users)
        answers = await self._multicall.read(
            [View(self._morpho, _HELD + name + _padded(address_from_hex(user))) for name, user in keys], at
        )
        found = {key: self._position(answer) for key, answer in zip(keys, answers, strict=True)}
        return {key: position for key, position in found.items() if position != MorphoPosition()}

    def _enter(self, log: LogJson) -> None:
        data = bytes.fromhex(log.data[2:])
        try:
            event = decode_log(_ENTERED, [bytes.fromhex(topic[2:]) for topic in log.topics], data)
        except LogMalformed:
            return
        if event is None:
            return
        name: bytes = event.values[0]
        if event.name == "CreateMarket":
            if len(self._params) < MAX_MARKETS:
                self._params[name] = data[: 5 * _WORD], params_of(event)
            else:
                self._markets_beyond += 1
        elif name in self._params:
            owner = morpho_blue.owner_of(event)
            if owner is not None:
                self._users[name, owner] = None

    async def _rates(
        self, markets: Mapping[bytes, MorphoMarket], names: Sequence[bytes], at: Hash32
    ) -> dict[bytes, int]:
        known = [name for name in names if name in self._params]
        views = []
        for name in known:
            words, params = self._params[name]
            views.append(View(address_from_hex(params.rate_model), _RATE + words + _totals(markets[name])))
        answers = await self._multicall.read(views, at)
        told = zip(known, answers, strict=True)
        return {name: number_at(answer, 0) for name, answer in told if answer and len(answer) >= _WORD}

    def _market(self, lltv: int, answer: bytes | None) -> MorphoMarket:
        supply, supply_shares, borrow, borrow_shares, updated, fee = self._numbers(answer, 6)
        return MorphoMarket(lltv, supply, supply_shares, borrow, borrow_shares, fee, updated)

    def _position(self, answer: bytes | None) -> MorphoPosition:
        return MorphoPosition(*self._numbers(answer, 3)[1:])

    def _numbers(self, answer: bytes | None, count: int) -> list[int]:
        if answer is None or len(answer) < count * _WORD:
            raise RpcGarbage(address_to_hex(self._morpho), "a view of Morpho's", "not as many words as it has")
        return [number_at(answer, _WORD * place) for place in range(count)]


def _differing_price(book: MorphoBook, name: bytes, price: bytes | None) -> str | None:
    """How an oracle's price differs from ours, where there are both."""
    try:
        ours = book.price(name)
        theirs = number_at(price or b"", 0)
    except (ValueError, LendingError):
        return None
    return None if ours == theirs else f"its oracle says {theirs}, we {ours}"


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
