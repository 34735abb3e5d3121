"""The operator's stop: by hand or by policy, on disk, and followed by the engine."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from node.cli.main import main
from node.config_template import write_commented
from node.engine.operator_stop import OperatorStop
from node.pipeline.events import KillSwitchSet
from node.stop_file import FILE_NAME, MOST_CHARACTERS, StopFile, StopUnwritable
from tests.config_factories import config_in
from tests.unit.test_engine_core import Scene


def scene_with(folder: Path | None) -> tuple[Scene, OperatorStop]:
    scene = Scene()
    return scene, OperatorStop(scene.core, StopFile(folder))


async def test_a_policys_stop_outlives_the_engine_until_the_operator_ends_it(tmp_path: Path) -> None:
    scene, stop = scene_with(tmp_path / "new")
    stop.feed(KillSwitchSet(True, "by policy: a sandwich"))
    assert scene.core.state.gate.kill_switch
    again, stop = scene_with(tmp_path / "new")
    stop.follow()
    stop.follow()
    assert again.core.state.gate.kill_switch
    assert [record.detail for record in again.records] == ["on: by policy: a sandwich"]  # type: ignore[union-attr]
    assert StopFile(tmp_path / "new").remove()
    stop.follow()
    assert not again.core.state.gate.kill_switch


async def test_a_stop_that_cannot_be_written_holds_and_is_written_when_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    folder.write_text("in the way")
    scene, stop = scene_with(folder)
    with caplog.at_level(logging.ERROR):
        stop.feed(KillSwitchSet(True, "by policy"))
        stop.follow()
    assert scene.core.state.gate.kill_switch
    assert scene.core.counts["stops_unwritten"] == 2
    assert caplog.text.count("cannot be written") == 1
    folder.unlink()
    stop.follow()
    assert StopFile(folder).why() == "by policy"
    StopFile(folder).remove()
    stop.follow()
    assert not scene.core.state.gate.kill_switch


async def test_without_a_folder_a_stop_is_kept_in_memory_only() -> None:
    scene, stop = scene_with(None)
    stop.feed(KillSwitchSet(True, "by policy"))
    stop.follow()
    assert scene.core.state.gate.kill_switch
    assert StopFile(None).why() is None
    assert not StopFile(None).remove()


def test_a_stop_file_that_says_nothing_or_cannot_be_read_stops_too(tmp_path: Path) -> None:
    stop = StopFile(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"\xff")
    assert stop.why()
    (tmp_path / FILE_NAME).write_text(" ")
    assert stop.why() == "no reason given"
    stop.write("x" * 2 * MOST_CHARACTERS)
    assert stop.why() == "x" * MOST_CHARACTERS
    stop.remove()
    (tmp_path / FILE_NAME).mkdir()
    assert "cannot be read" in str(stop.why())
    with pytest.raises(StopUnwritable, match="cannot be removed"):
        stop.remove()


def test_an_operator_halts_and_resumes_by_command(tmp_path: Path) -> None:
    path = tmp_path / "hftnode.toml"
    write_commented(config_in(tmp_path), path)

    def said(*words: str) -> str:
        result = CliRunner().invoke(main, [*words, "--config", str(path)])
        assert result.exit_code == 0, result.output
        return result.output

    assert "was not halted" in said("resume")
    assert "executes nothing until `hftnode resume`" in said("halt", "a drill")
    assert "it was halted: a drill" in said("resume")
    assert "was not halted" in said("resume")
