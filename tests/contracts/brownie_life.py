"""An operator's life on a chain, played from brownie: `python -m tests.contracts.brownie_life` in `.venv-contracts`.

Reads `Given` as JSON from standard input and prints `Told`. Alice is the operator, Bob the other one: the finder whose
order she executes, and who reports her. What is sent, read and refused goes through brownie's contracts; what operators
sign, plans and headers are the node's own code. Whatever is not as expected ends it with a traceback.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import web3

from governance.contracts import ARB_EXECUTOR
from governance.deploy_plan import COURT, GOVERNOR, LEDGER, STAKING, STREAM, TIMELOCK, TOKEN
from governance.network import transfer_call
from protocol.ethereum.block_header import header_rlp
from protocol.ethereum.keccak import keccak256
from protocol.evidence import evidence_of
from protocol.leaders import Entry, EpochTable
from protocol.signing import sign, sign_accept
from protocol.statements import Accept, HotKeyBinding
from protocol.units import (
    BlockNumber,
    EpochNumber,
    Hash32,
    StakeUnits,
    TokenAmount,
    UnixSeconds,
    address_from_hex,
)
from tests.contracts.brownie_network import (
    CUT,
    ETHER,
    SUPPLY,
    Network,
    ask,
    connected,
    deployed,
    head,
    height,
    mine_to,
    pass_time,
    refusal,
)
from tests.contracts.brownie_terms import Given, Told
from tests.contracts.brownie_vault import LEG, dues, execute_an_order, open_the_vault, owners_do

DAY: Final = 86_400
ALICES_STAKE: Final = TokenAmount(50_000 * ETHER)
BOBS_STAKE: Final = TokenAmount(30_000 * ETHER)
PENALTY: Final = ALICES_STAKE // 100
REWARD: Final = PENALTY // 10
FUNDED: Final = 7 * ETHER
_FOR: Final = 1


@dataclass
class Life:
    """What is done, in order; `net` is what the order earned."""

    network: Network
    net: int = 0

    def __post_init__(self) -> None:
        self.at, self.who = self.network.at, self.network.who
        self.alice, self.bob = self.who["alice"], self.who["bob"]

    def play(self) -> None:
        """All of it."""
        self.join("alice", ALICES_STAKE, b"\x11" * 32)
        self.join("bob", BOBS_STAKE, b"\x22" * 32)
        self.vote_the_executor_in()
        open_the_vault(self.network)
        table = self.check_in_and_roll()
        self.net = execute_an_order(self.network, table)
        self.pay_for_a_double_accept()
        self.earn_rewards()
        self.leave()

    def join(self, name: str, amount: TokenAmount, peer: bytes) -> None:
        """Be given tokens, register with a hot key that signed its binding, stake."""
        staking, token, account, hot = self.at[STAKING], self.at[TOKEN], self.who[name], self.who[f"{name}-hot"]
        with self.network.step(f"{name} is given tokens", {("holder", "HFT"): -amount, (name, "HFT"): amount}):
            token.transfer(account, amount, {"from": self.who["holder"]})
        binding = HotKeyBinding(operator=self.network.raw(name))
        foreign = bytes(sign(self.network.domain, binding, self.network.key("holder")))
        assert refusal(staking.register, hot, peer, foreign, by=account) == f"NotBound: {hot.address.lower()}"
        with self.network.step(f"{name} registers"):
            signed = bytes(sign(self.network.domain, binding, self.network.key(f"{name}-hot")))
            staking.register(hot, peer, signed, {"from": account})
        assert staking.operatorOf(hot) == account
        with self.network.step(f"{name} stakes", {(name, "HFT"): -amount, (STAKING, "HFT"): amount}):
            token.approve(staking, amount, {"from": account})
            staking.stake(amount, {"from": account})
        assert staking.getVotes(account) == amount

    def vote_the_executor_in(self) -> None:
        """Nobody may say which contract executes but governance, in eight days."""
        governor, ledger, executor = self.at[GOVERNOR], self.at[LEDGER], self.at[ARB_EXECUTOR]
        assert refusal(ledger.setExecutor, executor, True, by=self.alice).startswith("NotGovernance")
        what = ([ledger.address], [0], [ledger.setExecutor.encode_input(executor, True)])
        text = "Let ArbExecutor execute orders"
        with self.network.step("governance names the executor"):
            pass_time(1)
            told = governor.propose(*what, text, {"from": self.alice})
            proposal = told.events["ProposalCreated"]["proposalId"]
            pass_time(DAY + 1)
            for voter in (self.alice, self.bob):
                governor.castVote(proposal, _FOR, {"from": voter})
            pass_time(5 * DAY)
            governor.queue(*what, keccak256(text.encode()), {"from": self.bob})
            pass_time(2 * DAY)
            governor.execute(*what, keccak256(text.encode()), {"from": self.bob})
        assert ledger.isExecutor(executor)
        assert self.at[TIMELOCK].getMinDelay() == 2 * DAY

    def check_in_and_roll(self) -> EpochTable:
        """Both take part in an epoch, which locks their stake, and its seed block's header gives the seed."""
        ledger, staking = self.at[LEDGER], self.at[STAKING]
        epoch = EpochNumber(height() // CUT.length + 2)
        mine_to((epoch - 1) * CUT.length)
        with self.network.step("the hot keys check in"):
            for hot in ("alice-hot", "bob-hot"):
                ledger.checkIn(epoch, {"from": self.who[hot]})
        assert refusal(ledger.checkIn, epoch, by=self.alice).startswith("AlreadyCheckedIn")
        assert refusal(staking.requestUnstake, 1, by=self.alice) == "InsufficientStake: 0, 1"
        seed_block = epoch * CUT.length - CUT.lag
        assert ledger.seedBlockOf(epoch) == seed_block
        mine_to(seed_block + 1)
        before, block = (ask("eth_getBlockByNumber", hex(number), False) for number in (seed_block - 1, seed_block))
        assert refusal(ledger.roll, epoch, header_rlp(before), by=self.bob).startswith("WrongHeader")
        with self.network.step("a header rolls the epoch"):
            ledger.roll(epoch, header_rlp(block), {"from": self.bob})
        seed = Hash32(bytes.fromhex(block["mixHash"][2:]))
        rolled = ledger.epochAt(epoch)
        assert (bytes(rolled["seed"]), rolled["totalStake"], rolled["entries"]) == (seed, ALICES_STAKE + BOBS_STAKE, 2)
        sums = ((self.network.raw("alice"), ALICES_STAKE), (self.network.raw("bob"), ALICES_STAKE + BOBS_STAKE))
        mine_to(epoch * CUT.length)
        return EpochTable(epoch, seed, [Entry(who, StakeUnits(total)) for who, total in sums])

    def pay_for_a_double_accept(self) -> None:
        """Alice's hot key accepts two orders for one leg; Bob reports it; after the escrow the penalty is divided."""
        court, staking = self.at[COURT], self.at[STAKING]
        evidence = self.double_accept()
        with self.network.step("the double accept is reported"):
            told = court.report(evidence, {"from": self.bob})
        offence = told.events["Reported"]["offenceId"]
        stands = staking.operatorAt(self.alice)
        assert (stands["active"], staking.escrow()) == (ALICES_STAKE - PENALTY, PENALTY)
        assert staking.getVotes(self.alice) == ALICES_STAKE - PENALTY
        assert refusal(court.report, evidence, by=self.bob).startswith("AlreadyReported")
        due = court.offenceAt(offence)["settleAt"]
        pass_time(12 * DAY - 10)
        assert refusal(court.settle, offence, by=self.bob) == f"TooEarly: {due}"
        pass_time(10)
        burned = PENALTY - REWARD
        moves = {(STAKING, "HFT"): -PENALTY, ("bob", "HFT"): REWARD, ("all", "HFT"): -burned}
        with self.network.step("the escrow ends: a tenth to the reporter, the rest burned", moves):
            court.settle(offence, {"from": self.bob})
        assert staking.escrow() == 0

    def double_accept(self) -> tuple[Any, ...]:
        """Two statements that contradict each other, as the court takes them."""
        latest = head()
        accepts = [
            Accept(
                order_hash=Hash32(bytes([number]) * 32),
                primary_key=LEG,
                target_block=BlockNumber(int(latest["number"], 16) + 1),
                block_number=BlockNumber(int(latest["number"], 16)),
                timestamp=UnixSeconds(int(latest["timestamp"], 16)),
            )
            for number in (1, 2)
        ]
        key = self.network.key("alice-hot")
        one, other = (sign_accept(self.network.domain, accept, key) for accept in accepts)
        proof = evidence_of(self.network.raw("alice"), one, other)
        words_a, words_b = proof.statement_a.words(), proof.statement_b.words()
        return int(proof.kind), self.alice.address, words_a, bytes(proof.signature_a), words_b, bytes(proof.signature_b)

    def earn_rewards(self) -> None:
        """A seventh of the stream's pool a day, by what was staked when the day began."""
        stream, weth = self.at[STREAM], self.at["weth"]
        with self.network.step("the stream is funded", {("whale", "WETH"): -FUNDED, (STREAM, "WETH"): FUNDED}):
            weth.transfer(stream, FUNDED, {"from": self.who["whale"]})
        pool = FUNDED + dues(self.net)[1]
        assert stream.pool() == pool
        pass_time(DAY)
        with self.network.step("a day's pot is rolled"):
            stream.roll({"from": self.bob})
        assert refusal(stream.roll, by=self.bob).startswith("AlreadyRolled")
        pot, alices = pool // 7, ALICES_STAKE - PENALTY
        for name, stake in (("alice", alices), ("bob", BOBS_STAKE)):
            due = pot * stake // (alices + BOBS_STAKE)
            with self.network.step(f"{name} is paid its rewards", {(STREAM, "WETH"): -due, (name, "WETH"): due}):
                stream.claim(self.who[name], 10, {"from": self.bob})
            with self.network.step(f"{name} is not paid twice"):
                stream.claim(self.who[name], 10, {"from": self.bob})

    def leave(self) -> None:
        """The lock is over, 21 days pass, stake and profit are with their owners."""
        staking, kept = self.at[STAKING], ALICES_STAKE - PENALTY
        mine_to(int(staking.operatorAt(self.alice)["lockedThrough"]) + 1)
        assert refusal(staking.requestUnstake, kept + 1, by=self.alice) == f"InsufficientStake: {kept}, {kept + 1}"
        with self.network.step("alice asks for all her stake"):
            staking.requestUnstake(kept, {"from": self.alice})
        ready = staking.operatorAt(self.alice)["readyAt"]
        assert staking.getVotes(self.alice) == 0
        pass_time(21 * DAY - 10)
        assert refusal(staking.completeUnstake, by=self.alice) == f"TooEarly: {ready}"
        pass_time(10)
        with self.network.step("alice is paid out", {(STAKING, "HFT"): -kept, ("alice", "HFT"): kept}):
            staking.completeUnstake({"from": self.alice})
        assert refusal(staking.completeUnstake, by=self.alice).startswith("NothingLeaving")
        profit = TokenAmount(self.net - sum(dues(self.net)))
        with self.network.step("the Safe pays out its profit", {("safe", "WETH"): -profit, ("alice", "WETH"): profit}):
            weth = address_from_hex(self.at["weth"].address)
            owners_do(self.network, weth, transfer_call(self.network.raw("alice"), profit))
        assert self.at[TOKEN].totalSupply() == SUPPLY - (PENALTY - REWARD)


async def main(given: Given) -> Told:
    """Deploy, play, tell."""
    with connected(given):
        network = await deployed(given)
        Life(network).play()
        left = {part: int(network.at[TOKEN].balanceOf(network.who[part])) for part in ("alice", "bob", "holder")}
        return Told(
            web3=web3.__version__,
            steps=tuple(network.steps),
            deployed={name: one.address for name, one in network.at.items()},
            left=left,
        )


if __name__ == "__main__":
    told = asyncio.run(main(msgspec.json.decode(sys.stdin.buffer.read(), type=Given)))
    sys.stdout.buffer.write(msgspec.json.encode(told))
