"""Compiling: cached by everything that matters, and errors that say what to do. The compiler is a script here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from devnet import solidity
from devnet.artifacts import Artifact, load
from devnet.errors import ToolMissing
from devnet.home import Home
from devnet.packages import Node, Packages
from devnet.solidity import Build, CompileError, compile_build, package_sources
from tests.unit.test_packages import program

BUILD = Build(
    title="a token",
    compiler="solc",
    sources={"Token.sol": "contract Token {}"},
    contracts=("Token",),
    evm_version="prague",
    optimizer_runs=200,
)
CODE = {"Token": {"evm": {"bytecode": {"object": "6001"}, "deployedBytecode": {"object": "01"}}}}


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    return Packages(tmp_path / "key" / "node_modules", Home(tmp_path / "home"))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for each run of the compiler."""
    answer_with(tmp_path, monkeypatch, json.dumps({"contracts": {"Token.sol": CODE}}))
    return tmp_path / "runs"


def answer_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int = 0) -> None:
    (tmp_path / "answer").write_text(answer)
    node = tmp_path / "node"
    program(node, f"echo run >> {tmp_path / 'runs'}; cat > /dev/null; cat {tmp_path / 'answer'}; exit {code}")
    monkeypatch.setattr(solidity, "find_node", lambda *_: Node(node, ()))


def test_a_build_is_compiled_once(packages: Packages, runs: Path) -> None:
    heard: list[str] = []
    first = compile_build(packages, packages.home, BUILD, heard.append)
    assert first == {"Token": Artifact("Token", b"\x60\x01", b"\x01")}
    assert compile_build(packages, packages.home, BUILD, heard.append) == first
    assert runs.read_text() == "run\n"
    assert heard == ["compiling a token with solc (the first time only)"]


@pytest.mark.parametrize(
    "other",
    [
        replace(BUILD, sources={"Token.sol": "contract Token { }"}),
        replace(BUILD, optimizer_runs=None),
        replace(BUILD, evm_version=None),
        replace(BUILD, compiler="solc-0.6"),
    ],
)
def test_another_source_setting_or_compiler_is_another_build(other: Build, packages: Packages, runs: Path) -> None:
    for build in (BUILD, other):
        compile_build(packages, packages.home, build, lambda _: None)
    assert runs.read_text() == "run\nrun\n"


def test_a_damaged_build_is_said_and_compiled_again(packages: Packages, runs: Path) -> None:
    heard: list[str] = []
    compile_build(packages, packages.home, BUILD, heard.append)
    (stored,) = packages.home.builds.glob("*.json")
    stored.write_bytes(b"{}")
    compile_build(packages, packages.home, BUILD, heard.append)
    assert "cut short or altered; compiling again" in heard[1]
    assert runs.read_text() == "run\nrun\n"


def test_a_compile_error_is_told(packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = {"severity": "error", "formattedMessage": "ParserError: expected ';'"}
    answer_with(tmp_path, monkeypatch, json.dumps({"errors": [{"severity": "warning"}, error]}))
    with pytest.raises(CompileError, match="a token: ParserError"):
        compile_build(packages, packages.home, BUILD, lambda _: None)


def test_a_compiler_that_does_not_run_is_named(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(tmp_path, monkeypatch, "", code=3)
    with pytest.raises(ToolMissing, match="solc failed"):
        compile_build(packages, packages.home, BUILD, lambda _: None)
    monkeypatch.setattr(solidity, "find_node", lambda *_: Node(tmp_path / "no-node", ()))
    with pytest.raises(ToolMissing, match="no-node"):
        compile_build(packages, packages.home, BUILD, lambda _: None)


def test_sources_bring_what_they_import(packages: Packages) -> None:
    folder = packages.root / "pack"
    (folder / "lib").mkdir(parents=True)
    (folder / "A.sol").write_text("import './lib/B.sol';")
    (folder / "lib" / "B.sol").write_text('import {\n  C,\n  A\n} from "../A.sol";\nimport "./C.sol";')
    (folder / "lib" / "C.sol").write_text("")
    assert sorted(package_sources(packages, "pack", ["A.sol"])) == ["A.sol", "lib/B.sol", "lib/C.sol"]


def test_a_missing_source_is_named(packages: Packages) -> None:
    with pytest.raises(ToolMissing, match=r"A\.sol"):
        package_sources(packages, "pack", ["A.sol"])


def artifact_file(packages: Packages, document: object) -> None:
    packages.root.mkdir(parents=True)
    (packages.root / "Token.json").write_text(json.dumps(document))


def test_libraries_are_linked_where_their_placeholders_are(packages: Packages) -> None:
    placeholder = "__$0123456789abcdef0123456789abcdef01$__"
    references = {"lib.sol": {"Maths": [{"start": 1, "length": 20}]}}
    document = {"bytecode": f"0x73{placeholder}6001", "deployedBytecode": "0x01", "linkReferences": references}
    artifact_file(packages, document)
    artifact = load(packages, "Token.json")
    assert artifact.links == {"Maths": (1,)}
    assert artifact.linked({"Maths": "0x" + "ab" * 20}) == b"\x73" + b"\xab" * 20 + b"\x60\x01"
    with pytest.raises(KeyError):
        artifact.linked({})


def test_waffles_artifacts_are_understood_too(packages: Packages) -> None:
    artifact_file(packages, {"evm": CODE["Token"]["evm"], "bytecode": "6001"})
    assert load(packages, "Token.json") == Artifact("Token", b"\x60\x01", b"\x01")


@pytest.mark.parametrize("document", [{}, {"bytecode": "0xzz", "deployedBytecode": "0x"}, {"evm": 1}])
def test_a_file_that_is_no_artifact_is_named(document: object, packages: Packages) -> None:
    artifact_file(packages, document)
    with pytest.raises(ToolMissing, match=r"Token\.json is not a contract artifact"):
        load(packages, "Token.json")
