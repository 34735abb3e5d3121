"""Deploys the network's contracts: says what it will do, asks, does it step by step, and reads all of it back.

    plan_of ──▶ survey (is the chain as the plan needs it?) ──▶ describe ──▶ approve ──▶ create … ──▶ read_back

Resumable at every point: what is signed is in the journal before it is sent, each contract's place in the order is its
nonce, and what was done before is compared with the plan by its transaction on the chain. It speaks to the chain
through a `ContractCaller` only. Errors: governance/deploy_errors.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from governance.caller import ContractCaller, SeenTransaction
from governance.contracts import error_meanings
from governance.deploy_errors import CallReverted, ChainRefused, NotApproved, NotMined, ReadBackFailed, StepFailed
from governance.deploy_journal import Journal
from governance.deploy_plan import LEDGER, STAKING, Plan, Step, describe
from governance.deploy_readback import creation_findings, read_back
from governance.reverts import explain_revert
from protocol.units import Address, BlockNumber, Wei, address_to_hex

LOOKS: Final = 300
"""How often the chain is asked for a transaction before it counts as stuck; between two looks the caller pauses."""


@dataclass(frozen=True, slots=True)
class Survey:
    """How far a plan has come on the chain: `done` of its steps, and the most that a unit of gas costs now."""

    done: int
    gas_price: Wei


async def deploy(
    caller: ContractCaller, plan: Plan, journal_path: Path, approve: Callable[[str], bool], *, looks: int = LOOKS
) -> dict[str, Address]:
    """Carry out a plan, or what is left of it; return the contracts' addresses after all was read back.

    `approve` is shown what will be done and what it costs; a dry run is one that returns False. Raises `DeployError`.
    """
    journal = Journal(journal_path, plan)
    found = await survey(caller, plan, journal, looks=looks)
    if found.done < len(plan.steps) and not approve(describe(plan, found.done, found.gas_price)):
        raise NotApproved("nothing was sent")
    for step in plan.steps[found.done :]:
        await _create(caller, plan, step, journal, looks)
    await verify(caller, plan, journal)
    return plan.addresses


async def verify(caller: ContractCaller, plan: Plan, journal: Journal) -> None:
    """Raise `ReadBackFailed`, naming every difference, unless all of the plan stands on the chain."""
    created = {}
    for step in plan.steps:
        if (seen := await _mined(caller, step, journal)) is not None:
            created[step.name] = seen
    if findings := await read_back(caller, plan, created):
        raise ReadBackFailed(findings)


async def first_block(caller: ContractCaller, plan: Plan, journal: Journal) -> BlockNumber | None:
    """Return the block in which a plan's first contract was created, or None before it is."""
    seen = await _mined(caller, plan.steps[0], journal)
    return None if seen is None else seen.block


async def survey(caller: ContractCaller, plan: Plan, journal: Journal, *, looks: int = LOOKS) -> Survey:
    """See how far the plan has come. Raises `ChainRefused` unless the chain is as the rest of it needs it."""
    if caller.account != plan.deployer:
        raise ChainRefused(f"the key is of {address_to_hex(caller.account)}, the plan of another deployer")
    if (chain_id := await caller.chain_id()) != plan.chain_id:
        raise ChainRefused(f"this is chain {chain_id}, the plan is for {plan.chain_id}")
    done = await _settled_nonce(caller, plan, journal, looks) - plan.first_nonce
    if not 0 <= done <= len(plan.steps):
        raise ChainRefused(
            f"the deployer's nonce is {done + plan.first_nonce}: the plan uses {plan.first_nonce} to "
            f"{plan.first_nonce + len(plan.steps) - 1}"
        )
    for step in plan.steps[:done]:
        for finding in creation_findings(step, plan, await _mined(caller, step, journal)):
            raise ChainRefused(f"nonce {step.nonce} was not used as planned; {finding}")
    price = await caller.gas_price()
    if left := plan.steps[done:]:
        await _require_possible(caller, plan, left, price)
    return Survey(done, price)


async def _settled_nonce(caller: ContractCaller, plan: Plan, journal: Journal, looks: int) -> int:
    """Return the deployer's nonce, after what an interrupted run has sent is mined."""
    nonce = await caller.nonce()
    for step in plan.steps:
        if step.nonce == nonce and await _seen(caller, step, journal) is not None:
            await _wait(caller, step, journal, looks)
            return nonce + 1
    return nonce


async def _require_possible(caller: ContractCaller, plan: Plan, left: tuple[Step, ...], price: Wei) -> None:
    for step in left:
        if await caller.code(step.address):
            raise ChainRefused(f"{step.name}: there is code at {address_to_hex(step.address)} already")
    if not await caller.code(plan.settings.fee_token):
        raise ChainRefused("fee_token: there is no contract at its address")
    needed, has = price * sum(step.gas_limit for step in left), await caller.balance()
    if has < needed:
        raise ChainRefused(f"the deployer has {has} wei and needs up to {needed}")


async def _create(caller: ContractCaller, plan: Plan, step: Step, journal: Journal, looks: int) -> None:
    """Create one contract and see that it stands. Raises `StepFailed`."""
    try:
        estimate = await caller.estimate(step.creation)
    except CallReverted as error:
        # A constructor passes on what the registry says; the ledger's and the court's own words come first.
        said = explain_revert(error.data, error_meanings(step.name, STAKING, LEDGER))
        raise StepFailed(f"{step.name} would revert: {said.words}") from error
    if estimate > step.gas_limit:
        raise StepFailed(f"{step.name} would use {estimate} gas, more than the {step.gas_limit} that were told")
    signed = await caller.sign(step.creation)
    journal.add(step.name, signed.hash)
    await caller.send(signed)
    for finding in creation_findings(step, plan, await _wait(caller, step, journal, looks)):
        raise StepFailed(f"nonce {step.nonce}; {finding}")


async def _wait(caller: ContractCaller, step: Step, journal: Journal, looks: int) -> SeenTransaction:
    for _ in range(looks):
        if (seen := await _mined(caller, step, journal)) is not None:
            return seen
        await caller.pause()
    raise NotMined(f"{step.name} is not mined after {looks} looks: begin again later, nothing is done twice")


async def _mined(caller: ContractCaller, step: Step, journal: Journal) -> SeenTransaction | None:
    seen = await _seen(caller, step, journal)
    return seen if seen is not None and seen.block is not None else None


async def _seen(caller: ContractCaller, step: Step, journal: Journal) -> SeenTransaction | None:
    """Return what the chain knows of what was signed for a step: the mined one, else one that waits."""
    waiting = None
    for transaction_hash in reversed(journal.signed_for(step.name)):
        seen = await caller.transaction(transaction_hash)
        if seen is not None and seen.block is not None:
            return seen
        waiting = waiting or seen
    return waiting
