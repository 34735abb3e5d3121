"""The fuzz's own chain: an Anvil with the world, the hand with more of every token than anybody needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from devnet.accounts import Account, account
from devnet.anvil import CHAIN_ID, Anvil, AnvilOptions
from devnet.home import Home
from devnet.packages import Packages
from devnet.rpc import RpcClient
from devnet.solidity import Build, compile_build
from devnet.world import World
from node.engine.pool_topics import LogJson
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.units import Address, address_from_hex, address_to_hex
from tests.conftest import quiet
from tests.market.steps import Call, packed_calls, packed_words

OWNER = account("whale-0")
_MINTER = account("deployer")
_RICH = 10**60
"""Of every token for the hand: more than every pool together can ask for."""
_SOURCE = Path(__file__).with_name("Hand.sol")
_TRANSACTION_GAS = 16_700_000
_BLOCK_GAS = 600_000_000
_BLOCKS_KEPT = 24
_SPENDERS = (
    "uniswap_v2_router",
    "sushi_router",
    "balancer_vault",
    "aave_pool",
    "curve_stable_pool",
    "share_vault",
    "morpho",
)
_SIZE_BYTES = 3
_WETH_BALANCES = 3
_ETHER = 10**24
_ETHER_OF_THE_HAND = 10**36


Sent = tuple[Account, str | None, bytes]
"""A transaction: who sends it, to whom (None creates), its data."""


class Log(LogJson, frozen=True, gc=False, rename="camel"):
    """A log, and the place of its transaction in the block."""

    transaction_index: str


class Head(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The latest block, as JSON-RPC tells it."""

    number: str
    hash: str
    parent_hash: str
    timestamp: str
    base_fee_per_gas: str
    gas_limit: str
    gas_used: str
    transactions: list[str]


class Scene:
    """Acts on one Anvil as the owner of one hand."""

    def __init__(self, rpc: RpcClient, world: World) -> None:
        self.rpc, self.world = rpc, world
        self.hand = Address(bytes(20))
        self._nonces: dict[str, int] = {}

    async def set_up(self, packages: Packages, home: Home) -> None:
        """Create the hand, give it tokens, and let the protocols take them."""
        for rich in (OWNER, _MINTER):
            await self.rpc.call("anvil_setBalance", rich.address, hex(_ETHER))
        build = Build(
            title="the hand of the fuzz",
            compiler="solc",
            sources={"Hand.sol": _SOURCE.read_text("utf-8")},
            contracts=("Hand",),
            evm_version="cancun",
            optimizer_runs=10_000,
        )
        code = compile_build(packages, home, build, quiet)["Hand"].creation
        await self._send([(OWNER, None, code)])
        receipt = await self.rpc.call("eth_getTransactionReceipt", (await self.head()).transactions[0])
        self.hand = address_from_hex(receipt["contractAddress"])
        manifest, hand = self.world.manifest, address_to_hex(self.hand)
        await self.rpc.call("anvil_setBalance", hand, hex(_ETHER_OF_THE_HAND))
        sent: list[Sent] = []
        approvals: list[Call] = []
        for token in manifest.tokens:
            if token.address == manifest.contracts["weth"]:
                # More ether than there can be: written into WETH9's slot 3, its balances.
                place = keccak256(packed_words(self.hand, _WETH_BALANCES))
                await self.rpc.call("anvil_setStorageAt", token.address, "0x" + place.hex(), f"0x{_RICH:064x}")
            else:
                sent.append((_MINTER, token.address, encode_call("mint(address,uint256)", hand, _RICH)))
            for name in _SPENDERS:
                data = encode_call("approve(address,uint256)", manifest.contracts[name], (1 << 256) - 1)
                approvals.append(Call(address_from_hex(token.address), data))
        packed = packed_calls(approvals)
        sent.append((OWNER, hand, _act(len(packed).to_bytes(_SIZE_BYTES, "big") + packed + b"\0")))
        await self._send(sent)

    async def head(self) -> Head:
        """The latest block."""
        return msgspec.json.decode(await self.rpc.call_unread("eth_getBlockByNumber", "latest", False), type=Head)

    async def block(self, packs: Sequence[bytes], seconds: int, first: Sequence[Sent] = ()) -> tuple[Head, list[Log]]:
        """Mine one block with others' transactions and one for each pack of steps, so long after its parent."""
        sent = [*first, *((OWNER, address_to_hex(self.hand), _act(pack)) for pack in packs)]
        head = await self._send(sent, seconds)
        logs = await self.rpc.call_unread("eth_getLogs", {"blockHash": head.hash})
        return head, msgspec.json.decode(logs, type=list[Log])

    async def snapshot(self) -> str:
        """A point to go back to, once."""
        return str(await self.rpc.call("evm_snapshot"))

    async def go_back(self, snapshot: str) -> None:
        """Take back the blocks since the snapshot."""
        if not await self.rpc.call("evm_revert", snapshot):
            raise RuntimeError(f"Anvil does not know the snapshot {snapshot} any more")
        self._nonces.clear()
        await self.rpc.call("evm_setTime", int((await self.head()).timestamp, 16))

    async def _send(self, sent: Sequence[Sent], seconds: int = 2) -> Head:
        """Mine these transactions in one block, all of which must succeed."""
        raw = [("eth_sendRawTransaction", ("0x" + (await self._signed(*one)).hex(),)) for one in sent]
        for answer in await self.rpc.batch(raw):
            if isinstance(answer, Exception):
                raise answer
        parent = await self.head()
        await self.rpc.call("evm_setNextBlockTimestamp", int(parent.timestamp, 16) + seconds)
        await self.rpc.call("evm_mine")
        head = await self.head()
        if len(head.transactions) != len(sent):
            gas = f"{int(head.gas_used, 16)} gas of {int(head.gas_limit, 16)}"
            raise RuntimeError(f"block {head.number} has {len(head.transactions)} transactions of {len(sent)}; {gas}")
        return head

    async def _signed(self, sender: Account, to: str | None, data: bytes) -> bytes:
        nonce = self._nonces.get(sender.name)
        if nonce is None:
            nonce = int(await self.rpc.call("eth_getTransactionCount", sender.address, "latest"), 16)
        self._nonces[sender.name] = nonce + 1
        fields = DynamicFeeFields(
            chain_id=CHAIN_ID,
            nonce=nonce,
            max_priority_fee_per_gas=0,
            max_fee_per_gas=10**12,
            gas_limit=_TRANSACTION_GAS,
            to=to,
            value=0,
            data=data,
        )
        return sign_dynamic_fee(fields, sender.key)


@asynccontextmanager
async def open_scene(home: Home, packages: Packages, world: World, log_path: Path) -> AsyncIterator[tuple[Scene, str]]:
    """A scene on an Anvil of its own, and the Anvil's address."""
    options = AnvilOptions(load_state=world.state_path, gas_limit=_BLOCK_GAS, blocks_kept=_BLOCKS_KEPT)
    async with Anvil(packages.anvil, options, log_path) as anvil, RpcClient(anvil.url, deadline_seconds=120.0) as rpc:
        scene = Scene(rpc, world)
        await scene.set_up(packages, home)
        yield scene, anvil.url


def _act(steps: bytes) -> bytes:
    return encode_call("act(bytes)", steps)


def stepped_topic() -> str:
    """The topic by which the hand tells a step's outcome."""
    return "0x" + keccak256(b"Stepped(bytes)").hex()
