"""brake: stake stops executions within a block; exits go on; governance releases; a minority cannot hold it."""

from __future__ import annotations

from devnet.scenarios.cast import ballot, close_voting, enforce, next_epoch, propose, shuffled, veterans
from devnet.scenarios.stage import Stage
from devnet.scenarios.trade import execute_order, order_for_next_block, unbalance
from governance.actions import (
    Vote,
    complete_unstake,
    request_unstake,
    support_pause,
    support_release,
    support_scope_pause,
)
from governance.network import operator_query, paused_query, scope_paused_query
from governance.policy import DAY, LONGEST_BRAKE_SECONDS, UNBONDING_SECONDS
from governance.proposal_actions import ReleaseBrake, ReleaseScope
from protocol.units import Hash32, StakeUnits, TokenAmount, address_from_hex

_STAKE = 100_000 * 10**18


async def play(stage: Stage) -> None:
    """Pause a token by a third, everything by two thirds; leave meanwhile; release by vote; try with a minority."""
    seats = veterans(stage)
    one, two, three, four, five = shuffled(stage, seats)
    table = await next_epoch(stage, seats)
    weth = Hash32(address_from_hex(stage.manifest.contracts["weth"]).rjust(32, b"\0"))
    await unbalance(stage)

    stage.tell("act 1: a fifth of the stake is not enough to pause a token, two fifths are")
    await stage.act(one.hot_key, support_scope_pause(stage.contracts, weth))
    stage.expect(not await stage.reader.ask(scope_paused_query(stage.contracts, weth)), "WETH is not paused")
    await stage.act(two.hot_key, support_scope_pause(stage.contracts, weth))
    stage.expect(await stage.reader.ask(scope_paused_query(stage.contracts, weth)), "WETH is paused, for 300 blocks")
    leader, plan = await order_for_next_block(stage, table, seats)
    await stage.refused(leader.hot_key, execute_order(stage, leader, plan), "Paused")
    await stage.refused(one.hot_key, support_scope_pause(stage.contracts, Hash32(b"\x51" * 32)), "CountedAlready")

    stage.tell("act 2: three fifths do not pause everything, four fifths do, within the block")
    for member in (one, two, three):
        await stage.act(member.hot_key, support_pause(stage.contracts))
    stage.expect(not await stage.reader.ask(paused_query(stage.contracts)), "everything still runs")
    await stage.act(four.hot_key, support_pause(stage.contracts))
    stage.expect(await stage.reader.ask(paused_query(stage.contracts)), "everything is paused")
    leader, plan = await order_for_next_block(stage, table, seats)
    await stage.refused(leader.hot_key, execute_order(stage, leader, plan), "Paused")

    stage.tell("act 3: who wants to leave leaves")
    record = await stage.reader.ask(operator_query(stage.contracts, five.account))
    await stage.mine_to(record.locked_through + 1)
    await stage.act(five.owner, request_unstake(stage.contracts, TokenAmount(_STAKE)))

    stage.tell("act 4: two fifths do not release it; a vote does")
    await stage.act(one.hot_key, support_release(stage.contracts))
    await stage.act(two.hot_key, support_release(stage.contracts))
    stage.expect(await stage.reader.ask(paused_query(stage.contracts)), "half of the stake is not more than half")
    proposal = await propose(stage, one.owner, (ReleaseBrake(), ReleaseScope(weth)), "the alert was mended")
    for member in (one, two, three):
        await ballot(stage, member.owner, proposal, Vote.FOR)
    await close_voting(stage)
    await enforce(stage, proposal)
    stage.expect(not await stage.reader.ask(paused_query(stage.contracts)), "governance has released it")
    stage.expect(not await stage.reader.ask(scope_paused_query(stage.contracts, weth)), "and WETH")

    stage.tell("act 5: a minority cannot hold it: it counts for a day, and then begins anew")
    await stage.mine(DAY)
    await stage.act(one.hot_key, support_pause(stage.contracts))
    await stage.refused(one.hot_key, support_pause(stage.contracts), "CountedAlready")
    await stage.mine(DAY)
    await stage.act(two.hot_key, support_pause(stage.contracts))
    stage.expect(not await stage.reader.ask(paused_query(stage.contracts)), "yesterday's support does not count today")
    used = await stage.reader.number(stage.contracts.brake, "usedSeconds()")
    stage.expect(0 < used < LONGEST_BRAKE_SECONDS, f"{used} seconds of the ten days in 30 were used")

    stage.tell("act 6: in a new epoch the same trade goes through, and who left is paid out")
    table = await next_epoch(stage, (one, two, three, four))
    leader, plan = await order_for_next_block(stage, table, seats)
    await stage.act(leader.hot_key, execute_order(stage, leader, plan))
    await stage.mine(UNBONDING_SECONDS)
    await stage.act(five.owner, complete_unstake(stage.contracts, StakeUnits(_STAKE)))
