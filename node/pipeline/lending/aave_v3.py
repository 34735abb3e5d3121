"""Aave V3: aave-v3-core 1.19, contracts/protocol/libraries/logic/GenericLogic.sol (calculateUserAccountData),
ReserveLogic.sol (getNormalizedIncome, getNormalizedDebt), LiquidationLogic.sol (_calculateDebt,
_calculateAvailableCollateralToLiquidate), tokenization/base/ScaledBalanceTokenBase.sol (which balance an event means).

Debt at stable rates, which no market lends any more, is not followed: a position with one is not to be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from node.pipeline.lending.errors import StateContradicted, UnknownReserve
from node.pipeline.lending.logs import Event, events_of
from node.pipeline.lending.ray_math import (
    PERCENT,
    WAD,
    compounded_interest,
    linear_interest,
    percent_div,
    percent_mul,
    ray_div,
    ray_mul,
    wad_div,
)

CLOSE_FACTOR_THRESHOLD: Final = 95 * 10**16
HALF_CLOSE_FACTOR: Final = PERCENT // 2
NO_DEBT: Final = (1 << 256) - 1
"""The health factor of a position without debt."""

POOL_EVENTS: Final = events_of("""
    ReserveDataUpdated(address indexed,uint256,uint256,uint256,uint256,uint256)
    ReserveUsedAsCollateralEnabled(address indexed,address indexed)
    ReserveUsedAsCollateralDisabled(address indexed,address indexed)
    UserEModeSet(address indexed,uint8)
    LiquidationCall(address indexed,address indexed,address indexed,uint256,uint256,address,bool)
""")
TOKEN_EVENTS: Final = events_of("""
    Mint(address indexed,address indexed,uint256,uint256,uint256)
    Burn(address indexed,address indexed,uint256,uint256,uint256)
    BalanceTransfer(address indexed,address indexed,uint256,uint256)
""")


class ReserveSettings(msgspec.Struct, frozen=True, gc=False):
    """What governance sets of an asset: thresholds, bonus (10,500 is 5 percent) and protocol fee of 10,000."""

    decimals: int
    liquidation_threshold: int
    liquidation_bonus: int
    liquidation_protocol_fee: int = 0
    e_mode_category: int = 0


class Reserve(msgspec.Struct, frozen=True, gc=False):
    """An asset as of its last update (Unix seconds): indices and yearly rates in rays."""

    settings: ReserveSettings
    liquidity_index: int
    borrow_index: int
    liquidity_rate: int
    borrow_rate: int
    updated: int


class EMode(msgspec.Struct, frozen=True, gc=False):
    """A category of assets that move together: threshold and bonus, and one price, or 0 for each asset's own."""

    liquidation_threshold: int
    liquidation_bonus: int
    price: int = 0


class Position(msgspec.Struct, frozen=True, gc=False):
    """What one user has: scaled supplies and scaled debts by asset, which supplies are collateral, the e-mode."""

    supplies: Mapping[str, int] = msgspec.field(default_factory=dict)
    debts: Mapping[str, int] = msgspec.field(default_factory=dict)
    collateral: frozenset[str] = frozenset()
    e_mode: int = 0


class Market(msgspec.Struct, frozen=True, gc=False):
    """All reserves by asset, and the e-mode categories."""

    reserves: Mapping[str, Reserve]
    e_modes: Mapping[int, EMode] = msgspec.field(default_factory=dict)

    def reserve(self, asset: str) -> Reserve:
        """Raises UnknownReserve."""
        reserve = self.reserves.get(asset)
        if reserve is None:
            raise UnknownReserve(f"no reserve of {asset}")
        return reserve

    def grown(self, now: int) -> Market:
        """The same with each index as of a time, so that it is not computed for each position anew."""
        reserves = {
            asset: msgspec.structs.replace(
                reserve,
                liquidity_index=normalized_income(reserve, now),
                borrow_index=normalized_debt(reserve, now),
                updated=now,
            )
            if reserve.updated <= now
            else reserve
            for asset, reserve in self.reserves.items()
        }
        return Market(reserves, self.e_modes)


class Part(NamedTuple):
    """What one asset adds to an account: what is collateral of it, its threshold of 10,000, and the debt, both in
    smallest units, of which `unit` are worth `price`. `has_own_price`: its e-mode's, whatever the asset's is.
    """

    asset: str
    supplied: int
    threshold: int
    owed: int
    price: int
    unit: int
    has_own_price: bool


class Account(msgspec.Struct, frozen=True, gc=False):
    """calculateUserAccountData in the oracle's unit; the threshold of 10,000, the health factor in 18 decimals."""

    collateral: int
    debt: int
    threshold: int
    health_factor: int


class Liquidation(msgspec.Struct, frozen=True, gc=False):
    """What a liquidation moves: the debt repaid, the collateral that the liquidator gets, what Aave keeps of it."""

    debt_repaid: int
    collateral_received: int
    protocol_fee: int


def normalized_income(reserve: Reserve, now: int) -> int:
    """What a scaled supply has grown to at a time, in rays (getNormalizedIncome)."""
    if now == reserve.updated:
        return reserve.liquidity_index
    return ray_mul(linear_interest(reserve.liquidity_rate, _since(reserve, now)), reserve.liquidity_index)


def normalized_debt(reserve: Reserve, now: int) -> int:
    """What a scaled debt has grown to at a time, in rays (getNormalizedDebt)."""
    if now == reserve.updated:
        return reserve.borrow_index
    return ray_mul(compounded_interest(reserve.borrow_rate, _since(reserve, now)), reserve.borrow_index)


def parts(market: Market, position: Position, prices: Mapping[str, int], now: int) -> Iterator[Part]:
    """What each asset of a position adds to its account. Raises UnknownReserve."""
    e_mode = market.e_modes.get(position.e_mode) if position.e_mode else None
    for asset in sorted({*position.supplies, *position.debts}):
        reserve = market.reserve(asset)
        settings, unit = reserve.settings, 10**reserve.settings.decimals
        mode = e_mode if settings.e_mode_category == position.e_mode else None
        own_price = 0 if mode is None else mode.price
        price = own_price or _price(prices, asset)
        supplied = owed = 0
        if settings.liquidation_threshold and asset in position.collateral:
            supplied = ray_mul(position.supplies.get(asset, 0), normalized_income(reserve, now))
        if position.debts.get(asset):
            owed = ray_mul(position.debts[asset], normalized_debt(reserve, now))
        yield Part(asset, supplied, (mode or settings).liquidation_threshold, owed, price, unit, own_price > 0)


def account(market: Market, position: Position, prices: Mapping[str, int], now: int) -> Account:
    """A position by prices of our own, at a time. Raises UnknownReserve."""
    collateral = debt = weighted = 0
    for part in parts(market, position, prices, now):
        supplied = part.supplied * part.price // part.unit
        collateral += supplied
        weighted += supplied * part.threshold
        debt += part.owed * part.price // part.unit
    threshold = weighted // collateral if collateral else 0
    health = wad_div(percent_mul(collateral, threshold), debt) if debt else NO_DEBT
    return Account(collateral, debt, threshold, health)


def liquidation(
    market: Market,
    position: Position,
    prices: Mapping[str, int],
    collateral_asset: str,
    debt_asset: str,
    now: int,
    debt_to_cover: int | None = None,
) -> Liquidation | None:
    """What liquidationCall would move, of as much debt as the close factor lets; None for a healthy position or one
    without these two. Raises UnknownReserve.
    """
    health = account(market, position, prices, now).health_factor
    collateral, debt = market.reserve(collateral_asset), market.reserve(debt_asset)
    supplied = ray_mul(position.supplies.get(collateral_asset, 0), normalized_income(collateral, now))
    owed = ray_mul(position.debts.get(debt_asset, 0), normalized_debt(debt, now))
    if health >= WAD or not owed or not supplied or collateral_asset not in position.collateral:
        return None
    most = percent_mul(owed, HALF_CLOSE_FACTOR if health > CLOSE_FACTOR_THRESHOLD else PERCENT)
    repaid = most if debt_to_cover is None else min(most, debt_to_cover)
    bonus = _bonus(market, position, collateral)
    collateral_price, debt_price = _price(prices, collateral_asset), _price(prices, debt_asset)
    collateral_unit, debt_unit = 10**collateral.settings.decimals, 10**debt.settings.decimals
    seized = percent_mul(debt_price * repaid * collateral_unit // (collateral_price * debt_unit), bonus)
    if seized > supplied:
        seized = supplied
        repaid = percent_div(collateral_price * seized * debt_unit // (debt_price * collateral_unit), bonus)
    fee = percent_mul(seized - percent_div(seized, bonus), collateral.settings.liquidation_protocol_fee)
    return Liquidation(repaid, seized - fee, fee)


def reserve_after(reserve: Reserve, event: Event, timestamp: int) -> Reserve:
    """The reserve after ReserveDataUpdated at a block's time."""
    _, liquidity_rate, _, borrow_rate, liquidity_index, borrow_index = event.values
    return Reserve(reserve.settings, liquidity_index, borrow_index, liquidity_rate, borrow_rate, timestamp)


def position_after_flag(position: Position, event: Event) -> Position:
    """The position after an event of the pool about its user: collateral on or off, or another e-mode."""
    if event.name == "UserEModeSet":
        return msgspec.structs.replace(position, e_mode=event.values[1])
    asset = {event.values[0]}
    enabled = event.name == "ReserveUsedAsCollateralEnabled"
    return msgspec.structs.replace(
        position, collateral=position.collateral | asset if enabled else position.collateral - asset
    )


def scaled_changes(event: Event) -> list[tuple[str, int]]:
    """(user, change of the scaled balance) that an event of an aToken or a debt token means.

    Mint and Burn tell amounts with the interest since the last event in them: a burn of less than that interest is told
    as a mint, and interest alone changes no scaled balance.
    """
    if event.name == "BalanceTransfer":
        sender, receiver, scaled, _ = event.values
        return [(sender, -scaled), (receiver, scaled)] if sender != receiver else []
    if event.name == "Mint":
        _, user, value, increase, index = event.values
        amount = value - increase
    else:
        user, _, value, increase, index = event.values
        amount = -(value + increase)
    return [(user, ray_div(amount, index) if amount >= 0 else -ray_div(-amount, index))] if amount else []


def with_scaled_change(position: Position, asset: str, change: int, *, is_debt: bool) -> Position:
    """The position with another scaled balance. Raises StateContradicted below zero."""
    balances = dict(position.debts if is_debt else position.supplies)
    balance = balances.get(asset, 0) + change
    if balance < 0:
        raise StateContradicted(f"a scaled balance of {balance} of {asset}")
    if balance:
        balances[asset] = balance
    else:
        balances.pop(asset, None)
    if is_debt:
        return msgspec.structs.replace(position, debts=balances)
    return msgspec.structs.replace(position, supplies=balances)


def _bonus(market: Market, position: Position, collateral: Reserve) -> int:
    e_mode = market.e_modes.get(position.e_mode)
    if e_mode is not None and collateral.settings.e_mode_category == position.e_mode:
        return e_mode.liquidation_bonus
    return collateral.settings.liquidation_bonus


def _price(prices: Mapping[str, int], asset: str) -> int:
    price = prices.get(asset)
    if not price:
        raise UnknownReserve(f"no price of {asset}")
    return price


def _since(reserve: Reserve, now: int) -> int:
    if now < reserve.updated:
        raise StateContradicted(f"asked for {now}, updated at {reserve.updated}")
    return now - reserve.updated
