"""One Aave V3 market as the node follows it: reserves, positions of who borrows, prices; moved by logs alone.

A book is a value: what a block's logs make of it is another book, so that a reorg only has to take the old one again.
What no log tells in full (a listing, a change of settings, a feed's new aggregator) contradicts the book, and it is
read anew. `refused` names what may not be liquidated by us and why: an asset that is paused, a user whose debt is at a
stable rate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from node.pipeline.lending import aave_v3
from node.pipeline.lending.aave_v3 import Market, Position
from node.pipeline.lending.errors import LogMalformed, StateContradicted
from node.pipeline.lending.liquidations import LiquidationFind, Taken, liquidatable
from node.pipeline.lending.logs import Event, events_of
from node.pipeline.lending.oracle_view import OracleView

BORROW: Final = events_of("Borrow(address indexed,address,address indexed,uint256,uint8,uint256,uint16 indexed)")
SETTINGS: Final = events_of("""
    ReserveInitialized(address indexed,address indexed,address,address,address)
    CollateralConfigurationChanged(address indexed,uint256,uint256,uint256)
    ReserveActive(address indexed,bool)
    ReservePaused(address indexed,bool)
    LiquidationProtocolFeeChanged(address indexed,uint256,uint256)
    EModeAssetCategoryChanged(address indexed,uint8,uint8)
    EModeCategoryAdded(uint8 indexed,uint256,uint256,uint256,address,string)
    AssetSourceUpdated(address indexed,address indexed)
    AggregatorConfirmed(address indexed,address indexed)
""")
"""What makes a book be read anew: of the pool's configurator, of its oracle, of a feed's proxy."""
UNREADABLE: Final = "Unreadable"
"""The name of an event that could not be read: what it said is not known."""
MAX_POSITIONS: Final = 100_000
"""Borrowers beyond are not followed, which is counted."""
_ON_ASSET_AND_USER: Final = ("ReserveUsedAsCollateralEnabled", "ReserveUsedAsCollateralDisabled")


class LoanLog(msgspec.Struct, frozen=True, gc=False):
    """A log of a lender, or of what it asks for prices: who wrote it (lower-case hex), and the event."""

    source: str
    event: Event


class AaveBook(msgspec.Struct, frozen=True, gc=False):
    """See the module. `tokens`: of an aToken or a variable debt token its asset, and whether it is debt."""

    pool: str
    tokens: Mapping[str, tuple[str, bool]]
    market: Market
    oracle: OracleView
    positions: Mapping[str, Position]
    refused: Mapping[str, str] = msgspec.field(default_factory=dict)
    passed_over: int = 0
    """Borrowers that were left out because the book is full; one that borrows again is counted again."""

    @property
    def feeds(self) -> Collection[str]:
        """The aggregators whose answers move its prices."""
        return self.oracle.assets

    def with_positions(self, read: Mapping[str, Position]) -> AaveBook:
        """The book with positions that were read. At the bound those without a debt make room (who borrows again is
        asked for again), and those for whom there is none even so are left out, and counted.
        """
        held = {**self.positions, **{user: position for user, position in read.items() if user in self.positions}}
        fresh = [user for user in read if user not in self.positions]
        if len(held) + len(fresh) > MAX_POSITIONS:
            held = {user: position for user, position in held.items() if position.debts}
            fresh = [user for user in fresh if read[user].debts]
        taken = fresh[: max(MAX_POSITIONS - len(held), 0)]
        return msgspec.structs.replace(
            self,
            positions={**held, **{user: read[user] for user in taken}},
            passed_over=self.passed_over + len(fresh) - len(taken),
        )

    def after(
        self, logs: Sequence[LoanLog], timestamp: int, only: Iterable[str] | None = None
    ) -> tuple[AaveBook, tuple[str, ...]]:
        """(the book after a block's logs, who borrowed and is not followed). Raises LendingError.

        `only`: these users alone are moved, and nothing else: a block is replayed on what was read before it.
        """
        turn = _Turn(self, timestamp, None if only is None else frozenset(only))
        for log in logs:
            turn.take(log)
        return turn.book(), tuple(turn.strangers)

    def answered(self, aggregator: str, answer: int) -> AaveBook:
        """The book as it would be with a pending answer of an aggregator. Raises StateContradicted."""
        return msgspec.structs.replace(self, oracle=self.oracle.with_answer(aggregator, answer))

    def liquidatable(self, now: int, users: Iterable[str] | None = None) -> tuple[list[LiquidationFind], int]:
        """What may be liquidated at a time and is not refused, of all or of these; and how many positions could not be
        judged.
        """
        asked = self.positions if users is None else {user: self.positions[user] for user in users}
        sound = {user: position for user, position in asked.items() if user not in self.refused}
        finds, unknown = liquidatable(self.market, sound, self.oracle.prices, now)
        allowed = [one for one in finds if not {one.collateral_asset, one.debt_asset} & self.refused.keys()]
        return allowed, unknown + len(asked) - len(sound)

    def taken(self, ill: LiquidationFind, amount: int, now: int) -> Taken | None:
        """What so much of the debt's asset buys at a time; None where the pool would not take all of it."""
        ends = ill.collateral_asset, ill.debt_asset
        position, prices = self.positions[ill.user], self.oracle.prices
        moved = aave_v3.liquidation(self.market, position, prices, *ends, now, amount)
        if moved is None or moved.debt_repaid != amount:
            return None
        return Taken(amount, moved.collateral_received)


class _Turn:
    """A block's logs over a book; copies only what changes."""

    def __init__(self, book: AaveBook, timestamp: int, only: frozenset[str] | None) -> None:
        self._book, self._timestamp, self._only = book, timestamp, only
        self._reserves, self._oracle = dict(book.market.reserves), book.oracle
        self._changed: dict[str, Position] = {}
        self.strangers: dict[str, None] = {}

    def take(self, log: LoanLog) -> None:
        """Raises LendingError."""
        event, source = log.event, log.source
        if event.name == UNREADABLE:
            raise LogMalformed(f"{source}: {event.values[0]}")
        held = self._book.tokens.get(source)
        if held is not None:
            for user, change in aave_v3.scaled_changes(event):
                self._move(user, held, change)
        elif source == self._book.pool:
            self._of_pool(event)
        elif event.name in _SETTINGS_NAMES:
            raise StateContradicted(f"{event.name} of {source}")
        elif self._only is None:
            self._oracle = self._oracle.after(source, event)

    def book(self) -> AaveBook:
        """The book afterwards."""
        positions = {**self._book.positions, **self._changed} if self._changed else self._book.positions
        market = Market(self._reserves, self._book.market.e_modes)
        return msgspec.structs.replace(self._book, market=market, oracle=self._oracle, positions=positions)

    def _of_pool(self, event: Event) -> None:
        if event.name == "ReserveDataUpdated":
            asset = event.values[0]
            if asset not in self._reserves:
                raise StateContradicted(f"the reserve of {asset} was never told")
            if self._only is None:
                self._reserves[asset] = aave_v3.reserve_after(self._reserves[asset], event, self._timestamp)
        elif event.name == "Borrow":
            user = event.values[2]
            if self._position(user) is None and self._only is None:
                self.strangers[user] = None
        elif event.name in (*_ON_ASSET_AND_USER, "UserEModeSet"):
            user = event.values[1 if event.name in _ON_ASSET_AND_USER else 0]
            position = self._position(user)
            if position is not None:
                self._changed[user] = aave_v3.position_after_flag(position, event)

    def _move(self, user: str, held: tuple[str, bool], change: int) -> None:
        position = self._position(user)
        if position is not None:
            self._changed[user] = aave_v3.with_scaled_change(position, held[0], change, is_debt=held[1])

    def _position(self, user: str) -> Position | None:
        if self._only is not None and user not in self._only:
            return None
        return self._changed.get(user) or self._book.positions.get(user)


_SETTINGS_NAMES: Final = frozenset(kind.name for kind in SETTINGS.values())
