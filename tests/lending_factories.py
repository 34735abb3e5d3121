"""A market of two assets and its borrowers, made up: for tests of loans without a chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from node.pipeline.lending.aave_book import AaveBook, LoanLog
from node.pipeline.lending.aave_v3 import Market, Position, Reserve, ReserveSettings
from node.pipeline.lending.logs import Event
from node.pipeline.lending.oracle_view import OracleView
from node.pipeline.lending.ray_math import RAY

POOL = "0x" + "aa" * 20
ETHER, DOLLAR = "0x" + "e1" * 20, "0x" + "d1" * 20
ETHER_FEED, DOLLAR_FEED = "0x" + "ef" * 20, "0x" + "df" * 20
SUPPLY_OF = {ETHER: "0x" + "51" * 20, DOLLAR: "0x" + "52" * 20}
DEBT_OF = {ETHER: "0x" + "61" * 20, DOLLAR: "0x" + "62" * 20}
ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
E8 = 10**8
TIME = 1_767_225_600


def reserve(decimals: int, threshold: int = 8_250, bonus: int = 10_500, fee: int = 1_000) -> Reserve:
    """A reserve without interest."""
    return Reserve(ReserveSettings(decimals, threshold, bonus, fee), RAY, RAY, 0, 0, TIME)


def book(
    positions: Mapping[str, Position] | None = None,
    ether_price: int = 3_200 * E8,
    refused: Mapping[str, str] | None = None,
    assets: tuple[str, str] = (ETHER, DOLLAR),
    oracles: Mapping[str, frozenset[str]] | None = None,
) -> AaveBook:
    """Ether (18 decimals) and dollars (6). Alice has 10 ether and owes 20,000 dollars."""
    ether, dollar = assets
    alice = Position({ether: 10 * 10**18}, {dollar: 20_000 * 10**6}, frozenset({ether}))
    tokens = {SUPPLY_OF[ETHER]: (ether, False), SUPPLY_OF[DOLLAR]: (dollar, False)}
    tokens |= {DEBT_OF[ETHER]: (ether, True), DEBT_OF[DOLLAR]: (dollar, True)}
    return AaveBook(
        POOL,
        tokens,
        Market({ether: reserve(18), dollar: reserve(6, 7_900, 10_450)}),
        OracleView({ETHER_FEED: (ether,), DOLLAR_FEED: (dollar,)}, {ether: ether_price, dollar: E8}, oracles or {}),
        {ALICE: alice} if positions is None else positions,
        refused or {},
    )


def loan_log(source: str, name: str, *values: Any) -> LoanLog:
    """A log of a lender or a feed."""
    return LoanLog(source, Event(name, values))


def answered(price: int, feed: str = ETHER_FEED) -> LoanLog:
    """A feed's new answer."""
    return loan_log(feed, "AnswerUpdated", price, 7, TIME)


def supplied(user: str, amount: int, asset: str = ETHER) -> LoanLog:
    """A mint of an aToken at an index of one."""
    return loan_log(SUPPLY_OF[asset], "Mint", user, user, amount, 0, RAY)


def with_price(one: AaveBook, price: int) -> AaveBook:
    """The book with another price of ether."""
    prices = {**one.oracle.prices, ETHER: price}
    return msgspec.structs.replace(one, oracle=OracleView(one.oracle.assets, prices, one.oracle.oracles))
