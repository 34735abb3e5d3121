"""The committed faults of the market: every one fits the tree and can be taken back; and some, or all, are found."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.pipeline.pools import PoolFamily
from scripts.planted_faults import FOLDER, NETWORK_FOLDER, command, judge, main, prove, read
from scripts.prove_checks import apply, copy_of_the_tree
from scripts.run_tests import main as run_tests
from scripts.tree import ROOT


@pytest.fixture(scope="module")
def copy() -> Iterator[Path]:
    """A copy of the tree."""
    with copy_of_the_tree() as folder:
        shutil.rmtree(folder / ".mypy_cache", ignore_errors=True)
        yield folder


@pytest.mark.parametrize("folder", [FOLDER, NETWORK_FOLDER], ids=["market", "network"])
def test_every_fault_fits_the_tree_and_can_be_taken_back(copy: Path, folder: Path) -> None:
    for fault in read(folder):
        assert command(fault.found_by, fault.family, 1), fault.name
        apply(fault.patch, copy)
        apply(fault.patch, copy, "--reverse")


@pytest.mark.parametrize("folder", [FOLDER, NETWORK_FOLDER], ids=["market", "network"])
def test_every_fault_fits_in_one_place_alone(folder: Path) -> None:
    """Else code that moves takes the fault elsewhere, where it may be none."""
    for fault in read(folder):
        for path, hunk in _hunks(fault.patch.read_text()):
            before = "".join(line[1:] + "\n" for line in hunk.splitlines() if line[:1] in (" ", "-"))
            assert (ROOT / path).read_text().count(before) == 1, f"{fault.name} in {path}"


def test_every_family_has_a_fault_that_is_its_own() -> None:
    """Lenders too; `one or other` is a fault of both."""
    planted = {one for fault in read(FOLDER) for one in fault.family.split(" or ")}
    assert {*map(str, PoolFamily), "aave_v3", "morpho_blue"} - planted == set()


def _hunks(patch: str) -> list[tuple[str, str]]:
    """The file and the lines of each hunk."""
    files = re.split(r"^--- a/", patch, flags=re.MULTILINE)[1:]
    return [(part.split("\n", 1)[0], hunk) for part in files for hunk in re.split(r"^@@.*\n", part, flags=re.M)[1:]]


def test_a_patch_that_does_not_say_whose_fault_it_is_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.patch").write_text("Plants: something\nFound by: fuzz\ndiff --git a/x b/x\n")
    with pytest.raises(ValueError, match=r"one\.patch: no line 'Family'"):
        read(tmp_path)


def test_an_unknown_kind_of_check_is_refused() -> None:
    with pytest.raises(ValueError, match="is none of: fuzz, vectors KIND, test PATH"):
        command("luck", "", 1)


def test_a_name_that_no_fault_has_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tests(["market", "--faults", "no-such-fault"]) == 2
    assert "no planted fault is called no-such-fault" in capsys.readouterr().err


def test_a_check_that_does_not_end_found_nothing_and_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.planted_faults._DEADLINE_SECONDS", 0.05)
    finding = judge("test tests/unit/test_lending.py", "", 1, ROOT)
    assert (finding.failed, finding.output) == (False, "no end within 0.05 s")


@pytest.mark.anvil
@pytest.mark.timeout(300)
def test_the_fuzz_finds_a_fault_and_says_whose_it_is(copy: Path) -> None:
    (fault,) = (fault for fault in read() if fault.name == "pair-input")
    ((_, finding),) = prove([fault], [copy])
    assert finding.failed, finding.output[-2_000:]


@pytest.mark.long
@pytest.mark.anvil
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("folder", [FOLDER, NETWORK_FOLDER], ids=["market", "network"])
def test_every_fault_is_found(folder: Path) -> None:
    assert folder.is_dir()
    assert main([], folder) == 0
