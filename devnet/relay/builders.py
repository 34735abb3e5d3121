"""Builders: who wins a block, how early it closes, which bundles it will not take. All of it follows from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from devnet.accounts import account
from protocol.ethereum.keccak import keccak256

_RANGE: Final = 1 << 64
_LARGEST_DELAY: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderConfig:
    """One builder, reached at `/builder/<name>`."""

    name: str
    share: float
    """Weight in the lottery for a block; only the ratio to the others' counts."""
    delay_ms: int
    """How long before the end of the slot it closes: what arrives later misses the block. Devnet time.

    Of a short slot it is a fifth at most, or a builder would close before the slot begins and never have a bundle.
    """
    refusal_rate: float
    """Share of bundles that it will not take, 0 to 1; the same bundle is refused each time."""
    coinbase: str
    """Where its blocks pay to, lower-case hex."""

    def __post_init__(self) -> None:
        """Check what would make the lottery meaningless."""
        if not self.name or "/" in self.name:
            raise ValueError("a builder's name is a part of its URL: not empty, without a slash")
        if self.share <= 0 or self.delay_ms < 0 or not 0 <= self.refusal_rate <= 1:
            raise ValueError(f"builder {self.name}: share above 0, delay from 0, refusal rate from 0 to 1")

    def closes_at(self, slot_end: float, slot_seconds: float) -> float:
        """Return the devnet time (seconds) until which this builder takes bundles for a slot of that length."""
        return slot_end - min(self.delay_ms / 1000, slot_seconds * _LARGEST_DELAY)


def _default(name: str, *, share: float, delay_ms: int, refusal_rate: float) -> BuilderConfig:
    coinbase = account(f"builder-{name}").address
    return BuilderConfig(name=name, share=share, delay_ms=delay_ms, refusal_rate=refusal_rate, coinbase=coinbase)


DEFAULT_BUILDERS: Final = (
    _default("swift", share=0.5, delay_ms=40, refusal_rate=0.0),
    _default("steady", share=0.35, delay_ms=150, refusal_rate=0.01),
    _default("picky", share=0.15, delay_ms=300, refusal_rate=0.1),
)
"""Three of which each misses something: a searcher that wants every block sends to all of them, and early."""


def winner(seed: int, block_number: int, builders: Sequence[BuilderConfig]) -> BuilderConfig:
    """Return who builds a block: a lottery by share, drawn from `seed` and the number.

    Raises ValueError if there is no builder.
    """
    if not builders:
        raise ValueError("there is no builder")
    total = sum(builder.share for builder in builders)
    point = _draw(b"winner", seed, block_number.to_bytes(8, "big")) * total
    for builder in builders:
        point -= builder.share
        if point < 0:
            return builder
    return builders[-1]  # rounding of the shares' sum


def refuses(seed: int, builder: BuilderConfig, bundle_hash: bytes) -> bool:
    """Return whether a builder will not take a bundle, drawn from `seed`, its name and the bundle's hash."""
    return _draw(b"refuse", seed, builder.name.encode() + b"\x00" + bundle_hash) < builder.refusal_rate


def _draw(purpose: bytes, seed: int, subject: bytes) -> float:
    """Return a number in [0, 1) that is fixed by its arguments."""
    digest = keccak256(purpose + seed.to_bytes(32, "big", signed=True) + subject)
    return int.from_bytes(digest[:8], "big") / _RANGE
