"""Bundles that wait for their block, by builder. Pure: time comes in with the bundles.

Bounds: bundles a signer has for one block, bundles for one block, bundles of one builder. At each the newcomer is
refused (`SIGNER_FULL`, `BLOCK_FULL`, `POOL_FULL`) and counted: what came first was promised a place, and what a bundle
pays is not known before it is simulated.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias, TypeVar

from devnet.relay.bundles import BundleFault, BundleRefused
from devnet.relay.context import Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLimits:
    """The pool's bounds, each for one builder."""

    per_signer_and_block: int = 64
    per_block: int = 256
    in_all: int = 2048


class PoolEvent(Enum):
    """What happened to bundles; `BundlePool.counts` counts each."""

    ADMITTED = "admitted"
    REPEATED = "sent again while it waits"
    REPLACED = "replaced by one of the same replacementUuid"
    CANCELLED = "cancelled"
    EXPIRED = "its block has passed"
    REFUSED = "refused at a bound"


Key = TypeVar("Key", int, tuple[int, str])
_Identity: TypeAlias = tuple[bytes, int, int, int, frozenset[bytes], str, str]


def _identity(bundle: Bundle) -> _Identity:
    """Two bundles of one identity are the same order, sent again."""
    return (
        bundle.hash,
        bundle.block_number,
        bundle.min_timestamp,
        bundle.max_timestamp,
        bundle.reverting_hashes,
        bundle.replacement_uuid,
        bundle.signer,
    )


@dataclass(slots=True)
class _Shelf:
    """One builder's bundles, in order of arrival."""

    waiting: dict[_Identity, Bundle] = field(default_factory=dict)
    per_block: Counter[int] = field(default_factory=Counter)
    per_signer: Counter[tuple[int, str]] = field(default_factory=Counter)

    def put(self, bundle: Bundle) -> None:
        self.waiting[_identity(bundle)] = bundle
        self.per_block[bundle.block_number] += 1
        self.per_signer[bundle.block_number, bundle.signer] += 1

    def take_out(self, bundle: Bundle) -> None:
        del self.waiting[_identity(bundle)]
        _count_down(self.per_block, bundle.block_number)
        _count_down(self.per_signer, (bundle.block_number, bundle.signer))

    def of_uuid(self, signer: str, uuid: str) -> list[Bundle]:
        if not uuid:
            return []
        return [
            bundle for bundle in self.waiting.values() if bundle.replacement_uuid == uuid and bundle.signer == signer
        ]


def _count_down(counter: Counter[Key], key: Key) -> None:
    counter[key] -= 1
    if not counter[key]:  # or it would remember every block there ever was
        del counter[key]


class BundlePool:
    """Bundles that wait for their block. Every change is counted in `counts`."""

    def __init__(self, limits: BundleLimits | None = None) -> None:
        self._limits = limits or BundleLimits()
        self._shelves: dict[str, _Shelf] = {}
        self.counts: Counter[PoolEvent] = Counter()

    def __len__(self) -> int:
        return sum(len(shelf.waiting) for shelf in self._shelves.values())

    def add(self, builder: str, bundle: Bundle) -> list[Bundle]:
        """Admit a bundle and return those that it replaces. Raises `BundleRefused` at a bound.

        The same bundle sent again keeps its first arrival. One of the same signer and replacementUuid replaces what
        was sent under that name before, whatever block that was for.
        """
        shelf = self._shelves.setdefault(builder, _Shelf())
        if _identity(bundle) in shelf.waiting:
            self.counts[PoolEvent.REPEATED] += 1
            return []
        replaced = shelf.of_uuid(bundle.signer, bundle.replacement_uuid)
        for old in replaced:
            shelf.take_out(old)
        try:
            self._check_bounds(shelf, bundle)
        except BundleRefused:
            for old in replaced:  # a refusal changes nothing
                shelf.put(old)
            self.counts[PoolEvent.REFUSED] += 1
            raise
        shelf.put(bundle)
        self.counts[PoolEvent.ADMITTED] += 1
        self.counts[PoolEvent.REPLACED] += len(replaced)
        return replaced

    def cancel(self, builder: str, signer: str, uuid: str) -> list[Bundle]:
        """Take out, and return, what that signer sent under that replacementUuid."""
        shelf = self._shelves.get(builder)
        if shelf is None:
            return []
        cancelled = shelf.of_uuid(signer, uuid)
        for bundle in cancelled:
            shelf.take_out(bundle)
        self.counts[PoolEvent.CANCELLED] += len(cancelled)
        return cancelled

    def offered(self, builder: str, block_number: int, closes_at: float) -> tuple[Bundle, ...]:
        """Return a builder's bundles for a block that it had by `closes_at` (devnet seconds), in order of arrival."""
        shelf = self._shelves.get(builder)
        if shelf is None:
            return ()
        fitting = (
            bundle
            for bundle in shelf.waiting.values()
            if bundle.block_number == block_number and bundle.received_at <= closes_at
        )
        return tuple(sorted(fitting, key=lambda bundle: bundle.arrival))

    def expire(self, head_number: int) -> int:
        """Take out what was for the head or earlier; return how many."""
        expired = 0
        for shelf in self._shelves.values():
            for bundle in [one for one in shelf.waiting.values() if one.block_number <= head_number]:
                shelf.take_out(bundle)
                expired += 1
        self.counts[PoolEvent.EXPIRED] += expired
        return expired

    def _check_bounds(self, shelf: _Shelf, bundle: Bundle) -> None:
        limits = self._limits
        if shelf.per_signer[bundle.block_number, bundle.signer] >= limits.per_signer_and_block:
            raise BundleRefused(BundleFault.SIGNER_FULL, f"the limit is {limits.per_signer_and_block}")
        if shelf.per_block[bundle.block_number] >= limits.per_block:
            raise BundleRefused(BundleFault.BLOCK_FULL, f"the limit is {limits.per_block}")
        if len(shelf.waiting) >= limits.in_all:
            raise BundleRefused(BundleFault.POOL_FULL, f"the limit is {limits.in_all}")
