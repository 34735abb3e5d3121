"""Asks the chain again what it did not tell in time, beside the pipeline, until it tells or the next block is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from node.engine.rpc import RpcError

PAUSE_SECONDS: Final = 0.25
MAX_REPEATED: Final = 20
"""Questions about one block after the first, which failed; each has its own deadline."""

_Answer = TypeVar("_Answer")


async def ask_again(
    ask: Callable[[], Awaitable[_Answer]],
    take: Callable[[_Answer], bool],
    is_current: Callable[[], bool],
    sleep: Callable[[float], Awaitable[object]],
) -> None:
    """Ask until `take` has what it wants, as long as the block `is_current`; at most so many times."""
    for _ in range(MAX_REPEATED):
        await sleep(PAUSE_SECONDS)
        if not is_current():
            return
        try:
            answer = await ask()
        except RpcError:
            continue
        if take(answer):
            return
