"""The relay's small pure pieces: base fee, comparison of a mined block, log filters, the gate, counters, arrival."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from devnet.relay.gas import next_base_fee
from devnet.relay.gate import HeadGate, ReadTooSlow
from devnet.relay.jsonrpc import InvalidParams
from devnet.relay.sealing import first_difference
from devnet.relay.stats import RelayStats
from devnet.relay.subscriptions import LogFilter

A, B = "0x" + "aa" * 20, "0x" + "bb" * 20
T1, T2 = "0x" + "11" * 32, "0x" + "22" * 32


@pytest.mark.parametrize(
    ("base_fee", "gas_used", "expected"),
    [
        (1_000_000_000, 10_000_000, 1_000_000_000),  # the three cases of go-ethereum's TestCalcBaseFee
        (1_000_000_000, 9_000_000, 987_500_000),
        (1_000_000_000, 11_000_000, 1_012_500_000),
        (1, 20_000_000, 2),  # rises by at least one wei
        (7, 0, 7),  # a small one does not fall: the change rounds down
    ],
)
def test_the_base_fee_follows_eip_1559(base_fee: int, gas_used: int, expected: int) -> None:
    assert next_base_fee(base_fee, gas_used, 20_000_000) == expected


@pytest.mark.parametrize(
    ("wanted", "mined", "in_bundles", "at"),
    [
        ("abcd", "abcd", 2, None),
        ("abcd", "abd", 2, None),  # a public one was left out
        ("abcd", "ab", 2, None),
        ("", "", 0, None),
        ("abcd", "acd", 2, 1),  # a bundle was broken
        ("abcd", "a", 2, 1),
        ("abcd", "bacd", 2, 0),
        ("abcd", "abdc", 2, 3),  # the order of the public ones changed
        ("abcd", "abcdx", 2, 3),  # something foreign came in
        ("", "x", 0, 0),
    ],
)
def test_a_mined_block_keeps_its_bundles_whole_and_the_rest_in_order(
    wanted: str, mined: str, in_bundles: int, at: int | None
) -> None:
    assert first_difference(list(wanted), list(mined), in_bundles) == at


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (None, True),
        ({}, True),
        ({"address": A.upper().replace("X", "x")}, True),
        ({"address": [B, A]}, True),
        ({"address": B}, False),
        ({"topics": [T1]}, True),
        ({"topics": [None, T2]}, True),
        ({"topics": [[T2, T1], [T2]]}, True),
        ({"topics": [T2]}, False),
        ({"topics": [None, None, None]}, False),  # the log has two topics only
        ({"address": A, "topics": [[], T2]}, True),
    ],
)
def test_a_log_filter_takes_addresses_and_topics_by_place(wanted: Any, matches: bool) -> None:
    assert LogFilter.parse(wanted).matches({"address": A, "topics": [T1, T2]}) is matches


def test_a_log_filter_is_bounded() -> None:
    with pytest.raises(InvalidParams, match="at most 1024"):
        LogFilter.parse({"address": [A] * 1025})


async def test_a_read_waits_while_a_block_is_in_the_making() -> None:
    gate, published = HeadGate(), 1

    async def ask() -> int:
        return published

    async with gate.window():
        reading = asyncio.create_task(gate.read(ask))
        await asyncio.sleep(0)
        assert not reading.done()
        published = 2
    assert await reading == 2
    assert gate.repeated == 0


async def test_a_read_that_a_block_overtook_is_asked_again() -> None:
    gate, answers, begun, go_on = HeadGate(), [1, 2], asyncio.Event(), asyncio.Event()

    async def ask() -> int:
        begun.set()
        await go_on.wait()
        return answers.pop(0)

    reading = asyncio.create_task(gate.read(ask))
    await begun.wait()
    async with gate.window():
        go_on.set()
    assert await reading == 2
    assert gate.repeated == 1


async def test_an_error_counts_as_little_as_an_answer_when_a_block_overtook_it() -> None:
    gate, failures, begun, go_on = HeadGate(), [True, False, True], asyncio.Event(), asyncio.Event()

    async def ask() -> str:
        begun.set()
        await go_on.wait()
        if failures.pop(0):
            raise KeyError("gone")
        return "here"

    reading = asyncio.create_task(gate.read(ask))
    await begun.wait()
    async with gate.window():
        go_on.set()
    assert await reading == "here"
    with pytest.raises(KeyError):
        await gate.read(ask)


async def test_a_slow_read_holds_the_next_block_up_only_so_long() -> None:
    gate, begun, go_on = HeadGate(hold_seconds=0.01), asyncio.Event(), asyncio.Event()

    async def ask() -> None:
        begun.set()
        await go_on.wait()
        go_on.clear()

    reading = asyncio.create_task(gate.read(ask))
    await begun.wait()
    async with gate.window():
        go_on.set()
    with pytest.raises(ReadTooSlow, match="ask for less"):
        await reading
    async with gate.window():
        assert gate.repeated == 1


async def test_a_reads_own_deadline_is_not_mistaken_for_the_gates() -> None:
    gate, failing = HeadGate(hold_seconds=60), asyncio.Event()

    async def ask() -> None:
        await failing.wait()
        raise TimeoutError("its own")

    reading = asyncio.create_task(gate.read(ask))
    await asyncio.sleep(0)
    async with gate.window():
        failing.set()
    with pytest.raises(TimeoutError, match="its own"):
        await reading


def test_timings_are_told_as_median_p99_and_last() -> None:
    stats = RelayStats()
    assert stats.as_json()["build_ms"] == {}
    stats.build_ms.extend(float(value) for value in range(1, 201))
    assert stats.as_json()["build_ms"] == {"last": 200.0, "p50": 101.0, "p99": 199.0}
