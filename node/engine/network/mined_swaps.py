"""A block's swaps out of its receipts, whatever pools we follow: an alert is recomputed from the chain alone.

Read are `Swap` of Uniswap V2 and V3 and their like, and of Balancer V2's vault. Tokens of pools are not looked up: a
V2 or V3 pool's token0 is the lower address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from node.engine.network.log_words import signed, words_of
from node.engine.receipts import Receipt
from node.engine.vault_logs import Log
from node.pipeline.detectors.sandwich import MinedSwap
from protocol.ethereum.keccak import keccak256
from protocol.units import ADDRESS_BYTES, HASH_BYTES

V2_SWAP: Final = keccak256(b"Swap(address,uint256,uint256,uint256,uint256,address)")
_V3: Final = keccak256(b"Swap(address,address,int256,int256,uint160,uint128,int24)")
_VAULT: Final = keccak256(b"Swap(bytes32,address,address,uint256,uint256)")
_PADDING: Final = HASH_BYTES - ADDRESS_BYTES
"""An id that begins with so many zeros would be taken for an address: nobody's log speaks for another's pool."""
_Amounts = tuple[bytes, int, int, int]


def mined_swaps(receipts: Iterable[Receipt]) -> list[MinedSwap]:
    """Return the swaps of a block, in its order; logs that only look like swaps are passed over."""
    swaps = []
    for receipt in receipts:
        for log in receipt.logs:
            read = _READERS.get(bytes(log.topics[0])) if log.topics else None
            amounts = None if read is None else read(log)
            if amounts is not None:
                pool_id, direction, amount_in, amount_out = amounts
                swaps.append(
                    MinedSwap(
                        receipt.hash, receipt.origin, receipt.destination, pool_id, direction, amount_in, amount_out
                    )
                )
    return swaps


def _v2_swap(log: Log) -> _Amounts | None:
    words = words_of(log, 4)
    if words is None:
        return None
    in0, in1, out0, out1 = words
    if in0 and out1 and not (in1 or out0):
        return bytes(log.address), 0, in0, out1
    return (bytes(log.address), 1, in1, out0) if in1 and out0 and not (in0 or out1) else None


def _v3_swap(log: Log) -> _Amounts | None:
    words = words_of(log, 5)
    if words is None:
        return None
    amount0, amount1 = map(signed, words[:2])
    if amount0 > 0 > amount1:
        return bytes(log.address), 0, amount0, -amount1
    return (bytes(log.address), 1, amount1, -amount0) if amount1 > 0 > amount0 else None


def _vault_swap(log: Log) -> _Amounts | None:
    words = words_of(log, 2)
    if words is None or len(log.topics) != 4 or not any(log.topics[1][:_PADDING]):
        return None
    token_in, token_out = (bytes(topic[-ADDRESS_BYTES:]) for topic in log.topics[2:])
    return bytes(log.topics[1]), int(token_in > token_out), words[0], words[1]


_READERS: Final[dict[bytes, Callable[[Log], _Amounts | None]]] = {V2_SWAP: _v2_swap, _V3: _v3_swap, _VAULT: _vault_swap}
