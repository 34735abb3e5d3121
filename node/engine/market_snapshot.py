"""The states of all pools in a file, so that a restart reads what happened since, not the whole market.

The file: a line with the version, the chain, the block that the states belong to and its hash, the length of what
follows and its SHA-256; then the states, as `state_codec` writes them. A file that was cut short or altered, or that
is of another version, chain or block than the chain has, is refused with a word in the log, and everything is read
anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from node.engine.state_codec import state_from_plain, to_plain
from node.pipeline.pools import PoolId, PoolState
from protocol.units import BlockNumber, ChainId, Hash32

_log = logging.getLogger(__name__)

FILE_NAME: Final = "market.snapshot"
_MAGIC: Final = "hftnode market 1"
_MOST_HEADER: Final = 512
MOST_BYTES: Final = 1 << 30
"""A longer file is none of ours; a market of 10,000 pools takes some tens of millions."""


class SnapshotRefused(Exception):
    """Why the file is not believed."""


class Snapshot(msgspec.Struct, frozen=True):
    """States after a block."""

    number: BlockNumber
    hash: Hash32
    states: dict[PoolId, PoolState]


def write(path: Path, chain: ChainId, number: BlockNumber, block: Hash32, states: Mapping[PoolId, PoolState]) -> None:
    """Put the file in the place of the one before, whole or not at all. Raises OSError.

    States of families that the codec does not know are left out: they are read anew.
    """
    plain: dict[str, Any] = {}
    for pool_id, state in states.items():
        try:
            plain[pool_id.hex()] = to_plain(state)
        except TypeError as error:
            _log.info("pool 0x%s is not in the snapshot: %s", pool_id.hex(), error)
    body = json.dumps(plain, separators=(",", ":")).encode()
    digest = hashlib.sha256(body).hexdigest()
    header = json.dumps([_MAGIC, chain, number, block.hex(), len(body), digest]).encode()
    fresh = path.with_suffix(".new")
    fresh.write_bytes(header + b"\n" + body)
    fresh.replace(path)


def read(path: Path, chain: ChainId) -> Snapshot | None:
    """The snapshot of a chain; None where there is no file. Raises SnapshotRefused."""
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise SnapshotRefused(f"{path} is of {size} bytes, more than {MOST_BYTES}")
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotRefused(f"{path} cannot be read: {error.strerror}") from None
    header, _, body = raw.partition(b"\n")
    try:
        magic, of_chain, number, block, length, digest = json.loads(header[:_MOST_HEADER])
    except ValueError:
        raise SnapshotRefused(f"{path} has no header of a snapshot") from None
    if magic != _MAGIC:
        raise SnapshotRefused(f"{path} is of another version, {str(magic)[:40]!r}")
    if of_chain != chain:
        raise SnapshotRefused(f"{path} is of chain {of_chain}, not {chain}")
    if len(body) != length:
        raise SnapshotRefused(f"{path} was cut short: {len(body)} bytes of {length}")
    if hashlib.sha256(body).hexdigest() != digest:
        raise SnapshotRefused(f"{path} was altered: its SHA-256 is not the one it names")
    try:
        states = {bytes.fromhex(pool_id): state_from_plain(plain) for pool_id, plain in json.loads(body).items()}
        return Snapshot(BlockNumber(int(number)), Hash32(bytes.fromhex(block)), states)
    except (ValueError, TypeError, AttributeError) as error:
        raise SnapshotRefused(f"{path} holds what is no market: {str(error)[:100]}") from None
