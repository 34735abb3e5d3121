"""Block headers as JSON-RPC tells them, each checked against its own hash: a node cannot change a field unnoticed.

Which fields a header has depends on the fork (EIP-1559, 4895, 4844, 4788, 7685): those that are there are hashed, in
the order in which they were added.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.engine.rpc_types import AddressHex, Data, HashHex, Quantity, decoder
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.rlp import encode, encode_int
from protocol.units import Address, BlockNumber, Gas, Hash32, UnixSeconds, Wei

_NO_UNCLES: Final = HashHex(bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"))


class HeaderInvalid(Exception):
    """Bytes that are no header, or one that does not hash to its hash; the text says which."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """What the engine needs of a header. `excess_blob_gas` None before Cancun."""

    number: BlockNumber
    hash: Hash32
    parent_hash: Hash32
    timestamp: UnixSeconds
    base_fee: Wei
    gas_limit: Gas
    gas_used: Gas
    coinbase: Address
    prev_randao: Hash32
    excess_blob_gas: int | None


class _Json(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A header as `newHeads` and `eth_getBlockByHash` write it."""

    number: Quantity
    hash: HashHex
    parent_hash: HashHex
    miner: AddressHex
    state_root: HashHex
    transactions_root: HashHex
    receipts_root: HashHex
    logs_bloom: Data
    gas_limit: Quantity
    gas_used: Quantity
    timestamp: Quantity
    extra_data: Data
    mix_hash: HashHex
    nonce: Data
    base_fee_per_gas: Quantity
    difficulty: Quantity = Quantity(0)
    sha3_uncles: HashHex = msgspec.field(name="sha3Uncles", default=_NO_UNCLES)
    withdrawals_root: HashHex | None = None
    blob_gas_used: Quantity | None = None
    excess_blob_gas: Quantity | None = None
    parent_beacon_block_root: HashHex | None = None
    requests_hash: HashHex | None = None


def header_from_json(raw: bytes | msgspec.Raw) -> Header:
    """Read a header or a block. Raises HeaderInvalid."""
    try:
        read: _Json = decoder(_Json).decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HeaderInvalid(f"not a header: {str(error)[:200]}") from None
    if _hash(read) != read.hash:
        raise HeaderInvalid(f"the header of block {int(read.number)} does not hash to 0x{read.hash.hex()}")
    return Header(
        BlockNumber(int(read.number)),
        Hash32(bytes(read.hash)),
        Hash32(bytes(read.parent_hash)),
        UnixSeconds(int(read.timestamp)),
        Wei(int(read.base_fee_per_gas)),
        Gas(int(read.gas_limit)),
        Gas(int(read.gas_used)),
        Address(bytes(read.miner)),
        Hash32(bytes(read.mix_hash)),
        None if read.excess_blob_gas is None else int(read.excess_blob_gas),
    )


def _hash(header: _Json) -> bytes:
    fields: list[bytes] = [
        header.parent_hash,
        header.sha3_uncles,
        header.miner,
        header.state_root,
        header.transactions_root,
        header.receipts_root,
        header.logs_bloom,
        encode_int(header.difficulty),
        encode_int(header.number),
        encode_int(header.gas_limit),
        encode_int(header.gas_used),
        encode_int(header.timestamp),
        header.extra_data,
        header.mix_hash,
        header.nonce,
        encode_int(header.base_fee_per_gas),
    ]
    later: tuple[bytes | int | None, ...] = (
        header.withdrawals_root,
        header.blob_gas_used,
        header.excess_blob_gas,
        header.parent_beacon_block_root,
        header.requests_hash,
    )
    fields += [encode_int(field) if isinstance(field, int) else field for field in later if field is not None]
    return keccak256(encode(fields))
