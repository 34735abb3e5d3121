"""Reads a deployment back from the chain: every constructor argument, role and parameter, against the plan.

The arguments are those in the transaction that created each contract: sender, nonce and data fix the code for ever,
also where it keeps a value private. Roles are every grant that the Timelock has told of, and what it answers. What
deployments must satisfy is judged by the numbers that were read, not by those that were planned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final

from governance.caller import ContractCaller, SeenTransaction
from governance.contracts import VAULT_MODULE
from governance.deploy_errors import CallReverted
from governance.deploy_plan import (
    BRAKE,
    COURT,
    GOVERNOR,
    LEDGER,
    PARAMETERS,
    STAKING,
    STREAM,
    TIMELOCK,
    TOKEN,
    Plan,
    Step,
    constructor_arguments,
)
from governance.policy import (
    ENACTMENT_SECONDS,
    ESCROW_SECONDS,
    EVIDENCE_SECONDS,
    LONGEST_BRAKE_SECONDS,
    LOOSENING_SECONDS,
    MAX_LOCK_BLOCKS,
    PARAMETER_BOUNDS,
    REACTION_SECONDS,
    TOKEN_CAP,
    UNBONDING_SECONDS,
)
from protocol.errors import ProtocolError
from protocol.ethereum.abi import decode, encode_call
from protocol.ethereum.keccak import keccak256
from protocol.signing import Domain
from protocol.units import ZERO_ADDRESS, ZERO_HASH, Address, BlockNumber, Hash32, address_to_hex

ROLES: Final = {
    "DEFAULT_ADMIN_ROLE": ZERO_HASH,
    **{name: Hash32(keccak256(name.encode())) for name in ("PROPOSER_ROLE", "CANCELLER_ROLE", "EXECUTOR_ROLE")},
}
_GRANTED: Final = keccak256(b"RoleGranted(bytes32,address,address)")
_REVOKED: Final = keccak256(b"RoleRevoked(bytes32,address,address)")
_EXECUTOR_SET: Final = keccak256(b"ExecutorSet(address,bool)")
_REMOVED: Final = keccak256(b"Removed(bytes32)")


@dataclass(frozen=True, slots=True)
class Read:
    """A view of a contract, with its arguments, and what it must return."""

    contract: str
    signature: str
    returns: str
    expected: Any
    arguments: tuple[Any, ...] = ()
    says: str = ""
    """What the value is called, where its signature does not say it."""

    @property
    def name(self) -> str:
        """How a difference is told."""
        return f"{self.contract}.{self.says or self.signature.partition('(')[0]}"


async def read_back(caller: ContractCaller, plan: Plan, created: dict[str, SeenTransaction]) -> list[str]:
    """Return every difference between the plan and the chain, by name; empty if all is as planned.

    `created` are the transactions that created the contracts.
    """
    findings: list[str] = []
    for step in plan.steps:
        findings += creation_findings(step, plan, created.get(step.name))
        if not await caller.code(step.address):
            findings.append(f"{step.name}: there is no code at {address_to_hex(step.address)}")
    values: dict[str, Any] = {}
    for read in reads(plan):
        value = await _read(caller, plan.addresses[read.contract], read)
        values[read.name] = value
        if value != read.expected:
            findings.append(f"{read.name} is {_told(value)} instead of {_told(read.expected)}")
    since = min((seen.block for seen in created.values() if seen.block is not None), default=BlockNumber(0))
    findings += [finding async for finding in _told_findings(caller, plan, since)]
    findings += relation_findings(values)
    return findings


def creation_findings(step: Step, plan: Plan, seen: SeenTransaction | None) -> Iterator[str]:
    """Yield how the transaction that created a contract differs from its step."""
    if seen is None:
        yield f"{step.name}: the transaction that created it is not known"
        return
    if (seen.sender, seen.nonce, seen.to) != (plan.deployer, step.nonce, None):
        yield f"{step.name}: was not created by the deployer's nonce {step.nonce}"
    if not seen.succeeded:
        yield f"{step.name}: the transaction that creates it failed, or is not mined"
    if seen.data == step.data:
        return
    try:
        found = constructor_arguments(step.name, seen.data)
    except (ValueError, ProtocolError):
        yield f"{step.name}: was created by other code"
        return
    for name, value in step.arguments.items():
        if found[name] != value:
            yield f"{step.name}: {name} is {_told(found[name])} instead of {_told(value)}"


def reads(plan: Plan) -> Iterator[Read]:
    """Yield every view that is read, with what it must return."""
    at = {name: address_to_hex(address) for name, address in plan.addresses.items()}
    settings, deployer = plan.settings, address_to_hex(plan.deployer)
    yield Read(TIMELOCK, "getMinDelay()", "uint256", settings.governance.timelock_delay)
    yield from _roles(at, deployer)
    yield Read(TOKEN, "owner()", "address", at[TIMELOCK])
    yield Read(TOKEN, "cap()", "uint256", TOKEN_CAP)
    yield Read(TOKEN, "totalSupply()", "uint256", settings.initial_supply)
    yield Read(TOKEN, "balanceOf(address)", "uint256", 0, (deployer,), "balance of the deployer")
    holder = address_to_hex(settings.supply_holder)
    yield Read(TOKEN, "balanceOf(address)", "uint256", settings.initial_supply, (holder,), "balance of the holder")
    yield Read(STAKING, "TOKEN()", "address", at[TOKEN])
    yield Read(STAKING, "COURT()", "address", at[COURT])
    yield Read(STAKING, "LEDGER()", "address", at[LEDGER])
    yield Read(STAKING, "UNBONDING()", "uint48", UNBONDING_SECONDS)
    yield Read(STAKING, "MAX_LOCK_BLOCKS()", "uint256", MAX_LOCK_BLOCKS)
    domain = Domain(plan.chain_id, plan.addresses[STAKING])
    yield Read(STAKING, "domainSeparator()", "bytes32", domain.separator)
    yield Read(COURT, "ESCROW()", "uint48", ESCROW_SECONDS)
    yield Read(COURT, "MAX_EVIDENCE_AGE()", "uint256", EVIDENCE_SECONDS)
    for parameter, value in settings.parameters.items():
        name, code = parameter.name.lower(), (int(parameter),)
        yield Read(PARAMETERS, "valueOf(uint8)", "uint256", value, code, name)
        bounds = PARAMETER_BOUNDS[parameter]
        yield Read(PARAMETERS, "boundsOf(uint8)", "(uint256,uint256)", bounds, code, f"bounds of {name}")
    yield Read(BRAKE, "GUARDIAN()", "address", address_to_hex(settings.guardian))
    yield Read(BRAKE, "pauseCount()", "uint256", 0)
    yield Read(STREAM, "TOKEN()", "address", address_to_hex(settings.fee_token))
    cut = settings.cut
    yield Read(LEDGER, "cut()", "(uint256,uint256,uint256)", (cut.length, cut.cut_off, cut.lag))
    yield from _governor(plan, at)
    if settings.bindings is not None:
        yield Read(VAULT_MODULE, "LOOSENING_DELAY()", "uint256", LOOSENING_SECONDS)
        yield Read(VAULT_MODULE, "ENACTMENT_WINDOW()", "uint256", ENACTMENT_SECONDS)


def _roles(at: dict[str, str], deployer: str) -> Iterator[Read]:
    for role, holders in role_holders(at).items():
        for who, account in (("the deployer", deployer), *holders.items()):
            must = account != deployer
            says = f"{role} of {who}"
            yield Read(TIMELOCK, "hasRole(bytes32,address)", "bool", must, (ROLES[role], account), says)
        yield Read(TIMELOCK, "getRoleAdmin(bytes32)", "bytes32", ZERO_HASH, (ROLES[role],), f"administrator of {role}")


def role_holders(at: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return who has each role of the Timelock, by name and address, and nobody else."""
    governor = {"the governor": at[GOVERNOR]}
    return {
        "DEFAULT_ADMIN_ROLE": {"the Timelock itself": at[TIMELOCK]},
        "PROPOSER_ROLE": governor,
        "CANCELLER_ROLE": governor,
        "EXECUTOR_ROLE": {"anybody": address_to_hex(ZERO_ADDRESS)},
    }


def _governor(plan: Plan, at: dict[str, str]) -> Iterator[Read]:
    governance = plan.settings.governance
    yield Read(GOVERNOR, "token()", "address", at[STAKING])
    yield Read(GOVERNOR, "timelock()", "address", at[TIMELOCK])
    yield Read(GOVERNOR, "votingDelay()", "uint256", governance.voting_delay)
    yield Read(GOVERNOR, "votingPeriod()", "uint256", governance.voting_period)
    yield Read(GOVERNOR, "proposalThreshold()", "uint256", governance.proposal_threshold)


async def _read(caller: ContractCaller, contract: Address, read: Read) -> Any:
    """Return the value, or None where nothing answers as it should."""
    try:
        answer = await caller.call(contract, encode_call(read.signature, *read.arguments))
        types = read.returns[1:-1].split(",") if read.returns.startswith("(") else [read.returns]
        values = decode(types, answer)
    except (CallReverted, ProtocolError):
        return None
    return values if read.returns.startswith("(") else values[0]


async def _told_findings(caller: ContractCaller, plan: Plan, since: BlockNumber) -> AsyncIterator[str]:
    """Yield what contracts have told of that was not planned: roles, executor contracts, subjects removed."""
    at = {name: address_to_hex(address) for name, address in plan.addresses.items()}
    held: set[tuple[bytes, str]] = set()
    for event in await caller.events(plan.addresses[TIMELOCK], since):
        if event.kind in (_GRANTED, _REVOKED):
            change = held.add if event.kind == _GRANTED else held.discard
            change((event.topics[1], address_to_hex(Address(event.topics[2][12:]))))
    planned = {(bytes(ROLES[role]), holder) for role, who in role_holders(at).items() for holder in who.values()}
    names = {bytes(code): role for role, code in ROLES.items()}
    for role, account in sorted(held ^ planned):
        odd = "has" if (role, account) in held else "was never given"
        yield f"{TIMELOCK}: {account} {odd} {names.get(role, '0x' + role.hex())}"
    for contract, topic, what in ((LEDGER, _EXECUTOR_SET, "executor contracts"), (PARAMETERS, _REMOVED, "removals")):
        if any(event.kind == topic for event in await caller.events(plan.addresses[contract], since)):
            yield f"{contract}: has {what} already"


def relation_findings(values: dict[str, Any]) -> Iterator[str]:
    """Yield which assertion of a deployment does not hold among the values that were read."""
    names = (
        *(f"{GOVERNOR}.votingDelay", f"{GOVERNOR}.votingPeriod", f"{TIMELOCK}.getMinDelay"),
        *(f"{STAKING}.UNBONDING", f"{COURT}.ESCROW", f"{COURT}.MAX_EVIDENCE_AGE"),
    )
    read = [values.get(name) for name in names]
    if None in read:
        yield f"not all of {', '.join(names)} can be read, so the delays cannot be compared"
        return
    delay, period, timelock, unbonding, escrow, evidence = (int(value) for value in read if value is not None)
    needed = delay + period + timelock
    if escrow <= needed:
        yield f"the escrow, {escrow} s, ends before governance can cancel a slash, {needed} s"
    if needed >= LONGEST_BRAKE_SECONDS:
        yield f"the longest brake, {LONGEST_BRAKE_SECONDS} s, ends before governance can act, {needed} s"
    if unbonding < evidence + REACTION_SECONDS:
        yield f"stake leaves in {unbonding} s: evidence counts {evidence} s, and {REACTION_SECONDS} s to report it"


def _told(value: Any) -> str:
    if value is None:
        return "not readable"
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
