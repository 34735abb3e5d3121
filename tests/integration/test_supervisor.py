"""The supervisor over real processes, stand-ins for desk and engine: order, restarts, ends, secrets, nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from node import child as child_module
from node.child import ChildCommand, ChildFailed
from node.clock import SystemClock
from node.config import Config, LockstepConfig, Mode
from node.config_file import load_config
from node.config_template import write_commented
from node.keyfile import Password
from node.run_file import RunFolderUnusable, RunRecord, read_run, run_lock, write_run
from node.supervisor import node_commands, supervise
from protocol.units import UnixMilliseconds
from tests.config_factories import config_in, network_in
from tests.stand_in_process import command

SECONDS = 40.0
SECRET = "tr0ub4dor and three"  # not a key to anything


class Scene:
    """One supervisor under test, in this process; `runs` is every state that it told."""

    def __init__(self, folder: Path) -> None:
        self.config_path = folder / "hftnode.toml"
        write_commented(config_in(folder), self.config_path)
        self.config: Config = load_config(self.config_path, {})
        self.runs: list[RunRecord] = []
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def start(
        self, *behaviours: str, ready_seconds: float = 20.0, words: Sequence[str] = (), is_vital: bool = True
    ) -> None:
        commands = [
            ChildCommand(
                name, tuple(words) or command(name, self.config_path), ready_seconds, Password(SECRET), is_vital
            )
            for name in behaviours
        ]
        self.task = asyncio.create_task(supervise(self.config, commands, SystemClock(), self.stop, self._told))

    def _told(self, run: RunRecord) -> None:
        self.runs.append(run)
        self._changed.set()

    async def until(self, name: str, state: str, restarts: int = 0) -> RunRecord:
        """The first record in which the process `name` is in that state after so many restarts."""
        async with asyncio.timeout(SECONDS):
            while True:
                for run in self.runs:
                    if run.processes[name].state == state and run.processes[name].restarts >= restarts:
                        return run
                assert self.task is not None
                assert not self.task.done(), self.task
                self._changed.clear()
                await asyncio.wait(
                    {self.task, told := asyncio.create_task(self._changed.wait())}, return_when="FIRST_COMPLETED"
                )
                told.cancel()

    async def finish(self) -> None:
        assert self.task is not None
        self.stop.set()
        await asyncio.wait_for(self.task, SECONDS)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.stop.set()
    if made.task is not None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(made.task, SECONDS)


def alive(pid: int | None) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until_gone(pids: Sequence[int | None]) -> None:
    async with asyncio.timeout(SECONDS):
        while any(map(alive, pids)):
            await asyncio.sleep(0.02)


async def test_children_start_in_order_and_stop_in_reverse(scene: Scene) -> None:
    scene.start("obedient", "with-grandchild")
    run = await scene.until("with-grandchild", "ready")

    assert list(run.processes) == ["obedient", "with-grandchild"]
    assert run.processes["obedient"].facts == {"http": "127.0.0.1:9464"}
    second_began = next(run for run in scene.runs if run.processes["with-grandchild"].pid)
    assert second_began.processes["obedient"].state == "ready"
    assert read_run(scene.config.run_folder) == scene.runs[-1]

    await scene.finish()
    await until_gone([record.pid for record in run.processes.values()])
    assert read_run(scene.config.run_folder) is None
    assert not (scene.config.run_folder / "node.json").exists()


async def test_a_child_that_crashes_is_started_again(scene: Scene) -> None:
    scene.start("crashes-once", "obedient")
    scene.config.data_folder.mkdir(exist_ok=True)
    run = await scene.until("crashes-once", "ready", restarts=1)

    assert run.processes["crashes-once"].restarts == 1
    await scene.until("obedient", "ready")
    await scene.finish()


async def test_a_child_that_crashes_always_is_given_up_with_its_last_lines(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "MAX_CRASHES", 2)
    monkeypatch.setattr(child_module, "FIRST_BACKOFF_SECONDS", 0.01)
    scene.start("obedient", "crashes-always")
    assert scene.task is not None

    with pytest.raises(ChildFailed, match=r"(?s)crashes-always ended 3 times \(exit code 70\).*ZeroDivisionError"):
        await asyncio.wait_for(scene.task, SECONDS)
    states = [run.processes["crashes-always"].state for run in scene.runs]
    assert states[-1] != "ready"
    assert "given up" in states
    await until_gone([run.processes["obedient"].pid for run in scene.runs])


async def test_without_a_child_that_is_not_vital_the_others_go_on_and_it_is_tried_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child_module, "MAX_CRASHES", 1)
    monkeypatch.setattr(child_module, "FIRST_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(child_module, "ALONE_SECONDS", 0.2)
    scene.start("crashes-always", "obedient", is_vital=False)
    run = await scene.until("crashes-always", "given up")
    await scene.until("obedient", "ready")

    again = await scene.until("crashes-always", "given up", restarts=run.processes["crashes-always"].restarts + 2)

    assert again.processes["obedient"].state == "ready"
    assert {run.processes["obedient"].restarts for run in scene.runs} == {0}
    assert "the node goes on without its crashes-always, tried again in 0.2 s" in caplog.text
    await scene.finish()


async def test_a_wrong_set_up_of_what_is_not_vital_is_told_at_the_start(scene: Scene) -> None:
    scene.start("wrongly-set-up", "obedient", is_vital=False)
    assert scene.task is not None

    with pytest.raises(ChildFailed, match=r"keystore hot\.json: wrong password"):
        await asyncio.wait_for(scene.task, SECONDS)


async def test_a_child_that_ends_by_itself_is_started_again(scene: Scene) -> None:
    scene.start("ends")

    run = await scene.until("ends", "ready", restarts=1)

    assert run.processes["ends"].restarts == 1
    await scene.finish()


async def test_a_wrong_set_up_is_not_tried_again(scene: Scene) -> None:
    scene.start("wrongly-set-up")
    assert scene.task is not None

    with pytest.raises(ChildFailed, match=r"keystore hot\.json: wrong password"):
        await asyncio.wait_for(scene.task, SECONDS)
    assert all(run.processes["wrongly-set-up"].restarts == 0 for run in scene.runs)


async def test_a_child_that_never_gets_ready_is_given_up_with_its_last_lines(scene: Scene) -> None:
    scene.start("never-ready", ready_seconds=3.0)
    assert scene.task is not None

    with pytest.raises(ChildFailed, match=r"(?s)was not ready within 3 s.*waiting for a head that never comes"):
        await asyncio.wait_for(scene.task, SECONDS)
    await until_gone([run.processes["never-ready"].pid for run in scene.runs])


async def test_a_deaf_child_is_killed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "STOP_SECONDS", 0.1)
    scene.start("stubborn")
    run = await scene.until("stubborn", "ready")

    await scene.finish()

    await until_gone([run.processes["stubborn"].pid])


async def test_the_log_of_a_talkative_child_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "LOG_BYTES", 20_000)
    scene.start("talkative")
    await scene.until("talkative", "ready")
    await scene.finish()

    logs = sorted((scene.config.data_folder / "logs").iterdir())
    assert len(logs) == child_module.LOG_FILES
    assert sum(log.stat().st_size for log in logs) <= child_module.LOG_FILES * 25_000
    assert any("(cut)" in log.read_text() for log in logs)


async def test_a_second_node_in_the_same_folder_is_refused(scene: Scene) -> None:
    scene.start("obedient")
    await scene.until("obedient", "ready")

    with pytest.raises(RunFolderUnusable, match="a node runs there already"):
        await supervise(scene.config, [], SystemClock(), scene.stop, lambda _run: None)
    await scene.finish()


async def test_a_stop_before_all_is_up_ends_what_is(scene: Scene) -> None:
    scene.start("obedient", "never-ready")
    run = await scene.until("never-ready", "starting")
    await scene.finish()

    await until_gone([record.pid for record in run.processes.values()])


async def test_a_log_folder_that_cannot_be_made_is_told(scene: Scene) -> None:
    scene.config.data_folder.mkdir()
    (scene.config.data_folder / "logs").write_text("a file")
    scene.start("obedient")
    assert scene.task is not None

    with pytest.raises(ChildFailed, match=r"obedient\.log"):
        await asyncio.wait_for(scene.task, SECONDS)


async def test_neither_password_nor_key_shows_anywhere(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.start("obedient", "talkative")
    run = await scene.until("talkative", "ready")

    seen = caplog.text.encode() + (scene.config.run_folder / "node.json").read_bytes()
    for record in run.processes.values():
        seen += Path(f"/proc/{record.pid}/cmdline").read_bytes() + Path(f"/proc/{record.pid}/environ").read_bytes()
    await scene.finish()
    for log in (scene.config.data_folder / "logs").iterdir():
        seen += log.read_bytes()

    assert b"the password has 19 letters" in seen  # it did arrive
    assert SECRET.encode() not in seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_however_the_supervisor_ends_nothing_is_left_behind(scene: Scene, number: signal.Signals) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.stand_in_supervisor", str(scene.config_path), "obedient", "with-grandchild",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    supervisor.stdin.write(SECRET.encode() + b"\n")
    pids: list[int] = []
    async with asyncio.timeout(SECONDS):
        while b"with-grandchild:ready" not in (line := await supervisor.stdout.readline()):
            assert line, "the supervisor ended"
    pids = [int(word.rpartition(":")[2]) for word in line.decode().split()]
    grandchildren = [int(pid) for pid in Path(f"/proc/{pids[1]}/task/{pids[1]}/children").read_text().split()]
    assert grandchildren

    supervisor.send_signal(number)
    await asyncio.wait_for(supervisor.wait(), SECONDS)
    supervisor.stdin.close()

    await until_gone([*pids, *grandchildren])
    assert read_run(scene.config.run_folder) is None


async def test_a_full_disk_costs_the_record_and_not_the_node(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_folder: Path, _run: RunRecord) -> None:
        raise RunFolderUnusable("run: No space left on device")

    monkeypatch.setattr("node.supervisor.write_run", full)
    scene.start("obedient")
    await scene.until("obedient", "ready")
    await scene.finish()


async def test_lines_that_a_full_disk_does_not_take_are_counted_and_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child_module, "_open_log", lambda _path: child_module._LogFile("/dev/full"))
    scene.start("obedient")
    await scene.until("obedient", "ready")
    await scene.finish()

    assert "lines of the log of obedient could not be written" in caplog.text


def test_a_node_is_desk_then_engine_and_only_the_engine_gets_the_password(tmp_path: Path) -> None:
    desk, engine = node_commands(config_in(tmp_path), tmp_path / "hftnode.toml", Password(SECRET))

    assert (desk.name, engine.name) == ("desk", "engine")
    assert desk.password is None
    assert engine.password is not None
    assert SECRET not in repr((desk, engine))


def test_a_member_of_a_network_has_a_sentry_before_its_engine_and_in_shadow_or_lockstep_none(tmp_path: Path) -> None:
    member = msgspec.structs.replace(config_in(tmp_path), network=network_in(tmp_path))
    commands = node_commands(member, tmp_path / "hftnode.toml", Password(SECRET))

    assert [command.name for command in commands] == ["desk", "sentry", "engine"]
    assert commands[1].password is None
    assert [command.is_vital for command in commands] == [True, False, True]
    stepped = LockstepConfig(participant="alice", admin_url="http://127.0.0.1:1/admin")
    for apart in ({"mode": Mode.SHADOW}, {"lockstep": stepped}):
        alone = msgspec.structs.replace(member, **apart)
        assert [command.name for command in node_commands(alone, tmp_path / "hftnode.toml", None)] == ["desk", "engine"]


def test_a_run_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    record = RunRecord(name="alice", mode="live", pid=os.getpid(), started_at=UnixMilliseconds(0), processes={})

    with pytest.raises(RunFolderUnusable), run_lock(tmp_path / "run"):
        pass
    with pytest.raises(RunFolderUnusable):
        write_run(tmp_path / "run", record)
    assert read_run(tmp_path / "run") is None


HEAPS = """
import ctypes, os, threading, time
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(9)
def take():
    libc.malloc(1_000)  # without Python's lock
    together.wait()
    together.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads:
    thread.start()
together.wait()
libc.open_memstream.restype = ctypes.c_void_p
text, size = ctypes.c_void_p(), ctypes.c_size_t()
file = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
libc.malloc_info(0, file)
libc.fclose(file)
heaps = ctypes.string_at(text.value, size.value).count(b"<heap ")
together.wait()
print(f"ready heaps={heaps}", flush=True)
input(), input()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives threads heaps of their own")
@pytest.mark.parametrize(("set_by_us", "is_one"), [(None, True), ("8", False)])
async def test_the_threads_of_a_process_share_one_heap_unless_the_operator_says_otherwise(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, set_by_us: str | None, is_one: bool
) -> None:
    if set_by_us is None:
        monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    else:
        monkeypatch.setenv("MALLOC_ARENA_MAX", set_by_us)
    scene.start("engine", words=(sys.executable, "-c", HEAPS))
    run = await scene.until("engine", "ready")
    assert (int(run.processes["engine"].facts["heaps"]) == 1) is is_one
