"""Steps at Aave V3: supplies, borrowings, repayments, withdrawals, flags, transfers of shares, liquidations, flash
loans and price answers; our book of it, moved by the logs alone, must judge every position as the pool does.
"""

from __future__ import annotations

from functools import partial
from random import Random

from devnet.accounts import Account, account
from node.pipeline.lending import aave_v3
from node.pipeline.lending.aave_book import AaveBook
from node.pipeline.lending.errors import LendingError
from protocol.ethereum.abi import encode_call
from protocol.units import address_from_hex, address_to_hex
from tests.market import dice
from tests.market.ground import Ground
from tests.market.steps import UINT256_MAX, Call, Query, Step, call, packed_calls, words_of

LOANS = b"aave_v3"
"""The id under which the book stands among the pools."""
ORACLE = account("oracle-0")
_GAS = 1_300_000
_VARIABLE = 2
_REFERRAL = 0
_MOST_OFF_PERCENT = 40
_BASE_UNIT = 10**8
_Made = tuple[str, list[Call]]


class LendingSteps:
    """Aave V3. `at` is the time of the block in which the steps will be."""

    def __init__(self, ground: Ground) -> None:
        self.at = 0
        self._ground, self._pool = ground, ground.contract("aave_pool")
        manifest = ground.manifest
        self._feeds = {
            manifest.aggregators[token.symbol].lower(): token.usd_price_e8
            for token in manifest.tokens
            if token.symbol in manifest.aggregators
        }

    def step(self, random: Random, book: AaveBook) -> Step:
        """A random step, by the book that was true a while ago."""
        kinds = (
            self._supply,
            self._borrow,
            self._borrow,
            self._repay,
            self._withdraw,
            self._flag,
            self._transfer,
            self._liquidate,
            self._liquidate,
            self._flash,
        )
        action, calls = random.choice(kinds)(random, book)
        users = sorted(random.sample(sorted(book.positions), min(3, len(book.positions))))
        queries = tuple(self._account(user) for user in users)
        return Step(LOANS, action, tuple(calls), queries, _GAS)

    def answer(self, random: Random, book: AaveBook, round_id: int, feed: str) -> tuple[Account, str, bytes]:
        """A transaction of the oracle: another price, within bounds about the world's."""
        (asset, *_) = book.oracle.assets[feed]
        usual = self._feeds[feed]
        moved = book.oracle.prices[asset] * random.randrange(900, 1101) // 1000
        low, high = usual * (100 - _MOST_OFF_PERCENT) // 100, usual * (100 + _MOST_OFF_PERCENT) // 100
        price = min(max(moved, low), high)
        return ORACLE, feed, encode_call("submit(uint256,int256)", round_id, price)

    def _supply(self, random: Random, book: AaveBook) -> _Made:
        asset, amount = self._asset_and_amount(random, book)
        user = random.choice([self._hand, random.choice(sorted(book.positions))])
        data = encode_call("supply(address,uint256,address,uint16)", asset, amount, user, _REFERRAL)
        return f"supply {amount} of {asset} for {user}", [Call(self._pool, data)]

    def _borrow(self, random: Random, book: AaveBook) -> _Made:
        asset, amount = self._asset_and_amount(random, book)
        signature = "borrow(address,uint256,uint256,uint16,address)"
        data = encode_call(signature, asset, amount, _VARIABLE, _REFERRAL, self._hand)
        return f"borrow {amount} of {asset}", [Call(self._pool, data)]

    def _repay(self, random: Random, book: AaveBook) -> _Made:
        asset, amount = self._asset_and_amount(random, book)
        user = random.choice([self._hand, self._hand, random.choice(sorted(book.positions))])
        amount = UINT256_MAX if user == self._hand and random.random() < 0.2 else amount
        data = encode_call("repay(address,uint256,uint256,address)", asset, amount, _VARIABLE, user)
        return f"repay {amount} of {asset} for {user}", [Call(self._pool, data)]

    def _withdraw(self, random: Random, book: AaveBook) -> _Made:
        asset, amount = self._asset_and_amount(random, book)
        amount = UINT256_MAX if random.random() < 0.1 else amount
        data = encode_call("withdraw(address,uint256,address)", asset, amount, self._hand)
        return f"withdraw {amount} of {asset}", [Call(self._pool, data)]

    def _flag(self, random: Random, book: AaveBook) -> _Made:
        asset, on = random.choice(sorted(book.market.reserves)), random.random() < 0.7
        data = encode_call("setUserUseReserveAsCollateral(address,bool)", asset, on)
        return f"collateral {asset} {on}", [Call(self._pool, data)]

    def _transfer(self, random: Random, book: AaveBook) -> _Made:
        """Shares of a supply to a borrower."""
        asset, amount = self._asset_and_amount(random, book)
        (token,) = (token for token, held in book.tokens.items() if held == (asset, False))
        user = random.choice(sorted(book.positions))
        one = call(address_from_hex(token), "transfer(address,uint256)", address_from_hex(user), amount)
        return f"transfer {amount} shares of {asset} to {user}", [one]

    def _liquidate(self, random: Random, book: AaveBook) -> _Made:
        ill, _ = book.liquidatable(self.at)
        if ill and random.random() < 0.9:
            one = random.choice(ill)
            user, collateral, debt = one.user, one.collateral_asset, one.debt_asset
            cover = random.choice((UINT256_MAX, one.moved.debt_repaid, dice.modest(random, one.moved.debt_repaid)))
        else:
            user = random.choice(sorted(book.positions))
            collateral, debt = random.choices(sorted(book.market.reserves), k=2)
            cover = UINT256_MAX
        signature = "liquidationCall(address,address,address,uint256,bool)"
        data = encode_call(signature, collateral, debt, user, cover, random.random() < 0.2)
        return f"liquidate {user}: {collateral} for {debt}, {cover}", [Call(self._pool, data)]

    def _flash(self, random: Random, book: AaveBook) -> _Made:
        asset, amount = self._asset_and_amount(random, book)
        signature = "flashLoanSimple(address,address,uint256,bytes,uint16)"
        inside = packed_calls([call(address_from_hex(asset), "transfer(address,uint256)", self._ground.hand, 1)])
        data = encode_call(signature, self._hand, asset, amount, inside, _REFERRAL)
        again = call(address_from_hex(asset), "approve(address,uint256)", self._pool, UINT256_MAX)
        return f"flash {amount} of {asset}", [Call(self._pool, data), again]

    def _asset_and_amount(self, random: Random, book: AaveBook) -> tuple[str, int]:
        """Mostly of some hundred to some hundred thousand dollars; now and then anything."""
        asset = random.choice(sorted(book.market.reserves))
        unit, price = 10 ** book.market.reserves[asset].settings.decimals, book.oracle.prices[asset]
        dollars = 10 ** random.randrange(0, 6) * random.randrange(1, 10)
        amount = dollars * _BASE_UNIT * unit // price + random.randrange(1000)
        return asset, dice.amount(random, amount) if random.random() < 0.15 else amount

    def _account(self, user: str) -> Query:
        question = call(self._pool, "getUserAccountData(address)", address_from_hex(user))
        ours = partial(_judged, user=user, at=self.at)
        return Query(question, _account, ours, f"getUserAccountData of {user}")

    @property
    def _hand(self) -> str:
        return address_to_hex(self._ground.hand)


def _account(answer: bytes) -> tuple[int, ...]:
    """Of `getUserAccountData` all but what is left to borrow and the loan-to-value, of which we say nothing."""
    collateral, debt, _, threshold, _, health = words_of(6)(answer)
    return collateral, debt, threshold, health


def _judged(book: AaveBook, user: str, at: int) -> tuple[int, ...] | str:
    try:
        said = aave_v3.account(book.market, book.positions[user], book.oracle.prices, at)
    except (LendingError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    return said.collateral, said.debt, said.threshold, said.health_factor
