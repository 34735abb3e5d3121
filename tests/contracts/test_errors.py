"""Every error of the contracts is expected by a test of Foundry's."""

from __future__ import annotations

import re

from scripts.forge import PROJECT

_DECLARED = re.compile(r"^(?:abstract )?(?:contract|interface|library) (\w+)|^    error (\w+)\(", re.MULTILINE)


def declared(source: str) -> list[tuple[str, str]]:
    """Return each error that a source declares, after the contract or interface that it stands in."""
    found, inside = [], ""
    for contract, error in _DECLARED.findall(source):
        inside = contract or inside
        if error:
            found.append((inside, error))
    return found


def errors() -> list[tuple[str, str]]:
    return [pair for path in sorted((PROJECT / "src").rglob("*.sol")) for pair in declared(path.read_text())]


def expected() -> set[tuple[str, str]]:
    text = "".join(path.read_text() for path in (PROJECT / "test").rglob("*.t.sol"))
    return set(re.findall(r"\b(\w+)\.(\w+)\.selector\b", text))


def test_errors_are_found_in_what_they_stand_in() -> None:
    source = (
        "interface IA {\n    error One();\n    error Two(uint256 a);\n}\nabstract contract B {\n    error One();\n}\n"
    )
    assert declared(source) == [("IA", "One"), ("IA", "Two"), ("B", "One")]
    assert len(errors()) > 100


def test_every_error_of_the_sources_is_expected_by_a_test() -> None:
    assert sorted(set(errors()) - expected()) == []
