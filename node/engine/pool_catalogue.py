"""What discovery found, kept in a file, so that the next start reads on where this one ended, or was ended.

The file says of each factory up to which block it is right, with that block's hash: on a chain that has another block
there, the factory is looked through anew. It has a checksum; one that is not there, was cut short or altered, cannot be
read or written, or is of another version costs a whole discovery, no more, and the log says why.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from node.config import FactoryConfig
from node.engine.endpoints import Endpoints
from node.engine.headers import Header, HeaderInvalid, header_from_json
from node.pipeline.pools import PoolId, PoolSpec
from protocol.units import BlockNumber, ChainId, Hash32

_log = logging.getLogger(__name__)

FILE_NAME: Final = "pools.msgpack"
MOST_BYTES: Final = 1 << 28
"""A longer file is none of ours; a pool takes some hundred bytes."""
_VERSION: Final = 2
_SETTLED_BLOCKS: Final = 64
"""What is kept ends so many blocks before the head: what a reorg may still change is read again."""
_DIGEST: Final = 32


class FactoryRecord(msgspec.Struct):
    """What is known of one factory: its pools, in order, and ids that are not followed."""

    pools: list[PoolSpec] = []
    passed_over: list[PoolId] = []


class _Kept(msgspec.Struct):
    """A record, and the last block that it is whole up to."""

    record: FactoryRecord
    number: BlockNumber
    hash: Hash32


class _File(msgspec.Struct):
    version: int
    chain_id: ChainId
    factories: dict[str, _Kept]


def _key(factory: FactoryConfig) -> str:
    """What was found holds for one address and one choice of pool factories."""
    return " ".join([factory.address.hex(), *sorted([maker.hex() for maker in factory.pool_factories])])


class PoolCatalogue:
    """The file of one node; without a folder nothing is kept. `open` before a discovery, `save` in it and after it."""

    def __init__(self, folder: Path | None, chain_id: ChainId, endpoints: Endpoints) -> None:
        self._path = None if folder is None else folder / FILE_NAME
        self._chain_id, self._endpoints = chain_id, endpoints
        self._known: dict[str, _Kept] = {}
        self._hashes: dict[BlockNumber, Hash32 | None] = {}

    async def open(self, factories: Sequence[FactoryConfig]) -> None:
        """Take in what the file has of these factories, as far as it fits the chain. Raises RpcError."""
        self._hashes.clear()  # of an earlier attempt, since which the chain may have changed
        found = self._read()
        wanted = {_key(factory) for factory in factories}
        self._known = {
            key: kept for key, kept in found.items() if key in wanted and await self._hash_of(kept.number) == kept.hash
        }

    def record(self, factory: FactoryConfig) -> FactoryRecord:
        """What is known of a factory up to the block before `next_block`."""
        kept = self._known.get(_key(factory))
        return FactoryRecord() if kept is None else kept.record

    def next_block(self, factory: FactoryConfig) -> BlockNumber:
        """Where a factory's announcements are to be read from."""
        kept = self._known.get(_key(factory))
        return factory.from_block if kept is None else BlockNumber(kept.number + 1)

    async def save(self, factory: FactoryConfig, record: FactoryRecord, reached: BlockNumber, head: Header) -> None:
        """Keep what was found of a factory up to a block, on the way to a head. A failure is logged: the next start
        takes longer. Raises RpcError.
        """
        number = BlockNumber(min(reached, max(0, head.number - _SETTLED_BLOCKS)))
        if self._path is None or not self._path.parent.is_dir() or number < factory.from_block:
            return
        anchor = await self._hash_of(number)
        if anchor is None:
            return
        self._known[_key(factory)] = _Kept(record, number, anchor)
        body = msgspec.msgpack.encode(_File(_VERSION, self._chain_id, self._known))
        written = self._path.with_suffix(".new")
        try:
            written.write_bytes(hashlib.sha256(body).digest() + body)
            written.replace(self._path)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error.strerror)

    def _read(self) -> dict[str, _Kept]:
        if self._path is None:
            return {}
        try:
            if self._path.stat().st_size > MOST_BYTES:
                _log.warning("pools are discovered anew: %s has more than %d bytes", self._path, MOST_BYTES)
                return {}
            found = _decoded(self._path.read_bytes(), self._chain_id)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
            _log.warning("pools are discovered anew, %s is of no use: %s", self._path, error)
            return {}
        return found.factories

    async def _hash_of(self, number: BlockNumber) -> Hash32 | None:
        if number not in self._hashes:
            raw = await self._endpoints.call("eth_getBlockByNumber", hex(number), False, shape=msgspec.Raw)
            try:
                self._hashes[number] = header_from_json(raw).hash
            except HeaderInvalid:
                self._hashes[number] = None
        return self._hashes[number]


def _decoded(raw: bytes, chain_id: ChainId) -> _File:
    """What `save` wrote. Raises ValueError."""
    if hashlib.sha256(raw[_DIGEST:]).digest() != raw[:_DIGEST]:
        raise ValueError("cut short, altered or of an earlier version: its SHA-256 is not the one it begins with")
    found = msgspec.msgpack.decode(raw[_DIGEST:], type=_File)
    if (found.version, found.chain_id) != (_VERSION, chain_id):
        raise ValueError(f"it is of version {found.version} and chain {found.chain_id}")
    return found
