"""Our contracts as they are deployed: ABI, code and the meaning of their errors, from governance/abi.

Written by scripts/export-abi from contracts/; they come with the package, so that running needs no compiler.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from protocol.ethereum.abi import encode
from protocol.units import Address

ARB_EXECUTOR: Final = "ArbExecutor"
VAULT_MODULE: Final = "VaultModule"


class Contract(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One contract. `errors`: signature of a custom error to what it means; `bytecode` creates it."""

    contract: str
    compiler: str
    errors: dict[str, str]
    abi: list[dict[str, Any]]
    bytecode: str
    deployed_bytecode: str

    def creation(self, types: tuple[str, ...] = (), values: tuple[Any, ...] = ()) -> bytes:
        """Return the code of the transaction that creates it with these constructor arguments."""
        return bytes.fromhex(self.bytecode[2:]) + encode(types, values)


class VenueFactory(msgspec.Struct, frozen=True, kw_only=True):
    """A factory whose pools' addresses derive from their tokens: its address and the Keccak-256 of their code."""

    factory: Address
    init_code_hash: bytes
    fee_pips: int = 0
    """Of pairs only: hundredths of a basis point."""


class ExecutorBindings(msgspec.Struct, frozen=True, kw_only=True):
    """What an `ArbExecutor` is bound to for ever (contracts/src/interfaces/IArbExecutor.sol)."""

    module: Address
    weth: Address
    uniswap_v2: VenueFactory
    sushi_swap: VenueFactory
    uniswap_v3: VenueFactory
    balancer_vault: Address
    aave_pool: Address
    ledger: Address
    pool_manager: Address
    """Uniswap V4's."""
    morpho: Address
    curve_pools: tuple[Address, ...] = ()
    """The pools with Curve's interface that a plan may name."""
    flash_lenders: tuple[Address, ...] = ()
    """The lenders of ERC-3156 that a plan may name."""


_BINDINGS_TYPE: Final = (
    "(address,address,(address,bytes32,uint256),(address,bytes32,uint256),(address,bytes32),"
    "address,address,address,address,address,address[],address[])"
)


@cache
def contract(name: str) -> Contract:
    """Return the contract of that name. Raises `FileNotFoundError` if there is none."""
    file = resources.files("governance") / "abi" / f"{name}.json"
    return msgspec.json.decode(file.read_bytes(), type=Contract)


@cache
def error_meanings(name: str, *calls: str) -> Mapping[str, str]:
    """Return the custom errors of a contract, by signature, with what they mean.

    Several contracts share a signature with other words; of those that `name` calls (`calls`, whose errors it passes
    on) only the signatures are added that it does not have itself.
    """
    return {signature: words for each in reversed((name, *calls)) for signature, words in contract(each).errors.items()}


def executor_creation(bindings: ExecutorBindings) -> bytes:
    """Return the code of the transaction that creates an `ArbExecutor`."""
    pairs = [
        ("0x" + venue.factory.hex(), venue.init_code_hash, venue.fee_pips)
        for venue in (bindings.uniswap_v2, bindings.sushi_swap)
    ]
    value = (
        "0x" + bindings.module.hex(),
        "0x" + bindings.weth.hex(),
        *pairs,
        ("0x" + bindings.uniswap_v3.factory.hex(), bindings.uniswap_v3.init_code_hash),
        "0x" + bindings.balancer_vault.hex(),
        "0x" + bindings.aave_pool.hex(),
        "0x" + bindings.ledger.hex(),
        "0x" + bindings.pool_manager.hex(),
        "0x" + bindings.morpho.hex(),
        ["0x" + pool.hex() for pool in bindings.curve_pools],
        ["0x" + lender.hex() for lender in bindings.flash_lenders],
    )
    return contract(ARB_EXECUTOR).creation((_BINDINGS_TYPE,), (value,))
