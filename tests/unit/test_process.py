"""The parts of a process's start that need no process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node import process
from node.clock import SystemClock
from node.keyfile import Password, PasswordUnusable
from node.process import Process
from tests.config_factories import config_in


def test_a_password_that_never_comes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PASSWORD_SECONDS", 0.01)
    reading, writing = os.pipe()

    with pytest.raises(PasswordUnusable, match="within"):
        process._password_from(reading)
    os.close(writing)
    assert process._password_from(reading) is None
    os.close(reading)


async def test_a_process_shows_no_password_in_its_repr(tmp_path: Path) -> None:
    made = Process("engine", config_in(tmp_path), Password("s3cret"), SystemClock())

    assert "s3cret" not in repr(made) + repr(vars(made))
