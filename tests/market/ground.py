"""Where the fuzz takes its steps: the hand, the world's contracts, and which tokens are odd."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from devnet.manifest import Manifest
from node.pipeline.pools import PoolId, PoolSpec, PoolState
from protocol.units import Address, address_from_hex
from tests.market.steps import Step

Range = tuple[PoolId, int, int]
FAR_FUTURE = 1 << 40
"""A deadline that never passes."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Addresses. `odd` are tokens that take a fee on transfer or rebase: what a swap with them does is not ours.
    `held` is how much liquidity the hand has in which range of which pool.
    """

    hand: Address
    manifest: Manifest
    odd: frozenset[Address]
    held: dict[Range, int] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest, hand: Address) -> Ground:
        """The ground of a world."""
        kinds = ("fee_on_transfer", "rebasing")
        odd = frozenset(address_from_hex(token.address) for token in manifest.tokens if token.kind in kinds)
        return cls(hand, manifest, odd)

    def hold(self, place: Range, delta: int) -> None:
        """Note what a mint or a burn changed of the hand's liquidity."""
        self.held[place] = self.held.get(place, 0) + delta
        if not self.held[place]:
            del self.held[place]

    def contract(self, name: str) -> Address:
        """A contract of the manifest."""
        return address_from_hex(self.manifest.contracts[name])


class Family(Protocol):
    """Makes the steps of one family of pools."""

    def step(self, random: Random, spec: PoolSpec, state: PoolState) -> Step:
        """A random step of one pool, by the state that it had a while ago."""
        ...
