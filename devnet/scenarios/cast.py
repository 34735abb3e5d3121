"""Who plays, and what they do again and again: join, begin an epoch with leaders, vote something through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from devnet.accounts import Account, account
from devnet.protocols.network import CUT, TREASURY
from devnet.scenarios.stage import Stage
from governance.actions import Action, Vote, approve, check_in, register, roll_epoch, stake, vote
from governance.amounts import HFT
from governance.deploy_plan import GOVERNOR, TOKEN
from governance.network import entry_query, epoch_query, operator_query, transfer_call
from governance.proposal_actions import ProposalAction
from governance.proposals import Proposal
from governance.voting import State
from node.identity import peer_id_hash
from protocol.ethereum.block_header import header_rlp
from protocol.leaders import EpochTable
from protocol.signing import sign
from protocol.statements import HotKeyBinding
from protocol.units import Address, EpochNumber, TokenAmount, address_from_hex

ANYBODY: Final = account("scenario-anybody")
"""Pays the gas of what anybody may do; none of the order flow's accounts, whose nonces it would share."""
_STATE: Final = "state(uint256)"


@dataclass(frozen=True, slots=True)
class Seat:
    """An operator: its staking account, its hot key, and the Safe whose vault the hot key trades with."""

    name: str
    owner: Account
    hot_key: Account
    safe: Address

    @property
    def account(self) -> Address:
        """The staking account's address."""
        return address_from_hex(self.owner.address)


def veterans(stage: Stage) -> list[Seat]:
    """Return the world's operators: registered, staked and checked in when the story begins."""
    return [
        Seat(one.name, account(one.account), account(one.vaults[0].hot_key), address_from_hex(one.vaults[0].safe))
        for one in stage.manifest.operators
    ]


def newcomers(stage: Stage) -> list[Seat]:
    """Return as many that nobody has registered, with the world's second vaults."""
    return [
        Seat(
            f"{one.name}-newcomer",
            account(f"{one.name}-newcomer"),
            account(one.vaults[1].hot_key),
            address_from_hex(one.vaults[1].safe),
        )
        for one in stage.manifest.operators
    ]


def shuffled(stage: Stage, seats: Sequence[Seat]) -> list[Seat]:
    """Return them in the order of the seed's dice."""
    return stage.random.sample(seats, len(seats))


async def give(stage: Stage, who: Account, amount: TokenAmount) -> None:
    """Let the treasury give an account HFT."""
    title = f"give {who.name} {HFT.shown(amount)}"
    data = transfer_call(address_from_hex(who.address), amount)
    await stage.act(account(TREASURY), Action(contract=TOKEN, to=stage.contracts.token, data=data, title=title))


async def join(stage: Stage, seat: Seat, amount: TokenAmount) -> None:
    """Register an operator, and stake."""
    binding = sign(stage.domain, HotKeyBinding(operator=seat.account), seat.hot_key.key)
    peer = peer_id_hash(account(f"{seat.name}-peer").secret)
    await stage.act(seat.owner, register(stage.contracts, address_from_hex(seat.hot_key.address), peer, binding))
    await stage.act(seat.owner, approve(stage.contracts, amount))
    await stage.act(seat.owner, stake(stage.contracts, amount))


async def next_epoch(stage: Stage, seats: Sequence[Seat]) -> EpochTable:
    """Let operators check in for the next epoch, begin it, give it its seed; return its table."""
    number, _ = await stage.head()
    current = (number + 1) // CUT.length
    if number + 1 + len(seats) >= (current + 1) * CUT.length - CUT.cut_off:
        await stage.mine_to((current + 1) * CUT.length - 1)
        current += 1
    epoch = EpochNumber(current + 1)
    for seat in seats:
        before = await stage.reader.ask(operator_query(stage.contracts, seat.account))
        if before.locked_through != (epoch + 1) * CUT.length - 1:
            await stage.act(seat.hot_key, check_in(stage.contracts, epoch))
    await stage.mine_to(epoch * CUT.length)
    seed = await stage.rpc.call("eth_getBlockByNumber", hex(epoch * CUT.length - CUT.lag), False)
    await stage.act(ANYBODY, roll_epoch(stage.contracts, epoch, header_rlp(seed)))
    record = await stage.reader.ask(epoch_query(stage.contracts, epoch))
    entries = [await stage.reader.ask(entry_query(stage.contracts, epoch, place)) for place in range(record.entries)]
    return EpochTable(epoch, record.seed, entries)


async def propose(stage: Stage, who: Account, actions: tuple[ProposalAction, ...], why: str) -> Proposal:
    """Propose, and let the voting begin."""
    proposal = Proposal(actions, why)
    await stage.act(who, governor_call(stage, f"propose: {why}", proposal.proposal_call(stage.contracts)))
    delay = await stage.reader.number(stage.contracts.governor, "votingDelay()")
    await stage.mine(delay + 1)
    return proposal


async def ballot(stage: Stage, voter: Account, proposal: Proposal, choice: Vote) -> None:
    """Vote."""
    await stage.act(voter, vote(stage.contracts, proposal.identifier(stage.contracts), choice))


async def close_voting(stage: Stage) -> None:
    """Let the voting end."""
    await stage.mine(await stage.reader.number(stage.contracts.governor, "votingPeriod()"))


async def enforce(stage: Stage, proposal: Proposal) -> int:
    """Queue and execute what has succeeded; return the block that executed it."""
    await stage.act(ANYBODY, governor_call(stage, "queue it", proposal.step_call(stage.contracts, "queue")))
    await stage.mine(await stage.reader.number(stage.contracts.timelock, "getMinDelay()"))
    done = await stage.act(ANYBODY, governor_call(stage, "execute it", proposal.step_call(stage.contracts, "execute")))
    return int(done["blockNumber"], 16)


async def state_of(stage: Stage, proposal: Proposal) -> State:
    """Where a proposal stands."""
    governor = stage.contracts.governor
    return State(await stage.reader.number(governor, _STATE, proposal.identifier(stage.contracts)))


def governor_call(stage: Stage, title: str, data: bytes) -> Action:
    """A call of the governor."""
    return Action(contract=GOVERNOR, to=stage.contracts.governor, data=data, title=title)
