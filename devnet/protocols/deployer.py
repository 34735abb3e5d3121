"""Sends the transactions that build the world: signed, in order, in blocks whose every field is pinned.

Addresses of new contracts are known before they are mined (sender and nonce), so calls queue up and are mined in bulk.

ChainFailed    a transaction reverted or was not mined where it should be: names it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from devnet.accounts import Account
from devnet.anvil import BLOCK_GAS_LIMIT, CHAIN_ID, GENESIS_BASE_FEE
from devnet.errors import ChainFailed, RpcError
from devnet.rpc import RpcClient
from protocol.ethereum.abi import decode, encode, encode_call
from protocol.ethereum.create2 import create_address
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee

MAX_TRANSACTION_GAS: Final = 16_000_000
"""Below the cap of EIP-7825 (2**24), so that everything here could be sent on mainnet."""
CALL_GAS: Final = 800_000
BLOCK_SECONDS: Final = 2
_ORDERED_BATCH: Final = 25
"""Anvil 1.7.1 runs a batch's calls concurrently: beyond some sixty they are no longer taken in order."""


@dataclass(frozen=True, slots=True)
class _Queued:
    raw: bytes
    hash: str
    gas: int
    what: str


class Deployer:
    """Builds blocks on one Anvil. `account` creates the contracts and owns what has an owner."""

    def __init__(self, rpc: RpcClient, account: Account, timestamp: int) -> None:
        self.rpc = rpc
        self.account = account
        self.timestamp = timestamp
        self.block_number = 0
        self._nonces: defaultdict[str, int] = defaultdict(int)
        self._queue: list[_Queued] = []

    @property
    def address(self) -> str:
        """The deployer's own address."""
        return self.account.address

    def create(
        self,
        what: str,
        code: bytes,
        types: Sequence[str] = (),
        values: Sequence[Any] = (),
        *,
        sender: Account | None = None,
    ) -> str:
        """Queue a contract creation; return the address it will have."""
        creator = sender or self.account
        address = create_address(creator.address, self._nonces[creator.address])
        self._queue_signed(creator, None, code + encode(types, values), 0, MAX_TRANSACTION_GAS, f"create {what}")
        return address

    def call(
        self,
        to: str,
        signature: str,
        *arguments: Any,
        sender: Account | None = None,
        value: int = 0,
        gas: int = CALL_GAS,
    ) -> str:
        """Queue a call; return its transaction hash."""
        data = encode_call(signature, *arguments)
        return self._queue_signed(sender or self.account, to, data, value, gas, f"{signature} of {to}")

    def call_data(self, what: str, to: str, data: bytes, *, sender: Account) -> str:
        """Queue a call whose data is given; return its transaction hash."""
        return self._queue_signed(sender, to, data, 0, CALL_GAS, what)

    def raw(self, what: str, raw: bytes, gas: int) -> None:
        """Queue a transaction that someone else signed."""
        self._queue.append(_Queued(raw, "0x" + keccak256(raw).hex(), gas, what))

    async def set_balance(self, addresses: Sequence[str], wei: int) -> None:
        """Give each address that many wei, outside of any transaction."""
        answers = await self.rpc.batch([("anvil_setBalance", [address, hex(wei)]) for address in addresses])
        _raise_first(answers)

    async def read(self, to: str, signature: str, returns: Sequence[str], *arguments: Any) -> tuple[Any, ...]:
        """Mine what is queued, then call a view function and decode what it returns."""
        await self.flush()
        request = {"to": to, "data": "0x" + encode_call(signature, *arguments).hex()}
        answer = await self.rpc.call("eth_call", request, "latest")
        return decode(returns, bytes.fromhex(answer[2:]))

    async def receipt(self, transaction_hash: str) -> dict[str, Any]:
        """Mine what is queued and return the receipt of one of its transactions."""
        await self.flush()
        receipt = await self.rpc.call("eth_getTransactionReceipt", transaction_hash)
        if not isinstance(receipt, dict):
            raise ChainFailed(f"{transaction_hash} was not mined")
        return receipt

    async def flush(self) -> None:
        """Mine everything queued, in order, in as many full blocks as it takes. Raises `ChainFailed`."""
        while self._queue:
            count = gas = 0
            while count < len(self._queue) and gas + self._queue[count].gas <= BLOCK_GAS_LIMIT:
                gas += self._queue[count].gas
                count += 1
            batch, self._queue = self._queue[:count], self._queue[count:]
            await self._mine(batch)

    async def fill_up(self, block_number: int) -> None:
        """Mine what is queued, then empty blocks up to that number. Raises `ChainFailed` if it is passed already."""
        await self.flush()
        if self.block_number >= block_number:
            raise ChainFailed(f"building the world: it takes more than {block_number - 1} blocks")
        while self.block_number < block_number:
            await self._mine([])

    async def _mine(self, batch: list[_Queued]) -> None:
        self.timestamp += BLOCK_SECONDS
        self.block_number += 1
        await self.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(GENESIS_BASE_FEE))  # admission looks at it as well
        for start in range(0, len(batch), _ORDERED_BATCH):
            await self._send(batch[start : start + _ORDERED_BATCH])
        await self.rpc.call("evm_setNextBlockTimestamp", self.timestamp)
        await self.rpc.call("evm_mine")
        receipts = await self.rpc.call("eth_getBlockReceipts", hex(self.block_number))
        if [receipt["transactionHash"] for receipt in receipts or ()] != [queued.hash for queued in batch]:
            raise ChainFailed(f"building the world: block {self.block_number} does not hold what was sent, in order")
        for queued, receipt in zip(batch, receipts, strict=True):
            if int(receipt["status"], 16) != 1:
                used = int(receipt["gasUsed"], 16)
                raise ChainFailed(f"building the world: {queued.what} reverted ({used} of {queued.gas} gas used)")

    async def _send(self, batch: list[_Queued]) -> None:
        sent = await self.rpc.batch([("eth_sendRawTransaction", ["0x" + queued.raw.hex()]) for queued in batch])
        for queued, answer in zip(batch, sent, strict=True):
            if isinstance(answer, RpcError):
                raise ChainFailed(f"building the world: {queued.what} was refused: {answer.message}") from answer

    def _queue_signed(self, sender: Account, to: str | None, data: bytes, value: int, gas: int, what: str) -> str:
        nonce = self._nonces[sender.address]
        self._nonces[sender.address] += 1
        fields = DynamicFeeFields(
            chain_id=CHAIN_ID,
            nonce=nonce,
            max_priority_fee_per_gas=0,
            max_fee_per_gas=GENESIS_BASE_FEE,
            gas_limit=gas,
            to=to,
            value=value,
            data=data,
        )
        raw = sign_dynamic_fee(fields, sender.key)
        transaction_hash = "0x" + keccak256(raw).hex()
        self._queue.append(_Queued(raw, transaction_hash, gas, f"{what} by {sender.name}"))
        return transaction_hash


def _raise_first(answers: Sequence[Any]) -> None:
    for answer in answers:
        if isinstance(answer, RpcError):
            raise answer
