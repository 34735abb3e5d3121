"""governance: what is voted and executed holds; short of quorum it fails; borrowed tokens do not vote."""

from __future__ import annotations

from devnet.accounts import account
from devnet.protocols.network import TREASURY
from devnet.scenarios.cast import (
    ballot,
    close_voting,
    enforce,
    give,
    governor_call,
    join,
    newcomers,
    propose,
    shuffled,
    state_of,
    veterans,
)
from devnet.scenarios.stage import Stage
from governance.actions import Action, Vote, check_in, request_unstake, vote
from governance.deploy_plan import TOKEN
from governance.network import epoch_rules_query, parameter_query, transfer_call
from governance.policy import Parameter
from governance.proposal_actions import SetParameter
from governance.proposals import Proposal
from governance.voting import State
from protocol.units import BlockNumber, EpochNumber, TokenAmount, address_from_hex


async def play(stage: Stage) -> None:
    """Vote a parameter through; fail for want of a quorum; try with tokens that came too late."""
    one, two, three, four, five = shuffled(stage, veterans(stage))
    small = newcomers(stage)[0]
    least = TokenAmount(stage.random.randrange(2_000, 4_000) * 10**18)

    stage.tell("act 1: an operator with 1,500 HFT checks in, as the least stake is 1,000")
    await give(stage, small.owner, TokenAmount(1_500 * 10**18))
    await join(stage, small, TokenAmount(1_500 * 10**18))
    await stage.act(small.owner, check_in(stage.contracts, await _open_epoch(stage)))

    stage.tell("act 2: a higher least stake is proposed, voted, queued, executed")
    await stage.refused(small.owner, _proposing(stage, 2_000 * 10**18), "GovernorInsufficientProposerVotes")
    proposal = await propose(stage, one.owner, (SetParameter(Parameter.MIN_STAKE, least),), "fewer, larger operators")
    await ballot(stage, one.owner, proposal, Vote.FOR)
    await ballot(stage, two.owner, proposal, Vote.FOR)
    await ballot(stage, three.owner, proposal, Vote.AGAINST)
    number = proposal.identifier(stage.contracts)
    await stage.refused(one.owner, vote(stage.contracts, number, Vote.FOR), "GovernorAlreadyCastVote")
    await close_voting(stage)
    await enforce(stage, proposal)
    now = await stage.reader.ask(parameter_query(stage.contracts, Parameter.MIN_STAKE))
    stage.expect(now == least, "the parameter is what was proposed")
    await stage.refused(small.owner, check_in(stage.contracts, await _open_epoch(stage)), "StakeTooSmall")

    stage.tell("act 3: without a quorum a proposal fails, though nobody is against it")
    unpopular = await propose(stage, four.owner, (SetParameter(Parameter.PROTOCOL_FEE_BPS, 500),), "five percent")
    await ballot(stage, small.owner, unpopular, Vote.FOR)
    await close_voting(stage)
    stage.expect(await state_of(stage, unpopular) is State.DEFEATED, "it is defeated: the quorum was missed")
    queue = governor_call(stage, "queue it nevertheless", unpopular.step_call(stage.contracts, "queue"))
    await stage.refused(four.owner, queue, "GovernorUnexpectedProposalState")

    stage.tell("act 4: tokens that are borrowed after voting began do not vote, and cannot be given back in time")
    contested = await propose(stage, five.owner, (SetParameter(Parameter.PROTOCOL_FEE_BPS, 0),), "no fee")
    attacker = newcomers(stage)[1]
    borrowed = TokenAmount(2_000_000 * 10**18)
    await give(stage, attacker.owner, borrowed)
    await join(stage, attacker, borrowed)
    await ballot(stage, attacker.owner, contested, Vote.FOR)
    votes = await stage.reader.view(
        stage.contracts.governor, "proposalVotes(uint256)", ["uint256"] * 3, contested.identifier(stage.contracts)
    )
    stage.expect(votes[1] == 0, "two million borrowed HFT counted for nothing")
    await close_voting(stage)
    stage.expect(await state_of(stage, contested) is State.DEFEATED, "what they wanted is defeated")
    await stage.act(attacker.owner, request_unstake(stage.contracts, borrowed))
    repay = transfer_call(address_from_hex(account(TREASURY).address), borrowed)
    back = Action(contract=TOKEN, to=stage.contracts.token, data=repay, title="give back what was borrowed")
    await stage.refused(attacker.owner, back, "ERC20InsufficientBalance")


async def _open_epoch(stage: Stage) -> EpochNumber:
    """Go on until an epoch can be checked in for; return it."""
    rules = await stage.reader.ask(epoch_rules_query(stage.contracts))
    number, _ = await stage.head()
    if rules.check_in_epoch(BlockNumber(number + 1)) is None:
        await stage.mine_to(rules.first_block(EpochNumber(rules.epoch_of(number) + 1)))
        number, _ = await stage.head()
    return EpochNumber(rules.epoch_of(number) + 1)


def _proposing(stage: Stage, least: int) -> Action:
    proposal = Proposal((SetParameter(Parameter.MIN_STAKE, least),), "by who has too little")
    return governor_call(stage, "propose with too little stake", proposal.proposal_call(stage.contracts))
