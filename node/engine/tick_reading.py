"""Views of concentrated liquidity, and what their answers make: Uniswap V3 and its like, each pool by its own contract,
and Uniswap V4, whose manager shows the words of its storage (v4-core, src/libraries/StateLibrary.sol).

First price, liquidity and every word of the tick bitmap, then every initialised tick. The net liquidity below the price
must add up to the liquidity in range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from node.engine.multicall import View, number_at, signed_at
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.tick_math import MAX_TICK, MIN_TICK, tick_at_sqrt_ratio
from node.pipeline.amm.ticks import TickTable, tick_table
from node.pipeline.amm.uniswap_v4 import V4Pool, protocol_fees
from node.pipeline.amm.units import UINT128_MAX, UINT160_MAX
from node.pipeline.pools import PoolFamily, PoolSpec
from protocol.ethereum.abi import selector
from protocol.ethereum.keccak import keccak256
from protocol.units import Address

_SLOT0: Final = selector("slot0()")
_LIQUIDITY: Final = selector("liquidity()")
_FEE: Final = selector("fee()")
_TICK_BITMAP: Final = selector("tickBitmap(int16)")
_TICKS: Final = selector("ticks(int24)")
_LOAD: Final = selector("extsload(bytes32)")
_WORD: Final = 32
_V4_POOLS: Final = 6
"""Slot of the manager's mapping of pools; within a pool's state: slot0, fee growths, then …"""
_V4_LIQUIDITY, _V4_TICKS, _V4_BITMAP = 3, 4, 5
MOST_TICKS: Final = 20_000
"""Initialised ticks of a pool that are read; the deepest known have a few thousand. A contract of a stranger's can say
more for nothing, and every one would be asked for."""
HEAD_VIEWS: Final = 3
"""Before the bitmap's words."""


class Head(NamedTuple):
    """What a pool says of itself beside its ticks. `fee_pips`: of V4 the pool's share; protocol fees as the pool has
    them, as denominators (V3) or pips (V4).
    """

    price: int
    tick: int
    liquidity: int
    fee_pips: int
    protocol_fee0: int
    protocol_fee1: int


def all_words(spec: PoolSpec) -> Sequence[int]:
    """Return the numbers of all words that a pool's tick bitmap can have."""
    if not spec.tick_spacing:
        return ()
    lowest, highest = -(-MIN_TICK // spec.tick_spacing), MAX_TICK // spec.tick_spacing
    return range(lowest >> 8, (highest >> 8) + 1)


def head_views(spec: PoolSpec, words: Sequence[int]) -> list[View]:
    """Price, liquidity, fee, and these words of the bitmap."""
    if spec.family is PoolFamily.UNISWAP_V4:
        slot = _v4_slot(spec)
        head = [_load(spec, slot), _load(spec, slot + _V4_LIQUIDITY), _load(spec, slot)]
        return head + [_load(spec, _mapped(word, slot + _V4_BITMAP)) for word in words]
    bitmap = [_call(spec.address, _TICK_BITMAP, word) for word in words]
    return [View(spec.address, _SLOT0), View(spec.address, _LIQUIDITY), View(spec.address, _FEE), *bitmap]


def tick_views(spec: PoolSpec, ticks: Sequence[int]) -> list[View]:
    """A view a tick."""
    if spec.family is PoolFamily.UNISWAP_V4:
        slot = _v4_slot(spec)
        return [_load(spec, _mapped(tick, slot + _V4_TICKS)) for tick in ticks]
    return [_call(spec.address, _TICKS, tick) for tick in ticks]


def initialised(words: Sequence[int], answers: Sequence[bytes | None], spacing: int) -> list[int]:
    """Return the ticks whose bits are set and that exist; words that are not there have none (`pool_of` tells).

    Raises ValueError for more than `MOST_TICKS`.
    """
    ticks: list[int] = []
    for word, answer in zip(words, answers, strict=True):
        bits = int.from_bytes(answer[:_WORD], "big") if answer else 0
        if len(ticks) + bits.bit_count() > MOST_TICKS:
            raise ValueError(f"more than {MOST_TICKS} initialised ticks")
        while bits:
            low = bits & -bits
            ticks.append(((word << 8) + low.bit_length() - 1) * spacing)
            bits ^= low
    return ticks


def pool_of(
    spec: PoolSpec,
    answers: Sequence[bytes | None],
    ticks: Sequence[int],
    tick_answers: Sequence[bytes | None],
    *,
    is_whole: bool,
) -> ConcentratedPool | V4Pool:
    """The pool that the answers make; `is_whole`: all words were asked for. Raises ValueError."""
    head = _v4_head(answers) if spec.family is PoolFamily.UNISWAP_V4 else _v3_head(spec, answers)
    if not 0 < head.price <= UINT160_MAX:
        raise ValueError("not initialised" if head.price == 0 else f"price {head.price}")
    if any(answer is None or len(answer) < _WORD for answer in answers[HEAD_VIEWS:]):
        raise ValueError("a word of the tick bitmap is wrong")
    if head.liquidity > UINT128_MAX:
        raise ValueError(f"liquidity {head.liquidity}")
    _require_tick(head)
    table = _table(spec, ticks, tick_answers)
    below = sum(net for number, net in table.net.items() if number <= head.tick)
    if is_whole and below != head.liquidity:
        raise ValueError(f"the ticks make a liquidity of {below}, the pool says {head.liquidity}")
    if spec.family is PoolFamily.UNISWAP_V4:
        fees = (head.protocol_fee0, head.protocol_fee1)
        return V4Pool(head.fee_pips, head.price, head.tick, head.liquidity, table, *fees)
    denominators = {"fee_protocol0": head.protocol_fee0, "fee_protocol1": head.protocol_fee1}
    return ConcentratedPool(head.fee_pips, head.price, head.tick, head.liquidity, table, **denominators)


def _require_tick(head: Head) -> None:
    """The tick is the price's, or one below it where a swap ended on an initialised tick."""
    tick = tick_at_sqrt_ratio(head.price)
    if head.tick not in (tick, tick - 1):
        raise ValueError(f"tick {head.tick} at a price of tick {tick}")


def _table(spec: PoolSpec, ticks: Sequence[int], answers: Sequence[bytes | None]) -> TickTable:
    table: dict[int, tuple[int, int]] = {}
    for number, answer in zip(ticks, answers, strict=True):
        if not MIN_TICK <= number <= MAX_TICK:
            raise ValueError(f"tick {number} is out of range")
        data = _present(answer, f"tick {number}")
        if spec.family is PoolFamily.UNISWAP_V4:
            packed = number_at(data, 0)  # net liquidity above, gross below
            gross, net = packed & UINT128_MAX, _int128(packed >> 128)
        else:
            gross, net = number_at(data, 0), signed_at(data, _WORD)
        if not gross:
            raise ValueError(f"tick {number} is initialised without liquidity")
        table[number] = (gross, net)
    return tick_table(spec.tick_spacing, table)


def _v3_head(spec: PoolSpec, answers: Sequence[bytes | None]) -> Head:
    slot0, liquidity = _present(answers[0], "slot0()"), number_at(_present(answers[1], "liquidity()"), 0)
    price, tick = number_at(slot0, 0), signed_at(slot0, _WORD)
    fee = number_at(_present(answers[2], "fee()"), 0) if spec.has_moving_fee else spec.fee_pips
    if not 0 <= fee < 1_000_000:
        raise ValueError(f"fee {fee}")
    # No amount depends on the protocol's share; Uniswap's is kept because flash loans pay it.
    shares = number_at(slot0, 5 * _WORD) if spec.family is PoolFamily.UNISWAP_V3 else 0
    return Head(price, tick, liquidity, fee, shares % 16, shares >> 4)


def _v4_head(answers: Sequence[bytes | None]) -> Head:
    slot0, liquidity = (number_at(_present(answer, "extsload(bytes32)"), 0) for answer in answers[:2])
    tick, packed_fees, lp_fee = (slot0 >> shift & 0xFFFFFF for shift in (160, 184, 208))
    signed_tick = tick - (1 << 24) if tick >> 23 else tick
    return Head(slot0 & UINT160_MAX, signed_tick, liquidity, lp_fee, *protocol_fees(packed_fees))


def _v4_slot(spec: PoolSpec) -> int:
    return int.from_bytes(keccak256(spec.id + _V4_POOLS.to_bytes(_WORD, "big")), "big")


def _mapped(key: int, slot: int) -> int:
    words = key.to_bytes(_WORD, "big", signed=True) + (slot % (1 << 256)).to_bytes(_WORD, "big")
    return int.from_bytes(keccak256(words), "big")


def _load(spec: PoolSpec, slot: int) -> View:
    return View(spec.address, _LOAD + (slot % (1 << 256)).to_bytes(_WORD, "big"))


def _call(target: Address, function: bytes, argument: int) -> View:
    return View(target, function + argument.to_bytes(_WORD, "big", signed=True))


def _int128(number: int) -> int:
    return number - (1 << 128) if number >> 127 else number


def _present(answer: bytes | None, what: str) -> bytes:
    if answer is None:
        raise ValueError(f"{what} reverts")
    return answer
