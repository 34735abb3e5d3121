"""A Safe's transactions in a file: an owner is told what it signs, and who says that an address is the vault module."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from governance.network import NetworkContracts, transfer_call
from governance.reading import DeployedNetwork, network_to_json
from governance.safe_plans import SafePlan, plan_from_json, plan_to_json
from governance.vaults import Change, ChangeKind, SafeTransaction, enable_module_call, open_vault_call, propose_call
from node.cli.main import main
from node.keyfile import Password, write_keystore
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.units import Address, BlockNumber, ChainId, TokenAmount, Wei, address_from_hex, address_to_hex

SAFE = Address(b"\x5a" * 20)
MODULE = Address(b"\x77" * 20)
EVIL = Address(b"\xee" * 20)
TOKEN = Address(b"\x70" * 20)
CHAIN = ChainId(31337)
OWNER = SigningKey(keccak256(b"an owner of the Safe"))
ADDRESSES = {name: Address(bytes([number]) * 20) for number, name in enumerate(NetworkContracts.__struct_fields__, 1)}
NETWORK = DeployedNetwork(
    chain_id=CHAIN, since=BlockNumber(1), contracts=NetworkContracts(**ADDRESSES), vault_module=MODULE
)


def plan_of(*calls: tuple[Address, bytes], module: Address = MODULE, chain: ChainId = CHAIN) -> SafePlan:
    transactions = tuple(SafeTransaction(to, data, 41 + place) for place, (to, data) in enumerate(calls))
    return SafePlan(chain_id=chain, safe=SAFE, module=module, transactions=transactions)


def smallest(token: str, amount: int) -> str:
    return f"{amount} of {token}"


class Desk:
    """A folder with an owner's keystore, the network's description, and one plan."""

    def __init__(self, folder: Path) -> None:
        self.plan, self.keystore, self.network = (folder / name for name in ("plan.json", "owner.json", "network.json"))
        self.password = folder / "password"
        self.password.write_text("an owner's password\n")
        self.password.chmod(0o600)
        write_keystore(self.keystore, keccak256(b"an owner of the Safe"), Password("an owner's password"), 2**4)
        self.network.write_bytes(network_to_json(NETWORK))

    def sign(self, plan: SafePlan, *words: str) -> Result:
        self.plan.write_bytes(plan_to_json(plan))
        line = ["vault", "sign", str(self.plan), "--keystore", str(self.keystore), "--yes", *words]
        environ = {"HFTNODE_PASSWORD_FILE": str(self.password), "HFTNODE_NETWORK_FILE": None, "HFTNODE_CONFIG": None}
        return CliRunner(env=environ).invoke(main, line)

    def signed_by(self) -> set[Address]:
        return set(plan_from_json(self.plan.read_bytes(), "plan").signatures)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_owner_is_told_chain_safe_nonces_and_digests_of_what_it_signs(desk: Desk) -> None:
    plan = plan_of((TOKEN, transfer_call(EVIL, TokenAmount(5))), (TOKEN, transfer_call(EVIL, TokenAmount(6))))
    result = desk.sign(plan)
    assert result.exit_code == 0, result.output
    assert f"The Safe {address_to_hex(SAFE)} on chain 31337:" in result.stdout
    assert f"nonce 41: send 5 smallest units of {address_to_hex(TOKEN)} to {address_to_hex(EVIL)}" in result.stdout
    assert "nonce 42: send 6 smallest units" in result.stdout
    for digest in plan.digests():
        assert f"to be signed: 0x{digest.hex()}" in result.stdout
    assert desk.signed_by() == {address_from_hex(OWNER.address)}


def test_who_signs_without_a_network_is_told_that_it_is_the_file_that_names_the_module(desk: Desk) -> None:
    result = desk.sign(plan_of((SAFE, enable_module_call(EVIL)), module=EVIL))
    assert f"let {address_to_hex(EVIL)} (what this file calls its vault module) act for the Safe" in result.stdout
    assert "a module can take all that the Safe has" in result.stdout
    assert "(the vault module)" not in result.stdout


def test_who_signs_with_the_networks_description_does_not_sign_for_another_module(desk: Desk) -> None:
    network = ("--network", str(desk.network))
    forged = desk.sign(plan_of((SAFE, enable_module_call(EVIL)), module=EVIL), *network)
    assert forged.exit_code != 0
    assert (
        f"names {address_to_hex(EVIL)} as the vault module, the network has {address_to_hex(MODULE)}" in forged.output
    )
    assert desk.signed_by() == set()

    elsewhere = desk.sign(plan_of((SAFE, enable_module_call(MODULE)), chain=ChainId(1)), *network)
    assert elsewhere.exit_code != 0
    assert "is for chain 1, the network is on 31337" in elsewhere.output
    assert desk.signed_by() == set()

    genuine = desk.sign(plan_of((SAFE, enable_module_call(MODULE))), *network)
    assert genuine.exit_code == 0, genuine.output
    assert f"let {address_to_hex(MODULE)} (the vault module) act for the Safe" in genuine.stdout
    assert desk.signed_by() == {address_from_hex(OWNER.address)}


@pytest.mark.parametrize("command", ["show", "execute"])
def test_a_file_that_names_another_module_is_neither_shown_nor_executed(desk: Desk, command: str) -> None:
    desk.plan.write_bytes(plan_to_json(plan_of((SAFE, enable_module_call(EVIL)), module=EVIL)))
    words = ["vault", command, str(desk.plan), "--network", str(desk.network), "--rpc", "http://127.0.0.1:1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert f"names {address_to_hex(EVIL)} as the vault module" in result.output


def test_calls_of_what_a_file_calls_its_module_are_told_with_its_address() -> None:
    opening = open_vault_call(TOKEN, EVIL, Wei(10**18), [(TOKEN, TokenAmount(3))])
    plan = plan_of((MODULE, opening), (MODULE, propose_call(Change(kind=ChangeKind.PAUSE, value=0))))
    by = f"by {address_to_hex(MODULE)} (what this file calls its vault module): "
    told, known = plan.words(smallest), plan.words(smallest, MODULE)
    assert [words.startswith(by) for words in told] == [True, True]
    assert [words.removeprefix(by) for words in told] == known
    assert known[1] == "propose, due in 48 hours: let the vault execute again"


def test_a_module_is_the_vault_module_only_where_the_network_says_so() -> None:
    plan = plan_of((SAFE, enable_module_call(EVIL)), (EVIL, propose_call(Change(kind=ChangeKind.PAUSE))), module=EVIL)
    enabling, call = plan.words(smallest, MODULE)
    assert "NOT the vault module" in enabling
    assert call.startswith(f"UNKNOWN CALL of {address_to_hex(EVIL)}")
    stranger = plan_of((SAFE, enable_module_call(EVIL)))
    assert "NOT what this file calls its vault module" in stranger.words(smallest)[0]
