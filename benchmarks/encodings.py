"""What the encodings cost: transactions, RLP, ABI, EIP-712, Keccak.

The peer of a signature is the bare curve operation of the same library, so a ratio of 0.9 says that a tenth of the
time goes into everything else; the peer of call data is eth-abi without our checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from coincurve import PrivateKey, PublicKey
from eth_abi import abi as eth_abi

from benchmarks.harness import Row, duration_row, interleaved
from protocol.ethereum import abi, rlp
from protocol.ethereum.forks import ChainRules, Fork
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.ethereum.transactions import (
    DynamicFeeFields,
    decode_transaction,
    sign_dynamic_fee,
    to_rpc,
    transaction_from_rpc,
)
from protocol.ethereum.typed_data import Field, TypedDataEncoder

REPEATS: Final = 300
CALLS: Final = 20
SECRET: Final = bytes(31) + b"\x01"
SWAP: Final = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
ARGUMENTS: Final = (10**18, 3 * 10**9, (ALICE, BOB), ALICE, 1_900_000_000)


def run() -> Sequence[Row]:
    """Measure one operation a row."""
    key = SigningKey(SECRET)
    call = abi.encode_call(SWAP, *ARGUMENTS)
    fields = DynamicFeeFields(
        chain_id=31337,
        nonce=7,
        max_priority_fee_per_gas=10**9,
        max_fee_per_gas=30 * 10**9,
        gas_limit=200_000,
        to=ALICE,
        data=call,
    )
    raw = sign_dynamic_fee(fields, key)
    return [*_signatures(raw, fields, key), *_transactions(raw), *_call_data(call), *_digests(raw)]


def _signatures(raw: bytes, fields: DynamicFeeFields, key: SigningKey) -> list[Row]:
    transaction = decode_transaction(raw)
    digest, (r, s, parity) = transaction.signing_hash, transaction.signature
    signature, secret = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((parity,)), PrivateKey(SECRET)
    return [
        _row(
            "decode and recover a type 2 transaction",
            lambda: decode_transaction(raw),
            lambda: PublicKey.from_signature_and_message(signature, digest, hasher=None),
            "bare recovery",
        ),
        _row(
            "sign a type 2 transaction",
            lambda: sign_dynamic_fee(fields, key),
            lambda: secret.sign_recoverable(digest, hasher=None),
            "bare signature",
        ),
    ]


def _transactions(raw: bytes) -> list[Row]:
    transaction = decode_transaction(raw)
    rules, body, items = ChainRules(Fork.PRAGUE, 31337), to_rpc(transaction), rlp.decode(raw[1:])
    return [
        _row("decode a type 2 transaction by a chain's rules", lambda: decode_transaction(raw, rules, recover=False)),
        _row("encode a type 2 transaction anew", transaction.encode),
        _row("read and check a JSON-RPC transaction", lambda: transaction_from_rpc(body, recover=False)),
        _row("write a JSON-RPC transaction", lambda: to_rpc(transaction)),
        _row("RLP, decode a transaction", lambda: rlp.decode(raw[1:])),
        _row("RLP, encode a transaction", lambda: rlp.encode(items)),
    ]


def _call_data(call: bytes) -> list[Row]:
    types = abi.argument_types(SWAP)
    return [
        _row(
            "ABI, decode a swap's call data",
            lambda: abi.decode_call(SWAP, call),
            lambda: eth_abi.decode(types, call[4:]),
            "eth-abi",
        ),
        _row(
            "ABI, encode a swap's call data",
            lambda: abi.encode_call(SWAP, *ARGUMENTS),
            lambda: eth_abi.encode(types, ARGUMENTS),
            "eth-abi",
        ),
    ]


def _digests(raw: bytes) -> list[Row]:
    order = [Field("owner", "address"), Field("amount", "uint256"), Field("memo", "string"), Field("path", "address[]")]
    encoder = TypedDataEncoder({"Order": order})
    message = {"owner": ALICE, "amount": 10**18, "memo": "hello", "path": [ALICE, BOB]}
    return [
        _row("EIP-712, hash a struct of four fields", lambda: encoder.hash_struct("Order", message)),
        _row("Keccak-256 of 32 bytes", lambda: keccak256(SECRET)),
        _row("Keccak-256 of a transaction", lambda: keccak256(raw)),
    ]


def _row(name: str, ours: Callable[[], object], peer: Callable[[], object] | None = None, peer_name: str = "") -> Row:
    functions = [ours] if peer is None else [ours, peer]
    samples = interleaved(functions, repeats=REPEATS, calls=CALLS)
    return duration_row(name, "µs", samples[0], samples[1] if peer else None, peer_name)
