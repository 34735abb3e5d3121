"""What an actor wants to happen: plain values, not yet signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, TypeAlias

MOMENTS: Final = 1_000_000
"""A moment is a part of the block time in millionths."""
GWEI: Final = 10**9

Detail: TypeAlias = Mapping[str, str | int | list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One transaction of an account. `tip` in wei per gas; `moment` says when in the block it is sent."""

    actor: str
    action: str
    account: str
    to: str
    data: bytes
    gas_limit: int
    tip: int
    value: int = 0
    moment: int = 0
    spends: tuple[tuple[str, int], ...] = ()
    """Token symbol and the most that leaves the account; ether is in `value`."""
    detail: Detail = field(default_factory=dict)
    """What the journal says about it."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Somebody else's transaction inside a bundle, as it was announced."""

    raw: bytes
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleIntent:
    """Transactions for one block, in this order or not at all, sent to every builder."""

    actor: str
    action: str
    parts: tuple[Intent | Foreign, ...]
    detail: Detail = field(default_factory=dict)


class Purse:
    """What the accounts can still spend in this plan. Mutable; lives for one plan."""

    def __init__(self, balances: Mapping[tuple[str, str], int], ether: Mapping[str, int], reserve_wei: int) -> None:
        self._tokens = dict(balances)
        self._ether = {account: wei - reserve_wei for account, wei in ether.items()}

    def held(self, account: str, symbol: str) -> int:
        """Return what is left of a token, in its smallest units."""
        return self._tokens.get((account, symbol), 0)

    def ether(self, account: str) -> int:
        """Return the wei that may leave the account beside fees; may be negative."""
        return self._ether.get(account, 0)

    def take(self, account: str, symbol: str, amount: int) -> None:
        """Note that an amount of a token leaves. Raises `ValueError` when it is not there."""
        if amount > self.held(account, symbol):
            raise ValueError(f"{account} does not hold {amount} of {symbol}")
        self._tokens[account, symbol] = self.held(account, symbol) - amount

    def take_ether(self, account: str, wei: int) -> None:
        """Note that wei leave. Raises `ValueError` when they are not there."""
        if wei > self.ether(account):
            raise ValueError(f"{account} does not hold {wei} wei")
        self._ether[account] = self.ether(account) - wei


def tip_of_gwei(gwei: Decimal) -> int:
    """Return a priority fee in wei, at least one."""
    return max(1, int(gwei * GWEI))
