"""What a demo reports, expects and shows."""

from __future__ import annotations

from io import StringIO

import msgspec
import pytest
from rich.console import Console

from devnet.demo.network_report import TapePlayed, Worth, network_report
from devnet.demo.report import Bundles, Evidence, Latency, NodeReport, Report, expectations
from devnet.demo.view import DemoView, LiveScreen, NodeView, PlainScreen, draw, line, summary
from tests.unit.test_demo_summary import manifest

REPORT = Report(
    seed=7,
    blocks=45,
    pending_transactions=1_500,
    opportunities={"backrun": 60, "cyclic_arbitrage": 40},
    bundles=Bundles(submitted=80, included=50, missed={"outbid": 20, "reverted": 10}),
    nodes=(
        NodeReport(
            name="north",
            vault_profit_wei=3 * 10**17,
            gas_wei=10**16,
            bids_wei=10**17,
            net_profit_usd=928.0,
            restarts=0,
        ),
    ),
    net_profit_usd=928.0,
    available_usd=1_200.0,
    best_single_bid=0.15,
    available_with_open_bids_usd=1_500.0,
    capture=0.7733,
    tick_to_bundle_us=Latency(p50=210, p99=900, max=1_500),
    errors=(),
    expectations=(),
)
EVIDENCE = Evidence(
    included_by_node={"north": 50},
    unexplained=0,
    untouched=40,
    exact=39,
    ledger_differences=(),
    left_running=(),
)


def unmet(report: Report, evidence: Evidence) -> list[str]:
    return [expectation.name for expectation in expectations(report, evidence) if not expectation.met]


def test_executions_without_the_find_they_were_computed_behind_are_told_beside_the_exact_ones() -> None:
    evidence = msgspec.structs.replace(EVIDENCE, leaderless=2)
    (told,) = [one.actual for one in expectations(REPORT, evidence) if one.name == "predicted equals realised"]
    assert told == "39 of 40; 2 without the find they were computed behind"


def test_a_good_demo_meets_everything() -> None:
    assert unmet(REPORT, EVIDENCE) == []
    assert msgspec.structs.replace(REPORT, expectations=expectations(REPORT, EVIDENCE)).met


@pytest.mark.parametrize(
    ("report", "evidence", "name"),
    [
        ({"bundles": Bundles(submitted=30, included=19)}, {}, "bundles included"),
        ({}, {"included_by_node": {"north": 50, "east": 0}}, "every node executes"),
        ({"net_profit_usd": 0.0}, {}, "net profit"),
        ({"capture": 0.59}, {}, "capture"),
        ({}, {"unexplained": 1}, "misses without a reason"),
        ({"nodes": (msgspec.structs.replace(REPORT.nodes[0], restarts=1),)}, {}, "restarts"),
        ({"errors": ("north: broken",)}, {}, "errors"),
        ({}, {"exact": 37}, "predicted equals realised"),
        ({}, {"exact": 0, "untouched": 0}, "predicted equals realised"),
        ({}, {"ledger_differences": ("north: gas",)}, "ledgers differing from the chain"),
        ({}, {"left_running": ("12 anvil",)}, "left running"),
        ({}, {"beyond_hindsight": ("0xaa",)}, "pools beyond hindsight"),
    ],
)
def test_each_expectation_can_fail_alone(report: dict[str, object], evidence: dict[str, object], name: str) -> None:
    changed = msgspec.structs.replace(REPORT, **report)
    assert unmet(changed, msgspec.structs.replace(EVIDENCE, **evidence)) == [name]
    failed = msgspec.structs.replace(changed, expectations=expectations(changed, EVIDENCE))
    assert failed.met == (not report)


def test_five_nodes_have_to_leave_room_on_two_processors_where_time_passes_by_itself() -> None:
    network = network_report(manifest(), [], {}, [])
    five = msgspec.structs.replace(REPORT, nodes=REPORT.nodes[:1] * 5, network=network)

    def judged(report: Report) -> list[bool]:
        return [one.met for one in expectations(report, EVIDENCE) if one.name == "processors"]

    for share, met in ((0.84, True), (0.85, False)):
        assert judged(msgspec.structs.replace(five, processors={"anvil": share, "north engine": share})) == [met]
    assert judged(five) == [], "the kernel tells nothing"
    busy = msgspec.structs.replace(five, processors={"anvil": 2.0})
    played = TapePlayed(equal=0, landed=0, reverted=0)
    worth = Worth(
        blocks=1, operators=(), strangers_usd=0.0, network_usd=0.0, difference_usd=0.0, tape=0, strangers_played=played,
        network_played=played, strangers_last_block="", network_last_block="", digest="",
    )  # fmt: skip
    stepped = msgspec.structs.replace(busy, network=msgspec.structs.replace(network, worth=worth))
    assert judged(stepped) == [], "blocks come as fast as they can"


VIEW = DemoView(
    phase="running",
    seconds_left=30.0,
    block=120,
    blocks=23,
    pending=400,
    pending_per_second=17.5,
    nodes=(
        NodeView(
            name="north",
            state="running",
            opportunities={"backrun": 12},
            sent=9,
            included=5,
            missed={f"reason_{n}": n for n in range(1, 8)},
            net_usd=-3.5,
            latency_us=(200, 1_200, 3_000),
        ),
        NodeView(name="east", state="starting"),
    ),
)


def printed(what: object) -> str:
    console = Console(file=StringIO(), width=200)
    console.print(what)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_view_shows_blocks_mempool_nodes_and_reasons() -> None:
    text = printed(draw(VIEW))
    for part in ("block 120 (+23)", "17.5/s (400)", "30 s left", "12 backrun", "7 reason_7", "…", "200 / 1,200 µs"):
        assert part in text
    assert "$-3.50" in text
    assert line(VIEW).startswith("running: block 120, 23 blocks, 400 pending transactions | north running, 5 of 9")


def test_the_summary_shows_what_the_chain_says_and_what_was_expected() -> None:
    failed = msgspec.structs.replace(REPORT, capture=0.1)
    text = printed(summary(msgspec.structs.replace(failed, expectations=expectations(failed, EVIDENCE))))
    for part in ("50 of 80 sent were included", "20 outbid, 10 reverted", "0.3000 ETH", "✗", "✓", ">= 60%", "10.0%"):
        assert part in text


def test_plain_lines_come_every_few_seconds_and_at_each_change() -> None:
    said: list[str] = []
    now = [0.0]
    screen = PlainScreen(said.append, lambda: now[0])
    for seconds, phase in ((0.0, "running"), (1.0, "running"), (2.0, "settling"), (8.0, "settling")):
        now[0] = seconds
        screen.show(DemoView(phase, 1.0, 1, 1, 1, 1.0, ()))
    screen.close()
    assert [text.split(":")[0] for text in said] == ["running", "settling", "settling"]


def test_a_live_screen_leaves_the_terminal_as_it_was() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=150)
    screen = LiveScreen(console)
    screen.show(VIEW)
    screen.close()
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().endswith("\x1b[1A\x1b[2K") or "\x1b[?25h" in console.file.getvalue()
