"""What a deployment will do: one contract a transaction, in order, at addresses that are known before. Pure.

The contracts name each other in circles, so their addresses come from the deployer and its nonces (CREATE), not from
their code (CREATE2 would need the code that has the address in it). The Timelock is created with the governor-to-be as
its only proposer and without an administrator: there is no moment at which the deployer could do anything, whatever
interrupts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from msgspec.structs import replace

from governance.caller import Draft
from governance.contracts import ARB_EXECUTOR, VAULT_MODULE, Contract, contract, executor_creation
from governance.deploy_settings import NetworkSettings, require_sound
from protocol.ethereum.abi import decode, encode
from protocol.ethereum.create2 import create_address
from protocol.ethereum.forks import Fork
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transaction_fields import TransactionFields
from protocol.ethereum.transaction_rules import intrinsic_gas
from protocol.units import ZERO_ADDRESS, Address, ChainId, Gas, Hash32, Wei, address_from_hex, address_to_hex

TIMELOCK: Final = "TimelockController"
TOKEN: Final = "HftToken"  # noqa: S105
STAKING: Final = "NodeStaking"
COURT: Final = "SlashingCourt"
PARAMETERS: Final = "NetworkParameters"
BRAKE: Final = "EmergencyBrake"
STREAM: Final = "RewardStream"
LEDGER: Final = "ExecutionLedger"
WORK: Final = "WorkRewards"
GOVERNOR: Final = "HftGovernor"
_ORDER: Final = (TIMELOCK, TOKEN, STAKING, COURT, PARAMETERS, BRAKE, STREAM, LEDGER, WORK, GOVERNOR)
_FUNDS: Final = (VAULT_MODULE, ARB_EXECUTOR)

_CODE_GAS_PER_BYTE: Final = 200
_CONSTRUCTOR_GAS: Final = 300_000
"""More than any of these constructors uses: the largest writes nine new slots."""


@dataclass(frozen=True)
class Step:
    """One transaction of the deployer's: it creates `name` at `address`. `arguments`: the constructor's, named."""

    name: str
    nonce: int
    address: Address
    data: bytes

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments by name, members of tuples as `cut_.lag`."""
        return constructor_arguments(self.name, self.data)

    @cached_property
    def creation(self) -> Draft:
        """The transaction."""
        return Draft(nonce=self.nonce, data=self.data, gas_limit=self.gas_limit)

    @property
    def gas_limit(self) -> Gas:
        """The most gas that it can use."""
        code = len(contract(self.name).deployed_bytecode) // 2 - 1
        fields = TransactionFields(
            type=2,
            chain_id=1,
            nonce=self.nonce,
            gas_limit=0,
            max_fee_per_gas=0,
            max_priority_fee_per_gas=0,
            to=None,
            data=self.data,
        )
        return Gas(intrinsic_gas(fields, Fork.OSAKA) + _CODE_GAS_PER_BYTE * code + _CONSTRUCTOR_GAS)


@dataclass(frozen=True)
class Plan:
    """A whole deployment by `deployer` on one chain, from its nonce `first_nonce` on."""

    chain_id: ChainId
    deployer: Address
    first_nonce: int
    settings: NetworkSettings
    steps: tuple[Step, ...]

    @cached_property
    def addresses(self) -> dict[str, Address]:
        """Contract to address."""
        return {step.name: step.address for step in self.steps}

    @cached_property
    def fingerprint(self) -> Hash32:
        """Tells this plan from every other one."""
        words = encode(["uint256", "address", "uint256"], [self.chain_id, _hex(self.deployer), self.first_nonce])
        return Hash32(keccak256(words + b"".join(keccak256(step.data) for step in self.steps)))


def plan_of(chain_id: ChainId, deployer: Address, first_nonce: int, settings: NetworkSettings) -> Plan:
    """Plan a deployment. Raises `SettingsRefused`."""
    require_sound(settings, deployer)
    names = _ORDER + (_FUNDS if settings.bindings is not None else ())
    at = {
        name: address_from_hex(create_address(_hex(deployer), first_nonce + index)) for index, name in enumerate(names)
    }
    codes = dict(_creations(settings, at))
    steps = tuple(Step(name, first_nonce + index, at[name], codes[name]) for index, name in enumerate(names))
    return Plan(chain_id, deployer, first_nonce, settings, steps)


def _creations(settings: NetworkSettings, at: dict[str, Address]) -> Iterator[tuple[str, bytes]]:
    where = {name: _hex(address) for name, address in at.items()}
    timelock, governance, cut = where[TIMELOCK], settings.governance, settings.cut
    bindings = tuple(where[name] for name in (STAKING, PARAMETERS, BRAKE, STREAM, TIMELOCK))
    proposals = (
        governance.voting_delay,
        governance.voting_period,
        governance.proposal_threshold,
        governance.quorum_percent,
    )
    anybody = nobody = _hex(ZERO_ADDRESS)
    values: dict[str, tuple[Any, ...]] = {
        TIMELOCK: (governance.timelock_delay, [where[GOVERNOR]], [anybody], nobody),
        TOKEN: (timelock, _hex(settings.supply_holder), settings.initial_supply),
        STAKING: (where[TOKEN], where[COURT], where[LEDGER]),
        COURT: (where[STAKING], timelock),
        PARAMETERS: (timelock, settings.min_stake, settings.protocol_fee_bps, settings.alert_quorum_bps),
        BRAKE: (where[STAKING], timelock, _hex(settings.guardian)),
        STREAM: (_hex(settings.fee_token), where[STAKING]),
        LEDGER: (bindings, (cut.length, cut.cut_off, cut.lag)),
        WORK: (where[TOKEN], where[STAKING], where[PARAMETERS]),
        GOVERNOR: (where[STAKING], timelock, proposals),
    }
    for name, arguments in values.items():
        yield name, contract(name).creation(tuple(_types(_inputs(contract(name)))), arguments)
    if settings.bindings is not None:
        yield VAULT_MODULE, contract(VAULT_MODULE).creation(("address",), (where[PARAMETERS],))
        yield ARB_EXECUTOR, executor_creation(replace(settings.bindings, module=at[VAULT_MODULE], ledger=at[LEDGER]))


def constructor_arguments(name: str, data: bytes) -> dict[str, Any]:
    """Read the constructor's arguments out of the data that creates a contract, named as in its source.

    Raises `ValueError` if the data does not create this contract, InvalidAbi if they do not decode.
    """
    created = contract(name)
    code = created.creation()
    if not data.startswith(code):
        raise ValueError(f"the data does not create {name}")
    inputs = _inputs(created)
    return dict(_leaves(inputs, decode(_types(inputs), data[len(code) :], exact=True)))


def _inputs(created: Contract) -> list[dict[str, Any]]:
    return next((entry["inputs"] for entry in created.abi if entry["type"] == "constructor"), [])


def _types(inputs: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"({','.join(_types(entry['components']))})" if entry["type"] == "tuple" else entry["type"] for entry in inputs
    ]


def _leaves(inputs: Sequence[dict[str, Any]], values: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry, value in zip(inputs, values, strict=True):
        name = prefix + entry["name"]
        if entry["type"] == "tuple":
            yield from _leaves(entry["components"], value, f"{name}.")
        else:
            yield name, value


def describe(plan: Plan, done: int, gas_price: Wei) -> str:
    """Say what is left to do after the first `done` steps, with which arguments, where, and what it costs at most."""
    names = {_hex(address): name for name, address in plan.addresses.items()}
    names |= {_hex(plan.deployer): "the deployer", _hex(ZERO_ADDRESS): "the zero address"}
    left = plan.steps[done:]
    nonces = f"{plan.first_nonce} to {plan.first_nonce + len(plan.steps) - 1}"
    progress = f"done: {done} of {len(plan.steps)}"
    lines = [f"Chain {plan.chain_id}, deployer {_hex(plan.deployer)}, nonces {nonces}; {progress}."]
    for step in left:
        lines.append(f"  nonce {step.nonce}  create {step.name} at {_hex(step.address)}, gas <= {step.gas_limit:,}")
        lines += [f"      {name} = {_told(value, names)}" for name, value in step.arguments.items()]
    gas = sum(step.gas_limit for step in left)
    lines.append(
        f"At most {gas:,} gas at {_decimal(gas_price, 9)} gwei: {_decimal(gas * gas_price, 18)} ether. "
        "Afterwards the deployer has no role, and all is read back."
    )
    return "\n".join(lines)


def _told(value: Any, names: dict[str, str]) -> str:
    if isinstance(value, bytes):
        return _hex(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_told(member, names) for member in value)}]"
    if isinstance(value, str):
        return f"{value} ({names[value]})" if value in names else value
    return f"{value:,}"


def _decimal(amount: int, decimals: int) -> str:
    whole, part = divmod(amount, 10**decimals)
    return f"{whole}.{part:0{decimals}}".rstrip("0").rstrip(".")


def _hex(data: bytes) -> str:
    return address_to_hex(Address(data))
