"""The state of our own EVM at the head: taken over from block to block, and learnt where a run misses something.

Each block's changes are taken from its trace (`debug_traceBlockByHash`, prestate differences). A node that does not
trace gives no changes: then nothing runs here, and everything by the node. What a run misses is read in the background,
for the next one on the same contracts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from node.engine.endpoints import Endpoints
from node.engine.evm import Evm, EvmBlock, EvmCall, EvmRun
from node.engine.evm_state import (
    BlockTrace,
    Prestate,
    apply_block,
    apply_prestate,
    prestate_tracer,
    read_state,
    traced_call,
    unknown_accounts,
)
from node.engine.headers import Header
from node.engine.rpc import RpcError, RpcRefused, RpcTimeout
from protocol.units import Hash32

TRACE_SECONDS: Final = 1.0
BLOCK_TRACE_SECONDS: Final = 5.0
MAX_LATE: Final = 3
"""Times that a block's trace may come too late, until it begins anew; who refuses so often does not trace."""
MAX_BEHIND: Final = 8
"""Blocks whose changes are not in yet; then it begins anew."""
MAX_KNOWN: Final = 200_000
"""Accounts and slots in our own EVM; beyond, it starts anew, which is counted."""
MAX_LEARNING: Final = 8
"""Runs at once whose state is being read; further ones are not learnt from, which is counted."""
MAX_ROUNDS: Final = 24
_NO_METHOD: Final = -32_601

_LOG: Final = logging.getLogger("hftnode.engine.own_evm")


class OwnEvm:
    """See the module. `is_used` False: it knows nothing and learns nothing.

    `counts`: `begun_anew`, `not_traced`, `learnt`, `not_learnt`, `faults`.
    """

    def __init__(self, endpoints: Endpoints, chain_id: int, *, is_used: bool = True) -> None:
        self.counts: Counter[str] = Counter()
        self.head: Header | None = None
        self._endpoints, self._chain_id, self._is_used = endpoints, chain_id, is_used
        self._evm = Evm(chain_id)
        self._at: Hash32 | None = None
        """The block that the EVM's state is of."""
        self._behind: deque[Header] = deque()
        """Blocks after it whose changes are being read."""
        self._taking_over: asyncio.Task[None] | None = None
        self._learning = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, header: Header) -> None:
        """A new head: take its changes over in the background."""
        self.head = header
        if not self._is_used:
            return
        last = self._behind[-1].hash if self._behind else self._at
        if last != header.parent_hash or len(self._behind) >= MAX_BEHIND:
            self._begin_anew()
        elif len(self._evm) == 0:
            self._at = header.hash
        else:
            self._behind.append(header)
            if self._taking_over is None or self._taking_over.done():
                self._taking_over = self._start(self._take_over())

    async def caught_up(self, seconds: float) -> None:
        """Return when the changes of all blocks are in, at most after so long."""
        if self._behind and self._taking_over is not None:
            await asyncio.wait({self._taking_over}, timeout=seconds)

    def run(self, calls: Sequence[EvmCall], block: EvmBlock) -> EvmRun | None:
        """Run calls on the head's state; None where we are not at the head."""
        if not self._is_used or self.head is None or self._at != self.head.hash:
            return None
        return self._evm.run(calls, block)

    def learn_soon(self, calls: Sequence[EvmCall], block: EvmBlock) -> None:
        """Read what calls on the head's state need, in the background."""
        if not self._is_used or self.head is None or self._at != self.head.hash:
            return
        if self._learning >= MAX_LEARNING:
            self.counts["not_learnt"] += 1
            return
        self._learning += 1
        self._start(self._learn(calls, block, self.head))

    async def settled(self) -> None:
        """Return when nothing is being read in the background any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin_anew(self) -> None:
        self.counts["begun_anew"] += 1
        self._evm = Evm(self._chain_id)
        self._behind.clear()
        self._at = None if self.head is None else self.head.hash

    async def _take_over(self) -> None:
        """Write what blocks changed, one after the other; without a block's trace begin anew.

        One that only comes late is asked for again: all that was learnt costs the node more than the trace does.
        """
        late = refused = 0
        while self._behind:
            evm, header = self._evm, self._behind[0]
            try:
                trace: tuple[BlockTrace, ...] = await self._endpoints.call(
                    "debug_traceBlockByHash",
                    "0x" + header.hash.hex(),
                    prestate_tracer(diffMode=True),
                    shape=tuple[BlockTrace, ...],
                    seconds=BLOCK_TRACE_SECONDS,
                )
            except RpcError as error:
                self.counts["not_traced"] += 1
                late += 1
                refused += isinstance(error, RpcRefused)
                has_no_method = isinstance(error, RpcRefused) and error.code == _NO_METHOD
                is_without = has_no_method or refused == MAX_LATE
                if isinstance(error, RpcTimeout | RpcRefused) and not is_without and late < MAX_LATE:
                    continue
                if is_without and self._evm is evm:
                    self._is_used = False
                    _LOG.warning("%s; the node simulates instead of our own EVM", error)
                if self._evm is evm:
                    self._begin_anew()
                continue
            if self._evm is evm:  # else it began anew in the meantime
                apply_block(evm, trace)
                self._at, late, refused = self._behind.popleft().hash, 0, 0
                if len(evm) > MAX_KNOWN:
                    self._begin_anew()

    async def _learn(self, calls: Sequence[EvmCall], block: EvmBlock, head: Header) -> None:
        """Read what calls need, one after the other, until each runs on what is known; give up where one fails."""
        evm = self._evm
        try:
            for end in range(1, len(calls) + 1):
                if not await self._learn_call(evm, calls[:end], block, head):
                    return
            self.counts["learnt"] += 1
        except RpcError as error:
            _LOG.debug("not learnt: %s", error)
        finally:
            self._learning -= 1

    async def _learn_call(self, evm: Evm, calls: Sequence[EvmCall], block: EvmBlock, head: Header) -> bool:
        """Read what the last of some calls needs: what the node's tracer tells, then what a run still misses."""
        at = {"blockHash": "0x" + head.hash.hex()}
        request, how = traced_call(calls[-1], evm.run(calls[:-1], block).changes, block)
        state: Prestate = await self._endpoints.call(
            "debug_traceCall", request, at, how, shape=Prestate, seconds=TRACE_SECONDS
        )
        missing: tuple[frozenset[str], frozenset[tuple[str, int]]] = unknown_accounts(evm, state), frozenset()
        for _ in range(MAX_ROUNDS):
            read = await read_state(self._endpoints, missing, at, TRACE_SECONDS) if any(missing) else {}
            if self._at != head.hash or self._evm is not evm:
                return False
            apply_prestate(evm, read)
            apply_prestate(evm, state)
            run = evm.run(calls, block)
            if run.is_whole:
                return run.results is not None
            missing = run.missing
        return False

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counts["faults"] += 1
            _LOG.error("reading state for simulations failed unforeseen", exc_info=error)
