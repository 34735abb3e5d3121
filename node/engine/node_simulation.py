"""Transactions in a block that is not there yet, run by a node of the chain: `eth_simulateV1`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from node.engine.endpoints import Endpoints
from node.engine.evm import EvmBlock, EvmCall, EvmResult
from node.engine.headers import Header
from node.engine.rpc import RpcRefused
from node.engine.rpc_types import Quantity
from node.engine.vault_logs import Log
from protocol.ethereum.transaction_fields import TransactionType
from protocol.ethereum.transaction_json import to_rpc
from protocol.ethereum.transactions import SignedTransaction, effective_priority_fee
from protocol.units import Wei, address_to_hex

_REFUSED_TRANSACTION: Final = frozenset((3, -32003))
_SIMULATION_CODES: Final = range(-38_999, -37_999)


_LISTS: Final = ("accessList", "maxFeePerBlobGas", "blobVersionedHashes", "authorizationList")
"""What later transaction types carry; without it a set-code transaction would be run on accounts without code."""


class _CallAnswer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    status: Quantity
    gas_used: Quantity
    logs: tuple[Log, ...] = ()


class _BlockAnswer(msgspec.Struct, frozen=True):
    calls: tuple[_CallAnswer, ...]


class NodeRun(msgspec.Struct, frozen=True, gc=False):
    """What a node said: each transaction's result, and whether one of them failed."""

    results: tuple[EvmResult, ...]
    failed: bool


async def run_by_node(
    endpoints: Endpoints, requests: Sequence[dict[str, Any]], block: EvmBlock, head: Header, seconds: float
) -> NodeRun | None:
    """Run requests in `block` right after `head`; None where the answer is not one to each. Raises RpcError."""
    at = {"blockHash": "0x" + head.hash.hex()}
    try:
        answers = await endpoints.call(
            "eth_simulateV1", _simulation(requests, block), at, shape=tuple[_BlockAnswer, ...], seconds=seconds
        )
    except RpcRefused as refused:
        if refused.code in _REFUSED_TRANSACTION or refused.code in _SIMULATION_CODES:
            return NodeRun((), failed=True)
        raise
    calls = answers[0].calls if answers else ()
    if len(calls) != len(requests):
        return None
    results = tuple(EvmResult(int(call.gas_used), call.logs) for call in calls)
    return NodeRun(results, failed=not all(call.status for call in calls))


def block_after(head: Header, base_fee: Wei) -> EvmBlock:
    """The earliest block that can follow a head."""
    return EvmBlock(head.number + 1, head.timestamp + 1, base_fee, head.gas_limit, address_to_hex(head.coinbase))


def signed_call(transaction: SignedTransaction, base_fee: Wei) -> EvmCall:
    """Another's transaction, for our own EVM."""
    price = base_fee + effective_priority_fee(transaction, base_fee)
    to, gas = str(transaction.to), transaction.gas_limit
    return EvmCall(transaction.sender, to, transaction.data, transaction.value, gas, price)


def is_for_own_evm(transactions: Iterable[SignedTransaction]) -> bool:
    """Whether our own EVM's calls say all of them: no access lists, which change gas, no blobs, no set code."""
    return all(
        not one.access_list and one.type not in (TransactionType.BLOB, TransactionType.SET_CODE) for one in transactions
    )


def signed_request(transaction: SignedTransaction) -> dict[str, Any]:
    """Another's transaction, for a node."""
    body = to_rpc(transaction)
    lists = {name: body[name] for name in _LISTS if body.get(name)}
    return {
        **lists,
        "from": transaction.sender,
        "to": transaction.to,
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas_limit),
        "maxFeePerGas": hex(transaction.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(transaction.max_priority_fee_per_gas),
        "value": hex(transaction.value),
        "input": "0x" + transaction.data.hex(),
    }


def _simulation(requests: Sequence[dict[str, Any]], block: EvmBlock) -> dict[str, Any]:
    overrides = {
        "number": hex(block.number),
        "time": hex(block.timestamp),
        "gasLimit": hex(block.gas_limit),
        "feeRecipient": block.coinbase,
        "baseFeePerGas": hex(block.base_fee),
    }
    return {"blockStateCalls": [{"blockOverrides": overrides, "calls": requests}], "validation": True}
