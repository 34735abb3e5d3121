"""`hftnode init`, `start`, `status` and `why` on real files and processes; stand-ins where the engine belongs."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from node.child import ChildCommand
from node.cli import init as init_module
from node.cli import start as start_module
from node.cli.main import main
from node.cli.networks import Network
from node.cli.status import NOT_RUNNING
from node.cli.words import ago, ether, microseconds, short
from node.clock import SystemClock
from node.config import Mode
from node.config_file import load_config
from node.config_template import write_commented
from node.desk.ledger.ledger import open_ledger
from node.keyfile import Password, read_keystore, write_keystore
from node.pipeline.reasons import Reason
from node.records import AnyRecord, OutcomeRetracted
from node.run_file import ProcessRecord, RunRecord
from node.supervisor import DESK_READY_SECONDS, supervise
from protocol.units import UnixMilliseconds
from tests.config_factories import config_in
from tests.desk_process import SECONDS, DeskProcess, acknowledged, engine_status, send
from tests.record_factories import (
    USDC,
    answered,
    bundle_hash,
    dropped,
    entries,
    found,
    hash_of,
    landed,
    missed,
    opportunity_id,
    signed,
    simulated,
    transaction_hash,
)
from tests.stand_in_process import command


def run(*words: str, **environ: str) -> Result:
    """One command in this process, on a wide screen."""
    return CliRunner(env={"COLUMNS": "200", "HFTNODE_CONFIG": None, "HFTNODE_PASSWORD_FILE": None, **environ}).invoke(
        main, list(words)
    )


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text("init's password\n")
    return path


def test_init_writes_a_configuration_and_a_key_that_its_password_opens(tmp_path: Path, password_file: Path) -> None:
    result = run("init", str(tmp_path / "node"), "--password-file", str(password_file))

    assert result.exit_code == 0, result.output
    config = load_config(tmp_path / "node" / "hftnode.toml", {})
    assert (config.mode, config.chain.id) == (Mode.SHADOW, 1)
    secret = read_keystore(tmp_path / "node" / "keystores" / "hot.json", Password("init's password"))
    assert len(secret) == 32
    assert secret.hex() not in result.output
    assert "init's password" not in result.output


def test_init_never_writes_over_what_is_there(tmp_path: Path, password_file: Path) -> None:
    (tmp_path / "hftnode.toml").write_text("mine")

    result = run("init", str(tmp_path), "--password-file", str(password_file))

    assert result.exit_code == 1
    assert "exists already; nothing was written" in result.stderr
    assert not (tmp_path / "keystores").exists()


def test_init_for_a_network_that_a_package_offers(
    tmp_path: Path, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Offer:
        def load(self) -> object:
            return lambda folder: Network(config=config_in(folder), secrets=(bytes(31) + b"\x07",))

    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_named: [Offer()])

    result = run("init", str(tmp_path / "n"), "--devnet", "--password-file", str(password_file))

    assert result.exit_code == 0, result.output
    assert read_keystore(tmp_path / "n" / "keys" / "hot.json", Password("init's password"))[-1] == 7
    assert load_config(tmp_path / "n" / "hftnode.toml", {}).mode is Mode.LIVE


def test_a_secret_of_a_network_does_not_show_in_its_repr(tmp_path: Path) -> None:
    assert "07" * 8 not in repr(Network(config=config_in(tmp_path), secrets=(b"\x07" * 32,)))


def test_init_tells_what_is_missing(tmp_path: Path, password_file: Path) -> None:
    unknown = run("init", str(tmp_path), "--network", "moon", "--password-file", str(password_file))
    nobody = run("init", str(tmp_path))

    assert "no installed package offers the network 'moon'" in unknown.stderr
    assert "nobody is here to choose a keystore password" in nobody.stderr
    assert (unknown.exit_code, nobody.exit_code) == (1, 1)


def test_init_asks_for_a_password_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal())
    monkeypatch.setattr("click.prompt", lambda *_words, **options: "typed" if options["confirmation_prompt"] else "")

    assert init_module._password(None).reveal() == "typed"


def test_start_asks_for_the_password_where_somebody_is_and_for_none_in_shadow_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal())
    monkeypatch.setattr("click.prompt", lambda *_words, **_options: "typed")

    typed = start_module._password(config_in(tmp_path), None)

    assert typed is not None
    assert typed.reveal() == "typed"
    assert start_module._password(config_in(tmp_path, Mode.SHADOW), None) is None


def test_start_tells_each_change_once_and_when_all_is_up() -> None:
    console = Console(file=io.StringIO(), width=120)
    news = start_module._News(console)
    starting = ProcessRecord(state="starting", pid=7)
    ready = ProcessRecord(state="ready", pid=7, facts={"http": "127.0.0.1:9464"})
    for desk, engine in (
        (starting, ProcessRecord(state="starting")),
        (ready, starting),
        (ready, ready),
        (ready, ready),
    ):
        news.tell(
            RunRecord(
                name="alice",
                mode="live",
                pid=1,
                started_at=UnixMilliseconds(0),
                processes={"desk": desk, "engine": engine},
            )
        )

    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "desk starting",
        "desk ready http 127.0.0.1:9464",
        "engine starting",
        "engine ready http 127.0.0.1:9464",
        "alice runs (live). In another terminal: `hftnode status`; Ctrl-C ends it",
    ]


def test_importing_the_desks_entry_point_starts_nothing() -> None:
    importlib.import_module("node.desk.__main__")


class _Terminal:
    def isatty(self) -> bool:
        return True


def test_nothing_runs_is_exit_code_3(tmp_path: Path) -> None:
    write_commented(config_in(tmp_path), tmp_path / "hftnode.toml")

    words = run("status", "--config", str(tmp_path / "hftnode.toml"))
    as_json = run("status", "--json", "--config", str(tmp_path / "hftnode.toml"))

    assert (words.exit_code, as_json.exit_code) == (NOT_RUNNING, NOT_RUNNING)
    assert "alice is not running" in words.output
    assert json.loads(as_json.output) == {"running": False, "name": "alice"}


def test_a_wrong_configuration_is_told_by_every_command(tmp_path: Path) -> None:
    path = tmp_path / "hftnode.toml"
    path.write_text("nmae = 1")

    for name in ("start", "status", "why"):
        result = run(name, "--config", str(path))
        assert result.exit_code == 1
        assert "nmae: unknown key; did you mean name?" in result.stderr


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[DeskProcess]:
    """A node of a real desk and a stand-in for the engine, under the real supervisor, in this process."""
    desk = DeskProcess(tmp_path)
    stop, ready = asyncio.Event(), asyncio.Event()
    commands = [
        ChildCommand("desk", (sys.executable, "-m", "node.desk", "--config", str(desk.path)), DESK_READY_SECONDS),
        ChildCommand("engine", command("obedient", desk.path), DESK_READY_SECONDS),
    ]

    def told(record: object) -> None:
        if all(process.state == "ready" for process in record.processes.values()):  # type: ignore[attr-defined]
            ready.set()

    running = asyncio.create_task(supervise(desk.config, commands, SystemClock(), stop, told))
    await asyncio.wait({running, asyncio.create_task(ready.wait())}, timeout=SECONDS, return_when="FIRST_COMPLETED")
    assert ready.is_set()
    yield desk
    stop.set()
    await asyncio.wait_for(running, SECONDS)


async def status_of(node: DeskProcess, *words: str) -> Result:
    return await asyncio.to_thread(run, "status", "--config", str(node.path), *words)


async def test_status_on_one_screen(node: DeskProcess) -> None:
    before = await status_of(node)
    assert "the engine has told nothing yet" in before.output
    assert "nothing yet" in before.output
    records: list[AnyRecord] = [found(1), signed(1), landed(1), found(2, token=USDC), signed(2), landed(2, profit=70)]
    records += [found(3), signed(3), missed(3), dropped(4), dropped(5, Reason.SHADOW)]
    async with node.link() as link:
        await send(link, entries(records))
        await acknowledged(link, len(records))
        await link.send(engine_status())
        async with asyncio.timeout(SECONDS):
            while "500000000000000000 " not in (screen := (await status_of(node)).output.replace(",", "")):
                await asyncio.sleep(0.1)
        as_json = json.loads((await status_of(node, "--json")).output)

    for told in (
        "alice · live · healthy", "desk", "engine", "supervisor", "restarts", "1234 0.8 s old", "behind by 4 blocks",
        "40 pools 1 quarantined 312 cycles 9 tokens trusted 3 refused", "finds in it are not taken",
        "5000 seen", "5 backrun",
        "3 sent; 2 executions included 1 missed", "1 outbid: Somebody else took it", "p99 1.9 ms", "net profit",
        "would have earned", "2 in spool",
    ):  # fmt: skip
        assert told in screen, (told, screen)
    assert as_json["running"] is True
    assert as_json["engine"]["head_number"] == 1234
    assert as_json["totals"]["landed"] == 2
    assert as_json["processes"]["desk"]["restarts"] == 0


async def test_status_without_an_answer_from_the_desk_still_shows_the_processes(
    node: DeskProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.cli.status.ANSWER_SECONDS", 1e-6)

    words, as_json = await status_of(node), await status_of(node, "--json")

    assert "does not answer" in words.output
    assert "supervisor" in words.output
    assert json.loads(as_json.output)["processes"]["engine"]["state"] == "ready"


@pytest.fixture
async def ledger_of(tmp_path: Path) -> Path:
    """A configuration whose ledger holds a story of every kind."""
    config = config_in(tmp_path)
    write_commented(config, tmp_path / "hftnode.toml")
    ledger = await open_ledger(config.ledger_path)
    records: list[AnyRecord] = [
        found(1), simulated(1), signed(1), answered(1), answered(1, "titan", "too late"), landed(1),
        found(2), signed(2, behind=(opportunity_id(1),)), missed(2), found(3), simulated(3, Reason.SIMULATION_REVERTED),
        dropped(3, Reason.SIMULATION_REVERTED), found(4), signed(4), landed(4),
        OutcomeRetracted(block_hash=landed(4).block_hash), missed(4, Reason.REVERTED, 10**15),
        found(5), msgspec.structs.replace(found(6), victims=()), signed(6),
    ]  # fmt: skip
    await ledger.append(entries(records))
    await ledger.close()
    return tmp_path / "hftnode.toml"


async def story_of(config_path: Path, name: bytes, *words: str) -> str:
    result = await asyncio.to_thread(run, "why", "0x" + name.hex(), "--config", str(config_path), *words)
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.output.replace("│", " "))


async def test_why_tells_a_landed_story(ledger_of: Path) -> None:
    told = await story_of(ledger_of, opportunity_id(1))

    for part in (
        f"backrun 0x{opportunity_id(1).hex()}", f"pending transaction 0x{hash_of(1, 0xEEEE).hex()}", "for block 101",
        "uniswap_v2", "100,000,000,000,000,000,000 of 0xc02a", "→ 3,000,000,000 of 0x", "from balancer_v2, fee 0",
        "gross (1 ETH)", "clean: profit 900,000,000,000,000,000, 231,000 gas, took 612 µs",
        f"bundle 0x{bundle_hash(1).hex()}", "signed 420 µs after the event", "0.4 ETH to the builder and 2 gwei a gas",
        "flashbots: taken, after 3.1 ms", "titan: too late", "landed in block 101", "profit 500,000,000,000,000,000",
    ):  # fmt: skip
        assert part in told, (part, told)


async def test_why_tells_a_miss_with_its_reason_its_advice_and_who_took_it(ledger_of: Path) -> None:
    told = await story_of(ledger_of, transaction_hash(2))

    assert "missed block 102 outbid: Somebody else took it" in told
    assert "→ The bid policy learns from this." in told
    assert f"lost to transaction 0x{hash_of(2, 0x1057).hex()}" in told
    assert "no relay has answered" in told
    assert f"computed behind 0x{opportunity_id(1).hex()}: without it before ours the profit is another" in told


async def test_why_tells_drops_reorganisations_and_what_is_still_open(ledger_of: Path) -> None:
    assert "simulation_reverted: The last check" in (drop := await story_of(ledger_of, opportunity_id(3)))
    assert "reverted: ProfitBelowMinimum, took 612 µs" in drop
    again = await story_of(ledger_of, bundle_hash(4))
    assert "landed in block 104, which later news took back" in again
    assert "it cost 0.001 ETH" in again
    assert "none yet: its block has not come" in await story_of(ledger_of, opportunity_id(5))
    assert "seen a new block" in await story_of(ledger_of, opportunity_id(6))


async def test_why_as_json_has_hashes_in_hex(ledger_of: Path) -> None:
    result = await asyncio.to_thread(run, "why", opportunity_id(1).hex(), "--json", "--config", str(ledger_of))
    story = json.loads(result.output)

    assert story["found"]["opportunity_id"] == "0x" + opportunity_id(1).hex()
    assert story["outcomes"][0]["profit"] == str(5 * 10**17)
    assert story["found"]["legs"][0]["family"] == "uniswap_v2"


async def test_why_without_an_id_lists_the_last_and_an_unknown_one_is_told(ledger_of: Path) -> None:
    listed = await asyncio.to_thread(run, "why", "--config", str(ledger_of))
    unknown = await asyncio.to_thread(run, "why", "0xabcdef", "--config", str(ledger_of))

    assert listed.output.split()[0] == "0x" + opportunity_id(6).hex()
    assert unknown.exit_code == 1
    assert "has no opportunity, bundle or transaction 0xabcdef" in unknown.stderr


async def _start(path: Path, *words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from node.cli.main import main; main()", "start", "--config", str(path), *words),
        stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


async def test_start_needs_a_password_for_live_mode(tmp_path: Path) -> None:
    write_commented(config_in(tmp_path), tmp_path / "hftnode.toml")

    process = await _start(tmp_path / "hftnode.toml")
    _, errors = await asyncio.wait_for(process.communicate(), SECONDS)

    assert process.returncode == 1
    assert b"nobody is here to type the keystore password" in errors


async def test_start_brings_the_desk_up_and_ctrl_c_ends_everything(tmp_path: Path, password_file: Path) -> None:
    config = config_in(tmp_path)
    write_keystore(config.execution.vaults[0].keystore, b"\x07" * 32, Password("init's password"), 16)
    write_commented(config, tmp_path / "hftnode.toml")

    process = await _start(tmp_path / "hftnode.toml", "--password-file", str(password_file))
    assert process.stdout is not None
    async with asyncio.timeout(SECONDS):
        while b"desk ready" not in (line := await process.stdout.readline()):
            assert line
    process.send_signal(signal.SIGINT)
    output, errors = await asyncio.wait_for(process.communicate(), SECONDS)

    assert process.returncode in (0, 1), errors  # 1 where the engine was given up first
    assert not (config.run_folder / "node.json").exists()
    assert b"init's password" not in output + errors


def test_amounts_and_times_read_well() -> None:
    assert [ether(wei) for wei in (0, 5, 3 * 10**9, 10**18, -(10**17), "1234567890123456789012")] == [
        "0 ETH", "5 wei", "3 gwei", "1 ETH", "-0.1 ETH", "1,234.56789 ETH"
    ]  # fmt: skip
    assert [ago(span) for span in (500, 90_000, 7_200_000, 200_000_000)] == ["0.5 s", "1.5 min", "2.0 h", "2.3 d"]
    assert [microseconds(count) for count in (42, 1500)] == ["42 µs", "1.5 ms"]
    assert short("0x" + "ab" * 20) == "0xababab…abab"
