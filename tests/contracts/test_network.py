"""The network's contracts on a real chain: signed, hashed and drawn in Python, believed by the contracts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from devnet.accounts import Account, account
from devnet.anvil import CHAIN_ID
from devnet.world import World
from governance.contracts import contract
from protocol.ethereum.block_header import header_rlp
from protocol.ethereum.create2 import create_address
from protocol.ethereum.keccak import keccak256
from protocol.evidence import evidence_of
from protocol.signing import Domain, sign, sign_accept
from protocol.statements import Accept, HotKeyBinding
from protocol.units import Address, BlockNumber, ChainId, Hash32, LegKey, UnixSeconds, address_from_hex
from tests.chain import Chain

pytestmark = pytest.mark.anvil

ETHER = 10**18
ALICE, BOB, GUARDIAN = account("operator-0"), account("operator-1"), account("safe-owner-0")
LENGTH, CUT_OFF, LAG = 30, 12, 6
PEER = b"\x11" * 32


@dataclass(frozen=True)
class Network:
    """Token, registry, court and ledger, with Alice as governance."""

    chain: Chain
    token: str
    staking: str
    court: str
    ledger: str

    @property
    def domain(self) -> Domain:
        return Domain(chain_id=ChainId(CHAIN_ID), registry=Address(bytes.fromhex(self.staking[2:])))

    async def join(self, operator: Account, amount: int) -> None:
        """Register an account that is its own hot key, and stake."""
        binding = sign(self.domain, HotKeyBinding(operator=address_from_hex(operator.address)), operator.key)
        await self.chain.send(
            operator, self.staking, "register(address,bytes32,bytes)", operator.address, PEER, binding
        )
        await self.chain.send(operator, self.token, "approve(address,uint256)", self.staking, amount)
        await self.chain.send(operator, self.staking, "stake(uint256)", amount)

    async def block(self, number: int | None = None) -> dict[str, Any]:
        found: dict[str, Any] = await self.chain.rpc.call(
            "eth_getBlockByNumber", "latest" if number is None else hex(number), False
        )
        return found

    async def head(self) -> int:
        return int((await self.block())["number"], 16)

    async def mine_to(self, number: int) -> None:
        while await self.head() < number:
            await self.chain.mine()


@pytest.fixture
async def network(chain: Chain, world: World) -> Network:
    """The contracts, deployed by Alice, who holds all tokens."""
    nonce = int(await chain.rpc.call("eth_getTransactionCount", ALICE.address, "latest"), 16)
    court, ledger = (create_address(ALICE.address, nonce + ahead) for ahead in (2, 6))
    governance = ALICE.address

    async def create(name: str, types: tuple[str, ...], *values: Any) -> str:
        return await chain.create(ALICE, contract(name).creation(types, values))

    token = await create("HftToken", ("address", "address", "uint256"), governance, ALICE.address, 10**6 * ETHER)
    staking = await create("NodeStaking", ("address",) * 3, token, court, ledger)
    await create("SlashingCourt", ("address",) * 2, staking, governance)
    values = (governance, 100 * ETHER, 100, 5_000)
    parameters = await create("NetworkParameters", ("address", "uint256", "uint256", "uint256"), *values)
    brake = await create("EmergencyBrake", ("address",) * 3, staking, governance, GUARDIAN.address)
    stream = await create("RewardStream", ("address",) * 2, world.manifest.contracts["weth"], staking)
    bindings = (staking, parameters, brake, stream, governance)
    types = ("(address,address,address,address,address)", "(uint256,uint256,uint256)")
    await create("ExecutionLedger", types, bindings, (LENGTH, CUT_OFF, LAG))
    return Network(chain, token, staking, court, ledger)


async def test_a_real_header_gives_the_seed_and_python_draws_the_same_leaders(network: Network) -> None:
    chain, ledger = network.chain, network.ledger
    await chain.send(ALICE, network.token, "transfer(address,uint256)", BOB.address, 700 * ETHER)
    await network.join(ALICE, 300 * ETHER)
    await network.join(BOB, 700 * ETHER)
    epoch = await network.head() // LENGTH + 2
    await network.mine_to((epoch - 1) * LENGTH)
    for operator in (ALICE, BOB):
        await chain.send(operator, ledger, "checkIn(uint256)", epoch)
    await network.mine_to(epoch * LENGTH)

    seed_block = await network.block(epoch * LENGTH - LAG)
    header = header_rlp(seed_block)
    assert "0x" + keccak256(header).hex() == seed_block["hash"]
    await chain.send(BOB, ledger, "roll(uint256,bytes)", epoch, header)

    seed = bytes.fromhex(seed_block["mixHash"][2:])
    cumulative = [0, 300 * ETHER, 1_000 * ETHER]
    for number in range(epoch * LENGTH, epoch * LENGTH + 8):
        draw = int.from_bytes(keccak256(seed + number.to_bytes(32, "big")), "big") % cumulative[-1]
        index = next(i for i, (low, high) in enumerate(pairwise(cumulative)) if low <= draw < high)
        read = await chain.read(ledger, "leaderOf(uint256,uint256)", ["address"], number, index)
        assert read[0].lower() == (ALICE, BOB)[index].address.lower()


async def test_two_accepts_signed_in_python_are_evidence(network: Network) -> None:
    chain = network.chain
    await network.join(ALICE, 1_000 * ETHER)
    head = await network.block()
    one, other = (
        sign_accept(
            network.domain,
            Accept(
                order_hash=Hash32(bytes([order]) * 32),
                primary_key=LegKey(Hash32(b"\x22" * 32)),
                target_block=BlockNumber(int(head["number"], 16) + 1),
                block_number=BlockNumber(int(head["number"], 16)),
                timestamp=UnixSeconds(int(head["timestamp"], 16)),
            ),
            ALICE.key,
        )
        for order in (2, 1)
    )
    proof = evidence_of(Address(bytes.fromhex(ALICE.address[2:])), one, other)
    shown = (
        int(proof.kind),
        ALICE.address,
        proof.statement_a.words(),
        bytes(proof.signature_a),
        proof.statement_b.words(),
        bytes(proof.signature_b),
    )
    await chain.send(BOB, network.court, "report((uint8,address,bytes,bytes,bytes,bytes))", shown)
    (escrow,) = await chain.read(network.staking, "escrow()", ["uint256"])
    assert escrow == 10 * ETHER
    again = await chain.try_send(BOB, network.court, "report((uint8,address,bytes,bytes,bytes,bytes))", shown)
    assert again["status"] == "0x0"
