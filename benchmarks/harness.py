"""What every benchmark is made of: samples, rows, and the table with the machine, the date and the command on top.

A benchmark is a module `benchmarks/<name>.py` with `run() -> Sequence[Row]`, plain or async. Whatever it is
compared with runs in the same process of the same run, turn by turn (`interleaved`), so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import inspect
import json
import os
import pkgutil
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import benchmarks
from devnet.errors import DevnetError

NANOSECONDS = 1_000_000_000
_PARTS = (
    "degenbot_peer",
    "detect_peer",
    "devnet_market",
    "family_pools",
    "gas_orders",
    "gas_routes",
    "gas_scene",
    "gas_vaults",
    "gossip_nodes",
    "gossip_orders",
    "harness",
    "hotpath_devnet",
    "hotpath_timing",
    "market_generator",
    "market_loading",
)
"""Modules of this package that measure nothing by themselves."""
Samples = list[float]
"""Seconds a call, one entry a repeat."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `median` and `p99` of ours and `peer`, the median of what it runs beside, all in `unit`.

    `ratio` says how many times better than the peer ours is: above 1 is better, for seconds as for a rate. Without a
    peer both are None. `peer_name` says who the peer is.
    """

    name: str
    unit: str
    median: float
    p99: float
    peer: float | None = None
    ratio: float | None = None
    peer_name: str = ""


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile: the smallest sample that `percent` of them do not exceed.

    Raises `ValueError` for no samples.
    """
    if not samples:
        raise ValueError("there is no percentile of no samples")
    rank = max(1, -(-len(samples) * percent // 100))
    return sorted(samples)[int(rank) - 1]


_SCALE = {"s": 1.0, "ms": 1e3, "µs": 1e6, "ns": 1e9}


def duration_row(name: str, unit: str, samples: Samples, peer: Samples | None = None, peer_name: str = "") -> Row:
    """Make a row of durations (given in seconds, shown in `unit`: s, ms, µs or ns); less is better."""
    scale = _SCALE[unit]
    median, p99 = (percentile(samples, q) * scale for q in (50, 99))
    if peer is None:
        return Row(name, unit, median, p99)
    theirs = percentile(peer, 50) * scale
    return Row(name, unit, median, p99, theirs, theirs / median if median else None, peer_name)


def rate_row(name: str, unit: str, samples: Samples, peer: Samples | None = None, peer_name: str = "") -> Row:
    """Make a row of rates (in `unit`, for example tx/s); more is better, and 99 % of the samples reach `p99`."""
    median, p99 = percentile(samples, 50), percentile(samples, 1)
    if peer is None:
        return Row(name, unit, median, p99)
    theirs = percentile(peer, 50)
    return Row(name, unit, median, p99, theirs, median / theirs if theirs else None, peer_name)


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Collect garbage now and keep the collector off meanwhile: its pauses belong to whoever made the garbage."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def measure(function: Callable[[], object], *, repeats: int, warm_up: int = 3, calls: int = 1) -> Samples:
    """Return seconds a call, `repeats` times; each sample is the mean of `calls` calls in a row."""
    return interleaved([function], repeats=repeats, warm_up=warm_up, calls=calls)[0]


def interleaved(
    functions: Sequence[Callable[[], object]], *, repeats: int, warm_up: int = 3, calls: int = 1
) -> list[Samples]:
    """Measure several functions turn by turn; the order turns round every repeat, so none profits from its place."""
    for function in functions:
        for _ in range(warm_up):
            function()
    samples: list[Samples] = [[] for _ in functions]
    with quiet_collector():
        for repeat in range(repeats):
            for index in _turn(len(functions), repeat):
                function = functions[index]
                begun = time.perf_counter_ns()
                for _ in range(calls):
                    function()
                samples[index].append((time.perf_counter_ns() - begun) / calls / NANOSECONDS)
    return samples


async def interleaved_async(
    functions: Sequence[Callable[[], Awaitable[object]]], *, repeats: int, warm_up: int = 3
) -> list[Samples]:
    """Measure several coroutine functions turn by turn, one call a sample."""
    for function in functions:
        for _ in range(warm_up):
            await function()
    samples: list[Samples] = [[] for _ in functions]
    with quiet_collector():
        for repeat in range(repeats):
            for index in _turn(len(functions), repeat):
                begun = time.perf_counter_ns()
                await functions[index]()
                samples[index].append((time.perf_counter_ns() - begun) / NANOSECONDS)
    return samples


def _turn(count: int, repeat: int) -> list[int]:
    return [(repeat + offset) % count for offset in range(count)]


def header(command: str) -> dict[str, str]:
    """Return what a number needs to be worth anything: machine, interpreter, date (UTC), commit and command."""
    commit = _git("rev-parse", "--short=12", "HEAD") or "unknown"
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": f"{commit} and changes" if _git("status", "--porcelain", "--untracked-files=no") else commit,
        "command": command,
    }


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table for a terminal."""
    head = ("name", "unit", "median", "p99", "peer", "ratio")
    body = [
        (
            row.name,
            row.unit,
            _number(row.median),
            _number(row.p99),
            " ".join(part for part in (_number(row.peer), row.peer_name) if part),
            "" if row.ratio is None else f"{_number(row.ratio)}x",
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(w) if 2 <= i <= 3 or i == 5 else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *body)
    ]
    return "\n".join(line.rstrip() for line in (lines[0], "  ".join("─" * w for w in widths), *lines[1:]))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def discover() -> list[str]:
    """Return the names of the benchmarks: the modules of this package that are no parts of others."""
    return sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in _PARTS)


def run_module(name: str) -> list[Row]:
    """Run one benchmark and return its rows."""
    module = importlib.import_module(f"benchmarks.{name}")
    found = module.run()
    if inspect.isawaitable(found):

        async def finish() -> Sequence[Row]:
            rows: Sequence[Row] = await found
            return rows

        return list(asyncio.run(finish()))
    return list(found)


def _command(name: str) -> Callable[[list[str]], int] | None:
    """Return the `main` of a benchmark that takes options of its own and is judged, not timed: run by its name only."""
    found: Callable[[list[str]], int] | None = getattr(importlib.import_module(f"benchmarks.{name}"), "main", None)
    return found


def main(words: list[str]) -> int:
    """Run the chosen benchmark, or all of them; print the table, and write JSON where asked to."""
    names = discover()
    parser = argparse.ArgumentParser(prog="scripts/bench", description=f"Benchmarks: {', '.join(names) or 'none yet'}.")
    parser.add_argument("name", nargs="?", help="only this one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    if words and words[0] in names and (command := _command(words[0])) is not None:
        return command(words[1:])
    options = parser.parse_args(words)
    if options.name is not None and options.name not in names:
        parser.error(f"there is no benchmark {options.name!r}; there are: {', '.join(names) or 'none yet'}")
    if not names:
        parser.error("there is no benchmark yet")
    rows: list[Row] = []
    for name in [options.name] if options.name else [name for name in names if _command(name) is None]:
        print(f"benchmark {name} …", file=sys.stderr, flush=True)
        try:
            rows += run_module(name)
        except DevnetError as error:
            print(f"benchmark {name}: {error}", file=sys.stderr)
            return 1
    top = header(f"scripts/bench {' '.join(words)}".strip())
    print("\n".join(f"{key}: {value}" for key, value in top.items()), end="\n\n")
    print(table(rows))
    if options.json is not None:
        options.json.write_text(json.dumps({**top, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
