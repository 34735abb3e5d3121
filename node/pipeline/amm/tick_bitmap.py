"""Which ticks are initialised, in words of 256: Uniswap v3-core, contracts/libraries/TickBitmap.sol.

The contract looks for the next tick within one word only, so that a swap also stops at the borders of words in which
nothing is initialised. Each stop rounds once more, hence a walk that skipped them would not be exact.

A bitmap is a mapping from word number (tick / spacing / 256, rounded down) to word; absent words are zero. Functions
that change one return a new mapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from node.pipeline.amm.errors import TickInvalid
from node.pipeline.amm.units import Tick


def position(tick: Tick, spacing: int) -> tuple[int, int]:
    """(word number, bit number) of a tick that is a multiple of the spacing (TickBitmap.position)."""
    compressed, remainder = divmod(tick, spacing)
    if remainder:
        raise TickInvalid("", f"tick {tick} is not a multiple of the spacing {spacing}")
    return compressed >> 8, compressed & 0xFF


def flip_tick(bitmap: Mapping[int, int], tick: Tick, spacing: int) -> dict[int, int]:
    """The bitmap with one tick turned over (TickBitmap.flipTick). Raises TickInvalid off the spacing."""
    return flip_ticks(bitmap, (tick,), spacing)


def flip_ticks(bitmap: Mapping[int, int], ticks: Iterable[Tick], spacing: int) -> dict[int, int]:
    """The bitmap with each of the ticks turned over in turn. Words that become zero are left out."""
    flipped = dict(bitmap)
    for tick in ticks:
        word_number, bit = position(tick, spacing)
        word = flipped.get(word_number, 0) ^ (1 << bit)
        if word:
            flipped[word_number] = word
        else:
            del flipped[word_number]
    return flipped


def next_initialized_tick_within_one_word(
    bitmap: Mapping[int, int], tick: Tick, spacing: int, at_or_below: bool
) -> tuple[Tick, bool]:
    """The next stop of a swap and whether it is initialised (TickBitmap.nextInitializedTickWithinOneWord).

    Downwards (`at_or_below`) the tick itself counts, upwards it does not. Without an initialised tick in the word, the
    stop is the word's last tick in that direction.
    """
    if at_or_below:
        compressed = tick // spacing
        bit = compressed & 0xFF
        word = bitmap.get(compressed >> 8, 0) & ((2 << bit) - 1)
        if word:
            return (compressed - bit + word.bit_length() - 1) * spacing, True
        return (compressed - bit) * spacing, False
    compressed = tick // spacing + 1
    bit = compressed & 0xFF
    word = bitmap.get(compressed >> 8, 0) >> bit
    if word:
        return (compressed + (word & -word).bit_length() - 1) * spacing, True
    return (compressed + 0xFF - bit) * spacing, False
