"""A long stretch of the chain in ranges of blocks that halve where the node refuses and grow again where it does not.

Hosted nodes bound the blocks or the results of one `eth_getLogs`, each by a number of its own, which is found out.

CallRefused     whoever speaks to a node raises this, or its own kind of it, where the node answers with an error
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from protocol.units import BlockNumber

MAX_RANGE_BLOCKS: Final = 50_000
_Logs = TypeVar("_Logs")


class CallRefused(Exception):
    """A node answered with an error."""


async def by_range(
    ask: Callable[[BlockNumber, BlockNumber], Awaitable[_Logs]], first: BlockNumber, last: BlockNumber
) -> AsyncIterator[tuple[BlockNumber, _Logs]]:
    """Yield what `ask` gives for the blocks from `first` to `last`, range by range, each with its last block.

    Raises what `ask` raises; `CallRefused` only where not even one block is given.
    """
    start, span = first, MAX_RANGE_BLOCKS
    while start <= last:
        end = BlockNumber(min(start + span - 1, last))
        try:
            logs = await ask(start, end)
        except CallRefused:
            if end == start:
                raise
            span = (end - start + 1) // 2
            continue
        yield end, logs
        start, span = BlockNumber(end + 1), min(2 * span, MAX_RANGE_BLOCKS)
