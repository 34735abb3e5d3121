"""Produces blocks: who builds, what goes in, mining, publishing; and takes blocks back in a reorg.

ReorgRefused    a reorg deeper than what is remembered
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

from devnet.clock import DevnetClock
from devnet.errors import ChainFailed, DevnetError
from devnet.relay.builders import BuilderConfig, winner
from devnet.relay.chain import Chain, Head, PublishedBlock
from devnet.relay.config import RelayConfig
from devnet.relay.context import BlockContext, BlockPlan, Bundle, PooledTransaction
from devnet.relay.faults import PUBLIC, FaultKind, Faults
from devnet.relay.gate import HeadGate
from devnet.relay.mempool import Mempool, Removal
from devnet.relay.mempool_rules import Refused
from devnet.relay.sealing import Mismatch, Sealed, Sealer
from devnet.relay.stats import RelayStats
from devnet.relay.subscriptions import Subscriptions
from devnet.rpc import RpcClient
from protocol.ethereum.keccak import keccak256

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 6
"""How often a block is planned anew without what the chain disagreed about; then it is left empty."""


class ReorgRefused(DevnetError):
    """A reorg deeper than what is remembered."""


class BundleSource(Protocol):
    """Where the bundles are."""

    def candidates(self, builder: BuilderConfig, context: BlockContext, closes_at: float) -> Sequence[Bundle]:
        """Return the builder's bundles for that block which it had by `closes_at` (devnet seconds)."""

    def block_published(self, block: PublishedBlock, plan: BlockPlan, builder: BuilderConfig | None) -> None:
        """Note what became of them."""


PlanBlock = Callable[[RpcClient, BlockContext, Sequence[Bundle], Sequence[PooledTransaction]], Awaitable[BlockPlan]]
_EMPTY: Final = BlockPlan(transactions=(), placed=(), dropped=())


@dataclass(frozen=True, slots=True)
class _Turn:
    """A block to be made: its pinned context, and who builds it (None in a reorg)."""

    context: BlockContext
    builder: BuilderConfig | None
    bundles: tuple[Bundle, ...]


class Producer:
    """Makes one block at a time. What it announces is published, and the other way round."""

    def __init__(
        self,
        *,
        config: RelayConfig,
        rpc: RpcClient,
        chain: Chain,
        mempool: Mempool,
        bundles: BundleSource,
        plan_block: PlanBlock,
        clock: DevnetClock,
        gate: HeadGate,
        subscriptions: Subscriptions,
        faults: Faults,
        stats: RelayStats,
    ) -> None:
        self._config = config
        self._rpc = rpc
        self._chain = chain
        self._mempool = mempool
        self._bundles = bundles
        self._plan_block = plan_block
        self._clock = clock
        self._gate = gate
        self._subscriptions = subscriptions
        self._faults = faults
        self._stats = stats
        self._sealer = Sealer(rpc)
        self._one_at_a_time = asyncio.Lock()
        self._reorgs = 0

    async def run(self) -> None:
        """Make a block every `block_time_seconds` of devnet time until cancelled. A late one delays the next."""
        due = self._clock.now() + self._config.block_time_seconds
        while True:
            await self._clock.sleep_until(due)
            await self.produce()
            due += self._config.block_time_seconds
            if due < (now := self._clock.now()):
                self._stats.counts["slots_missed"] += 1
                due = now + self._config.block_time_seconds

    async def produce(self) -> PublishedBlock:
        """Make the next block and publish it. Raises `ChainFailed`."""
        async with self._one_at_a_time:
            block = await self._make(self._next_turn(), self._gate.window)
        fault = self._faults.strike(PUBLIC, FaultKind.REORG, self._clock.now())
        if fault is not None:
            try:
                await self.reorg(fault.depth)
            except ReorgRefused as error:
                self._stats.counts["reorgs_refused"] += 1
                _log.warning("a fault asks for too much: %s", error)
        return block

    async def reorg(self, depth: int) -> Head:
        """Replace the last `depth` blocks by as many others; return the new head. Raises `ReorgRefused`.

        What the mempool gave goes back to it; bundles do not come again. Subscribers see the logs removed, then the
        new heads.
        """
        async with self._one_at_a_time:
            ancestor = self._chain.recent.get(self._chain.head.number - depth)
            if depth < 1 or ancestor is None:
                raise ReorgRefused(f"the last {len(self._chain.recent) - 1} blocks can be replaced, not {depth}")
            async with self._gate.window():
                await self._sealer.roll_back(depth)
                orphans = self._chain.unpublish(ancestor.head)
                await self._take_back(orphans)
                replacements = [await self._replace(orphan) for orphan in orphans]
        self._stats.counts["reorgs"] += 1
        for orphan in reversed(orphans):
            self._subscriptions.announce_logs([{**log, "removed": True} for log in reversed(orphan.logs)])
        for block in replacements:
            self._announce(block)
        return self._chain.head

    async def _take_back(self, orphans: Sequence[PublishedBlock]) -> None:
        returned = [pooled for orphan in orphans for pooled in orphan.from_mempool]
        senders = dict.fromkeys((*self._mempool.senders(), *(pooled.transaction.sender for pooled in returned)))
        head = self._chain.head
        accounts = await self._chain.accounts_at(head.number, senders)
        self._mempool.rewind(head.number, accounts)
        for pooled in returned:
            try:
                self._mempool.give_back(pooled, accounts[pooled.transaction.sender], base_fee=head.next_base_fee)
                self._stats.counts["transactions_returned"] += 1
            except Refused as error:
                self._stats.refused[f"returned_{error.reason.name.lower()}"] += 1

    async def _replace(self, orphan: PublishedBlock) -> PublishedBlock:
        # Another coinbase makes another block even of the same transactions at the same time.
        self._reorgs += 1
        coinbase = "0x" + keccak256(b"hftnode devnet reorg %d" % self._reorgs)[12:].hex()
        context = self._context(max(self._chain.head.timestamp + 1, orphan.head.timestamp), coinbase)
        return await self._make(_Turn(context, None, ()), nullcontext, announce=False)

    def _next_turn(self) -> _Turn:
        head = self._chain.head
        builder = winner(self._config.seed, head.number + 1, self._config.builders)
        now = self._clock.now()
        # A stepped clock stands at the head unless it was warped.
        step = int(self._config.block_time_seconds) if self._config.lockstep else 1
        context = self._context(max(head.timestamp + step, int(now)), builder.coinbase)
        if self._faults.strike(builder.name, FaultKind.LIE, now) is not None:
            return _Turn(context, builder, ())
        closes_at = float("inf") if self._config.lockstep else builder.closes_at(now, self._config.block_time_seconds)
        return _Turn(context, builder, tuple(self._bundles.candidates(builder, context, closes_at)))

    def _context(self, timestamp: int, coinbase: str) -> BlockContext:
        head = self._chain.head
        return BlockContext(
            number=head.number + 1,
            parent_hash=head.hash,
            timestamp=timestamp,
            base_fee=head.next_base_fee,
            coinbase=coinbase,
            gas_limit=self._config.gas_limit,
        )

    async def _make(
        self, turn: _Turn, window: Callable[[], AbstractAsyncContextManager[None]], *, announce: bool = True
    ) -> PublishedBlock:
        """Plan, seal and publish; without what the chain disagrees about, as often as needed."""
        began = time.perf_counter()
        bundles, public = turn.bundles, tuple(self._mempool.ready(turn.context.base_fee))
        for attempt in range(_ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            planning = time.perf_counter()
            plan = _EMPTY if last else await self._plan_block(self._rpc, turn.context, bundles, public)
            async with window():
                sealing = time.perf_counter()
                outcome = await self._seal(turn.context, plan)
                if isinstance(outcome, Sealed):
                    block = await self._publish(outcome, plan, turn.builder)
                    if announce:
                        self._announce(block)
                    ended = time.perf_counter()
                    self._stats.plan_ms.append((sealing - planning) * 1000)
                    self._stats.mine_ms.append((ended - sealing) * 1000)
                    self._stats.build_ms.append((ended - began) * 1000)
                    return block
            self._stats.counts["blocks_rebuilt"] += 1
            bundles, public = self._without(outcome, plan, bundles, public)
        raise ChainFailed(f"Anvil does not even mine an empty block {turn.context.number}")

    async def _seal(self, context: BlockContext, plan: BlockPlan) -> Sealed | Mismatch:
        try:
            return await self._sealer.seal(context, plan)
        except DevnetError as error:
            await self._sealer.restore(context.number - 1)
            raise ChainFailed(f"block {context.number} failed: {error}") from error

    def _without(
        self,
        mismatch: Mismatch,
        plan: BlockPlan,
        bundles: tuple[Bundle, ...],
        public: tuple[PooledTransaction, ...],
    ) -> tuple[tuple[Bundle, ...], tuple[PooledTransaction, ...]]:
        """Leave out the bundle, or the public transaction, that the chain disagrees about."""
        _log.warning("transaction %d of the planned block does not fit: %s", mismatch.index, mismatch.why)
        for placed in plan.placed:
            if placed.first_index <= mismatch.index < placed.first_index + len(placed.bundle.transactions):
                self._stats.bundles_dropped["REFUSED_BY_CHAIN"] += 1
                return tuple(bundle for bundle in bundles if bundle.arrival != placed.bundle.arrival), public
        odd = plan.transactions[mismatch.index].hash
        self._mempool.drop(odd, Removal.UNEXECUTABLE)
        return bundles, tuple(pooled for pooled in public if pooled.transaction.hash != odd)

    async def _publish(self, sealed: Sealed, plan: BlockPlan, builder: BuilderConfig | None) -> PublishedBlock:
        head = Head.from_block(sealed.block)
        for index in sealed.refused:
            self._mempool.drop(plan.transactions[index].hash, Removal.UNEXECUTABLE)
        mined = frozenset(sealed.block["transactions"])
        included = [transaction for transaction in plan.transactions if "0x" + transaction.hash.hex() in mined]
        senders = (*self._mempool.senders(), *(transaction.sender for transaction in included))
        # Also who was active lately, so that their next transactions need not wait for Anvil while it mines.
        wanted = dict.fromkeys((*self._chain.recently_asked(), *senders))
        accounts = await self._chain.accounts_at(head.number, wanted)
        taken = self._mempool.apply_block(head.number, [transaction.hash for transaction in included], accounts)
        block = PublishedBlock(head, sealed.logs, tuple(taken))
        self._chain.publish(block, accounts)
        if self._clock.is_stepped:
            self._clock.advance_to(head.timestamp)
        self._count(block, plan, len(included))
        self._bundles.block_published(block, plan, builder)
        return block

    def _count(self, block: PublishedBlock, plan: BlockPlan, included: int) -> None:
        counts = self._stats.counts
        counts["blocks"] += 1
        counts["transactions_mined"] += included
        counts["transactions_mined_from_mempool"] += len(block.from_mempool)
        counts["bundles_included"] += len(plan.placed)
        for _, reason in plan.dropped:
            self._stats.bundles_dropped[reason.name] += 1

    def _announce(self, block: PublishedBlock) -> None:
        stale = self._faults.look(PUBLIC, FaultKind.STALE_HEAD, self._clock.now())
        self._subscriptions.heads_muted = stale is not None
        self._subscriptions.announce_head(block.head.header, block.logs)
