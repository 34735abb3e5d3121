"""`scripts/bench demo`: seeds that nobody chooses, one table, one verdict."""

from __future__ import annotations

import argparse
import json
import subprocess
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from benchmarks import demo, harness
from devnet.demo.network_report import OperatorWorth, TapePlayed, Worth, network_report
from devnet.demo.report import Expectation, Report
from tests.unit.test_demo_report import REPORT
from tests.unit.test_demo_summary import manifest


def test_seeds_follow_from_the_commit_and_differ() -> None:
    assert demo.seeds("abc", 5) == demo.seeds("abc", 5)
    assert len(set(demo.seeds("abc", 10))) == 10
    assert demo.seeds("abc", 5) != demo.seeds("abd", 5)
    assert len(demo.head()) == 40


def test_the_table_says_what_was_not_met() -> None:
    failed = Expectation(name="capture", required=">= 60%", actual="10.0%", met=False)
    report = msgspec.structs.replace(REPORT, expectations=(failed,))
    console = Console(file=StringIO(), width=200)
    liquidated = msgspec.structs.replace(REPORT, liquidations=2, liquidations_usd=300.5)
    console.print(demo.table([(1, REPORT), (2, report), (3, None), (4, liquidated)]))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    for part in ("all met", "capture 10.0% (>= 60%)", "no report", "77.3%", "2: $300.50", "$627.50"):
        assert part in text


def test_the_networks_worth_is_told_by_operator_seed_and_in_all() -> None:
    west = OperatorWorth(
        name="west",
        strangers_usd=0.0,
        network_usd=30.5,
        orders_given=9,
        orders_accepted=4,
        orders_executed=2,
        paid_usd=30.5,
        executed_for_others=0,
    )
    north = msgspec.structs.replace(west, name="north", strangers_usd=100.0, network_usd=90.25, paid_usd=0.0)
    worth = Worth(
        blocks=45,
        operators=(west, north),
        strangers_usd=100.0,
        network_usd=120.75,
        difference_usd=20.75,
        tape=10,
        strangers_played=TapePlayed(equal=10, landed=8, reverted=1),
        network_played=TapePlayed(equal=10, landed=7, reverted=2),
        strangers_last_block="0x01",
        network_last_block="0x02",
        digest="",
    )
    network = msgspec.structs.replace(network_report(manifest(), [], {}, []), worth=worth)
    report = msgspec.structs.replace(REPORT, network=network)
    assert demo.worth_of(report) == worth
    assert demo.worth_of(REPORT) is None
    console = Console(file=StringIO(), width=200)
    console.print(demo.worth_table([(1, report), (2, report), (3, None)]))
    assert isinstance(console.file, StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    for line in (
        "1 west $0.00 $30.50 $+30.50 9 4 2 $30.50",
        "2 north $100.00 $90.25 $-9.75 9 4 2 $0.00",
        "2 in sum $100.00 $120.75 $+20.75 18 8 4 $30.50",
        "all in sum $200.00 $241.50 $+41.50",
    ):
        assert line in lines


@pytest.mark.parametrize("met", [True, False])
def test_the_exit_code_is_the_verdict(met: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    better = msgspec.structs.replace(REPORT, capture=0.9)
    reports: list[Report | None] = [better, better if met else None]

    def run_one(seed: int, options: argparse.Namespace, target: Path) -> Report | None:
        assert options.lockstep
        assert str(seed) in target.name
        return reports.pop()

    monkeypatch.setattr(demo, "run_one", run_one)
    target = tmp_path / "runs.json"
    assert harness.main(["demo", "--seeds", "2", "--lockstep", "--json", str(target)]) == (0 if met else 1)
    assert len(json.loads(target.read_text())["runs"]) == 2


def test_in_lockstep_all_runs_together_have_to_capture_enough(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = msgspec.structs.replace(REPORT, capture=0.61, available_usd=1_000.0)
    large = msgspec.structs.replace(REPORT, capture=0.9, available_usd=3_000.0)
    for runs, words, code, told in (
        ((small, large), ["--lockstep"], 0, "capture of all together: 82.8% (>= 80%)"),
        ((small, small), ["--lockstep"], 1, "capture of all together: 61.0% (>= 80%, not met)"),
        ((small, small), [], 0, "capture of all together: 61.0%\n"),
    ):
        waiting = list(runs)
        monkeypatch.setattr(demo, "run_one", lambda *_, waiting=waiting: waiting.pop())
        assert harness.main(["demo", "--seeds", "2", *words]) == code
        assert told in capsys.readouterr().out


def test_a_demo_that_ends_without_a_report_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: ran.append(command))
    options = argparse.Namespace(duration=2.0, nodes=0, lockstep=True, node_command="stand in")
    assert demo.run_one(5, options, tmp_path / "5.json") is None
    (tmp_path / "5.json").write_bytes(msgspec.json.encode(REPORT))
    assert demo.run_one(5, options, tmp_path / "5.json") == REPORT
    assert ran[0][3:] == ran[1][3:]
    assert ran[0][8:11] == ["--nodes", "1", "--report"]
