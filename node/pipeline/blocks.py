"""The chain's head and what it does to the market: changes applied in order, a ring of blocks to undo and replay.

The ring holds the last `undo_blocks` blocks. A reorg within it is undone exactly; a deeper one, or a head whose parent
we do not know, makes every state unknown and asks for a full resync. A pool that was read at a block within the ring
gets the later blocks' changes replayed; one read before it has to be read again, and so has one that was read before
we followed its logs: the blocks since do not tell its changes.
"""

from __future__ import annotations

from collections import deque

import msgspec

from node.pipeline.amm.errors import AmmError
from node.pipeline.changes import changed
from node.pipeline.events import (
    AlertKind,
    BlockArrived,
    Effect,
    PoolChange,
    PoolSynced,
    RaiseAlert,
    ResyncPools,
    StateOutdated,
)
from node.pipeline.market import Market
from node.pipeline.pools import PoolState
from protocol.units import BlockNumber, Hash32, Wei

_ELASTICITY = 2
_BASE_FEE_QUOTIENT = 8


class _Undo(msgspec.Struct):
    """A block in the ring, and the states before it of the pools that it changed."""

    block: BlockArrived
    before: dict[int, PoolState]


class Blocks:
    """The head and the ring; writes the market's confirmed states."""

    def __init__(self, market: Market, undo_blocks: int) -> None:
        self.head: BlockArrived | None = None
        self._market = market
        self._ring: deque[_Undo] = deque(maxlen=undo_blocks)
        self._synced_at: dict[int, BlockNumber] = {}
        self._followed_from: list[BlockNumber] = []
        """By pool: the head when it was discovered. All blocks told since then tell its changes."""

    @property
    def next_base_fee(self) -> Wei:
        """The base fee of the block after the head (EIP-1559); 0 before there is a head."""
        return Wei(0) if self.head is None else next_base_fee(self.head)

    def arrive(self, block: BlockArrived) -> list[Effect]:
        """Apply a new head. A block that does not follow ours makes all states unknown."""
        self._note_discovered()
        effects: list[Effect] = []
        if self.head is not None and block.parent_hash != self.head.hash:
            detail = f"block {block.number} does not follow block {self.head.number}"
            effects += self._forget_everything(AlertKind.PARENT_UNKNOWN, detail)
        undo = _Undo(block, {})
        self._ring.append(undo)
        self.head = block
        for change in block.pool_changes:
            effects += self._apply(change, undo)
        for pool in undo.before:
            self._market.refresh(pool)
        return effects

    def retract(self, block_hash: Hash32) -> list[Effect]:
        """Undo the head. Anything else than the head in the ring, or an empty ring, means a full resync."""
        self._note_discovered()
        if not self._ring or self._ring[-1].block.hash != block_hash or len(self._ring) == 1:
            detail = f"block 0x{block_hash.hex()} cannot be undone with {len(self._ring)} blocks in the ring"
            self.head = None
            return self._forget_everything(AlertKind.REORG_TOO_DEEP, detail)
        undo = self._ring.pop()
        self.head = self._ring[-1].block
        self._followed_from = [min(block, self.head.number) for block in self._followed_from]
        for pool, state in undo.before.items():
            self._market.set_state(pool, state)
        # What was read from the chain after the block that is gone may hold anything of it.
        doubtful = [pool for pool, block in self._synced_at.items() if block >= undo.block.number]
        return self._forget(doubtful, f"read at block {undo.block.number}, which is gone") if doubtful else []

    def sync(self, event: PoolSynced) -> list[Effect]:
        """Take a state that was read from the chain, and replay the blocks since."""
        pool = self._market.number_of(event.pool_id)
        if pool is None:
            return []
        self._note_discovered()
        if event.block < self._followed_from[pool]:
            return [ResyncPools((event.pool_id,), f"read at block {event.block}, before it was followed")]
        later = [undo for undo in self._ring if undo.block.number > event.block]
        if self.head is not None and self.head.number - event.block > len(later):
            return [ResyncPools((event.pool_id,), f"read at block {event.block}, before the ring")]
        for undo in self._ring:
            undo.before.pop(pool, None)
        self._synced_at[pool] = event.block
        self._market.release(pool)
        self._market.states[pool] = event.state
        effects: list[Effect] = []
        for undo in later:
            for change in undo.block.pool_changes:
                if change.pool_id == event.pool_id:
                    effects += self._apply(change, undo)
        self._market.refresh(pool)
        return effects

    def _apply(self, change: PoolChange, undo: _Undo) -> list[Effect]:
        """Change one pool; it is not refreshed yet. A pool whose state is not known, or is newer, stays as it is."""
        market = self._market
        pool = market.number_of(change.pool_id)
        if pool is None or undo.block.number <= self._synced_at.get(pool, -1):
            return []
        state = market.states[pool]
        if state is None:
            return []
        if isinstance(change, StateOutdated):
            undo.before.setdefault(pool, state)
            market.states[pool] = None
            return [ResyncPools((change.pool_id,), f"block {undo.block.number} changed it")]
        try:
            after = changed(state, change)
        except AmmError as error:
            market.quarantine(pool, str(error))
            why = f"0x{change.pool_id.hex()}: {type(change).__name__} does not fit our state: {error}"
            return [RaiseAlert(AlertKind.POOL_QUARANTINED, why), ResyncPools((change.pool_id,), why)]
        undo.before.setdefault(pool, state)
        market.states[pool] = after
        return []

    def _note_discovered(self) -> None:
        """Note the head for the pools that were discovered since the last call; no block comes or goes between."""
        head = BlockNumber(0) if self.head is None else self.head.number
        self._followed_from += [head] * (len(self._market.specs) - len(self._followed_from))

    def _forget(self, pools: list[int], why: str) -> list[Effect]:
        for pool in pools:
            self._synced_at.pop(pool, None)
            self._market.set_state(pool, None)
        return [ResyncPools(tuple(self._market.specs[pool].id for pool in pools), why)]

    def _forget_everything(self, kind: AlertKind, detail: str) -> list[Effect]:
        self._ring.clear()
        self._synced_at.clear()
        self._followed_from = [BlockNumber(0)] * len(self._followed_from)
        for pool in range(len(self._market.specs)):
            self._market.set_state(pool, None)
        return [RaiseAlert(kind, detail), ResyncPools((), detail)]


def next_base_fee(block: BlockArrived) -> Wei:
    """The base fee of the following block (EIP-1559), in wei per gas."""
    target = block.gas_limit // _ELASTICITY
    if target == 0 or block.gas_used == target:
        return block.base_fee
    if block.gas_used > target:
        rise = block.base_fee * (block.gas_used - target) // target // _BASE_FEE_QUOTIENT
        return Wei(block.base_fee + max(rise, 1))
    fall = block.base_fee * (target - block.gas_used) // target // _BASE_FEE_QUOTIENT
    return Wei(block.base_fee - fall)
