"""Transactions: sign, decode, recover; what each type refuses, and why."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from protocol.errors import BadSignature, InvalidField
from protocol.ethereum import rlp
from protocol.ethereum.forks import ChainRules, Fork
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SECP256K1_N, Signature
from protocol.ethereum.transactions import (
    DynamicFeeFields,
    InvalidTransaction,
    Refusal,
    TransactionFields,
    check_transaction,
    decode_transaction,
    effective_priority_fee,
    encode_signed,
    sign_authorization,
    sign_dynamic_fee,
    sign_transaction,
    signing_payload,
)
from tests.ethereum_samples import ACCESS_LIST, ALICE, BLOB_HASH, BOB, TARGET, fields_of, signed

# The example of EIP-155: key 0x46…46, chain 1.
EIP155_RAW = bytes.fromhex(
    "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe53"
    "7567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
)


def refusal(raw: bytes, **how: Any) -> Refusal:
    with pytest.raises(InvalidTransaction) as refused:
        decode_transaction(raw, **how)
    return refused.value.reason


def with_items(kind: int, changes: dict[int, Any], **fields: Any) -> bytes:
    """Return a signed transaction whose items at some places are others."""
    raw = signed(kind, **fields).raw
    items: Any = rlp.decode(raw[1:] if kind else raw)
    for place, item in changes.items():
        items[place] = item
    return (bytes((kind,)) if kind else b"") + rlp.encode(items)


def test_the_example_of_eip_155_decodes_to_what_the_standard_says() -> None:
    transaction = decode_transaction(EIP155_RAW)
    assert transaction.chain_id == 1
    assert (transaction.nonce, transaction.gas_limit, transaction.max_fee_per_gas) == (9, 21_000, 20 * 10**9)
    assert (transaction.to, transaction.value, transaction.data) == ("0x" + "35" * 20, 10**18, b"")
    assert transaction.signing_hash.hex() == "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    assert transaction.sender == "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"
    assert transaction.encode() == EIP155_RAW


@pytest.mark.parametrize("kind", range(5))
def test_every_type_decodes_to_what_was_signed(kind: int) -> None:
    fields = fields_of(kind)
    transaction = sign_transaction(fields, ALICE)
    decoded = decode_transaction(transaction.raw)
    assert decoded == transaction
    assert {name: getattr(decoded, name) for name in fields.__struct_fields__} == {
        name: getattr(fields, name) for name in fields.__struct_fields__
    }
    assert decoded.sender == ALICE.address
    assert decoded.encode() == transaction.raw
    assert decoded.signing_hash == keccak256(signing_payload(decoded))  # cut out of raw, and encoded anew
    assert decode_transaction(transaction.raw, recover=False).sender == ALICE.address


def test_a_legacy_transaction_without_replay_protection_says_so() -> None:
    transaction = signed(0, chain_id=None)
    assert decode_transaction(transaction.raw).chain_id is None
    assert transaction.encode() == transaction.raw
    assert decode_transaction(transaction.raw).sender == ALICE.address


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_transaction_without_target_creates_a_contract(kind: int) -> None:
    assert decode_transaction(signed(kind, to=None).raw).to is None


def test_addresses_come_out_in_lower_case_however_they_went_in() -> None:
    assert signed(2, to="0x" + "AB" * 20).to == TARGET


def test_the_dynamic_fee_shorthand_gives_the_same_bytes() -> None:
    short = DynamicFeeFields(
        chain_id=1, nonce=2, max_priority_fee_per_gas=3, max_fee_per_gas=4, gas_limit=5, to=TARGET, value=6, data=b"7"
    )
    long = TransactionFields(
        type=2, chain_id=1, nonce=2, max_priority_fee_per_gas=3, max_fee_per_gas=4, gas_limit=5, to=TARGET, value=6,
        data=b"7",
    )  # fmt: skip
    assert sign_dynamic_fee(short, ALICE) == sign_transaction(long, ALICE).raw


def test_a_transaction_shows_briefly_and_is_frozen() -> None:
    transaction = signed(2, data=b"\xee" * 5000)
    assert len(repr(transaction)) < 200
    assert transaction.hash.hex() in repr(transaction)
    with pytest.raises(AttributeError):
        transaction.nonce = 8  # type: ignore[misc]


def test_the_authority_of_an_authorization_is_who_signed_it() -> None:
    authorization = sign_authorization(1, TARGET, 5, BOB)
    assert authorization.authority == BOB.address
    with pytest.raises(BadSignature):
        _ = type(authorization)(1, TARGET, 5, authorization.signature._replace(y_parity=9)).authority


def test_a_transaction_put_together_by_hand_finds_its_own_hash_and_sender() -> None:
    original = signed(2)
    values = {name: getattr(original, name) for name in original.__struct_fields__}
    copy = type(original)(**values)
    assert (copy.signing_hash, copy.sender, copy.hash) == (original.signing_hash, ALICE.address, original.hash)


def test_the_effective_priority_fee_is_capped_by_what_the_base_fee_leaves() -> None:
    transaction = signed(2, max_fee_per_gas=100, max_priority_fee_per_gas=10)
    assert effective_priority_fee(transaction, 50) == 10
    assert effective_priority_fee(transaction, 95) == 5
    assert effective_priority_fee(transaction, 101) == -1
    assert effective_priority_fee(signed(0, max_fee_per_gas=9, max_priority_fee_per_gas=9), 4) == 5


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        (5, {}, "type"),
        (2, {"chain_id": None}, "chain_id"),
        (2, {"nonce": 2**64}, "nonce"),
        (2, {"value": -1}, "value"),
        (2, {"max_fee_per_gas": 2**256}, "max_fee_per_gas"),
        (0, {"max_priority_fee_per_gas": 1}, "max_priority_fee_per_gas"),
        (0, {"access_list": ACCESS_LIST}, "access_list"),
        (2, {"max_fee_per_blob_gas": 1}, "max_fee_per_blob_gas"),
        (4, {"blob_versioned_hashes": (BLOB_HASH,)}, "blob_versioned_hashes"),
        (3, {"authorization_list": (sign_authorization(1, TARGET, 0, BOB),)}, "authorization_list"),
        (3, {"to": None}, "to"),
        (4, {"to": None}, "to"),
        (3, {"blob_versioned_hashes": (b"short",)}, ""),
    ],
)
def test_fields_that_their_type_cannot_carry_are_not_signed(kind: int, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        sign_transaction(fields_of(kind, **changes), ALICE)
    assert refused.value.where == field


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Refusal.RLP_ERROR_EOF),
        (b"\x00", Refusal.TYPE_NOT_SUPPORTED),
        (b"\x05\xc0", Refusal.TYPE_NOT_SUPPORTED),
        (b"\x7f\xc0", Refusal.TYPE_NOT_SUPPORTED),
        (b"\x02", Refusal.RLP_ERROR_EOF),
        (b"\x02\x80", Refusal.RLP_INVALID_HEADER),
        (b"\x80", Refusal.RLP_INVALID_HEADER),
        (b"\xb8", Refusal.RLP_ERROR_EOF),
        (b"\xc4\xc3\xc2\xc1\xc0", Refusal.RLP_INVALID_HEADER),
        (b"\xf8\x00", Refusal.RLP_ERROR_SIZE_LEADING_ZEROS),
        (b"\x02\xc0", Refusal.RLP_TOO_FEW_ELEMENTS),
        (b"\x03\xc0", Refusal.RLP_TOO_FEW_ELEMENTS),
        (b"\x03\xc4\xc0\xc0\xc0\xc0", Refusal.TYPE_3_TX_WITH_FULL_BLOBS),
        (EIP155_RAW + b"\x00", Refusal.RLP_ERROR_SIZE),
        (EIP155_RAW[:-1], Refusal.RLP_ERROR_SIZE),
    ],
)
def test_bytes_that_are_no_transaction_are_refused(raw: bytes, reason: Refusal) -> None:
    assert refusal(raw) is reason


BAD_TUPLE = Refusal.TYPE_4_INVALID_AUTHORIZATION_FORMAT
ENTRY: list[Any] = [b"\x01", b"\xab" * 20, b"", b"\x01", b"\x01", b"\x01"]


@pytest.mark.parametrize(
    ("kind", "place", "item", "reason"),
    [
        (2, 0, b"\0\x01", Refusal.INVALID_CHAINID),
        (2, 0, [], Refusal.INVALID_CHAINID),
        (2, 1, b"\0\x01", Refusal.RLP_LEADING_ZEROS_NONCE),
        (2, 1, b"\0" * 9, Refusal.NONCE_OVERFLOW),
        (2, 1, b"\x01" * 9, Refusal.NONCE_OVERFLOW),
        (2, 1, [], Refusal.RLP_INVALID_NONCE),
        (2, 2, b"\0\x01", Refusal.RLP_LEADING_ZEROS_PRIORITY_FEE),
        (2, 2, b"\x01" * 33, Refusal.PRIORITY_OVERFLOW),
        (2, 3, b"\0" + b"\x01" * 32, Refusal.RLP_LEADING_ZEROS_BASEFEE),
        (2, 3, b"\x01" * 33, Refusal.GASPRICE_OVERFLOW),
        (2, 4, b"\x01" * 9, Refusal.GASLIMIT_OVERFLOW),
        (2, 5, b"\x01" * 19, Refusal.ADDRESS_TOO_SHORT),
        (2, 5, b"\x01" * 21, Refusal.ADDRESS_TOO_LONG),
        (2, 5, [], Refusal.RLP_INVALID_TO),
        (2, 6, b"\x01" * 33, Refusal.VALUE_OVERFLOW),
        (2, 7, [], Refusal.RLP_INVALID_DATA),
        (2, 8, b"", Refusal.RLP_INVALID_HEADER),
        (2, 8, [b""], Refusal.RLP_INVALID_HEADER),
        (2, 8, [[b"\x01" * 20]], Refusal.RLP_INVALID_HEADER),
        (2, 8, [[b"\x01" * 20, b""]], Refusal.RLP_INVALID_HEADER),
        (2, 8, [[[], []]], Refusal.RLP_INVALID_HEADER),
        (2, 8, [[b"\x01" * 19, []]], Refusal.RLP_INVALID_ACCESS_LIST_ADDRESS_TOO_SHORT),
        (2, 8, [[b"\x01" * 21, []]], Refusal.RLP_INVALID_ACCESS_LIST_ADDRESS_TOO_LONG),
        (2, 8, [[b"\x01" * 20, [b"\x01" * 31]]], Refusal.RLP_INVALID_ACCESS_LIST_STORAGE_TOO_SHORT),
        (2, 8, [[b"\x01" * 20, [b"\x01" * 33]]], Refusal.RLP_INVALID_ACCESS_LIST_STORAGE_TOO_LONG),
        (2, 9, b"\x02", Refusal.INVALID_SIGNATURE_VRS),
        (2, 9, [], Refusal.RLP_INVALID_HEADER),
        (2, 10, b"", Refusal.INVALID_SIGNATURE_VRS),
        (2, 10, b"\0" + b"\x01" * 31, Refusal.RLP_LEADING_ZEROS_R),
        (2, 10, b"\x05", Refusal.EC_RECOVERY_FAIL),
        (2, 11, [], Refusal.RLP_INVALID_SIGNATURE_S),
        (2, 11, b"\xff" * 32, Refusal.INVALID_SIGNATURE_VRS),
        (0, 1, b"\0\x01", Refusal.RLP_LEADING_ZEROS_GASPRICE),
        (0, 6, b"", Refusal.INVALID_SIGNATURE_VRS),
        (0, 6, b"\x1d", Refusal.INVALID_SIGNATURE_VRS),
        (1, 2, b"\x01" * 33, Refusal.GASPRICE_OVERFLOW),
        (3, 9, b"\x01" * 33, Refusal.RLP_INVALID_HEADER),
        (3, 10, b"", Refusal.RLP_INVALID_HEADER),
        (3, 10, [b"\x01"], Refusal.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH),
        (4, 9, b"", BAD_TUPLE),
        (4, 9, [b""], BAD_TUPLE),
        (4, 9, [ENTRY[:5]], BAD_TUPLE),
        (4, 9, [[b"\x01" * 33, *ENTRY[1:]]], BAD_TUPLE),
        (4, 9, [[b"\x01", b"\xab" * 19, *ENTRY[2:]]], BAD_TUPLE),
        (4, 9, [[*ENTRY[:2], b"\x01" * 9, *ENTRY[3:]]], BAD_TUPLE),
        (4, 9, [[*ENTRY[:3], b"\x01\x00", *ENTRY[4:]]], BAD_TUPLE),
        (4, 9, [[*ENTRY[:5], [b""]]], BAD_TUPLE),
    ],
)
def test_a_field_that_is_not_what_it_must_be_is_named_as_the_reason(
    kind: int, place: int, item: Any, reason: Refusal
) -> None:
    assert refusal(with_items(kind, {place: item})) is reason


def test_items_to_spare_are_refused() -> None:
    items: Any = rlp.decode(EIP155_RAW)
    assert refusal(rlp.encode([*items, b""])) is Refusal.RLP_TOO_MANY_ELEMENTS


def test_more_bytes_than_allowed_are_refused_before_they_are_read() -> None:
    assert refusal(EIP155_RAW, max_bytes=len(EIP155_RAW) - 1) is Refusal.RLP_ERROR_SIZE
    assert decode_transaction(EIP155_RAW, max_bytes=len(EIP155_RAW)).nonce == 9


def test_an_unrecoverable_signature_shows_at_the_first_look_at_the_sender_if_it_was_not_recovered() -> None:
    transaction = decode_transaction(with_items(2, {10: b"\x05"}), recover=False)
    with pytest.raises(InvalidTransaction) as refused:
        _ = transaction.sender
    assert refused.value.reason is Refusal.EC_RECOVERY_FAIL


def test_a_malleated_copy_of_a_transaction_is_refused() -> None:
    original = signed(2)
    r, s, parity = original.signature
    copy = encode_signed(fields_of(2), Signature(r, SECP256K1_N - s, 1 - parity))
    assert refusal(copy) is Refusal.INVALID_SIGNATURE_VRS
    frontier = signed(0, chain_id=None)
    r, s, parity = frontier.signature
    copy = encode_signed(fields_of(0, chain_id=None), Signature(r, SECP256K1_N - s, 1 - parity))
    assert decode_transaction(copy, ChainRules(Fork.FRONTIER, 1)).sender == ALICE.address


def test_a_refusal_survives_a_process_boundary() -> None:
    copy = pickle.loads(pickle.dumps(InvalidTransaction(Refusal.NONCE_TOO_BIG, "too big")))
    assert (copy.reason, str(copy)) == (Refusal.NONCE_TOO_BIG, "too big (NONCE_TOO_BIG)")


def test_a_transaction_at_hand_is_checked_by_the_same_rules() -> None:
    check_transaction(signed(2), ChainRules(Fork.OSAKA, 31337))
    with pytest.raises(InvalidTransaction) as refused:
        check_transaction(signed(2), ChainRules(Fork.OSAKA, 1))
    assert refused.value.reason is Refusal.INVALID_CHAINID


def test_the_signing_payload_of_the_example_of_eip_155_is_the_standards() -> None:
    assert signing_payload(decode_transaction(EIP155_RAW)).hex() == (
        "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080"
    )
