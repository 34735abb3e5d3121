"""The benchmark harness: percentiles, ratios, turns, and the table people read."""

from __future__ import annotations

import gc
import importlib
import json
import sys
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.harness import Row, duration_row, interleaved, interleaved_async, measure, percentile, rate_row, table


def test_a_percentile_is_the_nearest_rank() -> None:
    samples = [float(n) for n in range(1, 101)]

    assert (percentile(samples, 50), percentile(samples, 99), percentile(samples, 100)) == (50.0, 99.0, 100.0)
    assert percentile([7.0], 99) == 7.0


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


def test_half_the_time_of_the_peer_is_a_ratio_of_two() -> None:
    row = duration_row("sign", "µs", [10e-6] * 3, [20e-6] * 3, "eth_account")

    assert row.ratio == pytest.approx(2)
    assert row.median == pytest.approx(10)


def test_twice_the_rate_of_the_peer_is_a_ratio_of_two() -> None:
    assert rate_row("relay", "tx/s", [200.0], [100.0], "anvil").ratio == pytest.approx(2)


def test_the_p99_of_a_rate_is_what_nearly_all_samples_reach() -> None:
    assert rate_row("relay", "tx/s", [float(n) for n in range(1, 101)]).p99 == 1.0


def test_functions_are_measured_in_turns_after_a_warm_up_and_without_the_collector() -> None:
    called: list[tuple[str, bool]] = []

    def ours() -> None:
        called.append(("ours", gc.isenabled()))

    def theirs() -> None:
        called.append(("theirs", gc.isenabled()))

    samples = interleaved([ours, theirs], repeats=2, warm_up=1)

    assert [name for name, _ in called] == ["ours", "theirs", "ours", "theirs", "theirs", "ours"]
    assert [collecting for _, collecting in called] == [True, True, False, False, False, False]
    assert [len(each) for each in samples] == [2, 2]
    assert gc.isenabled()


async def test_coroutines_are_measured_in_turns() -> None:
    called: list[str] = []

    async def ours() -> None:
        called.append("ours")

    async def theirs() -> None:
        called.append("theirs")

    await interleaved_async([ours, theirs], repeats=2, warm_up=0)

    assert called == ["ours", "theirs", "theirs", "ours"]


def test_a_sample_is_the_mean_of_its_calls() -> None:
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    assert len(measure(tick, repeats=3, warm_up=0, calls=5)) == 3
    assert count == 15


def test_the_table_lines_up_and_leaves_the_peer_of_a_lonely_row_empty() -> None:
    lines = table([Row("warm start", "s", 1.5, 1.75), Row("sign", "µs", 33, 41, 480, 14.5, "eth_account")]).splitlines()

    assert lines[0].split() == ["name", "unit", "median", "p99", "peer", "ratio"]
    assert lines[2].split() == ["warm", "start", "s", "1.5", "1.75"]
    assert lines[3].split() == ["sign", "µs", "33", "41", "480", "eth_account", "14.5x"]


def test_the_rows_are_written_as_json_with_machine_date_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _plant(tmp_path, monkeypatch, "from benchmarks.harness import Row\nasync def run(): return [Row('a', 's', 1, 2)]\n")
    target = tmp_path / "rows.json"

    assert harness.main(["planted_benchmark", "--json", str(target)]) == 0

    written = json.loads(target.read_text())
    assert written["rows"] == [
        {"name": "a", "unit": "s", "median": 1, "p99": 2, "peer": None, "ratio": None, "peer_name": ""}
    ]
    assert {"machine", "python", "date", "commit", "command"} <= written.keys()
    assert "a     s          1    2" in capsys.readouterr().out


def test_whatever_is_called_a_benchmark_can_be_run() -> None:
    for name in harness.discover():
        module = importlib.import_module(f"benchmarks.{name}")
        assert hasattr(module, "run") or hasattr(module, "main"), name


def test_an_unknown_benchmark_is_answered_with_the_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _plant(tmp_path, monkeypatch, "")

    with pytest.raises(SystemExit) as ended:
        harness.main(["nonesuch"])

    assert ended.value.code == 2
    assert "planted_benchmark" in capsys.readouterr().err


def test_a_benchmark_that_cannot_run_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _plant(tmp_path, monkeypatch, "from devnet.errors import ToolMissing\ndef run(): raise ToolMissing('no Anvil')\n")

    assert harness.main(["planted_benchmark"]) == 1
    assert "benchmark planted_benchmark: no Anvil" in capsys.readouterr().err


def _plant(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (folder / "planted_benchmark.py").write_text(code)
    monkeypatch.setattr("benchmarks.__path__", [str(folder)])
    monkeypatch.delitem(sys.modules, "benchmarks.planted_benchmark", raising=False)
