"""Takes in block after block: what became of what was sent, and nonces of accounts that miss something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from devnet.accounts import account as named_account
from devnet.actors.announcements import Announcements
from devnet.actors.outcomes import Outcomes
from devnet.actors.wallet import Wallet
from devnet.errors import ChainFailed, RpcError
from devnet.rpc import RpcClient

CATCH_UP: Final = 1000
"""Blocks that are taken in at most when heads were missed."""
_REORG: Final = 8
"""Blocks that are taken in again when a head has a number that was seen: its ancestors may be new as well."""


class Settling:
    """The blocks that were taken in. `raised`: accounts whose nonces a tape raises, so that no miss lowers them."""

    def __init__(
        self, rpc: RpcClient, wallet: Wallet, outcomes: Outcomes, raised: frozenset[str] = frozenset()
    ) -> None:
        self._rpc, self._wallet, self._outcomes, self._raised = rpc, wallet, outcomes, raised
        self._settled: int | None = None
        self._doubtful: set[str] = set()

    async def settle(self, number: int, announcements: Announcements) -> Mapping[str, Any]:
        """Take in all blocks since the last, up to `number`; after a reorg some again. Return block `number`.

        Raises `ChainFailed`, `RpcError`.
        """
        known = number - 1 if self._settled is None else self._settled
        first = known + 1 if number > known else number - _REORG
        wanted = range(max(first, number - CATCH_UP, 0), number + 1)
        last: dict[str, Any] = {}
        for at in wanted:
            block, receipts = await self._rpc.batch(
                [("eth_getBlockByNumber", [hex(at), False]), ("eth_getBlockReceipts", [hex(at)])]
            )
            for answer in (block, receipts):
                if isinstance(answer, RpcError):
                    raise answer
            if not isinstance(block, dict) or not isinstance(receipts, list):
                raise ChainFailed(f"the chain has no block {at}")
            hashes: list[str] = block["transactions"]
            if len(receipts) != len(hashes) or any(receipt["blockHash"] != block["hash"] for receipt in receipts):
                raise ChainFailed(f"block {at} was replaced while it was read")
            announcements.settle(at, hashes)
            by_hash = {receipt["transactionHash"]: receipt for receipt in receipts}
            self._doubtful |= set(self._outcomes.settle(at, hashes, by_hash))
            self._settled, last = at, block
        await self._read_doubtful_nonces(number)
        return last

    async def _read_doubtful_nonces(self, number: int) -> None:
        accounts = sorted(self._doubtful - self._raised)
        calls = [("eth_getTransactionCount", [named_account(name).address, hex(number)]) for name in accounts]
        for name, answer in zip(accounts, await self._rpc.batch(calls), strict=True):
            if isinstance(answer, RpcError):
                raise answer
            self._wallet.correct(name, int(answer, 16))
        self._doubtful.clear()
