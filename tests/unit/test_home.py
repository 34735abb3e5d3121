"""Where the devnet keeps its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet import home
from devnet.home import Home


def test_the_environment_decides_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HFTNODE_HOME", str(tmp_path / "elsewhere"))
    assert Home.from_environment().root == tmp_path / "elsewhere"


def test_a_checkout_keeps_its_files_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HFTNODE_HOME", raising=False)
    assert Home.from_environment().root == Path(home.__file__).resolve().parent.parent / ".hftnode"


def test_an_installed_program_uses_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HFTNODE_HOME", raising=False)
    monkeypatch.setattr(home, "_CHECKOUT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.from_environment().root == tmp_path / ".hftnode"


def test_a_run_can_be_kept_apart(tmp_path: Path) -> None:
    assert Home(tmp_path).run == tmp_path / "run"
    assert Home(tmp_path, run_elsewhere=tmp_path / "other").run == tmp_path / "other"
