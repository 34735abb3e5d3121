"""From a head to the blocks that lead to it from the last one told: gaps filled, reorgs walked back.

The reader keeps the headers that it has handed out, as many as the pipeline can undo. A head that does not follow them
within that many blocks begins anew: the pipeline sees a parent it does not know and asks for everything.

HeadNotConnected    the head's ancestors are not there, or do not fit it: whoever announced it is not to be believed
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from node.engine.endpoints import Endpoints
from node.engine.headers import Header, HeaderInvalid, header_from_json
from node.engine.pool_topics import LogJson
from node.engine.rpc import Call, RpcError, RpcGarbage
from node.engine.rpc_types import AddressHex, HashHex, Quantity, decoder
from protocol.units import Hash32

_SECONDS: Final = 10.0


class HeadNotConnected(Exception):
    """Why the head cannot be followed."""


class MinedTransaction(msgspec.Struct, frozen=True, gc=False):
    """Of a block's transaction, what the mempool wants to know."""

    hash: HashHex
    sender: AddressHex = msgspec.field(name="from")
    nonce: Quantity


class Block(msgspec.Struct, frozen=True, gc=False):
    """A block as far as the engine reads it."""

    header: Header
    logs: list[LogJson]
    transactions: list[MinedTransaction]


class Way(msgspec.Struct, frozen=True, gc=False):
    """From the last block told to a head: first `retracted`, the newest first, then `arrived`, the oldest first.

    `is_anew`: what lies between is too much; the first of `arrived` does not follow what was told.
    """

    retracted: Sequence[Header]
    arrived: Sequence[Header]
    is_anew: bool = False


class _BlockJson(msgspec.Struct, frozen=True, gc=False):
    hash: HashHex
    transactions: list[MinedTransaction]


class BlockReader:
    """Reads blocks; `told` are the headers handed out, the newest last. `topics` select the logs."""

    def __init__(self, endpoints: Endpoints, topics: Sequence[str], depth: int) -> None:
        self.told: deque[Header] = deque(maxlen=depth)
        self._endpoints, self._topics, self._depth = endpoints, list(topics), depth

    @property
    def head(self) -> Header | None:
        """The last block told."""
        return self.told[-1] if self.told else None

    def is_told(self, block: Hash32) -> bool:
        """Whether a block is one of those told, and not retracted."""
        return any(header.hash == block for header in self.told)

    async def way_to(self, head: Header) -> Way:
        """Find the way. Nothing is told yet: `retract` and `tell` do that. Raises RpcError, HeadNotConnected."""
        known = {header.hash: place for place, header in enumerate(self.told)}
        if head.hash in known:
            # Somebody is late, or the chain went back: until another block takes its place, ours stand.
            return Way((), ())
        arrived = [head]
        while self.told and arrived[-1].parent_hash not in known:
            if len(arrived) >= self._depth or arrived[-1].number <= self.told[0].number:
                return Way((), (head,), is_anew=True)
            arrived.append(await self._header(arrived[-1]))
        ancestor = known.get(arrived[-1].parent_hash)
        retracted = [] if ancestor is None else list(self.told)[ancestor + 1 :]
        return Way(retracted[::-1], arrived[::-1])

    async def read(self, header: Header) -> Block:
        """Return a block with its logs and transactions. Raises RpcError."""
        block = "0x" + header.hash.hex()
        body, logs = await self._endpoints.batch(
            [
                Call("eth_getBlockByHash", (block, True), _BlockJson | None),
                Call("eth_getLogs", ({"blockHash": block, "topics": [self._topics]},), list[LogJson]),
            ],
            seconds=_SECONDS,
        )
        for answer in (body, logs):
            if isinstance(answer, RpcError):
                raise answer
        if body is None or body.hash != header.hash:
            raise RpcGarbage("the chain", "eth_getBlockByHash", f"does not know block {header.number}, {block}")
        if any(log.block_hash.lower() != block for log in logs):
            raise RpcGarbage("the chain", "eth_getLogs", f"logs of another block than {header.number}, {block}")
        return Block(header, _in_order(logs, header), body.transactions)

    def retract(self, header: Header) -> None:
        """Note that the newest block is not on the chain any more."""
        if self.head is None or self.head.hash != header.hash:
            raise ValueError("only the newest block can be retracted")
        self.told.pop()

    def tell(self, header: Header) -> None:
        """Note that a block was handed out; one that does not follow the last makes a new beginning."""
        if self.head is not None and header.parent_hash != self.head.hash:
            self.told.clear()
        self.told.append(header)

    async def _header(self, child: Header) -> Header:
        parent = "0x" + child.parent_hash.hex()
        raw = await self._endpoints.call("eth_getBlockByHash", parent, False, shape=msgspec.Raw)
        try:
            header = header_from_json(raw)
        except HeaderInvalid as error:
            raise HeadNotConnected(f"the parent of block {child.number}: {error}") from None
        if header.hash != child.parent_hash or header.number != child.number - 1:
            raise HeadNotConnected(f"the parent of block {child.number} is not the block that was asked for")
        return header


def _in_order(logs: Sequence[LogJson], header: Header) -> list[LogJson]:
    """The logs by their places, each once: a node may double them, not have two for one place. Raises RpcGarbage."""
    placed: dict[int, LogJson] = {}
    for log in logs:
        if placed.setdefault(_log_index(log), log) != log:
            raise RpcGarbage("the chain", "eth_getLogs", f"two logs at one place of block {header.number}")
    return [placed[place] for place in sorted(placed)]


def _log_index(log: LogJson) -> int:
    index: int = decoder(Quantity).decode(f'"{log.log_index}"')
    return index
