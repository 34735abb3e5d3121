"""What the actors sent in one run, to be sent again in others: a value, and the file that keeps it.

A tape is recorded where nobody but the actors is on the chain. Who plays it sends the same bytes for the same blocks
and looks at nothing: what the chain makes of them is another matter, and told beside it.

StateCorrupt     the file is no tape
StorageFailed    it cannot be read or written
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from devnet.errors import StateCorrupt, StorageFailed
from devnet.storage import write_atomically
from protocol.ethereum.keccak import keccak256


class TapedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A signed transaction of an actor; `detail` is what the journal says of it."""

    actor: str
    action: str
    account: str
    nonce: int
    raw: bytes
    detail: dict[str, str | int | list[str]] = {}

    @property
    def hash(self) -> str:
        """As receipts have it: equal hashes are equal bytes."""
        return "0x" + keccak256(self.raw).hex()


class TapedBundle(msgspec.Struct, frozen=True, kw_only=True):
    """Transactions for one block in this order or not at all, for every builder; `own` are the actor's among `raws`."""

    actor: str
    action: str
    raws: tuple[bytes, ...]
    own: tuple[TapedTransaction, ...]
    detail: dict[str, str | int | list[str]] = {}


class TapedBlock(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent for one block: to the public mempool, in this order, and then to the builders."""

    number: int
    transactions: tuple[TapedTransaction, ...]
    bundles: tuple[TapedBundle, ...]


class Tape(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent for each block from the first on; none is missing."""

    chain_id: int
    seed: int
    blocks: tuple[TapedBlock, ...]

    def sent(self, last: int) -> Iterator[tuple[int, str]]:
        """Yield block and hash of each transaction of the actors', up to a block; first those of the mempool."""
        for block in self.blocks:
            if block.number <= last:
                yield from ((block.number, one.hash) for one in block.transactions)
                yield from ((block.number, one.hash) for bundle in block.bundles for one in bundle.own)


def read_tape(path: Path) -> Tape:
    """Read a tape. Raises `StateCorrupt`, `StorageFailed`."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise StorageFailed(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        tape = msgspec.json.decode(text, type=Tape)
    except msgspec.DecodeError as error:
        raise StateCorrupt(f"{path} is no tape of the actors: {error}") from error
    numbers = [block.number for block in tape.blocks]
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise StateCorrupt(f"{path} is no tape of the actors: its blocks do not follow each other")
    return tape


def write_tape(path: Path, tape: Tape) -> None:
    """Write a tape, whole or not at all. Raises `StorageFailed`."""
    write_atomically(path, msgspec.json.encode(tape))
