"""Steps at Morpho Blue: lending, collateral, loans, liquidations with and without bad debt, interest, flash loans.

A book of its markets and of what the users have in them is moved by the logs alone; liquidations are foretold whole,
by our own view of the price feeds and the rate model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from devnet.accounts import account
from devnet.manifest import Manifest
from devnet.rpc import RpcClient
from node.engine.pool_topics import LogJson
from node.pipeline.amm.errors import PoolRevert
from node.pipeline.lending import morpho_blue
from node.pipeline.lending.logs import Event, decode_log
from node.pipeline.lending.morpho_blue import MorphoMarket, MorphoPosition
from protocol.ethereum.abi import selector
from protocol.units import Address, address_from_hex, address_to_hex
from tests.market import dice
from tests.market.ground import Ground
from tests.market.steps import (
    UINT256_MAX,
    Call,
    Query,
    Step,
    call,
    dynamic,
    packed_calls,
    packed_words,
    word_at,
    words_of,
)

MORPHO = b"morpho_blue"
"""The id under which the book stands among the pools."""
_PARAMS = "(address,address,address,address,uint256)"
_YEAR = 365 * 24 * 3600
_GAS = 600_000
_BASE_UNIT = 10**8


@dataclass(frozen=True, slots=True)
class Listed:
    """What a market is made of: addresses, the collateral's and the loan's names and decimals."""

    id: bytes
    words: bytes
    loan: str
    collateral: str
    oracle: Address
    loan_decimals: int
    collateral_decimals: int

    def price(self, prices: Mapping[str, int]) -> int:
        """Collateral in loan tokens, times 10**36, by the feeds' answers (both of eight decimals)."""
        scale = 10 ** (36 + self.loan_decimals - self.collateral_decimals)
        answers = prices[self.collateral], prices[self.loan]
        return answers[0] * int(scale) // answers[1]


@dataclass(frozen=True, slots=True)
class MorphoBook:
    """Markets by id, and what each user has in each. `prices` are the feeds', by asset."""

    markets: Mapping[bytes, MorphoMarket]
    positions: Mapping[tuple[bytes, str], MorphoPosition]
    prices: Mapping[str, int]

    def position(self, market: bytes, user: str) -> MorphoPosition:
        """What a user has in a market."""
        return self.positions.get((market, user), MorphoPosition())

    def after(self, event: Event, timestamp: int) -> MorphoBook:
        """The book after a log. Raises StateContradicted."""
        name = event.values[0]
        markets = {**self.markets, name: morpho_blue.market_after(self.markets[name], event, timestamp)}
        owner = morpho_blue.owner_of(event)
        positions = self.positions
        if owner is not None:
            after = morpho_blue.position_after(self.position(name, owner), event)
            positions = {**positions, (name, owner): after}
        return MorphoBook(markets, positions, self.prices)


_Made = tuple[str, Call, Callable[[MorphoBook], MorphoBook] | None]


class MorphoSteps:
    """Morpho Blue. `at` is the time of the block in which the steps will be."""

    def __init__(self, ground: Ground) -> None:
        self.at = 0
        manifest = ground.manifest
        self.address, self._hand = ground.contract("morpho"), ground.hand
        self._listed = [_listed(manifest, index) for index in range(len(manifest.morpho_markets))]
        self._borrowers = {
            bytes.fromhex(market.id[2:]): [account(name).address for name in market.borrowers]
            for market in manifest.morpho_markets
        }

    async def load(self, rpc: RpcClient, prices: Mapping[str, int]) -> MorphoBook:
        """Read all of it once."""
        markets: dict[bytes, MorphoMarket] = {}
        positions: dict[tuple[bytes, str], MorphoPosition] = {}
        for one in self._listed:
            supply, supply_shares, borrow, borrow_shares, updated, fee = words_of(6)(
                await self._ask(rpc, self._market(one))
            )
            lltv = word_at(4)(one.words)
            markets[one.id] = MorphoMarket(lltv, supply, supply_shares, borrow, borrow_shares, fee, updated)
            for user in self._borrowers[one.id]:
                _, shares, collateral = words_of(3)(await self._ask(rpc, self._position(one, user)))
                positions[one.id, user] = MorphoPosition(shares, collateral)
        return MorphoBook(markets, positions, prices)

    def follow(self, book: MorphoBook, logs: Sequence[LogJson], prices: Mapping[str, int]) -> MorphoBook:
        """The book after a step's logs, at the prices then."""
        for log in logs:
            if address_from_hex(log.address) == self.address:
                topics = [bytes.fromhex(topic[2:]) for topic in log.topics]
                event = decode_log(morpho_blue.EVENTS, topics, bytes.fromhex(log.data[2:]))
                if event is not None:
                    book = book.after(event, self.at)
        return book if book.prices is prices else replace(book, prices=prices)

    def step(self, random: Random, book: MorphoBook) -> Step:
        """A random step, by the book that was true a while ago."""
        one = random.choice(self._listed)
        kinds = (
            self._lend,
            self._take_back,
            self._put_up,
            self._take_down,
            self._borrow,
            self._borrow,
            self._repay,
            self._liquidate,
            self._liquidate,
            self._accrue,
            self._flash,
        )
        action, made, predict = random.choice(kinds)(random, one, book)
        user = random.choice([*self._borrowers[one.id], self._me])
        queries = (
            Query(self._market(one), words_of(6), partial(_totals, name=one.id), "market"),
            Query(self._position(one, user), _held, partial(_our_held, name=one.id, user=user), f"position of {user}"),
            Query(call(one.oracle, "price()"), word_at(0), partial(_price, listed=one), "price"),
        )
        return Step(MORPHO, action, (made,), queries, _GAS, predict)

    def _lend(self, random: Random, one: Listed, book: MorphoBook) -> _Made:
        words = packed_words(_amount(random, book, one.loan, one.loan_decimals), 0, self._hand, 9 * 32, 0)
        return "lend", self._call(f"supply({_PARAMS},uint256,uint256,address,bytes)", one, words), None

    def _take_back(self, random: Random, one: Listed, book: MorphoBook) -> _Made:
        words = packed_words(_amount(random, book, one.loan, one.loan_decimals), 0, self._hand, self._hand)
        return "unlend", self._call(f"withdraw({_PARAMS},uint256,uint256,address,address)", one, words), None

    def _put_up(self, random: Random, one: Listed, book: MorphoBook) -> _Made:
        user = random.choice([self._me, self._me, *self._borrowers[one.id]])
        amount = _amount(random, book, one.collateral, one.collateral_decimals)
        words = packed_words(amount, address_from_hex(user), 8 * 32, 0)
        return "collateralise", self._call(f"supplyCollateral({_PARAMS},uint256,address,bytes)", one, words), None

    def _take_down(self, random: Random, one: Listed, book: MorphoBook) -> _Made:
        amount = _amount(random, book, one.collateral, one.collateral_decimals)
        words = packed_words(amount, self._hand, self._hand)
        return "uncollateralise", self._call(f"withdrawCollateral({_PARAMS},uint256,address,address)", one, words), None

    def _borrow(self, random: Random, one: Listed, book: MorphoBook) -> _Made:
        mine = book.position(one.id, self._me)
        room = morpho_blue.max_borrow(book.markets[one.id], mine, one.price(book.prices))
        amount = room * random.randrange(1, 101) // 100 if random.random() < 0.7 else 1 + room
        words = packed_words(amount, 0, self._hand, self._hand)
        return "owe", self._call(f"borrow({_PARAMS},uint256,uint256,address,address)", one, words), None

    def _repay(self, random: Random, one: Listed, book: MorphoBook) -> _Made:
        user = random.choice([self._me, *self._borrowers[one.id]])
        shares = book.position(one.id, user).borrow_shares
        shares = shares if random.random() < 0.3 else dice.modest(random, shares)
        words = packed_words(0, shares, address_from_hex(user), 9 * 32, 0)
        return "pay", self._call(f"repay({_PARAMS},uint256,uint256,address,bytes)", one, words), None

    def _liquidate(self, random: Random, one: Listed, book: MorphoBook) -> _Made:
        """As much as one liquidation can move, by what is true of the position then."""
        user = random.choice([*self._borrowers[one.id], self._me])
        moved = self._moved(book, one, user)
        owed = book.position(one.id, user).borrow_shares
        shares = max(1, owed // 2 if moved is None else random.choice((moved.repaid_shares, dice.modest(random, owed))))
        words = packed_words(address_from_hex(user), 0, shares, 9 * 32, 0)
        made = self._call(f"liquidate({_PARAMS},address,uint256,uint256,bytes)", one, words)
        return f"seize {user}: {shares}", made, partial(self._seized, one=one, user=user, shares=shares)

    def _accrue(self, _random: Random, one: Listed, _book: MorphoBook) -> _Made:
        return "accrue", self._call(f"accrueInterest({_PARAMS})", one, b""), partial(self._accrued, one=one)

    def _flash(self, random: Random, one: Listed, book: MorphoBook) -> _Made:
        loan = address_from_hex(one.loan)
        again = packed_calls([call(loan, "transfer(address,uint256)", self._hand, 1)])
        amount = max(1, _amount(random, book, one.loan, one.loan_decimals))
        words = packed_words(loan, amount, 3 * 32) + dynamic(again)
        return "flashloan", Call(self.address, selector("flashLoan(address,uint256,bytes)") + words), None

    def _moved(self, book: MorphoBook, one: Listed, user: str) -> morpho_blue.MorphoLiquidation | None:
        market = self._accrued(book, one).markets[one.id]
        return morpho_blue.liquidation(market, book.position(one.id, user), one.price(book.prices))

    def _accrued(self, book: MorphoBook, one: Listed) -> MorphoBook:
        """With interest up to the block's time, by the rate model: so much a year as is lent out of what there is."""
        market = book.markets[one.id]
        used = market.borrow_assets * 10**18 // market.supply_assets if market.supply_assets else 0
        return replace(book, markets={**book.markets, one.id: morpho_blue.accrued(market, used // _YEAR, self.at)})

    def _seized(self, book: MorphoBook, one: Listed, user: str, shares: int) -> MorphoBook:
        """Morpho.liquidate by shares: what they are worth, lifted by the incentive; bad debt where nothing is left."""
        after, held, price = self._accrued(book, one), book.position(one.id, user), one.price(book.prices)
        market = after.markets[one.id]
        health = morpho_blue.health_factor(market, held, price)
        if health is None or health >= morpho_blue.WAD or shares > held.borrow_shares:
            raise PoolRevert("", "a healthy position, or more than it owes")
        assets, total = (
            market.borrow_assets + morpho_blue.VIRTUAL_ASSETS,
            market.borrow_shares + morpho_blue.VIRTUAL_SHARES,
        )
        paid = -(-shares * assets // total)
        worth = shares * assets // total * morpho_blue.incentive_factor(market.lltv) // morpho_blue.WAD
        seized = worth * morpho_blue.ORACLE_SCALE // price
        if seized > held.collateral:
            raise PoolRevert("", "more than there is")
        # What the detector would have said of it, and of the whole debt where it is that, is what the log must tell.
        whole = morpho_blue.liquidation(market, held, price) if shares == held.borrow_shares else None
        ours = whole or morpho_blue.liquidation_of(market, held, price, shares)
        if ours is not None:
            paid, seized = ours.repaid_assets, ours.seized
        bad_shares = held.borrow_shares - shares if seized == held.collateral else 0
        owed, left = max(market.borrow_assets - paid, 0), market.borrow_shares - shares
        bad_assets = min(
            owed, -(-bad_shares * (owed + morpho_blue.VIRTUAL_ASSETS) // (left + morpho_blue.VIRTUAL_SHARES))
        )
        told = (one.id, self._me, user, paid, shares, seized, bad_assets, bad_shares)
        return after.after(Event("Liquidate", told), self.at)

    def _call(self, signature: str, one: Listed, words: bytes) -> Call:
        return Call(self.address, selector(signature) + one.words + words)

    def _market(self, one: Listed) -> Call:
        return Call(self.address, selector("market(bytes32)") + one.id)

    def _position(self, one: Listed, user: str) -> Call:
        return call(self.address, "position(bytes32,address)", one.id, address_from_hex(user))

    async def _ask(self, rpc: RpcClient, question: Call) -> bytes:
        request = {"to": address_to_hex(Address(question.to)), "data": "0x" + question.data.hex()}
        return bytes.fromhex((await rpc.call("eth_call", request, "latest"))[2:])

    @property
    def _me(self) -> str:
        return address_to_hex(self._hand)


def _listed(manifest: Manifest, index: int) -> Listed:
    market = manifest.morpho_markets[index]
    loan, collateral = manifest.token(market.debt), manifest.token(market.collateral)
    oracle = address_from_hex(market.oracle)
    parts = address_from_hex(loan.address), address_from_hex(collateral.address), oracle, address_from_hex(market.irm)
    words = packed_words(*parts, market.lltv)
    ends = loan.address.lower(), collateral.address.lower()
    return Listed(bytes.fromhex(market.id[2:]), words, *ends, oracle, loan.decimals, collateral.decimals)


def _amount(random: Random, book: MorphoBook, asset: str, decimals: int) -> int:
    """Of some hundred to some hundred thousand dollars; now and then nothing, or all there can be."""
    if random.random() < 0.03:
        return random.choice((0, 1, UINT256_MAX >> 128))
    dollars = 10 ** random.randrange(1, 6) * random.randrange(1, 10)
    return int(dollars * _BASE_UNIT * 10**decimals // book.prices[asset]) + random.randrange(1000)


def _totals(book: MorphoBook, name: bytes) -> tuple[int, ...]:
    one = book.markets[name]
    return one.supply_assets, one.supply_shares, one.borrow_assets, one.borrow_shares, one.updated, one.fee


def _held(answer: bytes) -> tuple[int, int]:
    """Of `position` the shares of the debt and the collateral."""
    return word_at(1)(answer), word_at(2)(answer)


def _our_held(book: MorphoBook, name: bytes, user: str) -> tuple[int, int]:
    one = book.position(name, user)
    return one.borrow_shares, one.collateral


def _price(book: MorphoBook, listed: Listed) -> int:
    return listed.price(book.prices)
