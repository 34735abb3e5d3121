"""Compiles Solidity with the npm compilers (WebAssembly, run by Node.js), and remembers what it compiled.

A build is cached in `<home>/build` by the hash of its compiler, settings and sources, so Node.js is needed once.

ToolMissing     no Node.js, or a source of a package is not where it should be
CompileError    the compiler refused a source
"""

from __future__ import annotations

import json
import posixpath
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devnet.artifacts import Artifact
from devnet.errors import DevnetError, StateCorrupt, ToolMissing
from devnet.home import Home
from devnet.interruption import run_in_thread
from devnet.packages import NPM_FOLDER, Packages, Progress, find_node
from devnet.storage import checksum, keep_newest, read_checked, write_checked

CONTRACTS_FOLDER: Final = Path(__file__).parent / "contracts"
_COMPILE_SECONDS: Final = 180
_BUILDS_KEPT: Final = 50


class CompileError(DevnetError):
    """The compiler refused a source; its first message is in the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What to compile and how; every setting that changes the bytecode is explicit."""

    title: str
    compiler: str
    """Package name of the compiler, such as `solc-0.6`."""
    sources: Mapping[str, str]
    """Source unit name to text."""
    contracts: Sequence[str]
    """The contracts wanted, by name."""
    evm_version: str | None
    """None where the compiler is older than the setting."""
    optimizer_runs: int | None
    """None switches the optimiser off."""
    via_ir: bool = False

    def standard_json(self) -> dict[str, Any]:
        """Return the compiler's standard JSON input."""
        optimizer = {"enabled": self.optimizer_runs is not None, "runs": self.optimizer_runs or 200}
        settings: dict[str, Any] = {
            "optimizer": optimizer,
            "outputSelection": {"*": {"*": ["evm.bytecode.object", "evm.deployedBytecode.object"]}},
        }
        if self.evm_version is not None:
            settings["evmVersion"] = self.evm_version
        if self.via_ir:
            settings["viaIR"] = True
        sources = {name: {"content": text} for name, text in sorted(self.sources.items())}
        return {"language": "Solidity", "sources": sources, "settings": settings}


def compile_build(packages: Packages, home: Home, build: Build, progress: Progress) -> dict[str, Artifact]:
    """Return the wanted contracts of `build`, from the cache where they are there and whole.

    Raises `ToolMissing`, `StorageFailed`, `CompileError`.
    """
    request = {"compiler": str(packages.root / build.compiler), "input": build.standard_json()}
    identity = {"lock": packages.key, "compiler": build.compiler, "input": request["input"]}
    path = home.builds / f"{checksum(json.dumps(identity, sort_keys=True).encode())[:24]}.json"
    try:
        compiled = json.loads(read_checked(path))
    except FileNotFoundError:
        compiled = None
    except StateCorrupt as error:
        progress(f"{error}; compiling again")
        compiled = None
    if compiled is None:
        progress(f"compiling {build.title} with {build.compiler} (the first time only)")
        compiled = _wanted(build, _compile(find_node(home, progress).program, request))
        write_checked(path, json.dumps(compiled).encode())
        keep_newest(home.builds, "*.json", _BUILDS_KEPT)
    return {
        name: Artifact(name, bytes.fromhex(code["creation"]), bytes.fromhex(code["runtime"]))
        for name, code in compiled.items()
    }


def package_sources(packages: Packages, folder: str, entries: Sequence[str]) -> dict[str, str]:
    """Read the `entries` of a package folder and all they import; source units are named relative to that folder."""
    return gather_sources(entries, lambda unit: packages.root / folder / unit)


def own_sources(packages: Packages, entries: Sequence[str]) -> dict[str, str]:
    """Read our contracts of those names and all they import, from beside them or from npm packages (`@…`)."""
    return gather_sources(entries, lambda unit: (packages.root if unit.startswith("@") else CONTRACTS_FOLDER) / unit)


def gather_sources(entries: Sequence[str], locate: Callable[[str], Path]) -> dict[str, str]:
    """Read the `entries` and all they import, each from where `locate` says. Raises `ToolMissing`."""
    sources: dict[str, str] = {}
    waiting = list(entries)
    while waiting:
        unit = waiting.pop()
        if unit in sources:
            continue
        sources[unit] = _read(locate(unit))
        for target in _imports(sources[unit]):
            relative = target.startswith(".")
            waiting.append(posixpath.normpath(posixpath.join(posixpath.dirname(unit), target)) if relative else target)
    return sources


def _imports(source: str) -> list[str]:
    """The targets of the import lines of a source, in their order."""
    targets: list[str] = []
    for line in source.splitlines():
        statement = line.strip()
        if statement.startswith(("import ", "} from ")):
            targets += statement.split('"' if '"' in statement else "'")[1:2]
    return targets


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ToolMissing(f"the source {path} cannot be read: {error.strerror}; install the packages again") from error


def _compile(node: Path, request: dict[str, Any]) -> dict[str, Any]:
    try:
        done = run_in_thread(
            [str(node), str(NPM_FOLDER / "compile.cjs")], json.dumps(request).encode(), _COMPILE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolMissing(f"{node} did not run the Solidity compiler: {error}") from error
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-8:]
        raise ToolMissing(f"{request['compiler']} failed: {' | '.join(last)}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _wanted(build: Build, output: dict[str, Any]) -> dict[str, dict[str, str]]:
    errors = [error for error in output.get("errors", []) if error.get("severity") == "error"]
    if errors:
        raise CompileError(f"{build.title}: {errors[0].get('formattedMessage', errors[0].get('message'))}")
    found = {name: code for unit in output["contracts"].values() for name, code in unit.items()}
    return {
        name: {
            "creation": found[name]["evm"]["bytecode"]["object"],
            "runtime": found[name]["evm"]["deployedBytecode"]["object"],
        }
        for name in build.contracts
    }
