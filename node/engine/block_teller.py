"""Tells blocks: from a head that was announced to the pipeline's events, in the order of the chain."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from node.clock import Clock
from node.engine.headers import Header
from node.engine.upkeep import Readers, Upkeep
from node.pipeline.events import BlockArrived, BlockRetracted, Event, PoolQuarantined
from node.pipeline.lending.aave_book import AaveBook
from node.pipeline.lending.morpho_book import MorphoBook
from node.pipeline.pools import PoolId, PoolState
from node.pipeline.settings import NANOSECONDS_PER_SECOND
from protocol.units import Hash32, UnixNanoseconds

Emit: TypeAlias = Callable[[Event], None]
StateOf: TypeAlias = Callable[[PoolId], PoolState | None]


class FeedHooks(msgspec.Struct, frozen=True, kw_only=True):
    """What others do at certain points of the stream.

    `emit` steps the pipeline. `state_of`: a pool's confirmed state in the pipeline's market, for the audit; `book` and
    `morpho_book`: the loans that it follows.
    `before_block` is awaited before a block is emitted (treasury, lenders), once the block is read.
    `on_stage(block, stage)`, in lockstep only, is awaited when a stage opened and everything announced before it is
    emitted, read and settled.
    """

    emit: Emit
    state_of: StateOf
    book: Callable[[], AaveBook | None] = lambda: None
    morpho_book: Callable[[], MorphoBook | None] = lambda: None
    before_block: Callable[[Header], Awaitable[None]] | None = None
    on_stage: Callable[[int, int], Awaitable[None]] | None = None


class FeedTime:
    """The time that events tell: the wall clock's; in lockstep the chain's, a nanosecond more for each transaction."""

    def __init__(self, wall_ns: Callable[[], int], *, follows_chain: bool) -> None:
        self._wall_ns, self._follows_chain = wall_ns, follows_chain
        self._chain_ns: int | None = None

    @property
    def chain_ns(self) -> int:
        """The chain's time as far as it was told, with what transactions added; 0 before the first block."""
        return self._chain_ns or 0

    def block(self, header: Header) -> None:
        """A block is being told."""
        self._chain_ns = header.timestamp * NANOSECONDS_PER_SECOND

    def tick(self) -> UnixNanoseconds:
        """Return the time of another transaction."""
        if self._chain_ns is not None:
            self._chain_ns += 1
        return self.now()

    def now(self) -> UnixNanoseconds:
        """Return Unix nanoseconds."""
        if self._follows_chain and self._chain_ns is not None:
            return UnixNanoseconds(self._chain_ns)
        return UnixNanoseconds(self._wall_ns())


class BlockTeller:
    """Tells blocks, each once. `first_told` is set with the first. `counts`: `blocks`, `retracted`, `begun_anew`.

    `told_at`: when the last block was told, on the node's clock.
    """

    def __init__(self, readers: Readers, upkeep: Upkeep, hooks: FeedHooks, clock: Clock, time: FeedTime) -> None:
        self.first_told = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self.told_at = clock.monotonic()
        self._readers, self._upkeep, self._hooks, self._clock, self._time = readers, upkeep, hooks, clock, time
        self.chain_time = UnixNanoseconds(0)

    async def advance(self, head: Header) -> None:
        """Tell of everything between the last block told and a head. Raises RpcError, HeadNotConnected."""
        blocks, emit = self._readers.blocks, self._hooks.emit
        way = await blocks.way_to(head)
        for header in way.retracted:
            blocks.retract(header)
            self._readers.mempool.retracted(header.number)
            self.counts["retracted"] += 1
            emit(BlockRetracted(header.hash, self._time.now()))
        for header in way.arrived:
            await self._tell(header)
        self.counts["begun_anew"] += way.is_anew  # not before: who begins is the head that can be read

    async def _tell(self, header: Header) -> None:
        self.chain_time = UnixNanoseconds(header.timestamp * NANOSECONDS_PER_SECOND)
        block = await self._readers.blocks.read(header)
        if self._hooks.before_block is not None:  # not at once: of a block that cannot be read nothing is judged
            await self._hooks.before_block(header)
        said = self._readers.logs.read(block.logs)
        self._upkeep.discovered(said.announced)
        self._upkeep.registered(said.registered)
        for pool_id, why in said.doubtful.items():
            self._hooks.emit(PoolQuarantined(pool_id, why))
        self._readers.blocks.tell(header)
        self._time.block(header)
        self._readers.mempool.mined(header.number, block.transactions)
        self.counts["blocks"] += 1
        self.told_at = self._clock.monotonic()
        self._hooks.emit(
            BlockArrived(
                number=header.number,
                hash=header.hash,
                parent_hash=header.parent_hash,
                timestamp=header.timestamp,
                base_fee=header.base_fee,
                gas_limit=header.gas_limit,
                gas_used=header.gas_used,
                pool_changes=tuple(said.changes),
                included=tuple(Hash32(bytes(transaction.hash)) for transaction in block.transactions),
                now=self._time.now(),
                loan_logs=self._readers.loan_logs.read(block.logs),
                morpho_logs=self._readers.morpho_logs.read(block.logs),
            )
        )
        self.first_told.set()
        self._upkeep.block_told()
