"""How governance speaks to a chain: the `ContractCaller` that it needs, and one over JSON-RPC with a signing key.

Nothing here opens a connection: `JsonRpcCaller` is given something that makes JSON-RPC calls, so that every environment
brings its own client. Quantities are wei, gas and blocks; addresses and hashes are bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from governance.deploy_errors import CallReverted
from governance.log_ranges import by_range
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import KeccakSigner
from protocol.ethereum.transactions import DynamicFeeFields, sign_dynamic_fee
from protocol.units import Address, BlockNumber, ChainId, Gas, Hash32, Wei, address_from_hex, address_to_hex

PRIORITY_FEE: Final = Wei(10**9)
"""What a block's builder is offered for a unit of gas, unless told otherwise."""
_BASE_FEES_AHEAD: Final = 2
"""The offered price covers a base fee of so many times today's: six full blocks."""
_WORDS_OF_A_REVERT: Final = ("revert", "execution failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A transaction of ours before it is signed; without `to` it creates a contract."""

    nonce: int
    data: bytes
    gas_limit: Gas
    to: Address | None = None


@dataclass(frozen=True, slots=True)
class SignedDraft:
    """Its bytes, ready to be sent, and the hash by which it will be found again."""

    raw: bytes
    hash: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTransaction:
    """A transaction that the chain knows. What only a mined one has is None before: block, success, gas used."""

    sender: Address
    nonce: int
    to: Address | None
    data: bytes
    block: BlockNumber | None = None
    succeeded: bool | None = None
    gas_used: Gas | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What a contract told: topics (the first is the event's type) and data."""

    topics: tuple[Hash32, ...]
    data: bytes

    @property
    def kind(self) -> bytes:
        """Keccak-256 of the event's signature; empty for an anonymous one without topics."""
        return self.topics[0] if self.topics else b""


class ContractCaller(Protocol):
    """One account on one chain. What the chain cannot do raises the implementation's own errors."""

    @property
    def account(self) -> Address:
        """Whose nonces, money and signatures these are."""

    async def chain_id(self) -> ChainId:
        """EIP-155."""

    async def nonce(self) -> int:
        """How many transactions of the account have been mined."""

    async def balance(self) -> Wei:
        """What the account has."""

    async def gas_price(self) -> Wei:
        """The most that a unit of gas may cost, as transactions are signed now."""

    async def code(self, contract: Address) -> bytes:
        """The code at an address; empty if none."""

    async def call(self, contract: Address, data: bytes) -> bytes:
        """What a view returns at the latest block. Raises `CallReverted`."""

    async def events(self, contract: Address, since: BlockNumber) -> Sequence[Event]:
        """Everything that a contract has told since a block, in order."""

    async def estimate(self, draft: Draft) -> Gas:
        """The gas that a transaction would use now. Raises `CallReverted`."""

    async def sign(self, draft: Draft) -> SignedDraft:
        """Sign at today's price."""

    async def send(self, signed: SignedDraft) -> None:
        """Hand it to the chain."""

    async def transaction(self, transaction_hash: Hash32) -> SeenTransaction | None:
        """What the chain knows of a transaction, or None."""

    async def pause(self) -> None:
        """Come back when the chain may have gone on."""


class Rpc(Protocol):
    """Makes one JSON-RPC call within a deadline; an error object is raised with what it says."""

    async def call(self, method: str, *params: Any) -> Any:
        """Return the result."""


class JsonRpcCaller:
    """A `ContractCaller` over JSON-RPC for the account of one key, with EIP-1559 fees.

    `pause` waits a little between two looks at the chain. A revert is recognised by an error that has data, or says so.
    """

    def __init__(
        self, rpc: Rpc, key: KeccakSigner, pause: Callable[[], Awaitable[None]], *, priority_fee: Wei = PRIORITY_FEE
    ) -> None:
        self.account = address_from_hex(key.address)
        self._rpc = rpc
        self._key = key
        self._pause = pause
        self._priority_fee = priority_fee

    async def chain_id(self) -> ChainId:
        """Ask the node."""
        return ChainId(_number(await self._rpc.call("eth_chainId")))

    async def nonce(self) -> int:
        """Ask the node, for the latest block."""
        return _number(await self._rpc.call("eth_getTransactionCount", self._key.address, "latest"))

    async def balance(self) -> Wei:
        """Ask the node, for the latest block."""
        return Wei(_number(await self._rpc.call("eth_getBalance", self._key.address, "latest")))

    async def gas_price(self) -> Wei:
        """Twice the base fee of the latest block, and the priority fee."""
        head = await self._rpc.call("eth_getBlockByNumber", "latest", False)
        return Wei(_BASE_FEES_AHEAD * _number(head["baseFeePerGas"]) + self._priority_fee)

    async def code(self, contract: Address) -> bytes:
        """Ask the node, for the latest block."""
        return _bytes(await self._rpc.call("eth_getCode", address_to_hex(contract), "latest"))

    async def call(self, contract: Address, data: bytes) -> bytes:
        """Ask the node, for the latest block."""
        request = {"to": address_to_hex(contract), "data": _hex(data)}
        return _bytes(await self._reverting("eth_call", request, "latest"))

    async def events(self, contract: Address, since: BlockNumber) -> Sequence[Event]:
        """Ask the node, in ranges that it gives."""
        last = BlockNumber(_number(await self._rpc.call("eth_blockNumber")))
        return await events_by_range(self._rpc, {"address": address_to_hex(contract)}, since, last)

    async def estimate(self, draft: Draft) -> Gas:
        """Ask the node."""
        request = {"from": self._key.address, "data": _hex(draft.data)}
        if draft.to is not None:
            request["to"] = address_to_hex(draft.to)
        return Gas(_number(await self._reverting("eth_estimateGas", request)))

    async def sign(self, draft: Draft) -> SignedDraft:
        """Sign by the key: type 2, no value."""
        fields = DynamicFeeFields(
            chain_id=await self.chain_id(),
            nonce=draft.nonce,
            max_priority_fee_per_gas=self._priority_fee,
            max_fee_per_gas=await self.gas_price(),
            gas_limit=draft.gas_limit,
            to=None if draft.to is None else address_to_hex(draft.to),
            value=0,
            data=draft.data,
        )
        raw = sign_dynamic_fee(fields, self._key)
        return SignedDraft(raw, Hash32(keccak256(raw)))

    async def send(self, signed: SignedDraft) -> None:
        """Send it to the node's public pool."""
        await self._rpc.call("eth_sendRawTransaction", _hex(signed.raw))

    async def transaction(self, transaction_hash: Hash32) -> SeenTransaction | None:
        """Ask the node for the transaction and, if it is mined, for its receipt."""
        found = await self._rpc.call("eth_getTransactionByHash", _hex(transaction_hash))
        if found is None:
            return None
        mined = await self._rpc.call("eth_getTransactionReceipt", _hex(transaction_hash)) or {}
        return SeenTransaction(
            sender=address_from_hex(found["from"]),
            nonce=_number(found["nonce"]),
            to=address_from_hex(found["to"]) if found.get("to") else None,
            data=_bytes(found["input"]),
            block=BlockNumber(_number(mined["blockNumber"])) if mined else None,
            succeeded=_number(mined["status"]) == 1 if mined else None,
            gas_used=Gas(_number(mined["gasUsed"])) if mined else None,
        )

    async def pause(self) -> None:
        """As it was given."""
        await self._pause()

    async def _reverting(self, method: str, *params: Any) -> Any:
        try:
            return await self._rpc.call(method, *params)
        except Exception as error:
            data = getattr(error, "data", None)
            if isinstance(data, str) and data.startswith("0x"):
                raise CallReverted(_bytes(data)) from error
            if any(word in str(error).lower() for word in _WORDS_OF_A_REVERT):
                raise CallReverted from error
            raise


async def events_by_range(rpc: Rpc, wanted: Mapping[str, Any], first: BlockNumber, last: BlockNumber) -> list[Event]:
    """Return what was told from `first` to `last`, in order; `wanted`: address, topics."""

    async def ask(start: BlockNumber, end: BlockNumber) -> list[Any]:
        logs: list[Any] = await rpc.call("eth_getLogs", {**wanted, "fromBlock": hex(start), "toBlock": hex(end)})
        return logs

    return [
        Event(tuple(Hash32(_bytes(topic)) for topic in log["topics"]), _bytes(log["data"]))
        async for _, logs in by_range(ask, first, last)
        for log in logs
    ]


def _number(text: str) -> int:
    return int(text, 16)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
