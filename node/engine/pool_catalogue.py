"""What discovery found, kept in a file, so that the next start reads on where this one ended.

The file says up to which block it is right, with that block's hash: on a chain that has another block there, it is for
nothing. A file that is not there, cannot be read or written, or is of another version costs a whole discovery, no more.
"""

from __future__ import annotations

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
_VERSION: Final = 1
_SETTLED_BLOCKS: Final = 64
"""The file ends so many blocks before the head: what a reorg may still change is read again."""


class FactoryRecord(msgspec.Struct):
    """What is known of one factory: its pools, in order, and ids that are not followed."""

    pools: list[PoolSpec] = []
    passed_over: list[PoolId] = []


class _File(msgspec.Struct):
    version: int
    chain_id: ChainId
    number: BlockNumber
    hash: Hash32
    factories: dict[str, FactoryRecord]


def _key(factory: FactoryConfig) -> str:
    """What was found holds for one address and one choice of pool factories."""
    return " ".join([factory.address.hex(), *sorted([maker.hex() for maker in factory.pool_factories])])


class PoolCatalogue:
    """The file of one node; without a folder nothing is kept. `open` before, `save` after a discovery."""

    def __init__(self, folder: Path | None, chain_id: ChainId, endpoints: Endpoints) -> None:
        self._path = None if folder is None else folder / FILE_NAME
        self._chain_id, self._endpoints = chain_id, endpoints
        self._known: _File | None = None

    async def open(self) -> None:
        """Take in the file, if it fits the chain. Raises RpcError."""
        found = self._read()
        if found is not None and await self._hash_of(found.number) == found.hash:
            self._known = found

    def record(self, factory: FactoryConfig) -> FactoryRecord:
        """What is known of a factory up to the block before `next_block`."""
        return FactoryRecord() if self._known is None else self._known.factories.get(_key(factory), FactoryRecord())

    def next_block(self, factory: FactoryConfig) -> BlockNumber:
        """Where a factory's announcements are to be read from."""
        if self._known is None or _key(factory) not in self._known.factories:
            return factory.from_block
        return BlockNumber(self._known.number + 1)

    async def save(self, factories: Sequence[tuple[FactoryConfig, FactoryRecord]], head: Header) -> None:
        """Keep what was found at a head. A failure is logged: the next start takes longer. Raises RpcError."""
        number = BlockNumber(max(0, head.number - _SETTLED_BLOCKS))
        if self._path is None or not self._path.parent.is_dir():
            return
        anchor = await self._hash_of(number)
        if anchor is None:
            return
        named = {_key(factory): record for factory, record in factories}
        written = self._path.with_suffix(".new")
        try:
            written.write_bytes(msgspec.msgpack.encode(_File(_VERSION, self._chain_id, number, anchor, named)))
            written.replace(self._path)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error.strerror)

    def _read(self) -> _File | None:
        if self._path is None:
            return None
        try:
            found = msgspec.msgpack.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("%s is of no use: %s", self._path, error)
            return None
        return found if (found.version, found.chain_id) == (_VERSION, self._chain_id) else None

    async def _hash_of(self, number: BlockNumber) -> Hash32 | None:
        raw = await self._endpoints.call("eth_getBlockByNumber", hex(number), False, shape=msgspec.Raw)
        try:
            return header_from_json(raw).hash
        except HeaderInvalid:
            return None
