"""governance: what is voted and executed holds, and a node that runs obeys it from the next block on; short of quorum
it fails; borrowed tokens do not vote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final

from devnet.accounts import account
from devnet.demo.ledger_reading import pools_sent
from devnet.demo.operators import Style
from devnet.protocols.network import TREASURY
from devnet.scenarios.cast import (
    Seat,
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
from devnet.scenarios.executions import VaultExecution, executions_of
from devnet.scenarios.live_stage import LiveStage, live_stage
from devnet.scenarios.nodes import builders_endowment, live
from devnet.scenarios.stage import Stage
from governance.actions import Action, Vote, check_in, request_unstake, vote
from governance.deploy_plan import TOKEN
from governance.network import epoch_rules_query, parameter_query, removed_query, transfer_call
from governance.policy import Parameter
from governance.proposal_actions import Remove, SetParameter
from governance.proposals import Proposal
from governance.voting import State
from node.pipeline.pools import PoolFamily
from protocol.ethereum.keccak import keccak256
from protocol.units import BlockNumber, EpochNumber, Hash32, TokenAmount, Wei, address_from_hex

TRADER: Final = "centre"
TRADES: Final = 2
"""So many executions at the venue, and afterwards elsewhere: without them nothing would be shown."""
BLOCKS_AFTER: Final = 5
_FAMILIES: Final = (PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2, PoolFamily.UNISWAP_V3)
_STYLE: Final = Style(_FAMILIES, ("WETH", "USDC", "USDT", "DAI"), Wei(10**14))
_SWAP: Final = "0x" + keccak256(b"Swap(address,uint256,uint256,uint256,uint256,address)").hex()
"""Of Uniswap V2's kind."""


async def play(stage: Stage) -> None:
    """Vote a parameter through; fail for want of a quorum; try with tokens that came too late; then take a venue from
    a node that trades there.
    """
    await stage.rpc.batch(builders_endowment())
    await stage.begin()
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

    stage.tell(f"act 5: {TRADER} runs its node; a vote takes SushiSwap out of use while it trades there")
    async with live(stage, {TRADER: _STYLE}) as scene, live_stage(scene) as on_air:
        await _venue_removed(on_air, [one, two, three])


async def _venue_removed(stage: LiveStage, voters: list[Seat]) -> None:
    """Let a node trade, take one venue from it by a vote, and see where it trades from then on."""
    scene, node = stage.scene, stage.scene.nodes[TRADER]
    sushi = {pool.address.lower() for pool in stage.manifest.pools if pool.family == PoolFamily.SUSHI_V2}
    await scene.until(scene.are_ready, "the node warms up")
    first = scene.head.number

    async def traded(through: bool, since: int, count: int) -> bool:
        found = await _executions(stage, since)
        return sum(each.is_through(sushi) is through for each in found) >= count

    await scene.until(lambda: traded(True, first, TRADES), f"{TRADER} trades at SushiSwap")
    factory = address_from_hex(stage.manifest.contracts["sushi_factory"])
    subject = Hash32(factory.rjust(32, b"\0"))
    proposal = await propose(stage, voters[0].owner, (Remove(subject),), "its pools are not safe")
    for member in voters:
        await ballot(stage, member.owner, proposal, Vote.FOR)
    await close_voting(stage)
    block = await enforce(stage, proposal)
    stage.expect(await stage.reader.ask(removed_query(stage.contracts, subject)), "SushiSwap is out of use, for ever")
    await scene.until(lambda: traded(False, block + 2, TRADES), f"{TRADER} trades on elsewhere")
    await scene.blocks(BLOCKS_AFTER)
    await scene.freeze()

    last = scene.head.number
    found = await _executions(stage, first)
    before, after = ([each for each in found if (each.block <= block) is early] for early in (True, False))
    mined = Counter(each.is_through(sushi) for each in before)
    stage.expect(mined[True] >= TRADES, f"before, {mined[True]} of its {len(before)} executions were at SushiSwap")
    late = [each for each in after if each.block > block + 1 and each.is_through(sushi)]
    stage.expect(not late, f"after block {block}, none of its {len(after)} in blocks {block + 2} to {last}")
    ids = {bytes.fromhex(address[2:]) for address in sushi}
    sent = pools_sent(node.prepared.config.ledger_path, block + 2)
    stage.expect(
        len(sent) >= TRADES and not [pools for _, pools in sent if ids.intersection(pools)],
        f"nor did it sign one: it sent {len(sent)} through other venues",
    )
    others = await _swaps(stage, sushi, block + 1, last)
    stage.expect(others > 0, f"others did trade at SushiSwap meanwhile: {others} times")


async def _executions(stage: LiveStage, since: int) -> list[VaultExecution]:
    safes = [address_from_hex(vault.safe) for vault in stage.scene.nodes[TRADER].prepared.operator.vaults]
    module = stage.manifest.contracts["vault_module"]
    return await executions_of(stage.rpc, module, safes, since, stage.scene.head.number)


async def _swaps(stage: Stage, pools: Collection[str], first: int, last: int) -> int:
    wanted = {"address": sorted(pools), "topics": [_SWAP], "fromBlock": hex(first), "toBlock": hex(last)}
    return len(await stage.rpc.call("eth_getLogs", wanted))


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
