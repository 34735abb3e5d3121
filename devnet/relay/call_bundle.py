"""`eth_callBundle`: runs a bundle without sending it, and tells what it pays. Fields as in mev-geth's `CallBundle`.

Amounts are decimal strings in wei, gas and the state's block number are numbers, addresses are checksummed. A failed
transaction has `error`, and `revert` if it left revert data: the text of a Solidity `Error(string)`, other data in hex.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.exceptions import DecodingError

from devnet.errors import ChainFailed, RpcError
from devnet.relay.bundles import bundle_hash, read_block_number, read_transactions
from devnet.relay.chain import Head
from devnet.relay.context import BlockContext
from devnet.relay.jsonrpc import InvalidParams, JsonRpcError
from devnet.relay.ranking import BUNDLE_BLOCKS, advance, gas_wanted
from devnet.relay.simulation import SimulatedTransaction, Simulator, Unexecutable, longest_executable
from devnet.rpc import RpcClient
from protocol.ethereum.abi import decode
from protocol.ethereum.forks import ChainRules
from protocol.ethereum.keys import checksum_address
from protocol.ethereum.transactions import SignedTransaction, effective_priority_fee

_ERROR_SELECTOR: Final = bytes.fromhex("08c379a0")  # Error(string)


@dataclass(frozen=True, slots=True)
class BundleCall:
    """A read request. `timestamp` None means one second after the state's block, as in mev-geth."""

    transactions: tuple[SignedTransaction, ...]
    block_number: int
    state_block: int
    timestamp: int | None


def read_call(params: list[Any], head_number: int, rules: ChainRules) -> BundleCall:
    """Read the parameters of `eth_callBundle`. Raises `JsonRpcError`."""
    if len(params) != 1 or not isinstance(params[0], dict):
        raise InvalidParams("missing params")
    fields: dict[str, Any] = params[0]
    transactions = read_transactions(fields.get("txs"), rules)
    block_number = read_block_number(fields.get("blockNumber"))
    tag = fields.get("stateBlockNumber", "latest")
    state_block = head_number if tag in ("latest", "pending") else read_block_number(tag)
    if state_block > head_number:
        raise JsonRpcError(f"header not found: stateBlockNumber {state_block}, the head is {head_number}")
    timestamp = fields.get("timestamp")
    # Clients that know no better send null or 0 for "choose one".
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | None) or (timestamp or 0) < 0:
        raise InvalidParams("timestamp must be an int")
    return BundleCall(transactions, block_number, state_block, timestamp or None)


async def call_bundle(chain: RpcClient, head: Head, call: BundleCall, coinbase: str) -> dict[str, Any]:
    """Run the bundle on the state of `call.state_block`. Raises `JsonRpcError` and `ChainFailed`."""
    parent = head if call.state_block == head.number else await _head_at(chain, call.state_block)
    context = BlockContext(
        number=parent.number + 1,
        parent_hash=parent.hash,
        timestamp=parent.timestamp + 1 if call.timestamp is None else call.timestamp,
        base_fee=parent.next_base_fee,
        coinbase=coinbase,
        gas_limit=parent.gas_limit,
    )
    simulator = Simulator(chain, context, number_seen=call.block_number)
    await _check(simulator, context, call.transactions)
    try:
        results = await simulator.run(call.transactions)
    except Unexecutable as error:
        spoiler = call.transactions[await longest_executable(simulator, call.transactions)]
        raise JsonRpcError(f"err: {error}; txhash 0x{spoiler.hash.hex()}") from error
    return _answer(results, context)


async def _check(simulator: Simulator, context: BlockContext, transactions: Sequence[SignedTransaction]) -> None:
    """Check what the chain's simulation lets through: nonces, fees, the block's gas limit."""
    nonces = await simulator.nonces(tuple(dict.fromkeys(one.sender for one in transactions)))
    if gas_wanted(transactions) > BUNDLE_BLOCKS * context.gas_limit:
        raise JsonRpcError(f"err: gas limit reached: all together ask for more than {BUNDLE_BLOCKS} blocks have")
    for transaction in transactions:
        name = f"txhash 0x{transaction.hash.hex()}"
        after = advance(nonces, (transaction,))
        if not isinstance(after, dict):
            expected = nonces[transaction.sender]
            which = "low" if transaction.nonce < expected else "high"
            raise JsonRpcError(f"err: nonce too {which}: tx: {transaction.nonce} state: {expected}; {name}")
        if transaction.max_fee_per_gas < context.base_fee:
            fees = f"maxFeePerGas: {transaction.max_fee_per_gas} baseFee: {context.base_fee}"
            raise JsonRpcError(f"err: max fee per gas less than block base fee: {fees}; {name}")
        if transaction.gas_limit > context.gas_limit:
            raise JsonRpcError(f"err: gas limit reached; {name}")
        nonces = after


async def _head_at(chain: RpcClient, number: int) -> Head:
    try:
        block = await chain.call("eth_getBlockByNumber", hex(number), False)
    except RpcError as error:
        raise ChainFailed(f"the chain does not tell block {number}: {error}") from error
    if block is None:
        raise JsonRpcError(f"header not found: stateBlockNumber {number}")
    return Head.from_block(block)


def _answer(results: Sequence[SimulatedTransaction], context: BlockContext) -> dict[str, Any]:
    paid = sum(result.payment for result in results)
    fees = sum(_fees(result, context) for result in results)
    gas = sum(result.gas_used for result in results)
    return {
        "bundleGasPrice": str(paid // gas),
        "bundleHash": "0x" + bundle_hash(tuple(result.transaction for result in results)).hex(),
        "coinbaseDiff": str(paid),
        "ethSentToCoinbase": str(paid - fees),
        "gasFees": str(fees),
        "results": [_result(result, context) for result in results],
        "stateBlockNumber": context.number - 1,
        "totalGasUsed": gas,
    }


def _result(result: SimulatedTransaction, context: BlockContext) -> dict[str, Any]:
    transaction = result.transaction
    fees = _fees(result, context)
    answer: dict[str, Any] = {
        "coinbaseDiff": str(result.payment),
        "ethSentToCoinbase": str(result.payment - fees),
        "fromAddress": checksum_address(transaction.sender),
        "gasFees": str(fees),
        "gasPrice": str(result.payment // result.gas_used),
        "gasUsed": result.gas_used,
        "toAddress": "0x" if transaction.to is None else checksum_address(transaction.to),
        "txHash": "0x" + transaction.hash.hex(),
    }
    if result.succeeded:
        answer["value"] = "0x" + result.output.hex()
        return answer
    answer["error"] = result.error
    if result.output:
        answer["revert"] = _revert_text(result.output)
    return answer


def _fees(result: SimulatedTransaction, context: BlockContext) -> int:
    return result.gas_used * effective_priority_fee(result.transaction, context.base_fee)


def _revert_text(output: bytes) -> str:
    if output[:4] == _ERROR_SELECTOR:
        try:
            text: str = decode(["string"], output[4:])[0]
        except (DecodingError, UnicodeDecodeError):
            return "0x" + output.hex()
        return text
    return "0x" + output.hex()
