"""From dollars to raw token amounts, exactly: the same numbers on every machine, so the same world.

Uniswap V3's formulas are its whitepaper's (section 6): price = 1.0001**tick, x = L·(1/√p - 1/√b), y = L·(√p - √a).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, localcontext
from math import isqrt
from typing import Final

from devnet.protocols.catalogue import TICK_SPACING, PoolSpec, TokenSpec, token
from protocol.ethereum.keccak import keccak256

DEVIATION_UNIT: Final = 100_000
MAX_TICK: Final = 887_272
_PRECISION: Final = 60
_BASE: Final = Decimal("1.0001")


@dataclass(frozen=True, slots=True)
class Position:
    """One position of Uniswap V3 or V4: ticks, the raw amounts to offer (token0, token1), and what they make."""

    tick_lower: int
    tick_upper: int
    amount0: int
    amount1: int
    liquidity: int


def raw_amount(spec: TokenSpec, usd_e8: int) -> int:
    """Return how many raw units of a token `usd_e8` (dollars, 8 decimals) buy at its set-up price, rounded down."""
    unit: int = 10**spec.decimals
    return usd_e8 * unit // spec.usd_price_e8


def deviation(pool: PoolSpec) -> int:
    """Return the pool's fixed price deviation in 1e-5, within ±`pool.deviation`, drawn from its name."""
    if pool.deviation == 0:
        return 0
    drawn = int.from_bytes(keccak256(pool.name.encode())[:8], "big")
    return drawn % (2 * pool.deviation + 1) - pool.deviation


def reserves(pool: PoolSpec) -> list[int]:
    """Return the raw reserves of a constant-product, weighted or stable pool, in the order of `pool.symbols`.

    Each token gets its weight's share of the dollars; the first token's amount is raised by the deviation.
    """
    shares = pool.weights or tuple(10**18 // len(pool.symbols) for _ in pool.symbols)
    amounts = [
        raw_amount(token(symbol), pool.usd * 10**8 * share // 10**18)
        for symbol, share in zip(pool.symbols, shares, strict=True)
    ]
    amounts[0] = amounts[0] * (DEVIATION_UNIT + deviation(pool)) // DEVIATION_UNIT
    return amounts


def sqrt_price_x96(pool: PoolSpec, first_is_token0: bool) -> int:
    """Return √(token1/token0) · 2**96 of the pool's starting price, rounded down."""
    first, second = (token(symbol) for symbol in pool.symbols)
    # raw second per raw first
    numerator = first.usd_price_e8 * 10**second.decimals * (DEVIATION_UNIT - deviation(pool))
    denominator = second.usd_price_e8 * 10**first.decimals * DEVIATION_UNIT
    if not first_is_token0:
        numerator, denominator = denominator, numerator
    return isqrt((numerator << 192) // denominator)


def positions(
    pool: PoolSpec, first_is_token0: bool, shape: tuple[tuple[int | None, int | None, int], ...]
) -> list[Position]:
    """Return the positions that spread the pool's dollars over `shape` (see catalogue.POSITIONS) around its price."""
    specs = [token(symbol) for symbol in pool.symbols]
    token0, token1 = specs if first_is_token0 else reversed(specs)
    spacing = TICK_SPACING[pool.fee_pips]
    with localcontext() as context:
        context.prec = _PRECISION
        root = Decimal(sqrt_price_x96(pool, first_is_token0)) / Decimal(2**96)
        tick = int((2 * root.ln() / _BASE.ln()).to_integral_value(ROUND_FLOOR))
        dollars0 = Decimal(token0.usd_price_e8) / 10**token0.decimals
        dollars1 = Decimal(token1.usd_price_e8) / 10**token1.decimals
        result = []
        for below, above, percent in shape:
            lower = -(MAX_TICK // spacing * spacing) if below is None else _align(tick - below, spacing)
            upper = MAX_TICK // spacing * spacing if above is None else _align(tick + above, spacing)
            x, y = _unit_amounts(root, lower, upper)
            liquidity = Decimal(pool.usd * 10**8 * percent) / 100 / (x * dollars0 + y * dollars1)
            amount0, amount1 = int(liquidity * x) + 1, int(liquidity * y) + 1
            result.append(Position(lower, upper, amount0, amount1, int(liquidity)))
        return result


def _unit_amounts(root: Decimal, lower: int, upper: int) -> tuple[Decimal, Decimal]:
    """Raw amounts of token0 and token1 that one unit of liquidity holds in [lower, upper] at √price `root`."""
    a, b = (_BASE**lower).sqrt(), (_BASE**upper).sqrt()
    inside = min(max(root, a), b)
    return 1 / inside - 1 / b, inside - a


def _align(tick: int, spacing: int) -> int:
    return tick // spacing * spacing
