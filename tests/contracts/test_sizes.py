"""Every contract of ours can be deployed on mainnet: EIP-170 bounds the code, EIP-3860 what creates it."""

from __future__ import annotations

from importlib import resources

import pytest

from governance.contracts import contract

RUNTIME_BYTES = 24_576
CREATION_BYTES = 49_152
NAMES = sorted(
    file.name.removesuffix(".json")
    for file in (resources.files("governance") / "abi").iterdir()
    if file.name.endswith(".json")
)


def test_there_are_our_contracts() -> None:
    assert {"ArbExecutor", "VaultModule", "ExecutionLedger"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_its_code_fits(name: str) -> None:
    exported = contract(name)
    assert 0 < len(bytes.fromhex(exported.deployed_bytecode[2:])) <= RUNTIME_BYTES
    assert len(bytes.fromhex(exported.bytecode[2:])) <= CREATION_BYTES
