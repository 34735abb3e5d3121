"""A bundle as Flashbots-style relays take it: one body for all of them, signed once.

`eth_sendBundle` and `eth_cancelBundle` (docs.flashbots.net, JSON-RPC endpoints); the header `X-Flashbots-Signature` is
EIP-191 over the hex text of the body's Keccak digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.units import BlockNumber, Hash32

SIGNATURE_HEADER: Final = "X-Flashbots-Signature"
_PERSONAL: Final = b"\x19Ethereum Signed Message:\n66"


def bundle_body(transactions: Sequence[bytes], target_block: BlockNumber, replaces: Hash32) -> bytes:
    """Return the request that offers raw transactions, in this order, for one block."""
    bundle = {
        "txs": ["0x" + raw.hex() for raw in transactions],
        "blockNumber": hex(target_block),
        "replacementUuid": replacement_uuid(replaces),
    }
    return _request("eth_sendBundle", [bundle])


def cancel_body(replaces: Hash32) -> bytes:
    """Return the request that withdraws what was sent under `replaces`."""
    return _request("eth_cancelBundle", [{"replacementUuid": replacement_uuid(replaces)}])


def bundle_hash(transaction_hashes: Sequence[bytes]) -> Hash32:
    """Return the name of a bundle at the relays: the digest of its joined transaction hashes."""
    return Hash32(keccak256(b"".join(transaction_hashes)))


def replacement_uuid(replaces: Hash32) -> str:
    """Return the UUID (version 8, RFC 9562: of the application's own making) that stands for a replacement key."""
    raw = bytearray(replaces[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def signature_header(body: bytes, identity: SigningKey) -> str:
    """Return the value of the header for a body as it goes over the wire."""
    digest = keccak256(_PERSONAL + b"0x" + keccak256(body).hex().encode())
    return f"{identity.address}:0x{identity.sign_digest(digest).to_bytes().hex()}"


def _request(method: str, params: Sequence[Any]) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
