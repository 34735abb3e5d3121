"""Morpho Blue: morpho-blue, src/Morpho.sol (_isHealthy, _accrueInterest, liquidate), src/libraries/SharesMathLib.sol,
MathLib.sol. A market is one loan token against one collateral token, and its id is the hash of what it is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from node.pipeline.lending.errors import StateContradicted
from node.pipeline.lending.logs import Event, events_of

WAD: Final = 10**18
ORACLE_SCALE: Final = 10**36
CURSOR: Final = 3 * 10**17
MAX_INCENTIVE: Final = 115 * 10**16
VIRTUAL_SHARES: Final = 10**6
VIRTUAL_ASSETS: Final = 1

EVENTS: Final = events_of("""
    Supply(bytes32 indexed,address indexed,address indexed,uint256,uint256)
    Withdraw(bytes32 indexed,address,address indexed,address indexed,uint256,uint256)
    Borrow(bytes32 indexed,address,address indexed,address indexed,uint256,uint256)
    Repay(bytes32 indexed,address indexed,address indexed,uint256,uint256)
    SupplyCollateral(bytes32 indexed,address indexed,address indexed,uint256)
    WithdrawCollateral(bytes32 indexed,address,address indexed,address indexed,uint256)
    Liquidate(bytes32 indexed,address indexed,address indexed,uint256,uint256,uint256,uint256,uint256)
    AccrueInterest(bytes32 indexed,uint256,uint256,uint256)
    SetFee(bytes32 indexed,uint256)
""")


class MorphoMarket(msgspec.Struct, frozen=True, gc=False):
    """Totals of one market as of its last accrual (Unix seconds); `lltv` and `fee` in 18 decimals."""

    lltv: int
    supply_assets: int = 0
    supply_shares: int = 0
    borrow_assets: int = 0
    borrow_shares: int = 0
    fee: int = 0
    updated: int = 0


class MorphoPosition(msgspec.Struct, frozen=True, gc=False):
    """What one user has in one market."""

    borrow_shares: int = 0
    collateral: int = 0


class MorphoLiquidation(msgspec.Struct, frozen=True, gc=False):
    """What a liquidation moves: loan assets paid (and the shares of the debt that ends), collateral received."""

    repaid_assets: int
    repaid_shares: int
    seized: int


def accrued(market: MorphoMarket, borrow_rate: int, now: int) -> MorphoMarket:
    """The market with interest up to a time, at a rate per second in 18 decimals (_accrueInterest)."""
    elapsed = now - market.updated
    if elapsed < 0:
        raise StateContradicted(f"asked for {now}, updated at {market.updated}")
    first = borrow_rate * elapsed
    second = first * first // (2 * WAD)
    interest = market.borrow_assets * (first + second + second * first // (3 * WAD)) // WAD
    fee_amount = interest * market.fee // WAD
    assets = market.supply_assets + interest
    fee_shares = _shares(fee_amount, assets - fee_amount, market.supply_shares, up=False)
    return msgspec.structs.replace(_with_interest(market, interest, fee_shares), updated=now)


def health_factor(market: MorphoMarket, position: MorphoPosition, price: int) -> int | None:
    """What may be borrowed over what is, in 18 decimals; below one the position can be liquidated. None without debt.

    `price`: collateral in loan tokens, times 10**36. Rounded so that below one means just what _isHealthy refuses.
    """
    borrowed = _assets(position.borrow_shares, market.borrow_assets, market.borrow_shares, up=True)
    if not position.borrow_shares:
        return None
    return max_borrow(market, position, price) * WAD // borrowed


def max_borrow(market: MorphoMarket, position: MorphoPosition, price: int) -> int:
    """How many loan assets the collateral allows at a price."""
    return position.collateral * price // ORACLE_SCALE * market.lltv // WAD


def incentive_factor(lltv: int) -> int:
    """What a liquidator gets per loan asset paid, in 18 decimals."""
    return min(MAX_INCENTIVE, WAD * WAD // (WAD - CURSOR * (WAD - lltv) // WAD))


def liquidation(market: MorphoMarket, position: MorphoPosition, price: int) -> MorphoLiquidation | None:
    """The most that one liquidation can move: the whole debt, or the whole collateral where it is worth less. None for
    a healthy position or one without collateral. The market must be accrued to the time of the block.
    """
    health = health_factor(market, position, price)
    if health is None or health >= WAD or not position.collateral or not price:
        return None
    factor, totals = incentive_factor(market.lltv), (market.borrow_assets, market.borrow_shares)
    whole = _assets(position.borrow_shares, *totals, up=False) * factor // WAD * ORACLE_SCALE // price
    if whole <= position.collateral:
        return MorphoLiquidation(_assets(position.borrow_shares, *totals, up=True), position.borrow_shares, whole)
    quoted = _up(position.collateral * price, ORACLE_SCALE)
    shares = _shares(_up(quoted * WAD, factor), *totals, up=True)
    return MorphoLiquidation(_assets(shares, *totals, up=True), shares, position.collateral)


def liquidation_of(market: MorphoMarket, position: MorphoPosition, price: int, shares: int) -> MorphoLiquidation | None:
    """What repaying so many shares of a position's debt moves (Morpho.liquidate); None where it is refused, or empty.

    The market must be accrued to the time of the block.
    """
    health = health_factor(market, position, price)
    if health is None or health >= WAD or not 0 < shares <= position.borrow_shares or not price:
        return None
    totals = market.borrow_assets, market.borrow_shares
    seized = _assets(shares, *totals, up=False) * incentive_factor(market.lltv) // WAD * ORACLE_SCALE // price
    if not 0 < seized <= position.collateral:
        return None
    return MorphoLiquidation(_assets(shares, *totals, up=True), shares, seized)


def shares_for(market: MorphoMarket, assets: int) -> int:
    """The most shares of debt that so many loan assets repay."""
    return _shares(assets, market.borrow_assets, market.borrow_shares, up=False)


def assets_of(market: MorphoMarket, shares: int) -> int:
    """The loan assets that repay so many shares of debt."""
    return _assets(shares, market.borrow_assets, market.borrow_shares, up=True)


def market_after(market: MorphoMarket, event: Event, timestamp: int) -> MorphoMarket:
    """The market after one of its events, at a block's time. Raises StateContradicted."""
    change = _MARKET_CHANGES.get(event.name)
    if change is None:
        return market
    changed = change(market, event.values)
    if min(changed.supply_assets, changed.supply_shares, changed.borrow_shares) < 0:
        raise StateContradicted(f"{event.name} leaves {changed}")
    # Every one of these but SetFee accrues first; SetFee does too, in an event of its own.
    return msgspec.structs.replace(changed, updated=timestamp)


def position_after(position: MorphoPosition, event: Event) -> MorphoPosition:
    """The position after an event of its owner. Raises StateContradicted."""
    change = _POSITION_CHANGES.get(event.name)
    if change is None:
        return position
    shares, collateral = change(event.values)
    changed = MorphoPosition(position.borrow_shares + shares, position.collateral + collateral)
    if changed.borrow_shares < 0 or changed.collateral < 0:
        raise StateContradicted(f"{event.name} leaves {changed}")
    return changed


def owner_of(event: Event) -> str | None:
    """Whose position an event changes; None for events of the market alone."""
    return event.values[2] if event.name in _POSITION_CHANGES else None


def _moved(market: MorphoMarket, supply: tuple[int, int], borrow: tuple[int, int]) -> MorphoMarket:
    return msgspec.structs.replace(
        market,
        supply_assets=market.supply_assets + supply[0],
        supply_shares=market.supply_shares + supply[1],
        # A repayment may be one asset more than the total, which then stays at zero.
        borrow_assets=max(market.borrow_assets + borrow[0], 0),
        borrow_shares=market.borrow_shares + borrow[1],
    )


def _with_interest(market: MorphoMarket, interest: int, fee_shares: int) -> MorphoMarket:
    return _moved(market, (interest, fee_shares), (interest, 0))


def _liquidated(market: MorphoMarket, values: tuple[int, ...]) -> MorphoMarket:
    _, _, _, repaid_assets, repaid_shares, _, bad_assets, bad_shares = values
    repaid = _moved(market, (0, 0), (-repaid_assets, -repaid_shares))
    return _moved(repaid, (-bad_assets, 0), (-bad_assets, -bad_shares))


_MARKET_CHANGES: Final[dict[str, Callable[[MorphoMarket, tuple[int, ...]], MorphoMarket]]] = {
    "AccrueInterest": lambda market, values: _with_interest(market, values[2], values[3]),
    "Supply": lambda market, values: _moved(market, (values[3], values[4]), (0, 0)),
    "Withdraw": lambda market, values: _moved(market, (-values[4], -values[5]), (0, 0)),
    "Borrow": lambda market, values: _moved(market, (0, 0), (values[4], values[5])),
    "Repay": lambda market, values: _moved(market, (0, 0), (-values[3], -values[4])),
    "Liquidate": _liquidated,
    "SetFee": lambda market, values: msgspec.structs.replace(market, fee=values[1]),
}
# (borrow shares, collateral) by which an event changes its owner's position.
_POSITION_CHANGES: Final[dict[str, Callable[[tuple[int, ...]], tuple[int, int]]]] = {
    "Borrow": lambda values: (values[5], 0),
    "Repay": lambda values: (-values[4], 0),
    "SupplyCollateral": lambda values: (0, values[3]),
    "WithdrawCollateral": lambda values: (0, -values[4]),
    "Liquidate": lambda values: (-values[4] - values[7], -values[5]),
}


def _assets(shares: int, total_assets: int, total_shares: int, *, up: bool) -> int:
    product, divisor = shares * (total_assets + VIRTUAL_ASSETS), total_shares + VIRTUAL_SHARES
    return _up(product, divisor) if up else product // divisor


def _shares(assets: int, total_assets: int, total_shares: int, *, up: bool) -> int:
    product, divisor = assets * (total_shares + VIRTUAL_SHARES), total_assets + VIRTUAL_ASSETS
    return _up(product, divisor) if up else product // divisor


def _up(a: int, b: int) -> int:
    return -(-a // b)
