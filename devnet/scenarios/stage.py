"""Where a scenario plays: the world on an Anvil of its own, one transaction a block, at times that the scenario says.

ScenarioFailed(DevnetError)    the chain is not as the story has it; says where in the story, and what was expected
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from devnet.accounts import Account
from devnet.anvil import CHAIN_ID
from devnet.demo.network_contracts import network_contracts
from devnet.errors import DevnetError, RpcError
from devnet.manifest import Manifest
from devnet.rpc import RpcClient
from devnet.world import World
from governance.actions import Action
from governance.network import NetworkContracts
from governance.reading import DeployedNetwork, Reader
from governance.reverts import Revert
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.signing import Domain
from protocol.units import BlockNumber, ChainId, UnixSeconds, address_from_hex, address_to_hex

BLOCK_SECONDS: Final = 2
GAS: Final = 4_000_000
_MOST_WEI_PER_GAS: Final = 10**11


class ScenarioFailed(DevnetError):
    """The chain is not as the story has it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction: its receipt, and why it reverted if it did."""

    receipt: dict[str, Any]
    revert: Revert | None


@dataclass(frozen=True, slots=True)
class Ground:
    """What a stage stands on: the Anvil of its own with the world, and a folder that goes with it."""

    world: World
    anvil_url: str
    folder: Path


@dataclass
class Stage:
    """The world, who tells of it, and the dice."""

    rpc: RpcClient
    ground: Ground
    random: Random
    tell: Callable[[str], None]
    contracts: NetworkContracts = field(init=False)
    reader: Reader = field(init=False)
    first_block: BlockNumber = field(init=False)
    """The block at which the story begins."""

    def __post_init__(self) -> None:
        self.manifest: Manifest = self.ground.world.manifest
        self.first_block = BlockNumber(self.manifest.block_number)
        self._beginning = ""
        self.contracts = network_contracts(self.manifest)
        network = DeployedNetwork(
            chain_id=ChainId(CHAIN_ID),
            since=BlockNumber(0),
            contracts=self.contracts,
            vault_module=address_from_hex(self.manifest.contracts["vault_module"]),
        )
        self.reader = Reader(self.rpc, network)

    @property
    def domain(self) -> Domain:
        """What operators' statements are signed for."""
        return Domain(ChainId(CHAIN_ID), self.contracts.staking)

    def expect(self, holds: bool, what: str) -> None:
        """Tell that something holds. Raises `ScenarioFailed` if it does not."""
        if not holds:
            raise ScenarioFailed(f"does not hold: {what}")
        self.tell(f"  ✓ {what}")

    async def act(self, who: Account, action: Action) -> dict[str, Any]:
        """Carry out an action as an account, in a block of its own. Raises `ScenarioFailed` if it reverts."""
        outcome = await self.attempt(who, action)
        if outcome.revert is not None:
            raise ScenarioFailed(f"{who.name}: {action.title}: {outcome.revert.name}, {outcome.revert.words}")
        self.tell(f"  {who.name}: {action.title}")
        return outcome.receipt

    async def refused(self, who: Account, action: Action, name: str) -> None:
        """Send an action that the chain must refuse with the error of that name."""
        outcome = await self.attempt(who, action)
        if outcome.revert is None or outcome.revert.name != name:
            said = "it went through" if outcome.revert is None else f"{outcome.revert.name}, {outcome.revert.words}"
            raise ScenarioFailed(f"{who.name}: {action.title}: was to be refused as {name}; {said}")
        self.tell(f"  ✗ {who.name}: {action.title}: refused as {name}")

    async def attempt(self, who: Account, action: Action) -> Outcome:
        """Send an action, mine it, and say what became of it."""
        fields = DynamicFeeFields(
            chain_id=ChainId(CHAIN_ID),
            nonce=int(await self.rpc.call("eth_getTransactionCount", who.address, "latest"), 16),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=_MOST_WEI_PER_GAS,
            gas_limit=GAS,
            to=address_to_hex(action.to),
            value=action.value,
            data=action.data,
        )
        raw = sign_dynamic_fee(fields, who.key)
        await self.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        await self.mine()
        return await self.outcome(
            who, action, await self.rpc.call("eth_getTransactionReceipt", "0x" + keccak256(raw).hex())
        )

    async def outcome(self, who: Account, action: Action, receipt: dict[str, Any]) -> Outcome:
        """Say what became of an action that is in a block."""
        if receipt["status"] == "0x1":
            return Outcome(receipt, None)
        return Outcome(receipt, action.explain(await self._why(who, action, receipt["blockNumber"])))

    async def _why(self, who: Account, action: Action, block: str) -> bytes:
        """Ask again at the block in which it reverted, which it left as it was."""
        request = {"from": who.address, "to": address_to_hex(action.to), "data": "0x" + action.data.hex()}
        request |= {"gas": hex(GAS), "value": hex(action.value)}
        try:
            await self.rpc.call("eth_call", request, block)
        except RpcError as error:
            return bytes.fromhex(error.data[2:]) if isinstance(error.data, str) else b""
        raise ScenarioFailed(f"{action.title}: reverted in its block, and not when asked again")

    # Time

    async def begin(self) -> None:
        """Let the story begin here: what was before is not told of."""
        # By itself Anvil gives a block the machine's time, and the story would depend on how fast it is.
        await self.rpc.call("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
        await self.mine()
        self.first_block, _ = await self.head()
        self._beginning = await self.rpc.call("evm_snapshot")

    async def go_back(self) -> None:
        """Undo the whole story."""
        if not await self.rpc.call("evm_revert", self._beginning):
            raise ScenarioFailed("the chain did not go back to where the story began")

    async def head(self) -> tuple[BlockNumber, UnixSeconds]:
        """The last block and its second."""
        block = await self.rpc.call("eth_getBlockByNumber", "latest", False)
        return BlockNumber(int(block["number"], 16)), UnixSeconds(int(block["timestamp"], 16))

    async def mine(self, seconds: int = BLOCK_SECONDS) -> None:
        """Make a block so many seconds after its parent."""
        _, now = await self.head()
        await self.rpc.call("evm_setNextBlockTimestamp", now + seconds)
        await self.rpc.call("evm_mine")

    async def mine_to(self, block: int) -> None:
        """Let empty blocks pass until `block` is the last one."""
        number, now = await self.head()
        if block > number:
            await self.rpc.call("evm_setNextBlockTimestamp", now + BLOCK_SECONDS)
            await self.rpc.call("anvil_mine", hex(block - number))

    async def balance(self, token: str, owner: str) -> int:
        """An ERC-20 balance."""
        return await self.reader.number(address_from_hex(token), "balanceOf(address)", owner)
