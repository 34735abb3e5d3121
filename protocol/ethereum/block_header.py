"""A block's header in RLP, from what JSON-RPC tells of the block: its Keccak is the block's hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from protocol.errors import MalformedMessage
from protocol.ethereum.rlp import encode, encode_int

_BYTES: Final = "bytes"
_NUMBER: Final = "number"
_FIELDS: Final = (
    ("parentHash", _BYTES),
    ("sha3Uncles", _BYTES),
    ("miner", _BYTES),
    ("stateRoot", _BYTES),
    ("transactionsRoot", _BYTES),
    ("receiptsRoot", _BYTES),
    ("logsBloom", _BYTES),
    ("difficulty", _NUMBER),
    ("number", _NUMBER),
    ("gasLimit", _NUMBER),
    ("gasUsed", _NUMBER),
    ("timestamp", _NUMBER),
    ("extraData", _BYTES),
    ("mixHash", _BYTES),
    ("nonce", _BYTES),
    ("baseFeePerGas", _NUMBER),
    ("withdrawalsRoot", _BYTES),
    ("blobGasUsed", _NUMBER),
    ("excessBlobGas", _NUMBER),
    ("parentBeaconBlockRoot", _BYTES),
    ("requestsHash", _BYTES),
)
"""In the header's order; the later ones came with later forks, and a block without them ends before."""


def header_rlp(block: Mapping[str, Any]) -> bytes:
    """Return the header of a block as `eth_getBlockByNumber` gives it. Raises MalformedMessage for what is none.

    Whether it is this block's, its Keccak says: a fork that adds a field of its own has another hash.
    """
    try:
        fields = [
            encode_int(int(block[name], 16)) if kind is _NUMBER else bytes.fromhex(block[name][2:])
            for name, kind in _FIELDS
            if block.get(name) is not None
        ]
    except (TypeError, ValueError) as error:
        raise MalformedMessage(f"not a block as JSON-RPC tells it: {error}", "header") from None
    return encode(fields)
