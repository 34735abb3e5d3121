"""The committed guard patches: one a property or more, each fits the sources; and all of them, in a long run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from devnet.home import Home
from scripts.forge import PROJECT, prepare
from scripts.guards import Guard, apply, copy_of_the_contracts, prove, read
from tests.conftest import quiet

PROPERTIES = [f"P{number}" for number in range(1, 22)]


def test_every_property_has_a_guard_of_its_name_and_an_invariant() -> None:
    guards = read()
    assert [guard.name for guard in guards if guard.name == guard.number] == PROPERTIES
    assert {guard.number for guard in guards} == set(PROPERTIES)
    files = (PROJECT / "test" / "invariants").glob("*.invariants.t.sol")
    invariants = [name for file in files for name in re.findall(r"function invariant_(P\d+)_", file.read_text())]
    assert sorted(set(invariants)) == sorted(PROPERTIES)


def test_every_patch_changes_the_sources_and_can_be_taken_back() -> None:
    with copy_of_the_contracts() as folder:
        before = _sources(folder)
        for guard in read():
            apply(guard, folder)
            assert _sources(folder) != before, guard.name
            apply(guard, folder, "--reverse")
            assert _sources(folder) == before, guard.name


def _sources(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted((folder / "contracts" / "src").rglob("*.sol"))}


def test_a_patch_that_does_not_say_what_it_removes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "P1.patch").write_text("diff --git a/x b/x\n")
    with pytest.raises(ValueError, match=r"P1\.patch"):
        read(tmp_path)


def test_guards_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ("P10", "P9-floor", "P10-a", "P9")
    for name in names:
        (tmp_path / f"{name}.patch").write_text("Removes: something\n\n")
    guards = read(tmp_path)
    assert guards[0] == Guard("P9", "something", tmp_path / "P9.patch")
    assert [(guard.name, guard.number) for guard in guards] == [
        ("P9", "P9"),
        ("P9-floor", "P9"),
        ("P10", "P10"),
        ("P10-a", "P10"),
    ]


@pytest.mark.long
@pytest.mark.forge
@pytest.mark.timeout(2700)
async def test_without_its_guard_every_invariant_fails(home: Home) -> None:
    forge = await prepare(home, quiet)
    missed = [guard.name for guard, verdict in prove(forge, read()) if not verdict.failed]
    assert missed == []
