"""The bounded queues: ticks drop their oldest, ledger entries wait or are refused, and all of it is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from node.clock import SystemClock, within
from node.link import AnyLinkMessage, FrameDecoder, LedgerEntry, MarketTick, Ping, encode_frame
from node.link_errors import LinkBusy, LinkClosed
from node.link_queues import DEFAULT_LIMITS, FRAMES_PER_TURN, Outbox, Overflow, QueueLimits
from protocol.units import UnixMilliseconds
from tests.manual_clock import ManualClock
from tests.unit.test_link import TICK


def entry(sequence: int, size: int = 0) -> LedgerEntry:
    return LedgerEntry(sequence=sequence, at=UnixMilliseconds(1), kind="execution", body=bytes(size))


def tick(number: int) -> MarketTick:
    fields = {name: getattr(TICK, name) for name in TICK.__struct_fields__}
    return MarketTick(**(fields | {"bid_price": number}))


def limits(frames: int, size: int = 1 << 20) -> Mapping[str, QueueLimits]:
    return {name: QueueLimits(frames, size, default.overflow) for name, default in DEFAULT_LIMITS.items()}


async def messages_in(outbox: Outbox) -> list[AnyLinkMessage]:
    decoder = FrameDecoder()
    while len(outbox):
        decoder.feed(await outbox.take())
    return list(iter(decoder.next_message, None))


async def test_a_full_queue_of_ticks_drops_the_oldest_and_counts_them() -> None:
    outbox = Outbox(ManualClock(), limits(3))
    for number in range(5):
        await outbox.put(tick(number), 1.0)
    assert await messages_in(outbox) == [tick(2), tick(3), tick(4)]
    assert outbox.dropped == {"control": 0, "ledger": 0, "ticks": 2}


async def test_ticks_are_bounded_in_bytes_too() -> None:
    outbox = Outbox(ManualClock(), limits(100, size=2 * len(encode_frame(tick(0)))))
    for number in range(5):
        await outbox.put(tick(number), 1.0)
    assert (len(outbox), outbox.dropped["ticks"]) == (2, 3)


async def test_a_frame_larger_than_its_empty_queue_still_goes() -> None:
    outbox = Outbox(ManualClock(), limits(100, size=10))
    await outbox.put(entry(1, size=1000), 1.0)
    assert await messages_in(outbox) == [entry(1, size=1000)]


async def test_a_ledger_entry_waits_for_room_and_none_is_lost_or_reordered() -> None:
    outbox = Outbox(ManualClock(), limits(1))
    await outbox.put(entry(0), 1.0)
    waiting = [asyncio.create_task(outbox.put(entry(number), 1.0)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    received: list[AnyLinkMessage] = []
    while not all(task.done() for task in waiting) or len(outbox):
        received += await messages_in(outbox)
        await asyncio.sleep(0)
    assert received == [entry(number) for number in range(4)]
    assert set(outbox.dropped.values()) == {0}


async def test_a_ledger_entry_is_refused_at_its_deadline_and_counted() -> None:
    clock = ManualClock()
    outbox = Outbox(clock, limits(1))
    await outbox.put(entry(0), 1.0)
    late = asyncio.create_task(outbox.put(entry(1), 3.0))
    await clock.until_asleep(3.0)
    await clock.advance(3.0)
    with pytest.raises(LinkBusy, match=r"3\.0 s"):
        await late
    assert outbox.refused == {"control": 0, "ledger": 1, "ticks": 0}
    assert await messages_in(outbox) == [entry(0)]


async def test_closing_wakes_who_waits_for_room_and_takes_nothing_more() -> None:
    outbox = Outbox(ManualClock(), limits(1))
    await outbox.put(entry(0), 1.0)
    waiting = asyncio.create_task(outbox.put(entry(1), 1.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    outbox.close()
    for closed in (waiting, outbox.put(tick(1), 1.0)):
        with pytest.raises(LinkClosed):
            await closed
    assert await messages_in(outbox) == [entry(0)]
    assert await outbox.take() == b""


async def test_taking_waits_until_something_is_there() -> None:
    outbox = Outbox(ManualClock())
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    await outbox.put(Ping(nonce=1), 1.0)
    assert await taking == encode_frame(Ping(nonce=1))


async def test_no_queue_starves_another() -> None:
    outbox = Outbox(ManualClock())
    for number in range(2 * FRAMES_PER_TURN):
        await outbox.put(entry(number), 1.0)
    await outbox.put(tick(1), 1.0)
    await outbox.put(Ping(nonce=1), 1.0)
    decoder = FrameDecoder()
    decoder.feed(await outbox.take())
    first = list(iter(decoder.next_message, None))
    assert (first[0], first[-1], len(first)) == (Ping(nonce=1), tick(1), FRAMES_PER_TURN + 2)


def test_only_ticks_may_be_dropped() -> None:
    dropping = [name for name, bound in DEFAULT_LIMITS.items() if bound.overflow is Overflow.DROP_OLDEST]
    assert dropping == ["ticks"]


async def test_work_past_its_deadline_is_cancelled() -> None:
    clock = ManualClock()
    forever = asyncio.get_running_loop().create_future()
    work = asyncio.create_task(within(clock, 5.0, forever))
    await clock.until_asleep(5.0)
    await clock.advance(5.0)
    with pytest.raises(TimeoutError):
        await work
    assert forever.cancelled()


async def test_the_systems_clock_rises() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before
    assert await within(clock, 60.0, asyncio.sleep(0, "result")) == "result"
