"""Foundry's own tests of contracts/, their coverage and gas, and that governance/abi is what the sources compile to."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from devnet.home import Home
from governance.contracts import contract
from scripts.export_abi import CONTRACTS, FOLDER, differences
from scripts.forge import PROJECT, Forge, prepare
from tests.conftest import quiet

pytestmark = [pytest.mark.forge, pytest.mark.timeout(900)]

SECONDS = 600.0
COVERAGE_FLOOR = 97.0
CODE_SIZE_LIMIT = 24_576
_PERCENT = re.compile(r"([0-9.]+)% \(\d+/\d+\)")


@pytest.fixture(scope="module")
async def forge(home: Home) -> Forge:
    """Foundry's forge, ready to run in contracts/."""
    return await prepare(home, quiet)


def test_the_committed_abi_and_bytecode_are_what_the_sources_compile_to(forge: Forge) -> None:
    assert differences(forge) == [], "run scripts/export-abi"


def test_a_changed_abi_is_noticed(forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CONTRACTS:
        (tmp_path / f"{name}.json").write_bytes((FOLDER / f"{name}.json").read_bytes())
    (tmp_path / "ArbExecutor.json").write_text(json.dumps({"contract": "ArbExecutor"}))
    (tmp_path / "Left.json").write_text("{}")
    monkeypatch.setattr("scripts.export_abi.FOLDER", tmp_path)
    assert differences(forge) == ["ArbExecutor", "Left"]


def test_forges_tests_pass_and_gas_is_as_committed(forge: Forge, request: pytest.FixtureRequest) -> None:
    forge.environment["FORGE_SNAPSHOT_CHECK"] = "true"
    words = ["test"]
    if request.config.getoption("--long"):
        forge.environment["FOUNDRY_PROFILE"] = "long"
        words += ["--fuzz-seed", hex(random.SystemRandom().randrange(2**64))]
    done = forge.run(words, seconds=SECONDS, capture=True)
    assert done.returncode == 0, f"{words}: {done.stdout[-8_000:]}{done.stderr[-2_000:]}"
    assert re.search(r"(\d+) tests passed, 0 failed, 0 skipped", done.stdout)


def test_the_sources_are_formatted(forge: Forge) -> None:
    done = forge.run(["fmt", "--check"], seconds=SECONDS, capture=True)
    assert done.returncode == 0, done.stdout


def test_lines_and_branches_of_the_sources_are_covered(forge: Forge) -> None:
    forge.environment["FOUNDRY_FUZZ_RUNS"] = "4"
    words = ["coverage", "--no-match-coverage", "^(test|lib)/", "--no-match-contract", "Gas|Invariants"]
    done = forge.run(words, seconds=SECONDS, capture=True)
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| src/", "| Total"))]
    covered = {row.split("|")[1].strip(): [float(share) for share in _PERCENT.findall(row)] for row in rows}
    sources = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "src").rglob("*.sol")}
    assert covered.keys() >= {name for name in sources if "/interfaces/" not in name}
    lines, _statements, branches, _functions = covered["Total"]
    assert min(lines, branches) >= COVERAGE_FLOOR, rows


def test_every_contract_can_be_deployed_on_mainnet() -> None:
    for name in CONTRACTS:
        assert 0 < len(contract(name).deployed_bytecode) // 2 - 1 < CODE_SIZE_LIMIT
