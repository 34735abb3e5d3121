"""Ethereum transactions: build, sign, decode, re-encode (EIP-155, 2718, 2930, 1559, 4844, 7702)."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.ethereum import rlp
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicFeeFields:
    """The fields of an EIP-1559 transaction; amounts in wei, `to` None creates a contract."""

    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas_limit: int
    to: str | None
    value: int = 0
    data: bytes = b""


def sign_dynamic_fee(fields: DynamicFeeFields, key: SigningKey) -> bytes:
    """Return the signed raw bytes of an EIP-1559 transaction (type 2, empty access list)."""
    body: list[rlp.RlpItem] = [
        rlp.encode_int(fields.chain_id),
        rlp.encode_int(fields.nonce),
        rlp.encode_int(fields.max_priority_fee_per_gas),
        rlp.encode_int(fields.max_fee_per_gas),
        rlp.encode_int(fields.gas_limit),
        bytes.fromhex(fields.to[2:]) if fields.to else b"",
        rlp.encode_int(fields.value),
        fields.data,
        [],
    ]
    signature = key.sign_digest(keccak256(b"\x02" + rlp.encode(body)))
    tail = [rlp.encode_int(signature.y_parity), rlp.encode_int(signature.r), rlp.encode_int(signature.s)]
    return b"\x02" + rlp.encode([*body, *tail])
