"""Writes each block as one line, for `hftnode devnet compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devnet.compare import RecordedBlock, to_line
from devnet.errors import ChainFailed
from devnet.rpc import RpcClient
from devnet.storage import storage_errors
from protocol.ethereum.transactions import transaction_from_rpc


class Recorder:
    """Follows the chain from a block on and appends to a file; bounded by the number of blocks that it is told."""

    def __init__(self, rpc: RpcClient, path: Path, first_block: int) -> None:
        self._rpc = rpc
        self._path = path
        self.next_block = first_block
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    async def catch_up(self, head: int) -> None:
        """Record every block up to and including `head`."""
        while self.next_block <= head:
            block = await self._rpc.call("eth_getBlockByNumber", hex(self.next_block), True)
            if block is None:
                raise ChainFailed(f"block {self.next_block} vanished while it was recorded")
            with storage_errors(self._path), self._path.open("ab") as file:
                file.write(to_line(_recorded(block)))
            self.next_block += 1


def _recorded(block: dict[str, Any]) -> RecordedBlock:
    return RecordedBlock(
        number=int(block["number"], 16),
        hash=block["hash"],
        timestamp=int(block["timestamp"], 16),
        state_root=block["stateRoot"],
        transactions=tuple("0x" + transaction_from_rpc(body).raw.hex() for body in block["transactions"]),
    )
