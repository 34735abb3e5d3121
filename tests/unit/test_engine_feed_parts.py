"""Tasks that live and die together."""

from __future__ import annotations

import asyncio

import pytest

from node.engine.feed_parts import run_together


async def test_when_one_fails_the_others_end_and_its_error_is_raised() -> None:
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await run_together([endless(), failing()])
    assert ended.is_set()


async def test_when_one_is_done_the_others_end() -> None:
    async def done() -> None:
        await asyncio.sleep(0)

    await run_together([done(), asyncio.Event().wait()])
