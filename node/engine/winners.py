"""Who took a find that we sent, read from the order of the block.

Whoever stands behind a transaction, or around it, sends it along in a bundle: so the winner of a backrun is next to its
victims. That is the transaction right behind them if it is on the route's pools and is not just somebody's trade; a
trade through a router counts where its sender also stands right before the victims: a sandwich. Of everything else the
winner is the first transaction on the route's pools that is neither a victim nor a trade through a router.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from node.engine.receipts import Receipt
from protocol.units import Address, Gas, Hash32, Wei


class Wanted(msgspec.Struct, frozen=True):
    """A find: the transactions that it stood behind, its route's pools, and our own transactions for it."""

    victims: frozenset[Hash32]
    pools: frozenset[bytes]
    attempts: frozenset[Hash32]


class Winner(msgspec.Struct, frozen=True):
    """Another's transactions over the same pools, and the gas of its bundle as far as it shows."""

    parts: tuple[Receipt, ...]
    gas: Gas

    @property
    def hash(self) -> Hash32:
        """Of the transaction that took it."""
        return self.parts[-1].hash

    @property
    def origin(self) -> Address:
        """Which account sent it."""
        return self.parts[-1].origin

    @property
    def destination(self) -> Address | None:
        """Which contract it called."""
        return self.parts[-1].destination

    def income(self, known: Mapping[Hash32, Wei]) -> Wei | None:
        """What the builder got from it; None if that is not known."""
        found = [known.get(part.hash) for part in self.parts]
        amounts = [amount for amount in found if amount is not None]
        return Wei(sum(amounts)) if len(amounts) == len(found) else None


def winner_of(
    wanted: Wanted, block: Sequence[Receipt], routers: Collection[Address], ours: Collection[Address]
) -> Winner | None:
    """Return who took it; None if nobody did who was not just trading.

    `block`: all receipts in their order. `ours`: our hot keys; where a find of ours took the route, it is that.
    """
    places = [place for place, receipt in enumerate(block) if receipt.hash in wanted.victims]
    if places:
        beside = _beside(wanted, block, routers, places[0], places[-1])
        if beside is not None:
            return beside
    takers = [receipt for receipt in block if _took(wanted, receipt) and receipt.destination not in routers]
    takers.sort(key=lambda receipt: receipt.origin not in ours)
    return Winner((takers[0],), Gas(int(takers[0].gas_used))) if takers else None


def _beside(
    wanted: Wanted, block: Sequence[Receipt], routers: Collection[Address], first: int, last: int
) -> Winner | None:
    if last + 1 == len(block) or not _took(wanted, block[last + 1]):
        return None
    behind, before = block[last + 1], block[first - 1] if first else None
    gas = sum(int(receipt.gas_used) for receipt in block[first : last + 2])
    if before is not None and before.origin == behind.origin and _took(wanted, before):
        return Winner((before, behind), Gas(gas + int(before.gas_used)))
    return None if behind.destination in routers else Winner((behind,), Gas(gas))


def _took(wanted: Wanted, receipt: Receipt) -> bool:
    others = receipt.hash not in wanted.victims and receipt.hash not in wanted.attempts
    return bool(receipt.status) and others and receipt.touches(wanted.pools)
