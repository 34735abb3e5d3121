"""A storm over real sentries: honest gossip goes on, nobody restarts, who is hostile is cut off, memory stays.

One hostile peer with stake and ten strangers without send what is malformed, oversize, replayed, false and too much;
another with stake stays inside for most of it, with copies and control messages that are no fault.
The same messages are said at the same pace without a storm and in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from devnet.hostile.__main__ import Identity
from devnet.hostile.storm import Storm
from devnet.memory_growth import Growth, growth, private_bytes
from node.sentry.host import system_milliseconds
from node.sentry.peers import PeerBook
from tests.protocol_factories import DEVNET
from tests.sentry_processes import HEAD_TIME, Sentry, all_hear_all, free_port, secret_of, seed_of, sentry
from tests.sentry_scene import peer_of
from tests.storm_scene import was_a_storm

HONEST = ("alice", "bob", "carol", "dave")
HOSTILE = "mallory"
PATIENT = "trudy"
"""Has stake, too, and stays below what bans it."""
RATE = 8
"""Messages a second of each honest node."""
JOIN_SECONDS = 120.0
DELIVERED_AT_LEAST = 0.95
STORM_SECONDS = 600.0
"""The most that a storm lasts: it is over when every honest node has banned the hostile one."""
MAX_GROWTH = 5_000_000
"""Bytes an hour."""


@asynccontextmanager
async def joined(folder: Path) -> AsyncIterator[list[Sentry]]:
    """The honest nodes, all connected."""
    async with AsyncExitStack() as stack:
        made: list[Sentry] = []
        for name in HONEST:
            address, known = f"/ip4/127.0.0.1/tcp/{free_port()}", [one.address for one in made]
            run = sentry(folder, name, address, known, (*HONEST, HOSTILE, PATIENT))
            made.append(await stack.enter_async_context(run))
        await all_hear_all(made, JOIN_SECONDS)
        yield made


async def delivered(sentries: Sequence[Sentry], is_over: Callable[[], bool]) -> float:
    """Let all say their messages until it is over; return which part of all deliveries came to be."""
    said: list[tuple[Sentry, bytes]] = []
    clock = asyncio.get_running_loop().time
    begun, turns = clock(), count()
    while not is_over():
        await asyncio.sleep(max(0.0, begun + next(turns) / RATE - clock()))
        said += [(one, await one.say()) for one in sentries]
    pairs = [(hearer, data) for hearer in sentries for speaker, data in said if hearer is not speaker]
    for _ in range(50):  # the last ones are under way
        missing = sum(data not in hearer.engine.heard for hearer, data in pairs)
        if not missing:
            break
        await asyncio.sleep(0.1)
    return 1 - missing / len(pairs)


def has_banned_somebody(one: Sentry) -> bool:
    """Tell whether the node said so."""
    return one.engine.status is not None and one.engine.status.counts["banned"] > 0


def after(seconds: float) -> Callable[[], bool]:
    """Return what tells whether so many seconds have passed."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    return lambda: clock() >= end


async def stormed(folder: Path, seconds: float, seed: int) -> tuple[float, float, list[dict[str, int]]]:
    """Return what was delivered without and in a storm, and the storm's own report; check what must always hold."""
    async with joined(folder) as sentries:
        without = await delivered(sentries, after(seconds))
        async with _storm(folder, sentries, STORM_SECONDS, seed) as under_way:
            enough = after(seconds)
            amid = await delivered(sentries, lambda: enough() and all(map(has_banned_somebody, sentries)))
            report = await under_way.report()
        await all_hear_all(sentries, JOIN_SECONDS)
        for one in sentries:
            assert one.process is not None
            assert (one.process.returncode, one.starts, one.engine.links) == (None, 1, 1), one.name
            assert one.engine.status is not None
            assert one.engine.status.counts["SEEN"] >= report[1]["nags"] // (2 * len(sentries)), one.name
    for one in sentries:  # their books were written when they ended
        book = PeerBook(one.home / "peers.json")
        now = system_milliseconds()
        assert book.is_banned(str(peer_of(HOSTILE)), now), one.name
        assert not any(book.is_banned(str(peer_of(other.name)), now) for other in sentries), one.name
    return without, amid, report


@asynccontextmanager
async def _storm(folder: Path, sentries: Sequence[Sentry], seconds: float, seed: int) -> AsyncIterator[Storm]:
    hostile = [
        Identity(seed_of(name).hex(), secret_of(name).hex(), is_patient=name == PATIENT) for name in (HOSTILE, PATIENT)
    ]
    made = Storm(folder, DEVNET, [one.address for one in sentries], hostile, seed, HEAD_TIME)
    await made.start(seconds)
    try:
        yield made
    finally:
        await made.end()


@pytest.mark.timeout(900)
async def test_honest_gossip_goes_on_in_a_storm(tmp_path: Path, drawn_seed: int) -> None:
    without, amid, report = await stormed(tmp_path, 10, drawn_seed)
    _was_a_storm_with_one_inside(report)
    assert amid >= DELIVERED_AT_LEAST * without, (without, amid, report)


@pytest.mark.long
@pytest.mark.timeout(1_800)
async def test_memory_stays_through_minutes_of_storm(tmp_path: Path, drawn_seed: int) -> None:
    """The first two minutes fill what is kept for two minutes; then nothing may grow any more."""
    async with joined(tmp_path) as sentries, _storm(tmp_path, sentries, STORM_SECONDS, drawn_seed) as under_way:
        await delivered(sentries, after(150))
        told = await measured(sentries, 240)
        report = await under_way.report()
    print("\n".join(f"{name}: {each}" for name, each in told.items()))  # noqa: T201 what was measured is to be seen
    _was_a_storm_with_one_inside(report)
    assert all(each.low < MAX_GROWTH for each in told.values()), told
    assert sum(each.slope for each in told.values()) / len(told) < MAX_GROWTH, told


def _was_a_storm_with_one_inside(report: list[dict[str, int]]) -> None:
    was_a_storm([report[0], *report[2:]])
    patient = report[1]
    assert patient["nags"] > 0
    assert patient["ms inside"] > 2 * patient["ms outside"], patient


async def measured(sentries: Sequence[Sentry], seconds: float) -> dict[str, Growth]:
    """Return the growth of each node's memory while all go on to say their messages."""
    samples: dict[str, list[tuple[float, int]]] = {one.name: [] for one in sentries}
    clock = asyncio.get_running_loop().time

    async def sample() -> None:
        while True:
            for one in sentries:
                assert one.process is not None
                samples[one.name].append((clock(), private_bytes(one.process.pid)))
            await asyncio.sleep(1.0)

    sampling = asyncio.ensure_future(sample())
    try:
        await delivered(sentries, after(seconds))
    finally:
        sampling.cancel()
    return {name: growth(each) for name, each in samples.items()}
