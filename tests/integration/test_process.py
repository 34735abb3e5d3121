"""What every process shares, on real processes: readiness, stop, password, log lines, exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.config_template import write_commented
from node.process import EXIT_FAILED, EXIT_FAULT, EXIT_SETUP
from tests.config_factories import config_in
from tests.stand_in_process import command

SECONDS = 20.0
_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|CRITICAL) \S+ \S+: .+\Z")


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    write_commented(config_in(tmp_path), tmp_path / "hftnode.toml")
    return tmp_path / "hftnode.toml"


@contextlib.asynccontextmanager
async def running(
    behaviour: str, config_path: Path, first_line: bytes = b"\n"
) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command(behaviour, config_path), stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdin is not None
    process.stdin.write(first_line)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        process.stdin.close()
        await process.wait()


async def ready_line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await asyncio.wait_for(process.stdout.readline(), SECONDS)


async def ended(process: asyncio.subprocess.Process) -> tuple[int, list[str]]:
    """Its exit code and its log."""
    assert process.stderr is not None
    log = await asyncio.wait_for(process.stderr.read(), SECONDS)
    return await asyncio.wait_for(process.wait(), SECONDS), log.decode().splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_tells_that_it_is_ready_and_stops_on_a_signal(
    config_path: Path, number: signal.Signals
) -> None:
    async with running("obedient", config_path, b"s3cret pass\n") as process:
        assert await ready_line(process) == b"ready http=127.0.0.1:9464\n"
        process.send_signal(number)
        code, log = await ended(process)

    assert code == 0
    assert [line for line in log if not _LINE.match(line)] == []
    assert "obedient stand-in: alice runs; the password has 11 letters" in log[0]
    assert "s3cret" not in "\n".join(log)


async def test_a_process_stops_when_its_supervisor_is_gone(config_path: Path) -> None:
    async with running("obedient", config_path) as process:
        await ready_line(process)
        assert process.stdin is not None
        process.stdin.close()
        code, log = await ended(process)

    assert code == 0
    assert log[-1].endswith("asked to stop")


async def test_a_stuck_process_ends_all_the_same_when_its_supervisor_is_gone(config_path: Path) -> None:
    async with running("stubborn", config_path) as process:
        await ready_line(process)
        assert process.stdin is not None
        process.stdin.close()
        code, _ = await ended(process)

    assert code == EXIT_FAILED


@pytest.mark.parametrize(
    ("behaviour", "code", "told"),
    [
        ("cannot", EXIT_FAILED, "the chain is out of reach: check chain.rpcs"),
        ("wrongly-set-up", EXIT_SETUP, "keystore hot.json: wrong password"),
        ("crashes-always", EXIT_FAULT, "ZeroDivisionError: first line | second line"),
    ],
)
async def test_a_failure_is_one_line_of_the_log_and_an_exit_code(
    config_path: Path, behaviour: str, code: int, told: str
) -> None:
    async with running(behaviour, config_path) as process:
        found, log = await ended(process)

    assert found == code
    (line,) = log
    assert _LINE.match(line)
    assert told in line


async def test_a_wrong_configuration_is_told_and_not_tried_again(config_path: Path) -> None:
    config_path.write_text("name = 7")
    async with running("obedient", config_path) as process:
        code, log = await ended(process)

    assert code == EXIT_SETUP
    assert "mode: is missing" in log[0]


@pytest.mark.parametrize(("line", "told"), [(b"x" * 5000 + b"\n", "more than 4096 bytes"), (b"\xff\n", "not text")])
async def test_a_password_that_is_none_is_told(config_path: Path, line: bytes, told: str) -> None:
    async with running("obedient", config_path, line) as process:
        code, log = await ended(process)

    assert code == EXIT_SETUP
    assert told in log[0]
