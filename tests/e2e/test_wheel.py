"""The wheel: complete, and `hftnode` works from it in an empty environment, away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.tree import ROOT, files

PACKAGES = ("protocol", "governance", "node", "devnet")
TOOLS = Path(sys.executable).parent
DEADLINE_SECONDS = 110


def _run(*command: str | Path, cwd: Path) -> str:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment | {"UV_SYSTEM_CERTS": "1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(TOOLS / "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    expected = {path.relative_to(ROOT).as_posix() for path in files(*PACKAGES)}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert packed == expected
    assert "devnet/npm/package-lock.json" in packed


def test_hftnode_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    uv = TOOLS / "uv"
    python = tmp_path / "empty" / "bin" / "python"
    _run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "empty", cwd=tmp_path)
    lock = ROOT / "requirements" / "node.txt"
    _run(uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", lock, cwd=tmp_path)
    _run(uv, "pip", "install", "--quiet", "--python", python, "--no-deps", wheel, cwd=tmp_path)

    hftnode = python.with_name("hftnode")

    assert "devnet" in _run(hftnode, "--help", cwd=tmp_path)
    assert "Usage: hftnode devnet" in _run(hftnode, "devnet", "--help", cwd=tmp_path)
    place = _run(python, "-c", "import node; print(node.__file__)", cwd=tmp_path)
    assert Path(place.strip()).is_relative_to(tmp_path)
