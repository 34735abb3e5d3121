"""Slither over the contracts: every weighty finding is explained, no explanation is idle, a planted bug is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet.home import Home
from scripts.forge import prepare
from scripts.guards import copy_of_the_contracts
from scripts.slither import Finding, analyse, differences, findings, problems, read_explanations
from tests.conftest import quiet
from tests.programs import set_up

# What slither must find: whoever calls it sends anybody's ether anywhere.
PLANTED = """
contract Planted {
    function pay(address payable to) external {
        to.transfer(address(this).balance);
    }
}
"""


def element(kind: str, name: str, parent: object = None, file: str = "src/A.sol") -> dict[str, object]:
    fields = {"parent": parent} if parent else {}
    return {
        "type": kind,
        "name": name,
        "type_specific_fields": fields,
        "source_mapping": {"filename_relative": file},
    }


def test_findings_of_weight_in_our_sources_are_named_by_contract_and_member() -> None:
    contract = element("contract", "A")
    function = element("function", "f", contract)
    results = [
        {"check": "x", "impact": "High", "elements": [function]},
        {"check": "y", "impact": "Medium", "elements": [element("variable", "v", function)]},
        {"check": "z", "impact": "Low", "elements": [function]},
        {"check": "x", "impact": "High", "elements": [element("function", "g", contract, "lib/B.sol")]},
    ]
    report = {"results": {"detectors": results}}
    assert list(findings(report)) == [Finding("x", "A.f"), Finding("y", "A.f.v")]


def test_what_is_not_explained_and_what_explains_nothing_is_told() -> None:
    found = [Finding("x", "A.f"), Finding("x", "A.f")]
    assert differences(found, {Finding("x", "A.f"): "because"}) == []
    assert differences(found, {Finding("y", "A.f"): "because"}) == [
        "not explained: x in A.f",
        "explains nothing: y in A.f",
    ]


@pytest.mark.parametrize("why", ['why = " "', 'why = "so"\n[[explained]]\ncheck = "x"\nwhere = ["A"]\nwhy = "so"'])
def test_an_explanation_says_something_once(tmp_path: Path, why: str) -> None:
    path = tmp_path / "slither.toml"
    path.write_text(f'[[explained]]\ncheck = "x"\nwhere = ["A"]\n{why}\n')
    with pytest.raises(ValueError, match="x in A"):
        read_explanations(path)


@pytest.mark.forge
@pytest.mark.timeout(900)
async def test_no_finding_of_high_or_medium_impact_is_left_unexplained(home: Home) -> None:
    await set_up("analysis")
    forge = await prepare(home, quiet)
    assert problems(forge) == []


@pytest.mark.long
@pytest.mark.forge
@pytest.mark.timeout(900)
async def test_a_planted_bug_is_found(home: Home) -> None:
    await set_up("analysis")
    forge = await prepare(home, quiet)
    with copy_of_the_contracts() as folder:
        source = folder / "contracts" / "src" / "HftToken.sol"
        source.write_text(source.read_text() + PLANTED)
        assert Finding("arbitrary-send-eth", "Planted.pay") in set(findings(analyse(forge, folder)))
