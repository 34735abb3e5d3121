"""The whole of an Aave V3 market from the chain, all at one block, by Multicall3; and single borrowers' positions.

Who borrows, the pool's `Borrow` logs tell, read once and then on from where they ended. Prices are those of AaveOracle;
the aggregators behind them are asked for, so that their logs and pending answers can be followed, and who their oracles
are (FluxAggregator.sol, getOracles), so that nobody else's answers are believed. Sources:
aave-v3-core 1.19, IPool.sol, DataTypes.sol (ReserveData), ReserveConfiguration.sol (bits), IPoolAddressesProvider.sol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.loan_logs import OF_FEED, OF_POOL, OF_SETTINGS, OF_TOKEN, Kinds
from node.engine.log_ranges import logs_by_range
from node.engine.multicall import Multicall, View, number_at
from node.engine.pool_topics import LogJson
from node.pipeline.events import LoansRead
from node.pipeline.lending import aave_v3
from node.pipeline.lending.aave_book import BORROW, MAX_POSITIONS, AaveBook
from node.pipeline.lending.aave_v3 import EMode, Market, Position, Reserve, ReserveSettings
from node.pipeline.lending.errors import LendingError
from node.pipeline.lending.oracle_view import MOST_SUBMITTERS, OracleView
from protocol.ethereum.abi import InvalidAbi, decode, selector
from protocol.units import ZERO_ADDRESS, Address, BlockNumber, Hash32, address_from_hex, address_to_hex

_WORD: Final = 32
_RESERVE_WORDS: Final = 15
_ACCOUNT_WORDS: Final = 6
_ACTIVE_BIT: Final = 56
_PAUSED_BIT: Final = 60
_DEFICIT: Final = selector("getReserveDeficit(address)")
"""Known to Aave's pools since 3.3, whose close factor is another."""
_LIST: Final = selector("getReservesList()")
_PROVIDER: Final = selector("ADDRESSES_PROVIDER()")
_OF_PROVIDER: Final = tuple(
    selector(f"{name}()") for name in ("getPriceOracle", "getPoolConfigurator", "getPriceOracleSentinel")
)
_RESERVE: Final = selector("getReserveData(address)")
_SOURCE: Final = selector("getSourceOfAsset(address)")
_PRICE: Final = selector("getAssetPrice(address)")
_AGGREGATOR: Final = selector("aggregator()")
_ORACLES: Final = selector("getOracles()")
_CATEGORY: Final = selector("getEModeCategoryData(uint8)")
_FLAGS: Final = selector("getUserConfiguration(address)")
_E_MODE: Final = selector("getUserEMode(address)")
_SCALED: Final = selector("scaledBalanceOf(address)")
_BALANCE: Final = selector("balanceOf(address)")
_ACCOUNT: Final = selector("getUserAccountData(address)")
_TIME: Final = selector("getCurrentBlockTimestamp()")
_BORROW_TOPIC: Final = "0x" + next(iter(BORROW)).hex()
_AUDITED_AT_ONCE: Final = 2


class NotAave(Exception):
    """The configured pool does not answer as Aave V3's; the text says what it does not answer."""


class _Listed(msgspec.Struct, frozen=True):
    """What is listed under one asset."""

    asset: Address
    reserve: Reserve
    place: int
    supply_token: Address
    stable_token: Address
    debt_token: Address
    is_open: bool


class LoanReader:
    """Reads one pool. `sources`: whose logs move what was read last, and by which events; `beyond`: how often a
    borrower came for whom there was no room.
    """

    def __init__(self, endpoints: Endpoints, multicall: Multicall, multicall_address: Address, pool: Address) -> None:
        self.sources: dict[str, Kinds] = {}
        self._endpoints, self._multicall, self._pool = endpoints, multicall, pool
        self._clock_at = multicall_address
        self._listed: list[_Listed] = []
        self._borrowers: dict[str, None] = {}
        self.beyond = 0
        self._next_block = BlockNumber(0)
        self._turn = 0

    async def read(self, head: Header) -> LoansRead:
        """Return the whole book after a block. Raises RpcError, NotAave."""
        (deficit,) = await self._multicall.read([_asked(self._pool, _DEFICIT, self._pool)], head.hash)
        if deficit:
            raise NotAave(f"{address_to_hex(self._pool)} is Aave 3.3 or later, which closes other parts of a debt")
        answers = await self._views([View(self._pool, _LIST), View(self._pool, _PROVIDER)], head.hash)
        assets = [address_from_hex(asset) for asset in decode(["address[]"], answers[0])[0]]
        provider = _address(answers[1])
        oracle, configurator, sentinel = map(
            _address, await self._views([View(provider, data) for data in _OF_PROVIDER], head.hash)
        )
        reserves = await self._views([_asked(self._pool, _RESERVE, asset) for asset in assets], head.hash)
        self._listed = [_listed(asset, answer) for asset, answer in zip(assets, reserves, strict=True)]
        view, proxies, refused = await self._prices(oracle, assets, head.hash)
        modes, own_prices = await self._modes(head.hash)
        for one in self._listed:
            name = address_to_hex(one.asset)
            if not one.is_open:
                refused[name] = "its reserve is paused or not active"
            elif one.reserve.settings.e_mode_category in own_prices:
                refused[name] = "its e-mode has a price of its own"
            elif sentinel != ZERO_ADDRESS:
                refused[name] = "a price sentinel decides when it may be liquidated"
        await self._find_borrowers(head)
        positions, refused_users = await self._positions(list(self._borrowers), head.hash)
        if len(self._borrowers) >= MAX_POSITIONS:  # who borrows again is told by a log
            self._borrowers = {user: None for user, position in positions.items() if position.debts}
        names = {address_to_hex(one.asset): one.reserve for one in self._listed}
        tokens = {address_to_hex(one.supply_token): (address_to_hex(one.asset), False) for one in self._listed}
        tokens |= {address_to_hex(one.debt_token): (address_to_hex(one.asset), True) for one in self._listed}
        pool = address_to_hex(self._pool)
        self.sources = {pool: OF_POOL, **dict.fromkeys(tokens, OF_TOKEN), **dict.fromkeys(view.assets, OF_FEED)}
        settings = (oracle, configurator, *proxies)
        self.sources |= {address_to_hex(one): OF_SETTINGS for one in settings}
        refused |= refused_users
        book = AaveBook(pool, tokens, Market(names, modes), view, positions, refused, self.beyond)
        return LoansRead(head.number, book)

    async def read_positions(self, users: Sequence[str], head: Header) -> LoansRead:
        """Return some borrowers' positions after a block. Raises RpcError."""
        for user in users:
            self._know(user)
        positions, _ = await self._positions(users, head.hash)
        return LoansRead(head.number, None, positions)

    async def differing(self, book: AaveBook, head: Header) -> str | None:
        """Compare the next few positions of a book, which must be that after the head, with `getUserAccountData`."""
        users = list(book.positions)
        if not users:
            return None
        start, self._turn = self._turn, self._turn + _AUDITED_AT_ONCE
        chosen = list(dict.fromkeys(users[(start + place) % len(users)] for place in range(_AUDITED_AT_ONCE)))
        views = [View(self._clock_at, _TIME)]
        views += [_asked(self._pool, _ACCOUNT, address_from_hex(user)) for user in chosen]
        now, *accounts = await self._multicall.read(views, head.hash)
        for user, data in zip(chosen, accounts, strict=True):
            if user in book.refused or not now or data is None or len(data) < _ACCOUNT_WORDS * _WORD:
                continue  # whom the pool does not judge (no price of something that is held) nobody can liquidate
            try:
                ours = aave_v3.account(book.market, book.positions[user], book.oracle.prices, number_at(now, 0))
            except LendingError as error:
                return f"{user}: the pool judges it, we cannot: {error}"
            theirs = aave_v3.Account(*(number_at(data, _WORD * place) for place in (0, 1, 3, 5)))
            if ours != theirs:
                return f"{user}: the pool says {theirs}, we {ours}"
        return None

    async def _views(self, views: Sequence[View], at: Hash32) -> list[bytes]:
        answers = await self._multicall.read(views, at)
        for view, answer in zip(views, answers, strict=True):
            if not answer:
                raise NotAave(f"{address_to_hex(view.target)} does not answer 0x{view.data[:4].hex()} as Aave V3 does")
        return [answer for answer in answers if answer]

    async def _prices(
        self, oracle: Address, assets: Sequence[Address], at: Hash32
    ) -> tuple[OracleView, list[Address], dict[str, str]]:
        """(the view, the feeds' proxies, assets whose price cannot be followed and why)."""
        asked = [_asked(oracle, function, asset) for asset in assets for function in (_SOURCE, _PRICE)]
        answers = await self._multicall.read(asked, at)
        sources = [_address(source) if source else ZERO_ADDRESS for source in answers[::2]]
        behind = await self._multicall.read([View(source, _AGGREGATOR) for source in sources], at)
        feeds: dict[str, tuple[str, ...]] = {}
        prices: dict[str, int] = {}
        refused: dict[str, str] = {}
        for asset, aggregator, price in zip(assets, behind, answers[1::2], strict=True):
            name = address_to_hex(asset)
            if not aggregator or len(aggregator) != _WORD:
                refused[name] = "its price source is no feed that we can follow"
            elif not price or not number_at(price, 0):
                refused[name] = "its feed has no price"
            else:
                feed = address_to_hex(_address(aggregator))
                feeds[feed] = (*feeds.get(feed, ()), name)
                prices[name] = number_at(price, 0)
        view = OracleView(feeds, prices, await submitters_of(self._multicall, list(feeds), at))
        return view, [one for one in sources if one != ZERO_ADDRESS], refused

    async def _modes(self, at: Hash32) -> tuple[dict[int, EMode], set[int]]:
        """(the e-mode categories in use, which of them have a price of their own)."""
        used = sorted({one.reserve.settings.e_mode_category for one in self._listed} - {0})
        answers = await self._views([View(self._pool, _CATEGORY + one.to_bytes(_WORD, "big")) for one in used], at)
        modes: dict[int, EMode] = {}
        priced: set[int] = set()
        for category, answer in zip(used, answers, strict=True):
            _, threshold, bonus, source = (number_at(answer, _WORD * (1 + place)) for place in range(4))
            modes[category] = EMode(threshold, bonus)
            if source:
                priced.add(category)
        return modes, priced

    async def _find_borrowers(self, head: Header) -> None:
        """Read on in the pool's `Borrow` logs, in ranges that halve where the node refuses."""
        wanted = {"address": address_to_hex(self._pool), "topics": [_BORROW_TOPIC]}
        async for end, logs in logs_by_range(self._endpoints, wanted, self._next_block, head.number, list[LogJson]):
            for log in logs:
                if len(log.topics) > 2:
                    self._know("0x" + log.topics[2][-40:].lower())
            self._next_block = BlockNumber(end + 1)

    def _know(self, user: str) -> None:
        """Take a borrower in, or count that there is no room: one that borrows again is counted again."""
        if user in self._borrowers or len(self._borrowers) < MAX_POSITIONS:
            self._borrowers[user] = None
        else:
            self.beyond += 1

    async def _positions(self, users: Sequence[str], at: Hash32) -> tuple[dict[str, Position], dict[str, str]]:
        """(positions, users that are refused and why)."""
        views: list[View] = []
        for user in users:
            owner = address_from_hex(user)
            views += [_asked(self._pool, function, owner) for function in (_FLAGS, _E_MODE)]
            for one in self._listed:
                views += [_asked(token, _SCALED, owner) for token in (one.supply_token, one.debt_token)]
                views.append(_asked(one.stable_token, _BALANCE, owner))
        numbers = [number_at(answer, 0) for answer in await self._views(views, at)]
        each = 2 + 3 * len(self._listed)
        positions: dict[str, Position] = {}
        refused: dict[str, str] = {}
        for place, user in enumerate(users):
            flags, e_mode, *held = numbers[place * each : (place + 1) * each]
            positions[user] = self._position(flags, e_mode, held)
            if any(held[2::3]):
                refused[user] = "a debt at a stable rate"
        return positions, refused

    def _position(self, flags: int, e_mode: int, held: Sequence[int]) -> Position:
        names = [address_to_hex(one.asset) for one in self._listed]
        collateral = frozenset(
            name for name, one in zip(names, self._listed, strict=True) if flags >> 2 * one.place + 1 & 1
        )
        supplies = {name: amount for name, amount in zip(names, held[0::3], strict=True) if amount}
        debts = {name: amount for name, amount in zip(names, held[1::3], strict=True) if amount}
        return Position(supplies, debts, collateral, e_mode)


def _listed(asset: Address, data: bytes) -> _Listed:
    if len(data) < _RESERVE_WORDS * _WORD:
        raise NotAave(f"{address_to_hex(asset)}: getReserveData answers {len(data)} bytes")
    bits, index, rate, borrow_index, borrow_rate, _, updated, place = (number_at(data, _WORD * i) for i in range(8))
    settings = ReserveSettings(
        decimals=bits >> 48 & 0xFF,
        liquidation_threshold=bits >> 16 & 0xFFFF,
        liquidation_bonus=bits >> 32 & 0xFFFF,
        liquidation_protocol_fee=bits >> 152 & 0xFFFF,
        e_mode_category=bits >> 168 & 0xFF,
    )
    tokens = [_address(data[_WORD * i : _WORD * (i + 1)]) for i in (8, 9, 10)]
    is_open = bool(bits >> _ACTIVE_BIT & 1) and not bits >> _PAUSED_BIT & 1
    return _Listed(
        asset,
        Reserve(settings, index, borrow_index, rate, borrow_rate, updated),
        place,
        tokens[0],
        tokens[1],
        tokens[2],
        is_open,
    )


def _asked(target: Address, function: bytes, argument: Address) -> View:
    return View(target, function + bytes(_WORD - len(argument)) + argument)


def _address(word: bytes) -> Address:
    return Address(word[_WORD - 20 : _WORD])


async def submitters_of(multicall: Multicall, feeds: Sequence[str], at: Hash32) -> dict[str, frozenset[str]]:
    """By feed, whose submissions it takes; without those that do not tell, or tell more than there can be. Raises
    RpcError.
    """
    answers = await multicall.read([View(address_from_hex(feed), _ORACLES) for feed in feeds], at)
    oracles: dict[str, frozenset[str]] = {}
    for feed, answer in zip(feeds, answers, strict=True):
        if answer is not None and len(answer) > _WORD * (2 + MOST_SUBMITTERS):
            continue
        try:
            oracles[feed] = frozenset(decode(["address[]"], answer or b"")[0])
        except InvalidAbi:
            continue
    return oracles


def aggregators(sources: Mapping[str, Kinds]) -> list[str]:
    """Of whose pending transactions the answers are of interest (lower-case hex)."""
    return [source for source, kinds in sources.items() if kinds is OF_FEED]
