"""What is read beside the blocks: states of pools, verdicts on tokens, senders' nonces, the audit; loans by
`loan_upkeep`.

Requests wait here, each once, and are served at the newest head. What was read at a head that has left the chain
meanwhile is read again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from node.clock import Clock, within
from node.config import Config
from node.engine.audit import Audit
from node.engine.discovery import Discovery
from node.engine.endpoints import Endpoints
from node.engine.first_load import READING, SAVE_PAUSE, FirstLoad
from node.engine.headers import Header
from node.engine.loan_upkeep import LoanReaders, LoanUpkeep
from node.engine.market_memory import MAY_MOVE, MarketMemory, is_untold
from node.engine.pool_logs import PoolLogs
from node.engine.pool_reading import PoolReader, Unreadable
from node.engine.rpc import Call, RpcError, RpcTimeout
from node.engine.rpc_types import Quantity
from node.engine.token_screen import TokenScreen
from node.engine.wanted_pools import WantedPools
from node.pipeline.events import (
    Event,
    PoolDiscovered,
    PoolQuarantined,
    PoolSynced,
    TokenScreened,
    TokenVerdict,
)
from node.pipeline.pools import AT_BALANCER_V2, PoolId, PoolSpec, PoolState
from protocol.units import ZERO_ADDRESS, Address, Hash32

_log = logging.getLogger(__name__)

PASS_SECONDS: Final = 20.0
"""So long pools are read before all else has its turn again; the group that is being read then is read to its end."""
GROUP_SECONDS: Final = 60.0
"""For pools that are read together: the contracts of strangers' may take a node as long as these please. Those left are
read behind all others, half as many together; one alone has as long as it takes.
"""
HOLDERS_ASKED: Final = 8
UNTOLD_PER_BLOCK: Final = 256
"""Pools that are read at every block because logs do not tell all of their state; more take turns."""
SEEN_PER_BLOCK: Final = 32
"""Of these, pools that the executor does not take: anybody can make as many as they like."""
SNAPSHOT_BLOCKS: Final = 300
"""The market's states are written to disk so often, whatever waits, and in the end; a tenth of the time at most goes
into it.
"""


class Readers(LoanReaders, frozen=True, kw_only=True):
    """What upkeep reads with."""

    endpoints: Endpoints
    logs: PoolLogs
    pools: PoolReader
    discovery: Discovery
    screen: TokenScreen
    audit: Audit
    memory: MarketMemory
    load: FirstLoad
    state_of: Callable[[PoolId], PoolState | None]
    """A pool's state in the pipeline's market."""


class Upkeep:
    """The requests and their service. `work` is called by one task only.

    `wake` is set while there is something to do. `verdicts`: token to what the screen found. `counts`: `synced`,
    `unreadable`, `read_again`, `late`, `beyond_max_pools`.
    """

    def __init__(self, config: Config, readers: Readers, emit: Callable[[Event], None], clock: Clock) -> None:
        self.wake = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()
        self.counts: Counter[str] = Counter()
        self.verdicts: dict[Address, TokenVerdict] = {}
        self.loans = LoanUpkeep(readers, self.counts, self._is_gone, emit)
        self._tokens, self._readers, self._emit, self._clock = config.tokens, readers, emit, clock
        self._max_pools = config.bounds.max_pools
        vaults = [one.address for one in config.protocols.factories if one.family in AT_BALANCER_V2]
        self._vault = vaults[0] if vaults else None
        self._is_patient = config.lockstep is not None  # what is read when must not depend on time there
        self._wanted = WantedPools()
        self._unscreened: dict[Address, None] = {}
        self._registered: dict[PoolId, None] = {}
        self._is_audit_due = False
        self._untold_turn = 0
        self._read: set[PoolId] = set()
        self._kept_at: int | None = None
        self._keep_after = 0.0
        self._is_load_kept = False
        self._is_discovered = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        waiting = self._wanted or self._unscreened or self._registered or self._readers.mempool.unasked
        return not waiting and not self._is_audit_due and self.loans.is_idle

    def resync(self, pool_ids: Sequence[PoolId]) -> None:
        """Read these pools; none means all that are followed."""
        self._wanted.add(pool_ids or [spec.id for spec in self._readers.logs.followed])
        self.look()

    def resync_loans(self, users: Sequence[str], *, is_morpho: bool = False) -> None:
        """Read these borrowers; none means everything of the lender: Aave, or Morpho."""
        self.loans.resync(users, is_morpho=is_morpho)
        self.look()

    def screen(self, tokens: Sequence[Address]) -> None:
        """Screen these tokens anew; the verdict that there is holds until then."""
        self._unscreened.update(dict.fromkeys(token for token in tokens if token in self.verdicts))
        self.look()

    def registered(self, pool_ids: Sequence[PoolId]) -> None:
        """Find out what these pools of the vault are."""
        self._registered.update(dict.fromkeys(pool_ids))
        self.look()

    def discovered(self, specs: Sequence[PoolSpec]) -> None:
        """Follow these pools and tell of them; their states are read because the pipeline asks for them."""
        for spec in specs:
            if self._readers.logs.spec_of(spec.id) is None:
                if len(self._readers.logs) >= self._max_pools:
                    self.counts["beyond_max_pools"] += 1
                    continue
                self._readers.logs.follow(spec)
                fresh = [token for token in spec.traded_tokens if token not in self.verdicts and token != ZERO_ADDRESS]
                self._unscreened.update(dict.fromkeys(fresh))
                self._emit(PoolDiscovered(spec))
        self.look()

    def restored(self, states: Mapping[PoolId, PoolState], head: Header) -> None:
        """Take these states in place of reading them, if they are still asked for."""
        for pool_id, state in states.items():
            if pool_id in self._wanted:
                self._wanted.drop(pool_id)
                self._read.add(pool_id)
                self._emit(PoolSynced(pool_id, state, head.number))

    def load_begins(self) -> None:
        """The market is discovered, and what was kept of it is taken: what waits to be read now is the start's load."""
        self._is_discovered = True
        known = len(self._readers.logs)
        self._readers.load.begin(READING, known, known - len(self._wanted))

    def states_to_keep(self) -> dict[PoolId, PoolState]:
        """The states that may be written to disk: those that were read, and are not to be read anew.

        None before the market is discovered: the few that blocks told of until then would take the place of a whole
        snapshot that this start has yet to read.
        """
        if not self._is_discovered:
            return {}
        known = [pool_id for pool_id in self._read if pool_id not in self._wanted]
        found = {pool_id: self._readers.state_of(pool_id) for pool_id in known}
        return {pool_id: state for pool_id, state in found.items() if state is not None}

    def block_told(self) -> None:
        """A block was told: the audit is due, and the states of which logs do not tell all."""
        self._is_audit_due = True
        self.loans.block_told()
        self._want_untold()
        self.look()

    def _want_untold(self) -> None:
        """What the executor takes first: others' pools, which anybody can make, have what is left, and take turns."""
        state_of = self._readers.state_of
        untold = [
            spec
            for spec in self._readers.logs.followed
            if is_untold(spec, state_of(spec.id) if spec.family in MAY_MOVE else None)
        ]
        callable_ones = [spec.id for spec in untold if spec.can_be_called]
        seen_only = [spec.id for spec in untold if not spec.can_be_called]
        left = UNTOLD_PER_BLOCK - min(len(callable_ones), UNTOLD_PER_BLOCK)
        for ids, most in ((callable_ones, UNTOLD_PER_BLOCK), (seen_only, min(left, SEEN_PER_BLOCK))):
            turns = range(min(len(ids), most))
            self._wanted.add(ids[(self._untold_turn * most + turn) % len(ids)] for turn in turns)
        self._untold_turn += 1

    def look(self) -> None:
        """Wake whoever works, if there is something to do."""
        if not self.is_idle:
            self.wake.set()
            self.idle.clear()

    async def work(self) -> None:
        """Serve all requests. Raises RpcError; what was not served still waits, and holds nothing else up."""
        self.wake.clear()
        of_chain = (self._identify, self._resync, self.loans.read_aave, self.loans.read_morpho)
        parts = (*of_chain, self._screen, self._ask_nonces, self._audit)
        while not self.is_idle and (head := self._readers.blocks.head) is not None:
            failure: RpcError | None = None
            for part in parts:
                try:
                    await part(head)
                except RpcError as error:
                    failure = failure or error
            await self._keep()  # on chains of very short blocks something always waits
            if failure is not None:
                raise failure
        self.idle.set()
        await self._keep(is_idle=True)

    async def _keep(self, *, is_idle: bool = False) -> None:
        """Write the states after the head, now and then, beside everything else."""
        head = self._readers.blocks.head
        if head is None or not self._is_discovered:
            return
        if self._kept_at is None:
            self._kept_at = head.number
        if is_idle and not self._is_load_kept:
            # At once where the start had to read any: to be ended before the first regular writing costs nothing then.
            self._is_load_kept, self._kept_at = True, head.number
            is_due = self.counts["synced"] > 0
        else:
            is_due = head.number >= self._kept_at + SNAPSHOT_BLOCKS and self._clock.monotonic() >= self._keep_after
        if is_due and self._readers.memory.is_kept:
            self._kept_at = head.number
            self._keep_after = SAVE_PAUSE * await self._write(head) + self._clock.monotonic()

    async def _identify(self, head: Header) -> None:
        ids = tuple(self._registered)
        if ids and self._vault is not None:
            specs = await self._readers.discovery.vault_pools(self._vault, ids, head.hash)
            if self._is_gone(head):
                return
            for pool_id in ids:
                self._registered.pop(pool_id, None)
            self.discovered(specs)

    async def _resync(self, head: Header) -> None:
        ends_at = self._clock.monotonic() + PASS_SECONDS
        # Only at the newest head: of blocks between it and an older one the logs of a new pool were not read.
        while self._readers.blocks.head is head and (specs := self._wanted.next_group(self._readers.logs.spec_of)):
            states = await self._read_in_time(specs, head)
            if self._is_gone(head):
                return
            for pool_id, state in states.items():
                self._wanted.drop(pool_id)
                if isinstance(state, Unreadable):
                    self._cannot_read(pool_id, state.why)
                else:
                    self.counts["synced"] += 1
                    self._read.add(pool_id)
                    self._emit(PoolSynced(pool_id, state, head.number))
            await self._note_load()
            if not self._is_patient and self._clock.monotonic() >= ends_at:
                return

    async def _read_in_time(self, specs: Sequence[PoolSpec], head: Header) -> dict[PoolId, PoolState | Unreadable]:
        """The pools' states; nothing where they are late. Raises RpcError."""
        begun, reading = self._clock.monotonic(), self._readers.pools.read(specs, head.hash)
        if self._is_patient:
            return await reading
        ids = [spec.id for spec in specs]
        try:
            states = await (reading if len(specs) == 1 else within(self._clock, GROUP_SECONDS, reading))
        except TimeoutError:
            self._were_late(ids)
            return {}
        except RpcTimeout:
            self._were_late(ids)
            raise
        self._wanted.took(ids, self._clock.monotonic() - begun)
        return states

    def _were_late(self, pool_ids: Sequence[PoolId]) -> None:
        self.counts["late"] += len(pool_ids)
        _log.info("%d pools were not read in time: they are read behind the others", len(pool_ids))
        self._wanted.were_late(pool_ids)

    async def _note_load(self) -> None:
        """While the first load goes on: tell how far it is, and write down now and then what was read, so that a start
        that is cut short need not begin at nothing.
        """
        load, known = self._readers.load, len(self._readers.logs)
        if load.is_over or not self._is_discovered:
            return  # before that, blocks are counted, and nothing is written
        load.pools = known
        load.reached(known - len(self._wanted), known)
        head = self._readers.blocks.head
        if load.is_save_due and head is not None and self._readers.memory.is_kept:
            # The pipeline's states are those after the last block told, whatever head they were read at.
            load.saved(await self._write(head))

    async def _write(self, head: Header) -> float:
        """Write the states after the head; return the seconds that it took."""
        begun = time.perf_counter()
        await asyncio.to_thread(self._readers.memory.keep, head, self.states_to_keep())
        return time.perf_counter() - begun

    def _cannot_read(self, pool_id: PoolId, why: str) -> None:
        """What we knew of the pool, if anything, is not to be traded on; told once, until it is read again."""
        self.counts["unreadable"] += 1
        _log.info("pool 0x%s cannot be read: %s", pool_id.hex(), why)
        if pool_id in self._read:
            self._read.discard(pool_id)
            self._emit(PoolQuarantined(pool_id, f"it cannot be read: {why}"))

    async def _screen(self, head: Header) -> None:
        tokens = tuple(self._unscreened)
        if not tokens:
            return
        verdicts = await self._readers.screen.screen(self._holders(tokens), head.hash)
        for token, verdict in verdicts.items():
            self._unscreened.pop(token, None)
            self.verdicts[token] = verdict
            self._emit(TokenScreened(token, verdict, self.is_trusted(token)))

    async def transfers_of(self, token: Address, at: Hash32) -> tuple[Address, TokenVerdict] | None:
        """Return which pool of ours sends a token after a block, and what its transfers say; None where none holds it.

        Nothing follows from it here. Raises RpcError.
        """
        holders = self._holders((token,))[token]
        return await self._readers.screen.moved(token, holders, at) if holders else None

    def _holders(self, tokens: Sequence[Address]) -> dict[Address, list[Address]]:
        """Who may hold each token, as far as we follow pools; few of each."""
        holders: dict[Address, list[Address]] = {token: [] for token in tokens}
        for spec in self._readers.logs.followed:
            is_vaults = spec.family in AT_BALANCER_V2 and self._vault is not None
            holder = self._vault if is_vaults and self._vault is not None else spec.address
            for token in spec.tokens:
                several = holders.get(token)
                if several is not None and holder not in several and len(several) < HOLDERS_ASKED:
                    several.append(holder)
        return holders

    def is_trusted(self, token: Address) -> bool:
        """Whether a token may take part: by its verdict, or because the operator says so."""
        if token in self._tokens.refused:
            return False
        return token in self._tokens.trusted or self.verdicts.get(token) in self._tokens.accepted

    async def _ask_nonces(self, head: Header) -> None:
        mempool = self._readers.mempool
        senders = tuple(mempool.unasked)
        block = {"blockHash": "0x" + head.hash.hex()}
        calls = [Call("eth_getTransactionCount", (sender, block), Quantity) for sender in senders]
        answers = await self._readers.endpoints.batch(calls)
        if self._readers.blocks.head is not head:
            return  # a block since may have used some of them
        for sender, answer in zip(senders, answers, strict=True):
            mempool.unasked.pop(sender, None)
            if not isinstance(answer, RpcError):
                mempool.learned(sender, int(answer))

    async def _audit(self, head: Header) -> None:
        if not self._is_audit_due or self._readers.blocks.head is not head:
            return
        self._is_audit_due = False
        books = self.loans.books()  # those after this head: a block told while we wait makes others
        differing = await self._readers.audit.sample(self._readers.logs.followed, head.hash)
        if self._is_gone(head):
            return
        for pool_id, why in differing.items():
            self._emit(PoolQuarantined(pool_id, f"audit at block {head.number}: {why}"))
        await self.loans.audit(head, *books)

    def _is_gone(self, head: Header) -> bool:
        """Whether a head has left the chain, so that what was read at it is not to be told."""
        is_gone = not self._readers.blocks.is_told(head.hash)
        self.counts["read_again"] += is_gone
        return is_gone
