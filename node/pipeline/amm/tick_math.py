"""Ticks and square-root prices: Uniswap v3-core, contracts/libraries/TickMath.sol (getSqrtRatioAtTick,
getTickAtSqrtRatio); the same library in Pancake V3, Slipstream and Uniswap V4.
"""

from __future__ import annotations

from functools import lru_cache

from node.pipeline.amm.errors import SqrtPriceInvalid, TickInvalid
from node.pipeline.amm.units import UINT256_MAX, SqrtPriceX96, Tick

MIN_TICK: Tick = -887272
MAX_TICK: Tick = 887272
MIN_SQRT_RATIO: SqrtPriceX96 = 4295128739
MAX_SQRT_RATIO: SqrtPriceX96 = 1461446703485210103287273052203988822378723970342

# 2**128 / sqrt(1.0001)**(2**i), for each bit i of a tick's absolute value.
_INVERSE_SQRT_POWERS_X128 = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)
_LOG_2_TO_LOG_SQRT_10001_X64 = 255738958999603826347141
_TICK_LOW_ERROR = 3402992956809132418596140100660247210
_TICK_HIGH_ERROR = 291339464771989622907027621153398088495

# Ticks whose price is remembered: the neighbourhoods of some thousand pools. The least recently used one goes first.
REMEMBERED_TICKS = 16384


@lru_cache(maxsize=REMEMBERED_TICKS)
def sqrt_ratio_at_tick(tick: Tick) -> SqrtPriceX96:
    """sqrt(1.0001**tick) * 2**96, rounded up (TickMath.getSqrtRatioAtTick).

    Raises TickInvalid("T") outside MIN_TICK … MAX_TICK.
    """
    remaining_bits = -tick if tick < 0 else tick
    if remaining_bits > MAX_TICK:
        raise TickInvalid("T", f"tick {tick} is out of range")
    ratio_x128 = 1 << 128
    for inverse_power in _INVERSE_SQRT_POWERS_X128:
        if not remaining_bits:
            break
        if remaining_bits & 1:
            ratio_x128 = (ratio_x128 * inverse_power) >> 128
        remaining_bits >>= 1
    if tick > 0:
        ratio_x128 = UINT256_MAX // ratio_x128
    return (ratio_x128 + 0xFFFFFFFF) >> 32


def tick_at_sqrt_ratio(sqrt_price_x96: SqrtPriceX96) -> Tick:
    """The greatest tick whose price is not above the given one (TickMath.getTickAtSqrtRatio).

    Raises SqrtPriceInvalid("R") outside MIN_SQRT_RATIO … MAX_SQRT_RATIO - 1.
    """
    if not MIN_SQRT_RATIO <= sqrt_price_x96 < MAX_SQRT_RATIO:
        raise SqrtPriceInvalid("R", f"sqrt price {sqrt_price_x96} is out of range")
    ratio_x128 = sqrt_price_x96 << 32
    most_significant_bit = ratio_x128.bit_length() - 1
    # Mantissa with 127 fractional bits; each squaring of it yields one more bit of the binary logarithm.
    mantissa = (
        ratio_x128 >> (most_significant_bit - 127)
        if most_significant_bit >= 128
        else (ratio_x128 << (127 - most_significant_bit))
    )
    log_2_x64 = (most_significant_bit - 128) << 64
    for bit in range(63, 49, -1):
        mantissa = (mantissa * mantissa) >> 127
        if mantissa >> 128:
            log_2_x64 |= 1 << bit
            mantissa >>= 1
    log_sqrt_10001_x128 = log_2_x64 * _LOG_2_TO_LOG_SQRT_10001_X64
    tick_low = (log_sqrt_10001_x128 - _TICK_LOW_ERROR) >> 128
    tick_high = (log_sqrt_10001_x128 + _TICK_HIGH_ERROR) >> 128
    if tick_low == tick_high or sqrt_ratio_at_tick(tick_high) > sqrt_price_x96:
        return tick_low
    return tick_high
