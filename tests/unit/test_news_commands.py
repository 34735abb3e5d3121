"""`hftnode peers`, `alerts`, `opportunities`: what they print, once and following."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from node.cli import news
from node.cli.main import main
from node.config_template import write_commented
from node.desk.ledger.ledger import open_ledger
from node.link import NetworkPeer, NetworkStatus
from node.pipeline.reasons import Reason
from node.records import AnyRecord
from protocol.units import UnixMilliseconds
from tests import record_factories as make
from tests.config_factories import config_in
from tests.protocol_factories import ALICE, BOB, CAROL


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A node whose ledger has a find that was dropped, one that was not, and an alert."""
    written = tmp_path / "hftnode.toml"
    config = config_in(tmp_path)
    write_commented(config, written)

    async def fill() -> None:
        ledger = await open_ledger(config.ledger_path)
        records: list[AnyRecord] = [make.found(1), make.dropped(2, Reason.BELOW_MINIMUM_PROFIT), make.alert_told()]
        await ledger.append(make.entries(records))
        await ledger.close()

    asyncio.run(fill())
    return written


def run(path: Path, *words: str) -> str:
    done = CliRunner().invoke(main, [*words, "--config", str(path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_finds_are_told_with_what_became_of_them(path: Path) -> None:
    first, second = run(path, "opportunities").splitlines()

    assert "gross" in first
    assert Reason.BELOW_MINIMUM_PROFIT.meaning in second
    (only,) = run(path, "opportunities", "--last", "1", "--json").splitlines()
    assert json.loads(only)["dropped"] == Reason.BELOW_MINIMUM_PROFIT


def test_alerts_are_told_with_who_told_them_and_what_we_say(path: Path) -> None:
    (line,) = run(path, "alerts").splitlines()

    assert "sandwich seen (medium)" in line
    assert line.endswith(": confirmed")
    told = json.loads(run(path, "alerts", "--json"))
    assert (told["operator"], told["block"]) == ("0x" + BOB.hex(), 7)


def test_following_shows_what_comes_and_nothing_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def pause(_seconds: float) -> None:
        looks.append(1)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("node.cli.news.time.sleep", pause)
    done = CliRunner().invoke(main, ["alerts", "--follow", "--config", str(path)])
    assert done.output.count("sandwich seen") == 1
    assert len(looks) == 2


def test_peers_are_told_with_what_they_did(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def peer(operator: bytes, **changes: Any) -> NetworkPeer:
        plain = NetworkPeer(
            operator=operator, stake="1", peer="", score=0, heard_at=UnixMilliseconds(0), head=0, capabilities=0,
            value_limit=str(10**18), given=0, accepted=0, paid=0, broken=0, revealed_wei=str(3 * 10**17),
            lost_wei=str(10**17),
        )  # fmt: skip
        return msgspec.structs.replace(plain, **changes)

    network = NetworkStatus(
        account=ALICE, is_connected=False, operators=3, next_leader=BOB, is_paused=False, may_sign=True, counts={},
        peers=[peer(ALICE), peer(BOB, peer="12D3KooW", heard_at=1, capabilities=3, given=2, paid=1),
               peer(CAROL, refused=9, taken=8, is_beyond_chance=True)],
        withheld=16, withheld_taken=2,
    )  # fmt: skip

    async def told(_config: Any) -> NetworkStatus:
        return network

    monkeypatch.setattr(news, "_network", told)
    head, ours, theirs, silent = run(path, "peers").splitlines()

    assert "3 operators" in head
    assert "our sentry is away" in head
    assert ours.endswith("ourselves")
    assert "takes orders, executes" in theirs
    assert (
        "given 2, accepted 0, paid 1, broken 0; shown 0.3 ETH, lost after it was shown 0.1 ETH; at most 1 ETH" in theirs
    )
    assert "not connected; never heard" in silent
    assert "of 16 finds that nobody was shown 2 were taken by others" in head
    assert "refused 9 of late and 8 of these taken by others, far beyond chance; at most" in silent
    assert json.loads(run(path, "peers", "--json"))["operators"] == 3


def test_a_node_that_does_not_run_has_no_peers(path: Path) -> None:
    done = CliRunner().invoke(main, ["peers", "--config", str(path)])

    assert done.exit_code == 1
    assert "is not running" in done.output
