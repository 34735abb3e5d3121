"""Whose turn it is: epochs, and the leader and the backup of a block, drawn by stake.

A turn is the right to receive others' orders for one block. Who checked in during epoch E-1 stands in the table of
epoch E with its cumulative stake; the seed is the mixHash of a block that was mined after the table was closed. The
backup of a block is the leader of the next one, in the next one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from protocol.errors import InvalidField
from protocol.ethereum.keccak import keccak256
from protocol.layout import WORD_BYTES
from protocol.units import ADDRESS_BYTES, HASH_BYTES, Address, BlockNumber, EpochNumber, Hash32, StakeUnits, max_uint

STAKE_BITS: Final = 96
BLOCKS_WITH_A_HASH: Final = 256
TABLES_KEPT: Final = 3


class EpochRules(NamedTuple):
    """Lengths in blocks, as the contract's constructor has them; `checked` says what is allowed."""

    length: int
    cut_off: int
    seed_lag: int

    def checked(self) -> EpochRules:
        """Return these rules; raise InvalidField unless 0 < lag < cut-off < length and lag < 256."""
        if not 0 < self.seed_lag < self.cut_off < self.length:
            raise InvalidField("not 0 < seedLag < cutOff < length", "epochRules")
        if self.seed_lag >= BLOCKS_WITH_A_HASH:
            raise InvalidField(f"not below {BLOCKS_WITH_A_HASH}", "epochRules.seedLag")
        return self

    def epoch_of(self, block: BlockNumber) -> EpochNumber:
        """Return the epoch in which a block lies."""
        return EpochNumber(block // self.length)

    def first_block(self, epoch: EpochNumber) -> BlockNumber:
        """Return the first block of an epoch."""
        return BlockNumber(epoch * self.length)

    def seed_block(self, epoch: EpochNumber) -> BlockNumber:
        """Return the block whose mixHash draws the leaders of an epoch (from the first one with a predecessor on)."""
        if epoch < 1:
            raise InvalidField("nobody can have checked in for it", "epoch")
        return BlockNumber(self.first_block(epoch) - self.seed_lag)

    def check_in_epoch(self, block: BlockNumber) -> EpochNumber | None:
        """Return the epoch for which operators check in at a block; None from the cut-off on."""
        following = EpochNumber(self.epoch_of(block) + 1)
        return following if block < self.first_block(following) - self.cut_off else None


class Entry(NamedTuple):
    """One check-in: the operator, and the stake of this and all earlier entries together."""

    operator: Address
    cumulative_stake: StakeUnits


class Turn(NamedTuple):
    """Who leads a block: the number of its entry, which the contract is told, and its operator."""

    entry: int
    operator: Address


class EpochTable:
    """The entries of one epoch, in the order in which they checked in, and its seed. Without entries nobody leads."""

    def __init__(self, epoch: EpochNumber, seed: Hash32, entries: Sequence[Entry]) -> None:
        """Take a rolled epoch. Raises InvalidField where the contract would not have let it come to this."""
        if len(seed) != HASH_BYTES:
            raise InvalidField(f"not {HASH_BYTES} bytes", "epochTable.seed")
        before = 0
        for entry in entries:
            if len(entry.operator) != ADDRESS_BYTES or not before < entry.cumulative_stake <= max_uint(STAKE_BITS):
                raise InvalidField("stakes do not rise within 96 bits, or no address", "epochTable.entries")
            before = entry.cumulative_stake
        self.epoch = epoch
        self.seed = seed
        self._entries = tuple(entries)
        self._sums = [entry.cumulative_stake for entry in entries]

    @property
    def total_stake(self) -> StakeUnits:
        """The stake of all who checked in."""
        return StakeUnits(self._sums[-1] if self._sums else 0)

    def leader(self, block: BlockNumber) -> Turn | None:
        """Return whose turn `block`, one of this epoch, is: the entry i with cum[i-1] ≤ r < cum[i]."""
        if not self._entries:
            return None
        drawn = int.from_bytes(keccak256(self.seed + block.to_bytes(WORD_BYTES, "big")), "big") % self.total_stake
        index = bisect_right(self._sums, drawn)
        return Turn(index, self._entries[index].operator)


class Leaders:
    """The tables of the last epochs that were rolled, at most TABLES_KEPT; the oldest leaves."""

    def __init__(self, rules: EpochRules) -> None:
        self.rules = rules.checked()
        self._tables: dict[EpochNumber, EpochTable] = {}

    def put(self, table: EpochTable) -> None:
        """Take the table of an epoch, in place of one that a reorganisation has undone."""
        self._tables[table.epoch] = table
        while len(self._tables) > TABLES_KEPT:
            del self._tables[min(self._tables)]

    def leader(self, block: BlockNumber) -> Turn | None:
        """Return whose turn a block is; None if its epoch is not rolled, not known, or without entries."""
        table = self._tables.get(self.rules.epoch_of(block))
        return None if table is None else table.leader(block)

    def backup(self, block: BlockNumber) -> Turn | None:
        """Return who leads the block after `block`: it takes what `block` missed, in that next block."""
        return self.leader(BlockNumber(block + 1))

    def seed(self, block: BlockNumber) -> Hash32 | None:
        """Return the seed of a block's epoch."""
        table = self._tables.get(self.rules.epoch_of(block))
        return None if table is None else table.seed
