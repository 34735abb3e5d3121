"""How a proposal stands, in words and in JSON."""

from __future__ import annotations

from typing import Any

from governance.actions import one_line
from governance.amounts import HFT
from governance.policy import Parameter
from governance.proposals import changes
from governance.standing import Head
from governance.voting import Standing, State
from node.cli.chain_words import moment, share, until
from protocol.units import address_to_hex

_NEXT = {
    State.PENDING: "voting has not begun",
    State.ACTIVE: "`hftnode gov vote` votes",
    State.SUCCEEDED: "`hftnode gov queue` queues it",
    State.QUEUED: "`hftnode gov execute` executes it, once it is due",
}


def line(standing: Standing, head: Head, block_seconds: float) -> str:
    """Return a proposal in one line."""
    proposed = standing.proposed
    what = "; ".join(action.words() for action in proposed.proposal.actions)
    return (
        f"{proposed.identifier:#066x}  {standing.state.name.lower():9}  {_when(standing, head, block_seconds)}  {what}"
    )


def screen(standing: Standing, parameters: dict[Parameter, int], head: Head, block_seconds: float) -> list[str]:
    """Return everything about a proposal."""
    proposed = standing.proposed
    counted, quorum = standing.counts_for_quorum, standing.quorum
    lines = [
        f"proposal  {proposed.identifier:#066x}",
        f"by        {address_to_hex(proposed.proposer)}",
        f"why       {one_line(proposed.proposal.description)}",
        "does",
        *(f"  {place}. {action.words()}" for place, action in enumerate(proposed.proposal.actions, 1)),
    ]
    if effect := changes(proposed.proposal.actions, parameters):
        lines += ["changes", *(f"  {each}" for each in effect)]
    lines += [
        f"state     {standing.state.name.lower()}; {_NEXT.get(standing.state, 'nothing more becomes of it')}",
        f"voting    {moment(proposed.voting_begins)} to {until(proposed.voting_ends, head, block_seconds)}",
        f"for       {HFT.shown(standing.in_favour)}",
        f"against   {HFT.shown(standing.against)}",
        f"abstain   {HFT.shown(standing.abstained)}",
    ]
    if quorum is not None:
        verdict = "reached" if counted >= quorum else f"{HFT.shown(quorum - counted)} short"
        lines.append(f"quorum    {HFT.shown(counted)} of {HFT.shown(quorum)} ({share(counted, quorum)}): {verdict}")
    if standing.eta is not None:
        lines.append(f"due       {until(standing.eta, head, block_seconds)}")
    return lines


def value(standing: Standing, parameters: dict[Parameter, int]) -> dict[str, Any]:
    """Return the same for JSON."""
    proposed = standing.proposed
    return {
        "proposal": f"{proposed.identifier:#066x}",
        "proposer": proposed.proposer,
        "description": proposed.proposal.description,
        "actions": [{"kind": type(action).__name__, "words": action.words()} for action in proposed.proposal.actions],
        "changes": changes(proposed.proposal.actions, parameters),
        "state": standing.state.name.lower(),
        "voting_begins": proposed.voting_begins,
        "voting_ends": proposed.voting_ends,
        "for": standing.in_favour,
        "against": standing.against,
        "abstain": standing.abstained,
        "quorum": standing.quorum,
        "due": standing.eta,
    }


def _when(standing: Standing, head: Head, block_seconds: float) -> str:
    proposed = standing.proposed
    if standing.state is State.PENDING:
        return f"voting begins {until(proposed.voting_begins, head, block_seconds)}"
    if standing.state is State.ACTIVE:
        return f"voting ends {until(proposed.voting_ends, head, block_seconds)}"
    if standing.state is State.QUEUED and standing.eta is not None:
        return f"due {until(standing.eta, head, block_seconds)}"
    return f"voting ended {moment(proposed.voting_ends)}"
