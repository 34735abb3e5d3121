"""What a block did, transaction by transaction, and what its builder got for one: read from the chain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.rpc import Call, RpcError
from node.engine.rpc_types import AddressHex, HashHex, Quantity
from node.engine.vault_logs import Log
from protocol.units import Address, Hash32, Wei

MAX_TRACED: Final = 8
"""Transactions a block whose payment to the builder is looked into."""
RECEIPTS_SECONDS: Final = 2.0
TRACE_SECONDS: Final = 0.5


class Receipt(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One transaction of a block."""

    transaction_hash: HashHex
    status: Quantity
    gas_used: Quantity
    effective_gas_price: Quantity
    logs: tuple[Log, ...]
    sender: AddressHex = msgspec.field(name="from")
    to: AddressHex | None = None

    @property
    def hash(self) -> Hash32:
        """The transaction's hash."""
        return Hash32(bytes(self.transaction_hash))

    @property
    def origin(self) -> Address:
        """Which account sent it."""
        return Address(bytes(self.sender))

    @property
    def destination(self) -> Address | None:
        """Which account it called; None if it created one."""
        return None if self.to is None else Address(bytes(self.to))

    @property
    def spent_wei(self) -> Wei:
        """What its gas cost its sender."""
        return Wei(self.gas_used * self.effective_gas_price)

    def tip_wei(self, base_fee: Wei) -> Wei:
        """What the builder got for its gas."""
        return Wei(self.gas_used * (self.effective_gas_price - base_fee))

    def touches(self, pools: frozenset[bytes]) -> bool:
        """Whether one of its logs is of one of these pools: by address, or by id where a vault logs for them."""
        return any(log.address in pools or (len(log.topics) > 1 and log.topics[1] in pools) for log in self.logs)


class _Frame(msgspec.Struct, frozen=True):
    """A call as `callTracer` tells it."""

    to: AddressHex | None = None
    value: Quantity = Quantity(0)
    error: str | None = None
    calls: tuple[_Frame, ...] = ()


async def block_receipts(
    endpoints: Endpoints, block_hash: Hash32, seconds: float = RECEIPTS_SECONDS
) -> dict[Hash32, Receipt]:
    """Return a block's receipts in their order. Raises RpcError."""
    shape = tuple[Receipt, ...]
    name = "0x" + block_hash.hex()
    receipts = await endpoints.call("eth_getBlockReceipts", name, shape=shape, seconds=seconds)
    return {receipt.hash: receipt for receipt in receipts}


async def builders_income(endpoints: Endpoints, receipts: Iterable[Receipt], header: Header) -> dict[Hash32, Wei]:
    """Return what the builder got from each of the first MAX_TRACED: priority fee and transfers to the coinbase.

    Nothing of those that the node does not trace: many nodes do not.
    """
    unique = list({receipt.hash: receipt for receipt in receipts}.values())[:MAX_TRACED]
    if not unique:
        return {}
    how = {"tracer": "callTracer"}
    calls = [Call("debug_traceTransaction", ("0x" + receipt.hash.hex(), how), _Frame) for receipt in unique]
    try:
        frames = await endpoints.batch(calls, seconds=TRACE_SECONDS)
    except RpcError:
        return {}
    return {
        receipt.hash: Wei(receipt.tip_wei(header.base_fee) + _transfers_to(frame, header.coinbase))
        for receipt, frame in zip(unique, frames, strict=True)
        if not isinstance(frame, RpcError)
    }


def _transfers_to(frame: _Frame, coinbase: Address) -> int:
    """Ether that calls within a transaction paid to the block's coinbase."""
    total, waiting = 0, [frame]
    while waiting:
        call = waiting.pop()
        if call.error is None:
            total += int(call.value) if call.to is not None and bytes(call.to) == coinbase else 0
            waiting += call.calls
    return total
