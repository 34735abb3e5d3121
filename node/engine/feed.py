"""What the engine reads of the chain, as events for the pipeline: blocks, pending transactions, pools, tokens.

    ChainFeed        what the engine sees of all this
    ├── feed_live    real time: all nodes raced and compared         ┐ head ─▶ BlockTeller ─▶ events
    ├── feed_lockstep   a devnet's lockstep: one stream, in order    ┘ pending ─▶ Mempool ─▶ events
    └── Upkeep       what is read beside the blocks: pools' states, tokens' verdicts, nonces, the audit

ChainUnusable(SetupError)    every node is on another chain than the configuration says
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

import msgspec

from node.clock import Clock
from node.config import Config
from node.engine.audit import Audit
from node.engine.block_reader import BlockReader
from node.engine.block_teller import BlockTeller, FeedHooks, FeedTime
from node.engine.discovery import Discovery
from node.engine.endpoints import Endpoint, Endpoints
from node.engine.executor_pools import ExecutorPools
from node.engine.feed_live import PROBE_SECONDS, LiveFeed
from node.engine.feed_lockstep import LockstepFeed
from node.engine.feed_parts import ChainUnusable, FeedParts
from node.engine.first_load import FirstLoad
from node.engine.heads import Heads
from node.engine.loan_logs import TOPICS, LoanLogs
from node.engine.loan_reading import LoanReader
from node.engine.market_memory import MarketMemory
from node.engine.mempool import Mempool
from node.engine.morpho_reading import MorphoReader
from node.engine.multicall import Multicall
from node.engine.pool_catalogue import PoolCatalogue
from node.engine.pool_logs import PoolLogs
from node.engine.pool_reading import PoolReader, read_contracts
from node.engine.subscription import Dial, dial_websocket
from node.engine.token_screen import TokenScreen
from node.engine.upkeep import Readers, Upkeep
from node.link import LoadStatus
from node.pipeline.events import ResyncLoans, ResyncPools, ScreenTokens, TokenVerdict
from node.pipeline.plans import LenderKind
from protocol.units import Address, Hash32, UnixNanoseconds

__all__ = ["ChainFeed", "ChainUnusable", "FeedHooks", "FeedStatus"]

STALE_BLOCKS: Final = 4
"""Without a block for as many block times, the feed is behind."""
_AUDIT_BITS: Final = 32
"""Of the random number that says where the audit begins."""


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The feed's part of `EngineStatus`, and its counters."""

    phase: str
    """`starting`, `running`, or `behind` where there is no trusted head."""
    head_number: int
    head_timestamp: int
    tokens_trusted: int
    tokens_refused: int
    pending_seen: int
    """Pending transactions announced."""
    pending_read: int
    """Of them, those to routers that we read."""
    rpcs: dict[str, str]
    counts: dict[str, int]
    load: LoadStatus | None = None
    """While a start finds and reads its market."""


class ChainFeed:
    """Follows the chain until cancelled.

    `ready` is set once the head is trusted, pools are loaded and tokens screened. Calls are made through `endpoints`,
    which the engine's other parts use as well and whose owner closes them. `wall_ns` tells Unix nanoseconds.
    """

    def __init__(
        self,
        config: Config,
        endpoints: Endpoints,
        clock: Clock,
        hooks: FeedHooks,
        *,
        random: Random | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
        dial: Dial | None = None,
    ) -> None:
        self.ready = asyncio.Event()
        self._config, self._endpoints, self._clock, self._hooks = config, endpoints, clock, hooks
        self._time = FeedTime(wall_ns, follows_chain=config.lockstep is not None)
        self._heads = Heads(endpoints.all)
        random = random or Random()  # noqa: S311 - jitter, and where the audit begins
        load = FirstLoad(clock)
        self._readers = _wire_readers(
            config, endpoints, hooks, self._time, random.getrandbits(_AUDIT_BITS), load, clock
        )
        self._upkeep = Upkeep(config, self._readers, hooks.emit, clock)
        self._teller = BlockTeller(self._readers, self._upkeep, hooks, clock, self._time)
        self._parts = FeedParts(
            config=config,
            endpoints=endpoints,
            clock=clock,
            random=random,
            dial=dial or dial_websocket(heartbeat=config.lockstep is None),
            heads=self._heads,
            readers=self._readers,
            upkeep=self._upkeep,
            teller=self._teller,
            ready=self.ready,
        )
        self._live = LiveFeed(self._parts)

    async def run(self) -> None:
        """Follow the chain. Raises ChainUnusable; in lockstep, where nothing can be repeated, any failure."""
        try:
            if self._config.lockstep is None:
                await self._live.run()
            else:
                await LockstepFeed(self._parts, self._hooks.on_stage).run()
        finally:
            head = self._readers.blocks.head
            if head is not None:  # a load that is not over, too: the next start reads the rest
                self._readers.memory.keep(head, self._upkeep.states_to_keep())

    def resync(self, request: ResyncPools | ResyncLoans | ScreenTokens) -> None:
        """Read pools or loans, or screen tokens, anew, soon. Never blocks; may be called from within `emit`."""
        if isinstance(request, ResyncLoans):
            self._upkeep.resync_loans(request.users, is_morpho=request.is_morpho)
        elif isinstance(request, ScreenTokens):
            self._upkeep.screen(request.tokens)
        else:
            self._upkeep.resync(request.pool_ids)

    def now(self) -> UnixNanoseconds:
        """The node's time as events tell it: the wall clock; in lockstep the chain's, a nanosecond a transaction."""
        return self._time.now()

    @property
    def chain_time(self) -> UnixNanoseconds:
        """In lockstep: the time of the block that is told, from when it begins to be; 0 before the first."""
        return UnixNanoseconds(max(self._teller.chain_time, self._time.chain_ns))

    async def settled(self) -> None:
        """Return when nothing that was asked for is still being read."""
        await self._upkeep.idle.wait()

    @property
    def status(self) -> FeedStatus:
        """What `EngineStatus` tells of it."""
        head, upkeep, pending = self._readers.blocks.head, self._upkeep, self._readers.mempool.counts
        trusted = sum(map(upkeep.is_trusted, upkeep.verdicts))
        return FeedStatus(
            phase=self._phase(),
            head_number=0 if head is None else head.number,
            head_timestamp=0 if head is None else head.timestamp,
            tokens_trusted=trusted,
            tokens_refused=len(upkeep.verdicts) - trusted,
            pending_seen=pending["announced"],
            pending_read=pending["read"],
            rpcs={endpoint.name: self._status_of(endpoint) for endpoint in self._endpoints.all},
            counts=self._all_counts(),
            load=self._readers.load.status,
        )

    @property
    def logs(self) -> PoolLogs:
        """The reader of pools' logs, which knows what is followed."""
        return self._readers.logs

    @property
    def verdicts(self) -> Mapping[Address, TokenVerdict]:
        """What the token screen found, by token."""
        return self._upkeep.verdicts

    async def transfers_of(self, token: Address, at: Hash32) -> tuple[Address, TokenVerdict] | None:
        """See `Upkeep.transfers_of`. Raises RpcError."""
        return await self._upkeep.transfers_of(token, at)

    def _phase(self) -> str:
        if not self.ready.is_set():
            return "starting"
        if self._config.lockstep is not None:
            return "running"
        age = self._clock.monotonic() - self._teller.told_at
        is_stale = age > max(STALE_BLOCKS * self._config.chain.block_seconds, PROBE_SECONDS)
        return "behind" if is_stale or not self._heads.has_trusted else "running"

    def _status_of(self, endpoint: Endpoint) -> str:
        subscription = self._parts.subscriptions.get(endpoint.name)
        return endpoint.benched or ("" if subscription is None else subscription.state) or "ok"

    def _all_counts(self) -> dict[str, int]:
        readers = self._readers
        parts = {
            "": self._teller.counts + self._live.counts,
            "heads ": self._heads.counts,
            "mempool ": readers.mempool.counts,
            "logs ": readers.logs.counts,
            "upkeep ": self._upkeep.counts,
            "audit ": readers.audit.counts,
            "memory ": readers.memory.counts,
            "loans ": readers.loan_logs.counts,
            "morpho ": readers.morpho_logs.counts,
            "oracles ": Counter[str]() if readers.morpho is None else readers.morpho.counts,
            "passed over ": readers.discovery.passed_over,
        }
        counts = {prefix + name: count for prefix, part in parts.items() for name, count in part.items()}
        return counts | {"failovers": self._endpoints.failovers}


def _wire_readers(
    config: Config,
    endpoints: Endpoints,
    hooks: FeedHooks,
    feed_time: FeedTime,
    first_audited: int,
    load: FirstLoad,
    clock: Clock,
) -> Readers:
    protocols, bounds = config.protocols, config.bounds
    multicall = Multicall(endpoints, protocols.multicall3)
    pools = PoolReader(multicall, read_contracts(protocols), max(1, round(config.chain.block_seconds)))
    logs = PoolLogs(protocols.factories, [one.family for one in protocols.pools])
    profit_tokens = [token.address for token in config.tokens.profit]
    # In lockstep a run must not depend on the one before it.
    folder = None if config.lockstep is not None else config.data_folder
    catalogue = PoolCatalogue(folder, config.chain.id, endpoints)
    lends = [one.address for one in protocols.lenders if one.kind is LenderKind.AAVE_V3 and one.address is not None]
    return Readers(
        endpoints=endpoints,
        blocks=BlockReader(
            endpoints, [*logs.topics, *(TOPICS if lends or protocols.morpho else ())], bounds.undo_blocks
        ),
        logs=logs,
        pools=pools,
        discovery=Discovery(
            endpoints,
            multicall,
            protocols,
            profit_tokens,
            bounds.max_pools,
            logs.pass_over,
            catalogue,
            ExecutorPools(endpoints, config.execution),
            load,
        ),
        load=load,
        memory=MarketMemory(folder, config.chain.id, endpoints, protocols),
        state_of=hooks.state_of,
        screen=TokenScreen(endpoints, protocols.multicall3),
        audit=Audit(pools, hooks.state_of, 0 if config.lockstep is not None else first_audited),
        mempool=Mempool(
            {"0x" + router.address.hex() for router in protocols.routers},
            hooks.emit,
            feed_time.tick,
            bounds.pending_blocks,
            is_for_all=config.execution.simulate_pending,
        ),
        loan_logs=LoanLogs(),
        morpho_logs=LoanLogs(),
        morpho=None if protocols.morpho is None else MorphoReader(endpoints, multicall, protocols.morpho, clock),
        morpho_book=hooks.morpho_book,
        loans=LoanReader(endpoints, multicall, protocols.multicall3, lends[0]) if lends else None,
        book=hooks.book,
    )
