"""The check `abi`: what makes another stamp, and what does not. That it fails is for the planted faults."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.abi_stamp import STAMP, differences, stamp
from scripts.tree import ROOT


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("contracts/src", "governance/abi"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("contracts/foundry.toml", "contracts/solc.cjs", "contracts/npm/package-lock.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "devnet" / "npm").mkdir(parents=True)
    shutil.copy(ROOT / "devnet" / "npm" / "package-lock.json", tmp_path / "devnet" / "npm")
    return tmp_path


def test_the_stamp_is_that_of_the_tree(tree: Path) -> None:
    assert (ROOT / STAMP).read_text() == stamp() == stamp(tree)
    assert differences(tree) == []


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("contracts/foundry.toml", "optimizer_runs = 1_000_000", "optimizer_runs = 200"),
        ("contracts/solc.cjs", "version", "Version"),
        ("devnet/npm/package-lock.json", "sha512-", "sha512+"),
        ("contracts/src/HftToken.sol", "contract", "contract "),
    ],
)
def test_another_setting_compiler_package_or_source_is_another_stamp(
    tree: Path, file: str, before: str, after: str
) -> None:
    text = (tree / file).read_text()
    assert before in text
    (tree / file).write_text(text.replace(before, after, 1))
    assert [line.partition(" ")[0] for line in differences(tree)] == ["contracts/"]


def test_how_tests_are_run_changes_nothing_that_is_exported(tree: Path) -> None:
    text = (tree / "contracts" / "foundry.toml").read_text()
    (tree / "contracts" / "foundry.toml").write_text(text.replace("[fuzz]\nruns = 64", "[fuzz]\nruns = 65"))
    assert differences(tree) == []


def test_an_exported_file_that_is_gone_or_edited_is_told(tree: Path) -> None:
    (tree / "governance" / "abi" / "HftToken.json").unlink()
    assert [line.partition(" ")[0] for line in differences(tree)] == ["governance/abi"]


def test_no_stamp_is_told(tree: Path) -> None:
    (tree / STAMP).unlink()
    assert differences(tree) == [f"{STAMP} is not there: run scripts/export-abi"]
