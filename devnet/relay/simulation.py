"""Runs transactions on top of a block without mining them: one `eth_simulateV1` a sequence, everything pinned.

What Anvil 1.7.1 leaves to us, all of it measured: with `validation: true` the base fee reaches the BASEFEE opcode and
tips reach the coinbase (with false both are wrong), but a wrong nonce, a fee under the base fee and gas over the
block's limit are let through; a sender that cannot pay fails the whole request, without saying which transaction it
was; and a contract creation cannot be expressed at all. So nonces, fees and gas limits are the caller's to check
(`building.py`), `longest_executable` finds the transaction that spoils a request, and creations are not simulated.
PREVRANDAO is zero here and another number in the mined block: there is no way to pin it.

The coinbase's balance is read between transactions by a call to a contract of six opcodes that exists only in the
simulation's state override.

Unexecutable    the chain refuses to run a sequence; `reason` is a `DropReason`
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from devnet.errors import ChainFailed, DevnetError, RpcError
from devnet.relay.context import BlockContext, DropReason
from devnet.rpc import RpcClient
from protocol.ethereum.transactions import SignedTransaction, TransactionType

DEADLINE_SECONDS: Final = 5.0
"""For one request. A bundle's gas is bounded by the block's, so only a hanging chain takes so long."""

_PROBE_ADDRESS: Final = "0x00000000000000000000000000000000c01ba5e5"
_PROBE_CODE: Final = "0x41315f5260205ff3"  # COINBASE BALANCE PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
_PROBE: Final = {"from": "0x00000000000000000000000000000000c01ba5e6", "to": _PROBE_ADDRESS, "gas": hex(50_000)}
_BATCH: Final = 64


class Unexecutable(DevnetError):
    """The chain refuses to run a sequence; `reason` is a `DropReason`."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SimulatedTransaction:
    """What one transaction did. `payment` in wei is by how much the coinbase's balance grew; 0 where not measured."""

    transaction: SignedTransaction
    gas_used: int
    succeeded: bool
    output: bytes
    """Return data, or revert data."""
    logs: tuple[dict[str, Any], ...]
    payment: int
    error: str = ""
    """Why it did not succeed, else empty."""


class Simulator:
    """Runs sequences on top of the parent block of `context`, each request within its deadline.

    `number_seen` is what the NUMBER opcode tells, if not the context's number.
    """

    def __init__(self, chain: RpcClient, context: BlockContext, *, number_seen: int | None = None) -> None:
        self._chain = chain
        self._context = context
        self._number_seen = context.number if number_seen is None else number_seen

    async def run(
        self, transactions: Sequence[SignedTransaction], *, measured: int | None = None
    ) -> list[SimulatedTransaction]:
        """Run `transactions` in order; the payment of the first `measured` (by default all) of them is measured.

        Raises `Unexecutable`, and `ChainFailed` past the deadline.
        """
        measured = len(transactions) if measured is None else measured
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                answer = await self._chain.call("eth_simulateV1", *self._request(transactions, measured))
        except RpcError as error:
            raise _unexecutable(error) from error
        except TimeoutError as error:
            raise ChainFailed(f"a simulation took longer than {DEADLINE_SECONDS:g} s") from error
        return _read(answer, transactions, measured)

    async def run_each(
        self, sequences: Sequence[Sequence[SignedTransaction]]
    ) -> list[list[SimulatedTransaction] | Unexecutable]:
        """Run each sequence alone on top of the parent block; in order, and a refused one as a value.

        Raises `ChainFailed` past the deadline, which is for 64 sequences.
        """
        results: list[list[SimulatedTransaction] | Unexecutable] = []
        for start in range(0, len(sequences), _BATCH):
            part = sequences[start : start + _BATCH]
            calls = [("eth_simulateV1", self._request(sequence, len(sequence))) for sequence in part]
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    answers = await self._chain.batch(calls)
            except TimeoutError as error:
                raise ChainFailed(f"{len(part)} simulations took longer than {DEADLINE_SECONDS:g} s") from error
            for sequence, answer in zip(part, answers, strict=True):
                if isinstance(answer, RpcError):
                    results.append(_unexecutable(answer))
                else:
                    results.append(_read(answer, sequence, len(sequence)))
        return results

    async def nonces(self, senders: Sequence[str]) -> dict[str, int]:
        """Return the senders' nonces in the state of the parent block. Raises `ChainFailed`."""
        block = hex(self._context.number - 1)
        answers = await self._chain.batch([("eth_getTransactionCount", (sender, block)) for sender in senders])
        nonces: dict[str, int] = {}
        for sender, answer in zip(senders, answers, strict=True):
            if isinstance(answer, RpcError):
                raise ChainFailed(f"the chain does not tell a nonce at block {block}: {answer}")
            nonces[sender] = int(answer, 16)
        return nonces

    def _request(self, transactions: Sequence[SignedTransaction], measured: int) -> tuple[dict[str, Any], str]:
        calls: list[dict[str, Any]] = []
        for index, transaction in enumerate(transactions):
            if index < measured:
                calls.append(_PROBE)
            calls.append(_call(transaction))
        if measured:
            calls.insert(2 * measured, _PROBE)
        block = {
            "blockOverrides": {
                "number": hex(self._number_seen),
                "time": hex(self._context.timestamp),
                "baseFeePerGas": hex(self._context.base_fee),
                "feeRecipient": self._context.coinbase,
                "gasLimit": hex(self._context.gas_limit),
            },
            "stateOverrides": {_PROBE_ADDRESS: {"code": _PROBE_CODE}},
            "calls": calls,
        }
        # The parent by its number: "latest" may be another block by the time the request arrives.
        return {"blockStateCalls": [block], "validation": True}, hex(self._context.number - 1)


class Runs(Protocol):
    """What merging and filling need of a `Simulator`."""

    async def run(
        self, transactions: Sequence[SignedTransaction], *, measured: int | None = None
    ) -> list[SimulatedTransaction]:
        """Run a sequence; see `Simulator.run`."""


async def longest_executable(simulator: Runs, transactions: Sequence[SignedTransaction]) -> int:
    """Return how many leading transactions of a refused sequence run: the one after them spoils it.

    A binary search, so at most log2 of their number requests. Raises `ChainFailed`.
    """
    runs, fails = 0, len(transactions)
    while fails - runs > 1:
        middle = (runs + fails) // 2
        try:
            await simulator.run(transactions[:middle], measured=0)
            runs = middle
        except Unexecutable:
            fails = middle
    return runs


def _call(transaction: SignedTransaction) -> dict[str, Any]:
    call: dict[str, Any] = {
        "from": transaction.sender,
        "to": transaction.to,
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas_limit),
        "value": hex(transaction.value),
        "input": "0x" + transaction.data.hex(),
    }
    if transaction.type < TransactionType.DYNAMIC_FEE:
        call["gasPrice"] = hex(transaction.max_fee_per_gas)
    else:
        call["maxFeePerGas"] = hex(transaction.max_fee_per_gas)
        call["maxPriorityFeePerGas"] = hex(transaction.max_priority_fee_per_gas)
    if transaction.access_list:
        call["accessList"] = [
            {"address": entry.address, "storageKeys": ["0x" + key.hex() for key in entry.storage_keys]}
            for entry in transaction.access_list
        ]
    if transaction.authorization_list:
        call["authorizationList"] = [
            {
                "chainId": hex(entry.chain_id),
                "address": entry.address,
                "nonce": hex(entry.nonce),
                "yParity": hex(entry.signature.y_parity),
                "r": hex(entry.signature.r),
                "s": hex(entry.signature.s),
            }
            for entry in transaction.authorization_list
        ]
    return call


def _read(answer: Any, transactions: Sequence[SignedTransaction], measured: int) -> list[SimulatedTransaction]:
    try:
        results: list[dict[str, Any]] = answer[0]["calls"]
        if len(results) != len(transactions) + (measured + 1 if measured else 0):
            raise ChainFailed("eth_simulateV1 answers with another number of results than calls")
        simulated: list[SimulatedTransaction] = []
        for index, transaction in enumerate(transactions):
            place = 2 * index + 1 if index < measured else index + (measured + 1 if measured else 0)
            payment = 0
            if index < measured:
                payment = int(results[place + 1]["returnData"], 16) - int(results[place - 1]["returnData"], 16)
            simulated.append(_result(transaction, results[place], payment))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ChainFailed(f"eth_simulateV1 answers with something else: {error}") from error
    return simulated


def _result(transaction: SignedTransaction, result: dict[str, Any], payment: int) -> SimulatedTransaction:
    succeeded = result["status"] == "0x1"
    gas_used, output = int(result["gasUsed"], 16), bytes.fromhex(result["returnData"][2:])
    return SimulatedTransaction(
        transaction=transaction,
        gas_used=gas_used,
        succeeded=succeeded,
        output=output,
        logs=tuple(result["logs"]),
        payment=payment,
        error="" if succeeded else _failure(transaction, gas_used, output),
    )


def _failure(transaction: SignedTransaction, gas_used: int, output: bytes) -> str:
    """Tell a revert from a halt in geth's words; Anvil says "execution failed" to both."""
    halted = gas_used == transaction.gas_limit and not output
    return "out of gas or invalid opcode" if halted else "execution reverted"


def _unexecutable(error: RpcError) -> Unexecutable:
    poor = "insufficient funds" in error.message.lower()
    return Unexecutable(DropReason.INSUFFICIENT_FUNDS if poor else DropReason.UNEXECUTABLE, error.message)
