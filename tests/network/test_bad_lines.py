"""Two hosts whose only way to each other is a bad line: slow and narrow, or one that loses and corrupts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from devnet.tcp_proxy import GOOD_LINE, BadLine, TcpProxy
from node.sentry.bounded_yamux import SILENCE_SECONDS
from tests.network_lab import Lab, lab
from tests.sentry_processes import Sentry, all_hear_all, sentry
from tests.sentry_scene import peer_of

PORT = 4001
JOIN_SECONDS = 90.0
REJOIN_SECONDS = 5.0
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def laboratory() -> Iterator[Lab]:
    with lab() as made:
        yield made


@pytest.fixture
async def joined(laboratory: Lab, tmp_path: Path, drawn_seed: int) -> AsyncIterator[tuple[TcpProxy, list[Sentry]]]:
    """alice and bob, and the proxy between them: neither has a route to the other."""
    async with AsyncExitStack() as stack:
        (alice_at, _), (bob_at, near_bob) = [
            await asyncio.to_thread(laboratory.connect_to_us, name) for name in ("alice", "bob")
        ]
        line = await stack.enter_async_context(TcpProxy(f"tcp://{alice_at}:{PORT}", near_bob, drawn_seed))
        way = f"/ip4/{near_bob}/tcp/{line.port}/p2p/{peer_of('alice')}"
        made = [
            await stack.enter_async_context(
                sentry(tmp_path, name, f"/ip4/{at}/tcp/{PORT}", known, preexec_fn=laboratory.entering(name))
            )
            for name, at, known in (("alice", alice_at, []), ("bob", bob_at, [way]))
        ]
        await all_hear_all(made, JOIN_SECONDS)
        yield line, made


async def test_a_slow_and_narrow_line_delays_and_loses_nothing(joined: tuple[TcpProxy, list[Sentry]]) -> None:
    line, sentries = joined
    line.line = BadLine(delay_seconds=0.15, bytes_per_second=64 * 1024)
    said = [[await one.say() for _ in range(50)] for one in sentries]
    for hearer, messages in zip(sentries, reversed(said), strict=True):
        await hearer.engine.until(lambda: set(messages) <= hearer.engine.heard.keys())  # noqa: B023 awaited at once
    assert [one.engine.links for one in sentries] == [1, 1]


@pytest.mark.parametrize("line", [BadLine(corrupted=0.1), BadLine(lost=0.1)], ids=["corrupted", "lost"])
async def test_a_line_that_mangles_is_nobodys_fault_and_is_outlived(
    joined: tuple[TcpProxy, list[Sentry]], line: BadLine
) -> None:
    proxy, sentries = joined
    proxy.line = line
    while proxy.mangled < 10:
        for one in sentries:
            await one.say()
        await asyncio.sleep(0.1)
    proxy.line = GOOD_LINE
    # Where a piece is lost, the rest waits for it until the silence is noticed. Whoever were banned would stay away.
    await all_hear_all(sentries, SILENCE_SECONDS + REJOIN_SECONDS)
    for one in sentries:
        assert (one.starts, one.engine.links) == (1, 1)
