"""Hosts in network namespaces: parted, and together again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.network_lab import Lab, lab
from tests.sentry_processes import Sentry, all_hear_all, sentry

NAMES = ("alice", "bob", "carol")
PORT = 4001
JOIN_SECONDS = 90.0
REJOIN_SECONDS = 5.0
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def laboratory() -> Iterator[Lab]:
    with lab() as made:
        yield made


@pytest.fixture
async def sentries(laboratory: Lab, tmp_path: Path) -> AsyncIterator[list[Sentry]]:
    """Three hosts on one switch, joined."""
    async with AsyncExitStack() as stack:
        made: list[Sentry] = []
        for name in NAMES:
            address = f"/ip4/{await asyncio.to_thread(laboratory.plug_in, name)}/tcp/{PORT}"
            known, enter = [one.address for one in made], laboratory.entering(name)
            run = sentry(tmp_path, name, address, known, NAMES, preexec_fn=enter)
            made.append(await stack.enter_async_context(run))
        await all_hear_all(made, JOIN_SECONDS)
        yield made


def has_heard(data: bytes) -> Callable[[Sentry], bool]:
    return lambda one: data in one.engine.heard


async def test_parted_halves_go_on_and_are_one_again_within_seconds(laboratory: Lab, sentries: list[Sentry]) -> None:
    alice, bob, carol = sentries
    await asyncio.to_thread(laboratory.unplug, "alice")
    lost = await alice.say()
    await all_hear_all([bob, carol], REJOIN_SECONDS)
    # Who is silent is given up: so neither half waits for the other.
    await alice.engine.sees(0)
    await bob.engine.sees(1)
    assert not any(map(has_heard(lost), (bob, carol)))
    await asyncio.to_thread(laboratory.plug_back, "alice")
    await all_hear_all(sentries, REJOIN_SECONDS)


async def test_a_short_cut_costs_no_more_than_seconds(laboratory: Lab, sentries: list[Sentry]) -> None:
    await asyncio.to_thread(laboratory.unplug, "bob")
    await all_hear_all([one for one in sentries if one.name != "bob"], REJOIN_SECONDS)
    await asyncio.to_thread(laboratory.plug_back, "bob")
    await all_hear_all(sentries, REJOIN_SECONDS)


async def test_who_restarts_while_parted_is_found_by_its_book_alone(laboratory: Lab, sentries: list[Sentry]) -> None:
    alice = sentries[0]
    assert await alice.end() == 0
    await asyncio.to_thread(laboratory.unplug, "alice")
    await alice.start()  # alice was the first: it has no bootstrap, only its book
    await alice.engine.until(lambda: alice.engine.links == 2 and alice.is_linked, JOIN_SECONDS)
    await asyncio.to_thread(laboratory.plug_back, "alice")
    await all_hear_all(sentries, REJOIN_SECONDS)
