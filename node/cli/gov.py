"""`hftnode gov …`: list and read proposals, vote, queue, execute; proposing is in node/cli/gov_propose.py."""

from __future__ import annotations

import click

from governance.actions import Action, Vote, delegate, short_id, vote
from governance.amounts import HFT
from governance.deploy_plan import GOVERNOR
from governance.proposals import Proposed, changes
from governance.standing import Head, read_head, read_parameters
from governance.voting import ProposalUnknown, Standing, find_proposal, read_proposals, read_standing, read_votes
from node.cli.carry_out import carry_out, wait_for_time
from node.cli.chain_errors import ChainCommandError
from node.cli.chain_session import Session, changing, reading
from node.cli.chain_types import ADDRESS, LATEST, PROPOSAL
from node.cli.chain_words import moment, share
from node.cli.gov_propose import propose_group
from node.cli.gov_words import line, screen, value
from protocol.units import Address, UnixSeconds, address_from_hex, address_to_hex

_MEASURED_BLOCKS = 100
_ADVICE = {
    "GovernorUnexpectedProposalState": "`hftnode gov show` tells its state, and from when on what is possible",
    "GovernorAlreadyCastVote": "`hftnode gov show` tells the votes",
    "TimelockUnexpectedOperationState": "`hftnode gov show` tells when it is due",
    "DelegationIsFixed": "votes follow the stake: `hftnode gov vote` votes with your own",
}


@click.group("gov")
def gov_group() -> None:
    """Proposals: read them, make them, vote, queue, execute."""


gov_group.add_command(propose_group)


@gov_group.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
@reading
async def list_proposals(session: Session, everything: bool) -> None:
    """List the proposals, the newest first."""
    head = await read_head(session.reader)
    values, pace = await read_parameters(session.reader), await block_seconds(session, head)
    found = [
        await read_standing(session.reader, proposed, head.timestamp)
        for proposed in await read_proposals(session.reader)
    ]
    shown = [each for each in reversed(found) if everything or not each.state.is_over]
    lines = [line(each, head, pace) for each in shown] or [
        "no proposal is under way; --all shows those that are over" if found else "there has been no proposal"
    ]
    session.answer(lines, {"proposals": [value(each, values) for each in shown]})


@gov_group.command()
@click.argument("proposal", type=PROPOSAL)
@reading
async def show(session: Session, proposal: int) -> None:
    """Show what PROPOSAL does, how it stands, and what is next."""
    head = await read_head(session.reader)
    values, pace = await read_parameters(session.reader), await block_seconds(session, head)
    standing = await _standing(session, await _find(session, proposal), head)
    session.answer(screen(standing, values, head, pace), value(standing, values))


@gov_group.command("vote")
@click.argument("proposal", type=PROPOSAL)
@click.argument("choice", type=click.Choice([each.value for each in Vote]))
@click.option("--wait", is_flag=True, help="Wait, within the deadline, until voting has begun.")
@changing
async def cast(session: Session, proposal: int, choice: str, wait: bool) -> None:
    """Vote `for`, `against` or `abstain` on PROPOSAL, with all the stake that was active when voting began."""
    key = session.key()
    found = await _find(session, proposal)
    head = await wait_for_time(session, found.voting_begins + 1) if wait else await read_head(session.reader)
    standing = await _standing(session, found, head)
    effects = [action.words() for action in standing.proposed.proposal.actions]
    if standing.quorum is not None:
        mine = await read_votes(session.reader, address_from_hex(key.address), standing.proposed.voting_begins)
        if not mine:
            raise ChainCommandError(f"{key.address} had no stake when voting began: it has no votes on this one")
        before, after = standing.counts_for_quorum, standing.counts_for_quorum + (0 if choice == Vote.AGAINST else mine)
        parts = f"{share(before, standing.quorum)} → {share(after, standing.quorum)}"
        effects.append(f"your votes: {HFT.shown(mine)}")
        effects.append(f"counted for the quorum of {HFT.shown(standing.quorum)}: {parts}")
    then_next = (
        f"`hftnode gov show {standing.proposed.identifier:#066x}`; voting ends {moment(standing.proposed.voting_ends)}"
    )
    actions = [vote(session.contracts, standing.proposed.identifier, Vote(choice))]
    await carry_out(session, key, actions, effects=effects, then=then_next, advice=_advice)


@gov_group.command("delegate")
@click.option("--to", type=ADDRESS, required=True, help="Who would have the votes.")
@changing
async def give_votes(session: Session, to: Address) -> None:
    """Delegate votes. The registry lets votes go with the stake only, so that it refuses all but oneself."""
    key = session.key()
    effects = [f"the votes of {key.address} go to {address_to_hex(to)}"]
    actions = [delegate(session.contracts, to)]
    await carry_out(session, key, actions, effects=effects, then="`hftnode gov list`", advice=_advice)


@gov_group.command()
@click.argument("proposal", type=PROPOSAL)
@changing
async def queue(session: Session, proposal: int) -> None:
    """Queue PROPOSAL that has succeeded: it can be executed when the Timelock's delay is over. Anybody may."""
    key = session.key()
    found = await _find(session, proposal)
    delay = await session.reader.number(session.contracts.timelock, "getMinDelay()")
    head = await read_head(session.reader)
    effects = [action.words() for action in found.proposal.actions]
    effects.append(f"can be executed from about {moment(head.timestamp + delay)} on")
    then = f"`hftnode gov execute {found.identifier:#066x}`, when it is due: `hftnode gov show` tells when"
    await carry_out(session, key, [_step(session, found, "queue")], effects=effects, then=then, advice=_advice)


@gov_group.command()
@click.argument("proposal", type=PROPOSAL)
@changing
async def execute(session: Session, proposal: int) -> None:
    """Execute PROPOSAL that is queued and due. Anybody may."""
    key = session.key()
    found = await _find(session, proposal)
    actions = found.proposal.actions
    effects = [action.words() for action in actions] + changes(actions, await read_parameters(session.reader))
    then = "`hftnode gov list --all`"
    await carry_out(session, key, [_step(session, found, "execute")], effects=effects, then=then, advice=_advice)


def _step(session: Session, found: Proposed, step: str) -> Action:
    data = found.proposal.step_call(session.contracts, step)
    title = f"{step} proposal {short_id(found.identifier)}"
    return Action(contract=GOVERNOR, to=session.contracts.governor, data=data, title=title)


async def _find(session: Session, proposal: int) -> Proposed:
    if proposal == LATEST:
        made = await read_proposals(session.reader)
        if not made:
            raise ChainCommandError("there has been no proposal")
        return made[-1]
    try:
        return await find_proposal(session.reader, proposal)
    except ProposalUnknown as error:
        raise ChainCommandError(str(error)) from error


async def _standing(session: Session, proposed: Proposed, head: Head) -> Standing:
    return await read_standing(session.reader, proposed, head.timestamp)


async def block_seconds(session: Session, head: Head) -> float:
    """Return how long blocks have lately taken, to say about how many a span of time is."""
    back = min(_MEASURED_BLOCKS, head.number)
    if not back:
        return 1.0
    block = await session.rpc.call("eth_getBlockByNumber", hex(head.number - back), False)
    return max(1.0, (head.timestamp - UnixSeconds(int(block["timestamp"], 16))) / back)


def _advice(name: str) -> str:
    return _ADVICE.get(name, "")
