"""`hftnode gov propose …`: ready-made proposals. Each says what it would do before it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from governance.actions import Action, one_line
from governance.amounts import HFT, AmountUnfit, Unit
from governance.deploy_plan import GOVERNOR
from governance.network import balance_query, executor_query, offence_query
from governance.policy import Parameter
from governance.proposal_actions import (
    CancelSlash,
    FundStream,
    ProposalAction,
    ProposalUnfit,
    ReleaseBrake,
    ReleaseScope,
    Remove,
    SetExecutor,
    SetParameter,
    parameter_name,
    parameter_words,
)
from governance.proposals import Proposal, changes, fund_work, owned_description
from governance.standing import read_head, read_parameters, read_symbol
from node.cli.carry_out import carry_out
from node.cli.chain_errors import ChainCommandError
from node.cli.chain_session import Session, changing
from node.cli.chain_types import ADDRESS, WORD, Amount
from node.cli.chain_words import moment
from protocol.units import Address, Hash32, TokenAmount, address_from_hex, address_to_hex

_IN_ESCROW = 1
_ADVICE = {
    "GovernorInsufficientProposerVotes": '`hftnode stake add "100 HFT"`: it takes the threshold in active stake',
    "GovernorUnexpectedProposalState": "the same proposal was made: `hftnode gov list --all` shows it",
}


@click.group("propose")
def propose_group() -> None:
    """Propose a change to the network. It takes the threshold in active stake."""


def _why(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--why", required=True, help="One line for those who vote.")(command)


@propose_group.command("set")
@click.argument("parameter", type=click.Choice([parameter_name(each) for each in Parameter]))
@click.argument("value")
@_why
@changing
async def set_parameter(session: Session, parameter: str, value: str, why: str) -> None:
    """Set PARAMETER to VALUE: min-stake "2000 HFT", protocol-fee-bps "0.5 %", alert-quorum-bps "50 %"."""
    which = next(each for each in Parameter if parameter_name(each) == parameter)
    try:
        amount = HFT.parse(value) if which is Parameter.MIN_STAKE else _percent(value)
        action = SetParameter(which, amount)
    except (AmountUnfit, ProposalUnfit) as error:
        raise click.UsageError(str(error)) from error
    now = (await read_parameters(session.reader))[which]
    if now == amount:
        raise ChainCommandError(f"{parameter} is {parameter_words(which, now)} already")
    await _propose(session, [action], why)


@propose_group.command()
@click.argument("subject", type=WORD)
@_why
@changing
async def remove(session: Session, subject: Hash32, why: str) -> None:
    """Take SUBJECT (a venue, token or pool: an address or 32 bytes) out of use, for ever."""
    await _propose(session, [Remove(subject)], why)


@propose_group.command("fund-stream")
@click.argument("amount")
@_why
@changing
async def fund_stream(session: Session, amount: str, why: str) -> None:
    """Give the reward stream AMOUNT of its token out of the Timelock's, for example "10 WETH"."""
    (token,) = await session.reader.view(session.contracts.stream, "TOKEN()", ["address"])
    unit = Unit(*await read_symbol(session.reader, address_from_hex(token)))
    try:
        units = TokenAmount(unit.parse(amount))
    except AmountUnfit as error:
        raise click.UsageError(str(error)) from error
    has = await session.reader.ask(balance_query(address_from_hex(token), session.contracts.timelock))
    if has < units:
        raise ChainCommandError(
            f"nothing was sent; the Timelock has {unit.shown(has)}, so the proposal could not be executed"
        )
    await _propose(session, [FundStream(address_from_hex(token), units)], why)


@propose_group.command("fund-work")
@click.argument("amount", type=Amount(HFT))
@_why
@changing
async def fund_alerts(session: Session, amount: int, why: str) -> None:
    """Mint AMOUNT, for example "5000 HFT", and put it into the pot for alerts of the week of its execution."""
    await _propose(session, fund_work(session.contracts, TokenAmount(amount)), why)


@propose_group.command("cancel-slash")
@click.argument("offence", type=WORD)
@_why
@changing
async def cancel_slash(session: Session, offence: Hash32, why: str) -> None:
    """Give back the penalty for OFFENCE (its id), which is in escrow for 12 days."""
    found = await session.reader.ask(offence_query(session.contracts, offence))
    if found.state != _IN_ESCROW:
        raise ChainCommandError(f"nothing was sent; 0x{offence.hex()} is not in escrow: there is nothing to give back")
    session.say(
        f"In escrow until {moment(found.settle_at)}: {HFT.shown(found.amount)} of {address_to_hex(found.operator)}"
    )
    await _propose(session, [CancelSlash(offence)], why)


@propose_group.command("release-brake")
@click.option("--subject", type=WORD, help="Only the pause of this pool, token or venue.")
@_why
@changing
async def release_brake(session: Session, subject: Hash32 | None, why: str) -> None:
    """End the pause of everything, or of one subject."""
    await _propose(session, [ReleaseBrake() if subject is None else ReleaseScope(subject)], why)


@propose_group.command("set-executor")
@click.argument("executor", type=ADDRESS)
@click.argument("may", type=click.Choice(["on", "off"]))
@_why
@changing
async def set_executor(session: Session, executor: Address, may: str, why: str) -> None:
    """Let the contract EXECUTOR open orders (on), or no more (off)."""
    if await session.reader.ask(executor_query(session.contracts, executor)) == (may == "on"):
        raise ChainCommandError(f"nothing was sent; for {address_to_hex(executor)} it is {may} already")
    await _propose(session, [SetExecutor(executor, may == "on")], why)


async def _propose(session: Session, actions: Sequence[ProposalAction], why: str) -> None:
    key = session.key()
    try:
        proposal = Proposal(tuple(actions), owned_description(why, address_from_hex(key.address)))
    except ProposalUnfit as error:
        raise click.UsageError(f"--why: {error}") from error
    head = await read_head(session.reader)
    delay = await session.reader.number(session.contracts.governor, "votingDelay()")
    period = await session.reader.number(session.contracts.governor, "votingPeriod()")
    number = proposal.identifier(session.contracts)
    effects = [action.words() for action in actions]
    effects += changes(actions, await read_parameters(session.reader))
    effects.append(f"voting from about {moment(head.timestamp + delay)} to {moment(head.timestamp + delay + period)}")
    action = Action(
        contract=GOVERNOR,
        to=session.contracts.governor,
        data=proposal.proposal_call(session.contracts),
        title=f"propose: {one_line(why)}",
    )
    then = f"`hftnode gov vote {number:#066x} for`, when voting has begun"
    await carry_out(session, key, [action], effects=effects, then=then, advice=lambda name: _ADVICE.get(name, ""))


def _percent(text: str) -> int:
    """Return basis points of text such as "0.5 %"; raises `AmountUnfit`."""
    if not text.strip().endswith("%"):
        raise AmountUnfit(f'{text!r} has no unit: "0.5 %"')
    number = text.strip().removesuffix("%").strip()
    try:
        return Unit("x", 2).parse(f"{number} x")
    except AmountUnfit:
        raise AmountUnfit(f'{text!r} is no percentage with two decimals at most: "0.5 %"') from None
