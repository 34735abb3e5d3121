"""Two things that a node does for every opportunity, written for speed: read one pending transaction, sign one call.

Both give what the strict functions give (`transaction_from_rpc` with `recover=False`, `sign_dynamic_fee`); a property
test holds them to it. Whatever is out of the ordinary is left to the strict function.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

import msgspec

from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import HALF_N, SECP256K1_N, Signature, SigningKey, address_bytes
from protocol.ethereum.signed_transaction import SignedTransaction
from protocol.ethereum.transaction_codec import MAX_TRANSACTION_BYTES, DynamicFeeFields, sign_dynamic_fee
from protocol.ethereum.transaction_json import transaction_from_rpc

_DYNAMIC_FEE: Final = "0x2"
_UINT64: Final = 1 << 64
_UINT256: Final = 1 << 256
_SHORT: Final = 55


class _Destination(msgspec.Struct, gc=False):
    to: str | None = None


class _Body(msgspec.Struct, gc=False):
    """The fields of a type 2 transaction as JSON-RPC names them."""

    hash: str
    nonce: str
    gas: str
    value: str
    input: str
    r: str
    s: str
    yParity: str  # noqa: N815
    chainId: str  # noqa: N815
    maxFeePerGas: str  # noqa: N815
    maxPriorityFeePerGas: str  # noqa: N815
    type: str
    sender: str = msgspec.field(name="from")
    accessList: list[Any] = []  # noqa: N815


_destination: Final = msgspec.json.Decoder(_Destination)
_body: Final = msgspec.json.Decoder(_Body)


def pending_from_json(raw: bytes | msgspec.Raw, destinations: Container[str]) -> SignedTransaction | None:
    """Read a pending transaction's JSON object if it goes to one of `destinations` (lower-case hex), else None.

    It is encoded anew and must hash to its `hash`. `sender` is what the body says: it costs a recovery to know better,
    and a wrong one cannot be mined. Raises RemoteProtocolError as `transaction_from_rpc`, or msgspec.DecodeError.
    """
    to = _destination.decode(raw).to
    if to is None or to.lower() not in destinations:
        return None
    try:
        body = _body.decode(raw)
        if body.type != _DYNAMIC_FEE or body.accessList:
            return _strictly(raw)
        return _read(body, to.lower())
    except (msgspec.ValidationError, ValueError, OverflowError):
        return _strictly(raw)


def sign_call(fields: DynamicFeeFields, key: SigningKey) -> bytes:
    """`sign_dynamic_fee` for a call: the signed raw bytes of an EIP-1559 transaction."""
    if fields.to is None or fields.chain_id <= 0 or not 0 < fields.gas_limit < _UINT64 > fields.nonce >= 0:
        return sign_dynamic_fee(fields, key)
    if not 0 <= fields.max_priority_fee_per_gas <= fields.max_fee_per_gas < _UINT256 > fields.value >= 0:
        return sign_dynamic_fee(fields, key)
    payload = b"".join(
        (
            _integer(fields.chain_id),
            _integer(fields.nonce),
            _integer(fields.max_priority_fee_per_gas),
            _integer(fields.max_fee_per_gas),
            _integer(fields.gas_limit),
            b"\x94",
            address_bytes(fields.to),
            _integer(fields.value),
            _string(fields.data),
            b"\xc0",
        )
    )
    r, s, parity = key.sign_digest(keccak256(b"\x02" + _list_head(len(payload)) + payload))
    signed = payload + (b"\x01" if parity else b"\x80") + _integer(r) + _integer(s)
    return b"\x02" + _list_head(len(signed)) + signed


def _strictly(raw: bytes | msgspec.Raw) -> SignedTransaction:
    return transaction_from_rpc(msgspec.json.decode(raw), recover=False)


def _read(body: _Body, to: str) -> SignedTransaction:
    """Raises ValueError or OverflowError for what the strict function should explain."""
    chain_id, nonce, gas = int(body.chainId, 16), int(body.nonce, 16), int(body.gas, 16)
    tip, fee, value = int(body.maxPriorityFeePerGas, 16), int(body.maxFeePerGas, 16), int(body.value, 16)
    r, s, parity = int(body.r, 16), int(body.s, 16), int(body.yParity, 16)
    data, destination = bytes.fromhex(body.input[2:]), bytes.fromhex(to[2:])
    ordinary = (
        0 < r < SECP256K1_N and 0 < s <= HALF_N and parity in (0, 1) and tip <= fee < _UINT256 and value < _UINT256
    )
    if not ordinary or not max(nonce + 1, gas, chain_id) < _UINT64 or len(destination) != 20 or body.input[:2] != "0x":
        raise ValueError("not ordinary")
    fields = (
        _integer(chain_id),
        _integer(nonce),
        _integer(tip),
        _integer(fee),
        _integer(gas),
        b"\x94" + destination,
        _integer(value),
        _string(data),
        b"\xc0\x01" if parity else b"\xc0\x80",
        _integer(r),
        _integer(s),
    )
    encoded = b"".join(fields)
    raw = b"\x02" + _list_head(len(encoded)) + encoded
    transaction_hash = keccak256(raw)
    if bytes.fromhex(body.hash[2:]) != transaction_hash or len(raw) > MAX_TRANSACTION_BYTES:
        raise ValueError("another hash, or too long")
    transaction = SignedTransaction(
        type=2,
        chain_id=chain_id,
        nonce=nonce,
        gas_limit=gas,
        max_fee_per_gas=fee,
        max_priority_fee_per_gas=tip,
        to=to,
        value=value,
        data=data,
        signature=Signature(r, s, parity),
        raw=raw,
    )
    known = transaction.__dict__
    known["hash"], known["sender"] = transaction_hash, body.sender.lower()
    return transaction


def _integer(number: int) -> bytes:
    if number < 0x80:
        if number < 0:
            raise ValueError("negative")
        return bytes((number,)) if number else b"\x80"
    length = (number.bit_length() + 7) >> 3
    return bytes((0x80 + length,)) + number.to_bytes(length, "big")


def _string(data: bytes) -> bytes:
    length = len(data)
    if length == 1 and data[0] < 0x80:
        return data
    if length <= _SHORT:
        return bytes((0x80 + length,)) + data
    size = length.to_bytes((length.bit_length() + 7) >> 3, "big")
    return bytes((0xB7 + len(size),)) + size + data


def _list_head(length: int) -> bytes:
    if length <= _SHORT:
        return bytes((0xC0 + length,))
    size = length.to_bytes((length.bit_length() + 7) >> 3, "big")
    return bytes((0xF7 + len(size),)) + size
