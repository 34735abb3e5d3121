"""The vectors runner: what it counts, what it says, and that every value a vector states can make it fail."""

from __future__ import annotations

import copy
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vector_samples import SAMPLES, sample_folder, write_folder
from tests.vectors.__main__ import default_folder, main
from tests.vectors.registry import CHECKERS

ROOT = Path(__file__).resolve().parents[2]
RLP = b'[{"name": "dog", "decoded": "0x646f67", "encoded": "0x83646f67"}]'


def run_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main([str(folder), "--json"])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, report


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value that is no list and no object."""
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    else:
        yield path


def altered(value: Any) -> Any:
    """Return another value of the same form: a digit or letter flipped, a number one more."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value is None:
        return "someone"
    assert isinstance(value, str)
    if value in ("", "0x"):
        return value + "01"
    return value[:-1] + ("1" if value[-1] != "1" else "2")


def with_leaf(cases: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(cases)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = altered(inner[path[-1]])
    return changed


def is_checked(kind: str, cases: Any, path: tuple[Any, ...]) -> Any:
    """Return whether a flipped value must show: not in names, nor where what is refused stays refused."""
    if path[1] in ("name", "id") or (kind == "create2" and path[-1] == "name"):
        return False
    case = cases[path[0]]
    if kind == "eip712_eth_account":
        # eth-account makes the domain's type itself and looks at nothing but the names of a declared one.
        is_domain_type = path[2:4] == ("types", "EIP712Domain") and path[-1] == "type"
        return path[1] == "expect" or (case["expect"] == "valid" and not is_domain_type)
    if kind == "libp2p_tls_certificates":
        return case["id"] == "genuine" or path[-1] == "peer_id"
    if kind == "tx_ethereum_tests_transactions":
        if path[-1] == "txbytes":
            return any("sender" in result for result in case["result"].values())
        return case["id"] != "broken" and case["result"][path[2]][path[-1]] != "0x00"
    if kind == "tx_ethers_signed_transactions" and "fields_used" in case:
        return path[1:] != ("fields", "chainId")
    if kind == "tx_eth_account_typed_transactions":
        return path[2:] != ("authorizationList", 1)
    return True


def test_the_samples_cover_every_kind_that_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(SAMPLES) == sorted(kind for kind in CHECKERS if kind in SAMPLES)
    assert {kind for kind in CHECKERS if kind.startswith(("eip712_", "libp2p_", "tx_"))} <= set(SAMPLES)
    code, report = run_json(sample_folder(tmp_path), capsys)
    assert (code, report["ok"], report["not_served"]) == (0, True, []), report
    assert {kind["kind"]: kind["passed"] for kind in report["kinds"]} == {
        "abi_codec": 1,
        "create2": 1,
        "eip712_eth_account": 3,
        "eip712_ethers": 1,
        "libp2p_peer_id_keys": 2,
        "libp2p_peer_id_text_forms": 3,
        "libp2p_tls_certificates": 2,
        "tx_eth_account_typed_transactions": 4,
        "tx_ethereum_tests_transactions": 5,
        "tx_ethers_private_key_addresses": 1,
        "tx_ethers_rlp": 1,
        "tx_ethers_signed_transactions": 5,
    }


@pytest.mark.parametrize("kind", SAMPLES)
def test_any_stated_value_that_is_wrong_makes_the_run_fail(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = SAMPLES[kind]()
    paths = [path for path in leaves(cases) if is_checked(kind, cases, path)]
    assert paths
    unnoticed = []
    for path in paths:
        code, report = run_json(sample_folder(tmp_path, kind, with_leaf(cases, path)), capsys)
        if code != 1 or report["kinds"][0]["failures"] == []:
            unnoticed.append(path)
    assert unnoticed == []


@pytest.mark.parametrize(
    ("stated", "passes"),
    [
        ("RLP_TOO_FEW_ELEMENTS", True),
        ("RLP_ERROR_SIZE", True),  # another reader's word for broken RLP
        ("ADDRESS_TOO_SHORT", True),  # what a reader meets first when items are missing
        ("INVALID_CHAINID", False),
        ("INTRINSIC_GAS_TOO_LOW", False),
        (None, False),
    ],
)
def test_a_refusal_must_be_for_the_stated_reason(
    stated: str | None, passes: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = "tx_ethereum_tests_transactions"
    result = {"exception": f"TransactionException.{stated}"} if stated else {"sender": "0x", "hash": "0x"}
    case = {"id": "broken", "txbytes": "0xc0", "result": {"Berlin": result | {"intrinsicGas": "0x00"}}}
    code, _ = run_json(sample_folder(tmp_path, kind, [case]), capsys)
    assert code == (0 if passes else 1)


def test_a_message_that_should_be_refused_fails_if_it_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = "eip712_eth_account"
    valid, refused, whole = SAMPLES[kind]()
    for message, expect, told in (
        (valid["full_message"], "invalid", "taken, digest be609"),
        (valid["full_message"], "invalid_as_full_message_only", "taken, digest be609"),
        (whole["full_message"], "invalid", "taken by parts"),
        (refused["full_message"], "invalid_as_full_message_only", "refused by parts too"),
        (valid["full_message"], "maybe", "unknown expectation"),
    ):
        case = {"id": "x", "expect": expect, "full_message": message}
        code, report = run_json(sample_folder(tmp_path, kind, [case]), capsys)
        assert code == 1
        assert told in report["kinds"][0]["failures"][0]["differences"][0]


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_case_that_lacks_something_fails_by_name_and_without_a_traceback(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hollow = {"id": "x", "name": "x", "result": {"Berlin": {}}, "creates": [{}]}
    broken_files: list[Any] = [[{}], [5], [[]], {}, 5, [hollow]]
    for broken in broken_files:
        code, report = run_json(sample_folder(tmp_path, kind, broken), capsys)
        failures = report["kinds"][0]["failures"]
        assert code == 1
        assert failures[0]["file"] == f"{kind}.json"
        assert failures[0]["differences"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "JSONDecodeError"),
        (b"{", "JSONDecodeError"),
        (b"\xff\xfe", "Error"),
        (b"[]", "no cases"),
        (b"\x1f\x8b\x08garbage", "Error"),
        (gzip.compress(RLP)[:-9], "EOFError"),
        (b"[" * 100_000, "RecursionError"),
    ],
    ids=["empty", "cut", "binary", "no cases", "bad gzip", "cut gzip", "deep"],
)
def test_a_file_that_cannot_be_read_is_one_failed_case(
    content: bytes, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path, {"good.json": ("tx_ethers_rlp", RLP), "bad.json": ("tx_ethers_rlp", content)})
    code, report = run_json(folder, capsys)
    (kind,) = report["kinds"]
    assert (code, kind["passed"], kind["total"], kind["files"]) == (1, 1, 2, 2)
    assert kind["failures"][0]["file"] == "bad.json"
    assert what in kind["failures"][0]["differences"][0]


def test_a_listed_file_that_is_not_there_or_leads_out_of_the_folder_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outside.json").write_bytes(RLP)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "kinds.json").write_text('{"gone.json": "tx_ethers_rlp", "../outside.json": "tx_ethers_rlp"}')
    code, report = run_json(folder, capsys)
    told = [failure["differences"][0] for failure in report["kinds"][0]["failures"]]
    assert code == 1
    assert "out of the folder" in told[0]
    assert "No such file" in told[1]


def test_gzip_is_undone_whatever_the_file_is_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = gzip.compress(RLP)
    folder = write_folder(tmp_path, {"a.json.gz": ("tx_ethers_rlp", packed), "b.json": ("tx_ethers_rlp", packed)})
    (folder / "c.json.gz").write_bytes(packed)
    kinds = json.loads((folder / "kinds.json").read_text())
    (folder / "kinds.json").write_text(json.dumps(kinds | {"c.json": "tx_ethers_rlp"}))
    code, report = run_json(folder, capsys)
    assert (code, report["kinds"][0]["passed"]) == (0, 3)


@pytest.mark.parametrize(
    ("kinds", "what"),
    [
        (None, "no kinds.json"),
        ("{}", "is empty"),
        ("[]", "not an object"),
        ("{", "cannot be read"),
        ('{"a": 5}', "not an"),
    ],
)
def test_without_anything_to_go_by_it_says_so_and_exits_2(
    kinds: str | None, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if kinds is not None:
        (tmp_path / "kinds.json").write_text(kinds)
    assert main([str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert what in captured.err
    assert captured.out == ""


def test_a_missing_folder_is_told_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_kinds_that_nothing_serves_are_listed_with_their_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"a.bin": ("new_kind", b"?"), "b.bin": ("new_kind", b"?"), "c.bin": ("other", b"?")}
    folder = write_folder(tmp_path, files | {"rlp.json": ("tx_ethers_rlp", RLP)})
    assert main([str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "not served: 2 kinds, 3 files" in lines
    assert any(line.split() == ["new_kind", "2", "files"] for line in lines)
    assert any(line.split() == ["other", "1", "file"] for line in lines)
    assert any(line.split() == ["tx_ethers_rlp", "1/1"] for line in lines)
    assert lines[-1] == "all 1 of 1 cases pass"


def test_a_run_in_which_nothing_was_checked_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path, {"a.bin": ("new_kind", b"?")})
    assert main([str(folder)]) == 2
    captured = capsys.readouterr()
    assert "not served: 1 kind, 1 file" in captured.out.splitlines()
    assert "nothing was checked: no kind of this folder is served" in captured.err
    assert main([str(folder), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_names_that_no_terminal_can_show_are_shown_escaped(tmp_path: Path) -> None:
    (tmp_path / "kinds.json").write_text('{"\\ud800": "tx_ethers_rlp", "é": "odd\\ud800kind"}')
    command = [sys.executable, "-m", "tests.vectors", str(tmp_path)]
    for environment in ({}, {"PYTHONIOENCODING": "ascii"}):
        done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (1, "")
        assert "\\ud800" in done.stdout


def test_the_first_failures_are_told_with_file_case_and_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [{"name": f"case {n}", "decoded": "0x646f67", "encoded": "0x83646f68"} for n in range(7)]
    assert main([str(sample_folder(tmp_path, "tx_ethers_rlp", wrong))]) == 1
    out = capsys.readouterr().out
    assert "tx_ethers_rlp  0/7  FAILED" in out
    assert "tx_ethers_rlp.json: case 0" in out
    assert "encoded: 0x83646f67, stated 0x83646f68" in out
    assert "case 5" not in out
    assert "and 2 more" in out
    assert out.endswith("only 0 of 7 cases pass\n")


def test_many_differences_of_one_case_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (case, *_) = SAMPLES["tx_ethers_signed_transactions"]()
    case |= {"tx_hash": "0x00", "signing_hash": "0x00", "from": "0x00", "type": 0, "unsigned": "0x00"}
    assert main([str(sample_folder(tmp_path, "tx_ethers_signed_transactions", [case]))]) == 1
    assert "and 1 more differences" in capsys.readouterr().out


def test_the_script_takes_its_folder_from_anywhere_and_from_the_environment(tmp_path: Path) -> None:
    write_folder(tmp_path / "here", {"rlp.json": ("tx_ethers_rlp", RLP)})
    script, environment = str(ROOT / "scripts" / "vectors"), dict(os.environ)
    environment.pop("HFTNODE_DATA", None)
    by_argument = subprocess.run(
        [script, "here"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    environment["HFTNODE_DATA"] = str(tmp_path / "nowhere")
    by_variable = subprocess.run([script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (by_argument.returncode, by_variable.returncode) == (0, 2), by_argument.stderr + by_variable.stderr
    assert "tx_ethers_rlp  1/1" in by_argument.stdout
    assert "nowhere" in by_variable.stderr


def real_folder() -> Path:
    folder = default_folder()
    if not (folder / "kinds.json").is_file():
        pytest.skip(f"no vectors in {folder}; set HFTNODE_DATA to a folder with a kinds.json")
    return folder


def test_every_vector_of_the_real_folder_passes(capsys: pytest.CaptureFixture[str]) -> None:
    code, report = run_json(real_folder(), capsys)
    assert [kind["failures"][:3] for kind in report["kinds"] if kind["failures"]] == []
    assert code == 0
    assert report["kinds"]


STATED = {
    "abi_codec": "encoded",
    "eip712_eth_account": "digest_by_eth_account",
    "eip712_ethers": "digest",
    "tx_eth_account_typed_transactions": "expected_hash",
    "tx_ethers_private_key_addresses": "address",
    "tx_ethers_rlp": "encoded",
    "tx_ethers_signed_transactions": "tx_hash",
}


def test_a_digit_flipped_in_a_real_vector_of_any_kind_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = real_folder()
    listing = json.loads((folder / "kinds.json").read_text())
    found = [(name, kind) for name, kind in sorted(listing.items()) if kind in STATED]
    for name, kind in found:
        content = (folder / name).read_bytes()
        cases = json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
        case = next(case for case in cases if STATED[kind] in case)
        case[STATED[kind]] = altered(case[STATED[kind]])
        code, report = run_json(sample_folder(tmp_path, kind, cases), capsys)
        assert (code, len(report["kinds"][0]["failures"])) == (1, 1), kind
    assert found
