"""The contracts beside the plain model: one history on both, step by step, then everything compared to the unit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from devnet.accounts import Account, account
from devnet.rpc import RpcClient
from governance.contracts import contract
from governance.network import report_call, roll_call, settle_call
from protocol.ethereum.abi import decode, encode_call
from protocol.ethereum.block_header import header_rlp
from protocol.evidence import evidence_of
from protocol.kinds import Verdict
from protocol.messages import SignedAccept, SignedAttestation
from protocol.signing import Domain, sign_accept, sign_attestation
from protocol.slashing import offence_id
from protocol.statements import Accept, Attestation
from protocol.units import (
    BlockNumber,
    EpochNumber,
    Hash32,
    LegKey,
    TokenAmount,
    UnixSeconds,
    address_from_hex,
    address_to_hex,
)
from tests.chain import Chain
from tests.network_scene import DEPLOYER, ETHER, HOLDER, NetworkScene, deployed_network
from tests.plain_model import DAY, PlainModel

ACTORS: Final = tuple(account(f"rival-{index}") for index in range(3))
REPORTER: Final = account("rival-3")
LENGTH, CUT_OFF, LAG = 30, 12, 6
LEAST: Final = 1_000 * ETHER
FEE_BPS: Final = 100
STEPS: Final = 24
_GAS: Final = hex(3_000_000)
_SPANS: Final = (1, 3_599, DAY, DAY, 3 * DAY, 12 * DAY, 21 * DAY, 31 * DAY)
_KINDS: Final = ("double accept", "contradiction")


@dataclass
class Twin:
    """One history: the chain's head, the model, and what was done so far."""

    scene: NetworkScene
    model: PlainModel
    random: Random
    block: int
    now: int
    offences: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    fee_token: str = ""
    outcomes: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """How often which move was taken and refused, and how many leaders were compared."""

    async def play(self) -> None:
        """Take all steps, then compare."""
        moves = (
            *[self._stake] * 5, *[self._request] * 3, *[self._complete] * 2, *[self._check_in] * 5, self._roll_epoch,
            *[self._slash] * 2, self._settle, self._cancel, *[self._fund] * 2, *[self._roll_stream] * 2,
            *[self._claim] * 2, *[self._pass_time] * 4, *[self._pass_blocks] * 3, *[self._lead] * 2,
            *[self._leave] * 2, *[self._punish] * 2,
        )  # fmt: skip
        for _ in range(STEPS):
            await self.random.choice(moves)()
        await self._compare()

    # Moves

    async def _stake(self) -> None:
        who, has = self._actor()
        amount = self.random.choice((has + 1, has, has // 2, self.random.randrange(1, 3_000 * ETHER), 0))
        accepted = self.model.stake(who.name, amount, self.block + 1, self.now + 2)
        await self._both("stake", accepted, who, self._at("staking"), encode_call("stake(uint256)", amount))

    async def _request(self) -> None:
        who, _ = self._actor()
        active = self.model.operators[who.name].active if who.name in self.model.operators else 0
        amount = self.random.choice((active, active // 3, active + 1, 1, self.random.randrange(2_000 * ETHER)))
        accepted = self.model.request(who.name, amount, self.block + 1, self.now + 2)
        await self._both("request", accepted, who, self._at("staking"), encode_call("requestUnstake(uint256)", amount))

    async def _complete(self) -> None:
        who, _ = self._actor()
        accepted = self.model.complete(who.name, self.block + 1, self.now + 2)
        await self._both("complete", accepted, who, self._at("staking"), encode_call("completeUnstake()"))

    async def _check_in(self) -> None:
        who, _ = self._actor()
        epoch = (self.block + 1) // LENGTH + self.random.choice((1, 1, 1, 1, 0, 2))
        accepted = self.model.check_in(who.name, epoch, self.block + 1, self.now + 2)
        await self._both("check_in", accepted, who, self._at("ledger"), encode_call("checkIn(uint256)", epoch))

    async def _roll_epoch(self) -> None:
        await self._roll(self.random.choice([*self.model.epochs, (self.block + 1) // LENGTH]))

    async def _roll(self, epoch: int) -> None:
        seed_block = await self._rpc("eth_getBlockByNumber", hex(max(0, min(self.block, epoch * LENGTH - LAG))), False)
        seed = bytes.fromhex(seed_block["mixHash"][2:])
        accepted = self.model.roll_epoch(epoch, seed, self.block + 1, self.now + 2)
        await self._both(
            "roll_epoch", accepted, REPORTER, self._at("ledger"), roll_call(EpochNumber(epoch), header_rlp(seed_block))
        )

    async def _slash(self) -> None:
        who, _ = self._actor()
        kind, number = self.random.choice(_KINDS), self.random.randrange(1, 4)
        statements = self._contradiction(who, kind, number)
        evidence = evidence_of(address_from_hex(who.address), *statements)
        offence = "0x" + offence_id(evidence).hex()
        accepted = self.model.slash(offence, kind, who.name, REPORTER.name, self.block + 1, self.now + 2)
        await self._both("slash", accepted, REPORTER, self._at("court"), report_call(evidence))
        if accepted:
            self.offences.append(offence)

    async def _settle(self) -> None:
        offence = self.random.choice([*self.offences, "0x" + "99" * 32])
        accepted = self.model.settle(offence, self.block + 1, self.now + 2)
        await self._both(
            "settle", accepted, REPORTER, self._at("court"), settle_call(Hash32(bytes.fromhex(offence[2:])))
        )

    async def _cancel(self) -> None:
        offence = self.random.choice([*self.offences, "0x" + "99" * 32])
        accepted = self.model.cancel(offence, self.block + 1, self.now + 2)
        data = encode_call("cancel(bytes32)", bytes.fromhex(offence[2:]))
        await self._both("cancel", accepted, self._at("timelock"), self._at("court"), data)

    async def _fund(self) -> None:
        net, bps, least = (self.random.randrange(most) for most in (10**18, 10_001, 10**15))
        paid, fee = self.model.dues(net, bps, least)
        order = (*[ACTORS[0].address] * 2, 1, bps, least, self.fee_token, ACTORS[0].address, b"\x01" * 32, b"\x02" * 32)
        types = "(address,address,uint64,uint16,uint128,address,address,bytes32,bytes32)"
        answer = await self._view("ledger", f"dues({types},uint256)", order, net)
        assert decode(["uint256", "uint256"], answer) == (paid, fee), self._said()
        accepted = self.model.fund(fee)
        data = encode_call("transfer(address,uint256)", self._at("stream"), fee)
        await self._both("fund", accepted, REPORTER, self.fee_token, data)

    async def _roll_stream(self) -> None:
        accepted = self.model.roll_stream(self.block + 1, self.now + 2)
        await self._both("roll_stream", accepted, REPORTER, self._at("stream"), encode_call("roll()"))

    async def _claim(self) -> None:
        who, _ = self._actor()
        count = self.random.choice((0, 1, 2, 100))
        accepted = self.model.claim(who.name, count, self.block + 1, self.now + 2)
        data = encode_call("claim(address,uint256)", who.address, count)
        await self._both("claim", accepted, REPORTER, self._at("stream"), data)

    async def _lead(self) -> None:
        """Stake, check in, go to the epoch, and give it its seed."""
        if self.block % LENGTH >= LENGTH - CUT_OFF - 5:
            await self._mine_to((self.block // LENGTH + 1) * LENGTH)
        epoch = (self.block + 1) // LENGTH + 1
        for who in self.random.sample(ACTORS, 2):
            amount = self.random.randrange(LEAST, 2 * LEAST)
            accepted = self.model.stake(who.name, amount, self.block + 1, self.now + 2)
            await self._both("stake", accepted, who, self._at("staking"), encode_call("stake(uint256)", amount))
            accepted = self.model.check_in(who.name, epoch, self.block + 1, self.now + 2)
            await self._both("check_in", accepted, who, self._at("ledger"), encode_call("checkIn(uint256)", epoch))
        await self._mine_to(epoch * LENGTH)
        await self._roll(epoch)

    async def _leave(self) -> None:
        """Request, wait, complete."""
        await self._request()
        self.now += 21 * DAY
        await self._complete()

    async def _punish(self) -> None:
        """Report, wait, settle."""
        await self._slash()
        self.now += self.random.choice((11 * DAY, 12 * DAY))
        await self._settle()

    async def _pass_time(self) -> None:
        self.now += self.random.choice(_SPANS)
        self.story.append(f"{self.now}")

    async def _pass_blocks(self) -> None:
        await self._mine_to(self.block + self.random.choice((1, 5, LENGTH - self.block % LENGTH, LENGTH)))

    async def _mine_to(self, block: int) -> None:
        count = block - self.block
        await self._rpc("evm_setNextBlockTimestamp", self.now + 2)
        await self._rpc("anvil_mine", hex(count))
        self.block, self.now = self.block + count, self.now + 2 * count
        self.story.append(f"block {self.block}")

    # Both sides

    async def _both(self, move: str, accepted: bool, sender: Account | str, to: str, data: bytes) -> None:
        """Send what the model was told, and see that the chain takes it or not alike."""
        await self._rpc("evm_setNextBlockTimestamp", self.now + 2)
        address = sender if isinstance(sender, str) else sender.address
        request = {"from": address, "to": to, "data": "0x" + data.hex(), "gas": _GAS, "gasPrice": "0x77359400"}
        receipt = await self._rpc("eth_sendTransactionSync", request)
        self.block, self.now = self.block + 1, self.now + 2
        self.story.append(f"{self.block}: {address[:8]} {to[:8]} {data[:4].hex()} {'yes' if accepted else 'no'}")
        self.outcomes[move, accepted] += 1
        assert int(receipt["blockNumber"], 16) == self.block, self._said()
        assert (receipt["status"] == "0x1") == accepted, self._said()

    async def _compare(self) -> None:
        """Compare everything that the contracts hold with the model, in a block of its own: time has passed."""
        await self._rpc("evm_setNextBlockTimestamp", self.now + 2)
        await self._rpc("anvil_mine", "0x1")
        self.now += 2
        head = await self._rpc("eth_getBlockByNumber", "latest", False)
        assert int(head["timestamp"], 16) == self.now, "the chain's time is not the model's"
        expected, calls = [], []

        def look(value: object, contract: str, signature: str, *arguments: Any) -> None:
            expected.append(value)
            request = {"to": self._at(contract), "data": "0x" + encode_call(signature, *arguments).hex()}
            calls.append(("eth_call", [request, "latest"]))

        for who in ACTORS:
            told = self.model.operators.get(who.name)
            active = told.active if told else 0
            members = (active, told.leaving, told.ready_at, told.locked_through, told.locked) if told else (0,) * 5
            look(members, "staking", "operatorAt(address)", who.address)
            look(active, "staking", "getVotes(address)", who.address)
            look(told.lost(self.now) if told else 0, "court", "recentLoss(address)", who.address)
            look(self.model.next_pot.get(who.name, 0), "stream", "nextPot(address)", who.address)
        for who in (*ACTORS, REPORTER):
            look(self.model.wallets[who.name], "token", "balanceOf(address)", who.address)
        look(self.model.escrow, "staking", "escrow()")
        look(self.model.pool, "stream", "pool()")
        look(self.model.promised, "stream", "promised()")
        look(len(self.model.pots), "stream", "potCount()")
        self._look_at_leaders(look)
        answers = await self.scene.chain.rpc.batch(calls)
        for value, answer, call in zip(expected, answers, calls, strict=True):
            assert not isinstance(answer, Exception), f"{call} {answer} {self._said()}"
            assert self._read(answer, value) == value, f"{call} {self._said()}"
        paid = [await self._balance(self.fee_token, who.address) for who in ACTORS]
        assert paid == [self.model.earned.get(who.name, 0) for who in ACTORS], self._said()

    def _look_at_leaders(self, look: Any) -> None:
        for number, epoch in self.model.epochs.items():
            if epoch.seed is None:
                continue
            names = [name for name, _ in epoch.entries]
            for block in range(number * LENGTH, number * LENGTH + 5):
                leader = self.model.leader(block)
                assert leader is not None
                address = int(next(who.address for who in ACTORS if who.name == leader), 16)
                look(address, "ledger", "leaderOf(uint256,uint256)", block, names.index(leader))
                self.outcomes["leader", True] += 1

    @staticmethod
    def _read(answer: str, value: object) -> object:
        raw = bytes.fromhex(answer[2:])
        if not isinstance(value, tuple):
            return int.from_bytes(raw, "big")
        (found,) = decode(["(address,uint96,uint96,uint48,uint48,uint96,bytes32)"], raw)
        return tuple(found[1:6])

    def _contradiction(self, who: Account, kind: str, number: int) -> tuple[Any, Any]:
        """Two statements of one slot, of now, that contradict each other."""
        domain: Domain = self.scene.domain
        block, now = BlockNumber(self.block), UnixSeconds(self.now)
        slot = Hash32(bytes([number]) * 32)
        if kind == "double accept":
            accepts: list[SignedAccept] = [
                sign_accept(
                    domain,
                    Accept(
                        order_hash=Hash32(bytes([answer]) * 32),
                        primary_key=LegKey(slot),
                        target_block=BlockNumber(7),
                        block_number=block,
                        timestamp=now,
                    ),
                    who.key,
                )
                for answer in (1, 2)
            ]
            return accepts[0], accepts[1]
        attestations: list[SignedAttestation] = [
            sign_attestation(
                domain,
                Attestation(alert_id=slot, block_hash=slot, verdict=verdict, block_number=block, timestamp=now),
                who.key,
            )
            for verdict in (Verdict.CONFIRMED, Verdict.REFUTED)
        ]
        return attestations[0], attestations[1]

    def _actor(self) -> tuple[Account, int]:
        who = self.random.choice(ACTORS)
        return who, self.model.wallets[who.name]

    def _at(self, name: str) -> str:
        return address_to_hex(getattr(self.scene.contracts, name))

    async def _view(self, contract: str, signature: str, *arguments: Any) -> bytes:
        request = {"to": self._at(contract), "data": "0x" + encode_call(signature, *arguments).hex()}
        return bytes.fromhex((await self._rpc("eth_call", request, "latest"))[2:])

    async def _balance(self, token: str, owner: str) -> int:
        return await self.scene.chain.balance(token, owner)

    async def _rpc(self, method: str, *params: Any) -> Any:
        return await self.scene.chain.rpc.call(method, *params)

    def _said(self) -> str:
        return " | ".join(self.story)


async def prepared(rpc: RpcClient, journal: Path) -> Twins:
    """Deploy the network on a bare chain, with registered actors that have tokens and allow the registry all of them.

    The stream's token is a second one of ours, which the reporter holds. From then on blocks come with transactions.
    """
    chain = Chain(rpc)
    for who in (DEPLOYER, HOLDER, REPORTER, *ACTORS):
        await rpc.call("anvil_setBalance", who.address, hex(10**24))
    types = ("address", "address", "uint256")
    creation = contract("HftToken").creation(types, (REPORTER.address, REPORTER.address, 10**24))
    fee_token = await chain.create(REPORTER, creation)
    scene = await deployed_network(chain, fee_token, journal)
    for number, who in enumerate(ACTORS):
        client = scene.client(who)
        await client.register(address_from_hex(who.address), peer(number), scene.binding(who, who))
        await scene.fund(who, TokenAmount(5_000 * ETHER))
        approve = encode_call("approve(address,uint256)", address_to_hex(scene.contracts.staking), 2**256 - 1)
        await client.submit(scene.contracts.token, approve)
    await rpc.call("anvil_setBalance", address_to_hex(scene.contracts.timelock), hex(10**24))
    await rpc.call("anvil_autoImpersonateAccount", True)
    await rpc.call("evm_setAutomine", True)
    await rpc.call("anvil_setBlockTimestampInterval", 2)
    return Twins(scene, fee_token)


def peer(number: int) -> Any:
    """A peer id's hash."""
    return Hash32(bytes([number + 1]) * 32)


@dataclass(frozen=True)
class Twins:
    """A prepared network on which one history after the other is played, each from the same state."""

    scene: NetworkScene
    fee_token: str

    async def play(self, seed: int, model_type: type[PlainModel] = PlainModel) -> Counter[tuple[str, bool]]:
        """Play the history of a seed, and undo it; return how often which move was taken and refused."""
        rpc = self.scene.chain.rpc
        snapshot = await rpc.call("evm_snapshot")
        head = await rpc.call("eth_getBlockByNumber", "latest", False)
        model = model_type(LENGTH, CUT_OFF, LAG, LEAST, FEE_BPS)
        model.wallets = {who.name: 5_000 * ETHER for who in ACTORS} | {REPORTER.name: 0}
        block, now = int(head["number"], 16), int(head["timestamp"], 16)
        history = Twin(self.scene, model, Random(seed), block, now, fee_token=self.fee_token)
        try:
            await history.play()
        finally:
            assert await rpc.call("evm_revert", snapshot)
        return history.outcomes
