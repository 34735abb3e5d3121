"""slashing: two signatures that contradict each other cost stake: nodes find them by themselves, whoever else shows
them is heard as well; nothing else costs anything.
"""

from __future__ import annotations

from typing import Any, Final

from devnet.accounts import Account
from devnet.scenarios.cast import ANYBODY, ballot, close_voting, enforce, propose, shuffled, veterans
from devnet.scenarios.nodes import builders_endowment
from devnet.scenarios.stage import Stage
from devnet.scenarios.watchful_nodes import offence_among_nodes
from governance.actions import Action, Vote, complete_unstake, request_unstake
from governance.amounts import HFT
from governance.deploy_plan import COURT
from governance.network import balance_query, offence_query, operator_query, report_call, settle_call
from governance.policy import ESCROW_SECONDS, UNBONDING_SECONDS
from governance.proposal_actions import CancelSlash
from protocol.ethereum.abi import encode_call
from protocol.evidence import Evidence, evidence_of
from protocol.kinds import Verdict
from protocol.signing import sign_accept, sign_attestation
from protocol.slashing import offence_id
from protocol.statements import Accept, Attestation
from protocol.units import BlockNumber, Hash32, LegKey, StakeUnits, TokenAmount, UnixSeconds, address_from_hex

_REPORT: Final = "report((uint8,address,bytes,bytes,bytes,bytes))"


async def play(stage: Stage) -> None:
    """Let nodes find an offender out; then tell of another, of an innocent, and of a slash that is given back."""
    await stage.rpc.batch(builders_endowment())
    await stage.begin()
    offender, innocent, pardoned, *jury = shuffled(stage, veterans(stage))
    await offence_among_nodes(stage, innocent, jury[0], jury[1])
    stage.tell(f"act 4: {offender.owner.name} accepts two orders for one leg of one block")
    proof = await _double_accept(stage, offender.hot_key, offender.owner)
    before = await _stake(stage, offender.owner)
    await stage.act(ANYBODY, _report(stage, proof))
    lost = before - await _stake(stage, offender.owner)
    stage.expect(lost == before // 100, f"it has lost a hundredth, {HFT.shown(lost)}, now in escrow")
    await stage.refused(ANYBODY, _report(stage, proof), "AlreadyReported")
    again = await _double_accept(stage, offender.hot_key, offender.owner, at=proof.statement_a.block_number)
    await stage.refused(ANYBODY, _report(stage, again), "AlreadyReported")

    stage.tell(f"act 5: nobody has anything against {innocent.owner.name}")
    await _innocent(stage, innocent.hot_key, innocent.owner, offender.hot_key)

    stage.tell(f"act 6: {offender.owner.name} wants to leave before it is found to contradict itself")
    leaving = await _stake(stage, offender.owner)
    free = await stage.reader.ask(operator_query(stage.contracts, address_from_hex(offender.owner.address)))
    await stage.mine_to(free.locked_through + 1)
    contradiction = await _contradiction(stage, offender.hot_key, offender.owner)
    await stage.act(offender.owner, request_unstake(stage.contracts, TokenAmount(leaving)))
    await stage.act(ANYBODY, _report(stage, contradiction))
    record = await stage.reader.ask(operator_query(stage.contracts, address_from_hex(offender.owner.address)))
    taken = leaving - record.leaving
    stage.expect(taken == leaving * 500 // 10_000, f"what is leaving is slashed: a twentieth, {HFT.shown(taken)}")

    stage.tell(f"act 7: governance gives {pardoned.owner.name} back what a fault of its software cost")
    pardonable = await _double_accept(stage, pardoned.hot_key, pardoned.owner)
    had = await _stake(stage, pardoned.owner)
    await stage.act(ANYBODY, _report(stage, pardonable))
    proposal = await propose(stage, jury[0].owner, (CancelSlash(offence_id(pardonable)),), "a fault of the software")
    for member in jury:
        await ballot(stage, member.owner, proposal, Vote.FOR)
    await close_voting(stage)
    await enforce(stage, proposal)
    stage.expect(await _stake(stage, pardoned.owner) == had, "its stake is what it was")

    stage.tell("act 8: twelve days later the escrow ends; nine days more, and the offender has left")
    await stage.mine(ESCROW_SECONDS)
    await _settled(stage, proof)
    await _settled(stage, contradiction)
    await stage.mine(UNBONDING_SECONDS - ESCROW_SECONDS)
    await stage.act(offender.owner, complete_unstake(stage.contracts, StakeUnits(record.leaving)))


async def _settled(stage: Stage, proof: Evidence) -> None:
    offence = await stage.reader.ask(offence_query(stage.contracts, offence_id(proof)))
    reporter = address_from_hex(ANYBODY.address)
    before = await stage.reader.ask(balance_query(stage.contracts.token, reporter))
    supply = await stage.reader.number(stage.contracts.token, "totalSupply()")
    title = f"end the escrow of {HFT.shown(offence.amount)}"
    data = settle_call(offence_id(proof))
    await stage.act(ANYBODY, Action(contract=COURT, to=stage.contracts.court, data=data, title=title))
    reward = await stage.reader.ask(balance_query(stage.contracts.token, reporter)) - before
    burned = supply - await stage.reader.number(stage.contracts.token, "totalSupply()")
    stage.expect(
        (reward, burned) == (offence.amount // 10, offence.amount - offence.amount // 10),
        f"a tenth, {HFT.shown(reward)}, went to who reported it, the rest is burned",
    )


async def _innocent(stage: Stage, hot_key: Account, owner: Account, other: Account) -> None:
    """Everything that looks like evidence and is none."""
    once = await _accept(stage, hot_key, 1)
    twice = [once, once]
    operator = address_from_hex(owner.address)
    shown = (1, owner.address, *(part for each in twice for part in (each.accept.words(), bytes(each.signature))))
    same = Action(
        contract=COURT, to=stage.contracts.court, data=encode_call(_REPORT, shown), title="show one Accept twice"
    )
    await stage.refused(ANYBODY, same, "NoContradiction")
    forged = evidence_of(operator, await _accept(stage, other, 1), await _accept(stage, other, 2))
    await stage.refused(ANYBODY, _report(stage, forged), "KeyNotInForce")
    elsewhere = evidence_of(operator, await _accept(stage, hot_key, 1), await _accept(stage, other, 2))
    await stage.refused(ANYBODY, _report(stage, elsewhere), "KeyNotInForce")
    future = await _double_accept(stage, hot_key, owner, ahead=10_000)
    await stage.refused(ANYBODY, _report(stage, future), "FromTheFuture")
    stage.expect(await _stake(stage, owner) > 0, "its stake is untouched")


async def _double_accept(
    stage: Stage, hot_key: Account, owner: Account, *, at: BlockNumber | None = None, ahead: int = 0
) -> Evidence:
    both = [await _accept(stage, hot_key, number, at=at, ahead=ahead) for number in (1, 2)]
    return evidence_of(address_from_hex(owner.address), both[0], both[1])


async def _accept(stage: Stage, hot_key: Account, order: int, *, at: BlockNumber | None = None, ahead: int = 0) -> Any:
    number, now = await stage.head()
    accept = Accept(
        order_hash=Hash32(bytes([order]) * 32),
        primary_key=LegKey(Hash32(b"\x21" * 32)),
        target_block=BlockNumber(1_000),
        block_number=BlockNumber(number if at is None else at),
        timestamp=UnixSeconds(now + ahead),
    )
    return sign_accept(stage.domain, accept, hot_key.key)


async def _contradiction(stage: Stage, hot_key: Account, owner: Account) -> Evidence:
    number, now = await stage.head()
    both = [
        sign_attestation(
            stage.domain,
            Attestation(
                alert_id=Hash32(b"\x31" * 32),
                block_hash=Hash32(b"\x32" * 32),
                verdict=verdict,
                block_number=number,
                timestamp=now,
            ),
            hot_key.key,
        )
        for verdict in (Verdict.CONFIRMED, Verdict.REFUTED)
    ]
    return evidence_of(address_from_hex(owner.address), both[0], both[1])


def _report(stage: Stage, evidence: Evidence) -> Action:
    title = f"report {evidence.kind.name.lower().replace('_', ' ')} with two signatures"
    return Action(contract=COURT, to=stage.contracts.court, data=report_call(evidence), title=title)


async def _stake(stage: Stage, owner: Account) -> int:
    record = await stage.reader.ask(operator_query(stage.contracts, address_from_hex(owner.address)))
    return record.active
