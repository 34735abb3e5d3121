"""Makes a planned block real: sends its transactions to Anvil in order, mines once, and compares.

Anvil keeps the order of arrival, and of a batch only while it is short: above 30 calls its batches run as unordered
futures. So the transactions go in short batches, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from devnet.errors import ChainFailed, RpcError
from devnet.relay.context import BlockContext, BlockPlan
from devnet.rpc import RpcClient

ORDERED_BATCH: Final = 30
_BATCH_BYTES: Final = 900_000
"""Anvil takes bodies of 2 MB; hex doubles the size."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A block that is mined and keeps the plan's bundles whole, in place. JSON of block and logs as Anvil tells them.

    `refused` are indices in the plan of public transactions that Anvil did not take.
    """

    block: dict[str, Any]
    logs: tuple[dict[str, Any], ...]
    refused: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The chain disagrees with the plan at this index; nothing is left of the attempt."""

    index: int
    why: str


class Sealer:
    """Speaks to Anvil while readers are shut out."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    async def seal(self, context: BlockContext, plan: BlockPlan) -> Sealed | Mismatch:
        """Mine the plan. Raises `ChainFailed` if Anvil does not do what it always does."""
        await self._pin(context)
        refusals = await self._send([transaction.raw for transaction in plan.transactions])
        in_bundles = sum(len(placed.bundle.transactions) for placed in plan.placed)
        odd = next((index for index in refusals if index < in_bundles), None)
        if odd is not None:
            await self._rpc.call("anvil_dropAllTransactions")
            return Mismatch(odd, refusals[odd])
        await self._rpc.call("evm_mine")
        block, logs = await self._read(context)
        wanted = ["0x" + transaction.hash.hex() for transaction in plan.transactions]
        at = first_difference(wanted, block["transactions"], in_bundles)
        if at is not None:
            await self.roll_back(1)
            return Mismatch(at, "the chain did not execute it where it was planned")
        return Sealed(block, logs, tuple(refusals))

    async def roll_back(self, depth: int) -> None:
        """Undo blocks and empty Anvil's pool."""
        if depth:
            await self._rpc.call("anvil_rollback", depth)
        await self._rpc.call("anvil_dropAllTransactions")

    async def restore(self, number: int) -> None:
        """Undo whatever an interrupted attempt left behind, back to block `number`."""
        await self.roll_back(int(await self._rpc.call("eth_blockNumber"), 16) - number)

    async def _pin(self, context: BlockContext) -> None:
        answers = await self._rpc.batch(
            [
                ("anvil_setCoinbase", [context.coinbase]),
                ("anvil_setNextBlockBaseFeePerGas", [hex(context.base_fee)]),
                ("evm_setNextBlockTimestamp", [context.timestamp]),
            ]
        )
        for answer in answers:
            if isinstance(answer, RpcError):
                raise ChainFailed(f"block {context.number} cannot be pinned: {answer}")

    async def _send(self, raws: Sequence[bytes]) -> dict[int, str]:
        """Return what was refused, and why, by index."""
        refusals: dict[int, str] = {}
        start = 0
        while start < len(raws):
            end, size = start, 0
            while end < len(raws) and end - start < ORDERED_BATCH and (size == 0 or size < _BATCH_BYTES):
                size += len(raws[end])
                end += 1
            calls = [("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in raws[start:end]]
            for offset, answer in enumerate(await self._rpc.batch(calls)):
                if isinstance(answer, RpcError):
                    refusals[start + offset] = answer.message
            start = end
        return refusals

    async def _read(self, context: BlockContext) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
        number = hex(context.number)
        block, logs, dropped = await self._rpc.batch(
            [
                ("eth_getBlockByNumber", [number, False]),
                ("eth_getLogs", [{"fromBlock": number, "toBlock": number}]),
                ("anvil_dropAllTransactions", []),
            ]
        )
        if not isinstance(block, dict) or not isinstance(logs, list) or isinstance(dropped, RpcError):
            raise ChainFailed(f"block {context.number} cannot be read back: {block} {dropped}")
        _check_pinned(context, block)
        return block, tuple(logs)


def _check_pinned(context: BlockContext, block: dict[str, Any]) -> None:
    told = (
        int(block["number"], 16),
        block["parentHash"],
        int(block["timestamp"], 16),
        int(block["baseFeePerGas"], 16),
        block["miner"].lower(),
        int(block["gasLimit"], 16),
    )
    pinned = (
        context.number,
        context.parent_hash,
        context.timestamp,
        context.base_fee,
        context.coinbase,
        context.gas_limit,
    )
    if told != pinned:
        raise ChainFailed(f"the chain mined {told} where {pinned} was pinned")


def first_difference(wanted: Sequence[str], mined: Sequence[str], in_bundles: int) -> int | None:
    """Return the index in `wanted` at which `mined` departs from it; None if it does not.

    The first `in_bundles` must be there one for one; of the others some may be left out, but the order holds.
    """
    for index in range(in_bundles):
        if index >= len(mined) or mined[index] != wanted[index]:
            return index
    place = in_bundles
    for hash_ in mined[in_bundles:]:
        skipped_from = place
        while place < len(wanted) and wanted[place] != hash_:
            place += 1
        if place == len(wanted):
            return min(skipped_from, len(wanted) - 1) if wanted else 0
        place += 1
    return None
