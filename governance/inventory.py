"""A vault in inventory mode: limits as changes, trades and deposits as calls, and what a thief could take. Pure.

The rules: contracts/src/interfaces/IVaultModule.sol, P15.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from governance.executor import Plan, encode_plan
from governance.vaults import Change, ChangeKind
from protocol.errors import InvalidField
from protocol.ethereum.abi import encode_call
from protocol.units import BASIS_POINTS_ONE, Address, BasisPoints, TokenAmount, multiply_divide_up

_ADDRESS_BITS: Final = 160
_MAX_AGE_BITS: Final = 32
_CAP_BITS: Final = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryLimits:
    """What a vault may lose and move, in the token `unit`; a bucket leaks in a day as much as it holds."""

    unit: Address
    loss_band: BasisPoints
    """Of one trade, of what it sells."""
    agreement: BasisPoints
    """By which a feed and a pool's mean may differ."""
    max_loss: TokenAmount
    max_turnover: TokenAmount

    def changes(self) -> Iterator[Change]:
        """Yield what the Safe proposes to turn inventory mode on; each can be enacted after 48 hours, in any order."""
        yield Change(kind=ChangeKind.LOSS_BAND, value=self.loss_band)
        yield Change(kind=ChangeKind.AGREEMENT, value=self.agreement)
        yield Change(kind=ChangeKind.MAX_LOSS, value=self.max_loss)
        yield Change(kind=ChangeKind.MAX_TURNOVER, value=self.max_turnover)
        yield Change(kind=ChangeKind.UNIT, subject=self.unit)

    def theft_bound_rounded_up(self, price_error: BasisPoints, days: int = 0, *, priced_tokens: int = 2) -> TokenAmount:
        """Return the most that a stolen hot key takes out of the vault in a burst and so many further days.

        `price_error` e: by how much what counts of one token may be off its true price, less than all of it. What is
        sold as T at no loss was worth up to T / (1 - e) where it counted too little; what then comes in is worth
        T / (1 + e) where that counted too much. `priced_tokens`: how many can be traded besides the unit, whose price
        is true; with one alone the first is the worse. Gas and what was deposited on an exchange come on top. Raises
        InvalidField.
        """
        if days < 0 or price_error < 0:
            raise InvalidField("neither days nor an error are negative", "days")
        if price_error >= BASIS_POINTS_ONE:
            raise InvalidField("a price that is wrong altogether bounds nothing", "price_error")
        one, off = BASIS_POINTS_ONE, price_error
        numerator, denominator = (off, one - off) if priced_tokens < 2 else (2 * off * one, one**2 - off**2)
        return TokenAmount((1 + days) * (self.max_loss + multiply_divide_up(self.max_turnover, numerator, denominator)))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketLimits:
    """A token of the inventory: whence its prices come, and how much of it is to be held."""

    token: Address
    feed: Address
    max_age_seconds: int
    pool: Address
    """Of Uniswap V3, of this token and the unit."""
    held_at_least: TokenAmount
    held_at_most: TokenAmount

    def changes(self) -> Iterator[Change]:
        """Yield what the Safe proposes; each can be enacted after 48 hours, in any order. Raises InvalidField."""
        yield feed_change(self.token, self.feed, self.max_age_seconds)
        yield pool_change(self.token, self.pool)
        yield Change(kind=ChangeKind.HELD_AT_LEAST, subject=self.token, value=self.held_at_least)
        yield Change(kind=ChangeKind.HELD_AT_MOST, subject=self.token, value=self.held_at_most)


def feed_change(token: Address, feed: Address, max_age_seconds: int) -> Change:
    """Return the change that says whence a token's price comes, and how old it may be. Raises InvalidField."""
    value = _packed(feed, max_age_seconds, _MAX_AGE_BITS, "max_age_seconds")
    return Change(kind=ChangeKind.FEED, subject=token, value=value)


def pool_change(token: Address, pool: Address) -> Change:
    """Return the change that says by which pool's mean a token's price is checked; a pool of 0 tightens."""
    return Change(kind=ChangeKind.POOL, subject=token, value=int.from_bytes(pool, "big"))


def unpacked(value: int) -> tuple[Address, int]:
    """Return what a change's value packs: an address, and a number above its bits."""
    return Address((value % 2**_ADDRESS_BITS).to_bytes(_ADDRESS_BITS // 8, "big")), value >> _ADDRESS_BITS


def deposit_change(exchange: Address, token: Address, daily_cap: TokenAmount) -> Change:
    """Return the change that pins an account on an exchange; with a cap of 0 it tightens. Raises InvalidField."""
    return Change(kind=ChangeKind.DEPOSIT, subject=exchange, value=_packed(token, daily_cap, _CAP_BITS, "daily_cap"))


def deposit_call(safe: Address, token: Address, exchange: Address, amount: TokenAmount) -> bytes:
    """Return the hot key's call of the module that sends a pinned token to a pinned account."""
    return encode_call("deposit(address,address,address,uint256)", _hex(safe), _hex(token), _hex(exchange), amount)


def trade_call(safe: Address, sold: Address, amount: TokenAmount, bought: Address, plan: Plan) -> bytes:
    """Return the hot key's call of the module that trades inventory. Raises InvalidField.

    The plan's minimum is of what is bought; it borrows nothing and pays no builder.
    """
    if amount <= 0 or sold == bought:
        raise InvalidField("a trade sells something and buys something else", "amount")
    if plan.loan is not None or plan.builder_payment or plan.network is not None:
        raise InvalidField("a trade of inventory borrows nothing, pays no builder and is no order", "plan")
    if plan.hops and plan.hops[-1].token_out != bought:
        raise InvalidField("the last hop does not give what is to be bought", "hops")
    signature = "trade(address,address,uint256,address,bytes)"
    return encode_call(signature, _hex(safe), _hex(sold), amount, _hex(bought), encode_plan(plan))


def _packed(address: Address, above: int, bits: int, where: str) -> int:
    if not 0 <= above < 1 << bits:
        raise InvalidField(f"must be from 0 to 2^{bits} - 1", where)
    return above << _ADDRESS_BITS | int.from_bytes(address, "big")


def _hex(address: Address) -> str:
    return "0x" + address.hex()
