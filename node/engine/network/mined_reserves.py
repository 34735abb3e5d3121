"""What pools in the manner of Uniswap V2 said of their reserves, out of a block's receipts, whatever pools we follow.

A pool logs `Sync` with its reserves and then what has changed them: `Swap`, `Mint` or `Burn`; after a bare `sync()`
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from node.engine.network.log_words import words_of
from node.engine.network.mined_swaps import V2_SWAP
from node.engine.receipts import Receipt
from node.engine.vault_logs import Log
from node.pipeline.detectors.drain import MinedReserves
from protocol.ethereum.keccak import keccak256
from protocol.units import Address

_SYNC: Final = keccak256(b"Sync(uint112,uint112)")
_BURN: Final = keccak256(b"Burn(address,uint256,uint256,address)")


def mined_reserves(receipts: Iterable[Receipt]) -> list[MinedReserves]:
    """Return what a block's pools said of their reserves, in its order; logs that only look like it are passed over."""
    told = []
    for receipt in receipts:
        by_pool: dict[Address, list[Log]] = {}
        places: dict[Address, int] = {}
        for log in receipt.logs:
            by_pool.setdefault(Address(bytes(log.address)), []).append(log)
        for log in receipt.logs:
            pool = Address(bytes(log.address))
            place = places[pool] = places.get(pool, -1) + 1
            reserves = words_of(log, 2) if _is(log, _SYNC) else None
            if reserves is not None:
                a, b = reserves
                why = _next(by_pool[pool], place)
                is_burn = why is not None and _is(why, _BURN)
                told.append(MinedReserves(receipt.hash, pool, (a, b), _before_swap(a, b, why), is_burn))
    return told


def _next(logs: Sequence[Log], place: int) -> Log | None:
    return logs[place + 1] if place + 1 < len(logs) else None


def _before_swap(a: int, b: int, why: Log | None) -> tuple[int, int] | None:
    amounts = words_of(why, 4) if why is not None and _is(why, V2_SWAP) else None
    if amounts is None:
        return None
    in_a, in_b, out_a, out_b = amounts
    before = a - in_a + out_a, b - in_b + out_b
    return before if min(before) > 0 else None


def _is(log: Log, event: bytes) -> bool:
    return bool(log.topics) and bytes(log.topics[0]) == event
