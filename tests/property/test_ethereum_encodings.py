"""Round trips of every encoding, and arbitrary bytes: they raise RemoteProtocolError or nothing."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.ethereum import abi, rlp
from protocol.ethereum.forks import ChainRules, Fork
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import Signature, recover_address
from protocol.ethereum.transaction_json import to_rpc, transaction_from_rpc
from protocol.ethereum.transactions import (
    AccessListEntry,
    Authorization,
    TransactionFields,
    decode_transaction,
    intrinsic_gas,
    sign_transaction,
    signing_payload,
)
from protocol.ethereum.typed_data import Dialect, typed_data_digest
from tests.ethereum_samples import ALICE, signed

settings.register_profile("no clock", deadline=None)  # how long an example takes says nothing on a shared machine
settings.load_profile("no clock")

UINT64 = st.integers(0, 2**64 - 1)
UINT256 = st.integers(0, 2**256 - 1)
ADDRESS = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
WORD = st.binary(min_size=32, max_size=32)
DATA = st.binary(max_size=120)
RLP_ITEM = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=5), max_leaves=30)
SIGNATURE = st.builds(Signature, UINT256, UINT256, st.integers(0, 255))
TEXT = st.text("0123456789abcdefxX-+_ é٣🚀\n\0", max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@st.composite
def transaction_fields(draw: st.DrawFn) -> TransactionFields:
    kind = draw(st.integers(0, 4))
    price = draw(UINT256)
    lists: dict[str, Any] = {}
    if kind:
        lists["access_list"] = tuple(
            draw(st.lists(st.builds(AccessListEntry, ADDRESS, st.lists(WORD, max_size=3).map(tuple)), max_size=3))
        )
    if kind == 3:
        lists["max_fee_per_blob_gas"] = draw(UINT256)
        lists["blob_versioned_hashes"] = tuple(draw(st.lists(WORD, max_size=3)))
    if kind == 4:
        tuples = st.lists(st.builds(Authorization, UINT256, ADDRESS, UINT64, SIGNATURE), max_size=3)
        lists["authorization_list"] = tuple(draw(tuples))
    return TransactionFields(
        type=kind,
        chain_id=draw(st.integers(0, 2**200) if kind else st.none() | st.integers(0, 2**200)),
        nonce=draw(UINT64),
        gas_limit=draw(UINT64),
        max_fee_per_gas=price,
        max_priority_fee_per_gas=price if kind < 2 else draw(UINT256),
        to=draw(ADDRESS if kind > 2 else st.none() | ADDRESS),
        value=draw(UINT256),
        data=draw(DATA),
        **lists,
    )


@given(RLP_ITEM)
def test_rlp_comes_back_as_it_was(item: rlp.RlpItem) -> None:
    assert rlp.decode(rlp.encode(item)) == item


@given(st.binary(max_size=60))
def test_what_rlp_decodes_is_its_only_encoding(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert rlp.encode(rlp.decode(data)) == data


@given(transaction_fields())
def test_a_transaction_of_any_type_comes_back_as_it_was(fields: TransactionFields) -> None:
    transaction = sign_transaction(fields, ALICE)
    decoded = decode_transaction(transaction.raw)
    assert decoded == transaction
    assert decoded.sender == ALICE.address
    assert all(getattr(decoded, name) == getattr(fields, name) for name in fields.__struct_fields__)
    assert decoded.encode() == transaction.raw
    assert decoded.signing_hash == keccak256(signing_payload(fields))
    assert intrinsic_gas(decoded, Fork.OSAKA) >= 21_000
    assert transaction_from_rpc(json.loads(json.dumps(to_rpc(decoded)))) == decoded


@given(st.binary(max_size=200), st.sampled_from(Fork), st.sampled_from([b"", b"\x01", b"\x02", b"\x03", b"\x04"]))
def test_arbitrary_bytes_are_no_transaction_and_raise_only_what_they_may(data: bytes, fork: Fork, head: bytes) -> None:
    for rules in (None, ChainRules(fork, 1)):
        with contextlib.suppress(RemoteProtocolError):
            assert decode_transaction(head + data, rules).encode() == head + data


@given(st.integers(0, 4), RLP_ITEM, st.data())
def test_a_transaction_with_one_item_exchanged_is_refused_or_means_something_else(
    kind: int, item: Any, data: st.DataObject
) -> None:
    raw = signed(kind).raw
    items: Any = rlp.decode(raw[1:] if kind else raw)
    place = data.draw(st.integers(0, len(items) - 1))
    items[place] = item
    changed = raw[: 1 if kind else 0] + rlp.encode(items)
    with contextlib.suppress(RemoteProtocolError):
        assert decode_transaction(changed).encode() == changed


@given(st.integers(0, 4), st.data())
def test_a_transaction_with_one_bit_flipped_is_refused_or_has_another_hash_and_sender(
    kind: int, data: st.DataObject
) -> None:
    raw = signed(kind).raw
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    flipped = bytearray(raw)
    flipped[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(RemoteProtocolError):
        transaction = decode_transaction(bytes(flipped))
        assert transaction.hash != signed(kind).hash
        assert transaction.sender != ALICE.address


@given(st.dictionaries(st.sampled_from(sorted(to_rpc(signed(4)))), JSON), st.integers(0, 4))
def test_arbitrary_json_is_no_transaction_and_raises_only_what_it_may(changes: dict[str, Any], kind: int) -> None:
    with contextlib.suppress(RemoteProtocolError):
        transaction_from_rpc(to_rpc(signed(kind)) | changes)


@given(JSON, JSON, JSON, JSON, st.sampled_from(Dialect))
def test_arbitrary_documents_are_no_typed_data_and_raise_only_what_they_may(
    types: object, domain: object, message: object, whole: object, dialect: Dialect
) -> None:
    for document in (whole, {"types": types, "domain": domain, "message": message}):
        with contextlib.suppress(RemoteProtocolError):
            typed_data_digest(document, dialect)


TYPES = st.sampled_from(
    ["bool", "address", "string", "bytes", "uint8", "int256", "bytes4", "bytes32", "Root[]", "int8[2]"]
)


@given(st.lists(st.tuples(TYPES, JSON), max_size=4), st.sampled_from(Dialect))
def test_values_of_other_types_raise_only_what_they_may(fields: list[tuple[str, Any]], dialect: Dialect) -> None:
    types = {"Root": [{"name": f"f{at}", "type": type_} for at, (type_, _) in enumerate(fields)]}
    message = {f"f{at}": value for at, (_, value) in enumerate(fields)}
    with contextlib.suppress(RemoteProtocolError):
        assert len(typed_data_digest({"types": types, "domain": {}, "message": message}, dialect)) == 32


@st.composite
def abi_value(draw: st.DrawFn, depth: int = 3) -> tuple[str, Any]:
    """Draw a type and a value of it; arrays take values of one type by drawing one and repeating it."""
    bits = draw(st.integers(1, 32)) * 8
    choice = draw(st.integers(0, 5 if not depth else 8))
    if choice == 0:
        return f"uint{bits}", draw(st.integers(0, 2**bits - 1))
    if choice == 1:
        return f"int{bits}", draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    if choice == 2:
        return f"bytes{bits // 8}", draw(st.binary(min_size=bits // 8, max_size=bits // 8))
    if choice == 3:
        return draw(st.sampled_from([("bool", True), ("bool", False)]))
    if choice == 4:
        return draw(st.tuples(st.just("address"), ADDRESS) | st.tuples(st.just("bytes"), DATA))
    if choice == 5:
        return "string", draw(TEXT)
    if choice == 6:
        parts = draw(st.lists(abi_value(depth - 1), min_size=1, max_size=3))
        return f"({','.join(type_ for type_, _ in parts)})", tuple(value for _, value in parts)
    type_, value = draw(abi_value(depth - 1))
    count = draw(st.integers(1, 3)) if choice == 7 else draw(st.integers(0, 3))
    return f"{type_}[{count if choice == 7 else ''}]", (value,) * count


@given(st.lists(abi_value(), max_size=4))
def test_abi_values_come_back_as_they_were(drawn: list[tuple[str, Any]]) -> None:
    types, values = [type_ for type_, _ in drawn], tuple(value for _, value in drawn)
    assert abi.decode(types, abi.encode(types, values), exact=True) == values


@given(abi_value(), st.binary(max_size=200).map(lambda raw: raw + bytes(-len(raw) % 32)))
def test_arbitrary_bytes_are_no_abi_values_and_raise_only_what_they_may(drawn: tuple[str, Any], data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        abi.decode([drawn[0]], data)


@given(WORD, SIGNATURE)
def test_arbitrary_signatures_recover_to_an_address_or_raise_only_what_they_may(
    digest: bytes, signature: Signature
) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert len(recover_address(digest, signature)) == 42
    with contextlib.suppress(RemoteProtocolError):
        Signature.from_bytes(digest + digest + bytes((27,)))
