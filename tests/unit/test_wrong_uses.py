"""Whoever holds a command wrongly is told the right use, with an exit code that says whose fault it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from governance.network import NetworkContracts
from governance.reading import DeployedNetwork, NetworkMalformed, network_from_json, network_to_json
from node.cli.main import main
from protocol.units import Address, BlockNumber, ChainId
from scripts.gen_command_docs import leaves
from tests.wrong_uses import SAFE, WRONG_USES

_GROUPS: Final = {"join", "stake", "rewards", "gov", "brake", "vault"}
_CASES: Final = [(command, words, named) for command, uses in WRONG_USES.items() for words, named in uses]
NETWORK: Final = DeployedNetwork(
    chain_id=ChainId(31337),
    since=BlockNumber(1),
    contracts=NetworkContracts(
        **{name: Address(bytes([number]) * 20) for number, name in enumerate(NetworkContracts.__struct_fields__, 1)}
    ),
    vault_module=Address(b"\x77" * 20),
)


@pytest.fixture
def network_path(tmp_path: Path) -> Path:
    path = tmp_path / "network.json"
    path.write_bytes(network_to_json(NETWORK))
    return path


def test_every_operators_command_has_three_wrong_uses() -> None:
    commands = {" ".join(path[1:]) for path, _ in leaves(main, ("hftnode",)) if path[1] in _GROUPS}
    assert commands == set(WRONG_USES)
    assert {command for command, uses in WRONG_USES.items() if len(uses) < 3} == set()


@pytest.mark.parametrize(("command", "words", "named"), _CASES)
def test_a_wrong_use_is_answered_with_the_right_one(
    command: str,
    words: tuple[str, ...],
    named: str,
    network_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environ = {"COLUMNS": "300", "HFTNODE_NETWORK_FILE": str(network_path), "HFTNODE_PASSWORD_FILE": None}
    chain = () if command.split()[-1] in ("sign", "collect", "export") else ("--rpc", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    result = CliRunner(env=environ).invoke(main, [*command.split(), *chain, *words], prog_name="hftnode")

    assert result.exit_code in (1, 2), result.output
    assert named in result.stderr


def test_a_chain_that_does_not_answer_is_one_line(network_path: Path) -> None:
    words = [
        "stake",
        "status",
        "--operator",
        SAFE,
        "--network",
        str(network_path),
        "--rpc",
        "http://127.0.0.1:9",
        "--json",
    ]
    result = CliRunner().invoke(main, words)

    assert result.exit_code == 1
    assert "http://127.0.0.1:9: eth_getBlockByNumber: no connection" in result.stderr
    assert '"code": 1' in result.stdout


def test_without_a_network_the_option_is_named() -> None:
    result = CliRunner(env={"HFTNODE_NETWORK_FILE": None}).invoke(main, ["gov", "list", "--rpc", "http://127.0.0.1:9"])

    assert result.exit_code == 1
    assert "--network FILE" in result.stderr


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "here: Input data was truncated"),
        (b'{"chain_id": 1, "contracts": {}}', "here: contracts: without token, staking"),
        (network_to_json(NETWORK).replace(b"31337", b"0"), "chain_id is 1 or more"),
        (network_to_json(NETWORK).replace(b'"0x0101', b'"0xzz01'), "here: contracts.token"),
        (network_to_json(NETWORK).replace(b'"0x7777', b'"7777'), "here: vault_module"),
    ],
)
def test_a_description_of_a_network_that_makes_no_sense_is_told_where(raw: bytes, said: str) -> None:
    with pytest.raises(NetworkMalformed, match=said):
        network_from_json(raw, "here")


def test_a_description_reads_back_as_it_was_written() -> None:
    assert network_from_json(network_to_json(NETWORK), "here") == NETWORK
