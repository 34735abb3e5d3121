"""The states of all pools in a file, so that a restart reads what happened since, not the whole market.

The file: a line with the version, the chain, the block that the states belong to and its hash, the length of what
follows, and the SHA-256 of all of these and of what follows; then the states, as `state_codec` writes them. A file
that was cut short or altered, or that is of another version, chain or block than the chain has, is refused with a word
in the log, and everything is read anew.
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
_MAGIC: Final = "hftnode market 2"
_MOST_HEADER: Final = 512
_HEADER: Final = (str, int, int, str, int, str)
"""Version, chain, block's number and hash, bytes of the states, digest."""
_HASH: Final = 32
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
    header = _header([_MAGIC, int(chain), int(number), block.hex(), len(body)], body)
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
    number, block = _told(path, header, body, chain)
    try:
        states = {bytes.fromhex(pool_id): state_from_plain(plain) for pool_id, plain in json.loads(body).items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SnapshotRefused(f"{path} holds what is no market: {str(error)[:100]}") from None
    return Snapshot(number, block, states)


def _told(path: Path, header: bytes, body: bytes, chain: ChainId) -> tuple[BlockNumber, Hash32]:
    """The block that a header tells, once every part of it is what was written. Raises SnapshotRefused."""
    try:
        parts = json.loads(header[:_MOST_HEADER])
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or not parts:
        raise SnapshotRefused(f"{path} has no header of a snapshot")
    if parts[0] != _MAGIC:
        raise SnapshotRefused(f"{path} is of another version, {str(parts[0])[:40]!r}")
    if tuple(map(type, parts)) != _HEADER:
        raise SnapshotRefused(f"{path} has no header of a snapshot")
    _, of_chain, number, block, length, _ = parts
    if of_chain != chain:
        raise SnapshotRefused(f"{path} is of chain {of_chain}, not {chain}")
    if len(body) != length:
        raise SnapshotRefused(f"{path} was cut short: {len(body)} bytes of {length}")
    if header != _header(parts[:-1], body):
        raise SnapshotRefused(f"{path} was altered: its SHA-256 is not the one it names")
    try:
        hashed = bytes.fromhex(block)
    except ValueError:
        hashed = b""
    if number < 0 or len(hashed) != _HASH:
        raise SnapshotRefused(f"{path} names no block")
    return BlockNumber(number), Hash32(hashed)


def _header(parts: list[Any], body: bytes) -> bytes:
    """These parts and the digest over them and the states."""
    digest = hashlib.sha256(json.dumps(parts).encode() + b"\n" + body).hexdigest()
    return json.dumps([*parts, digest]).encode()
