"""EIP-712: the standard's example, what each dialect takes, and what is refused where."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from protocol.ethereum.keccak import keccak256
from protocol.ethereum.typed_data import (
    Dialect,
    Field,
    InvalidTypedData,
    TypedData,
    TypedDataEncoder,
    typed_data_digest,
)
from protocol.ethereum.typed_values import encode_atomic, is_atomic

COW = "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"
MAIL: dict[str, Any] = {
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"},
            {"name": "verifyingContract", "type": "address"},
        ],
        "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
        "Mail": [
            {"name": "from", "type": "Person"},
            {"name": "to", "type": "Person"},
            {"name": "contents", "type": "string"},
        ],
    },
    "primaryType": "Mail",
    "domain": {
        "name": "Ether Mail",
        "version": "1",
        "chainId": 1,
        "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
    },
    "message": {
        "from": {"name": "Cow", "wallet": COW},
        "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
        "contents": "Hello, Bob!",
    },
}
MAIL_DIGEST = "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"  # of the standard
STRICT, LENIENT = Dialect.STRICT, Dialect.ETH_ACCOUNT


def mail(change: Callable[[Any], object]) -> dict[str, Any]:
    """Return the standard's example with a change."""
    document = copy.deepcopy(MAIL)
    change(document)
    return document


def one_field(type_: str, value: object, **types: object) -> dict[str, Any]:
    """Return a document with one field."""
    return {
        "types": {"Root": [{"name": "it", "type": type_}], **types},
        "primaryType": "Root",
        "domain": {},
        "message": {"it": value},
    }


def test_the_standards_example_hashes_as_the_standard_says() -> None:
    data = TypedData.from_document(MAIL)
    encoder = TypedDataEncoder(data.types)
    assert encoder.encode_type("Mail") == (
        "Mail(Person from,Person to,string contents)Person(string name,address wallet)"
    )
    assert encoder.type_hash("Mail").hex() == "a0cedeb2dc280ba39b857546d74f5549c3a1d7bdc2dd96bf881f76108e23dac2"
    assert encoder.hash_struct("Mail", data.message).hex() == (
        "c52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e"
    )
    assert data.domain_separator().hex() == "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"
    assert data.digest().hex() == MAIL_DIGEST


@pytest.mark.parametrize("dialect", Dialect)
def test_what_a_document_leaves_out_is_inferred(dialect: Dialect) -> None:
    without_primary = mail(lambda d: d.pop("primaryType"))
    without_domain_type = mail(lambda d: d["types"].pop("EIP712Domain"))
    for document in (MAIL, without_primary, without_domain_type):
        assert typed_data_digest(document, dialect).hex() == MAIL_DIGEST
    parts = TypedData.from_parts(MAIL["domain"], MAIL["types"], MAIL["message"], dialect)
    assert parts.digest(dialect).hex() == MAIL_DIGEST


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d.pop("types"), "types"),
        (lambda d: d.update(types=[]), "types"),
        (lambda d: d.pop("message"), "message"),
        (lambda d: d.update(domain=None), "domain"),
        (lambda d: d["types"].update(Mail=5), "types.Mail"),
        (lambda d: d["types"]["Mail"].append(5), "types.Mail[3]"),
        (lambda d: d["types"]["Mail"].append({"name": "x"}), "types.Mail[3]"),
        (lambda d: d["types"].update(uint8=[]), "types"),
        (lambda d: d["types"].update({"Odd[]": []}), "types"),
        (lambda d: d.update(primaryType="Horse"), "primaryType"),
        (lambda d: d["types"]["EIP712Domain"].pop(), "types.EIP712Domain"),
        (lambda d: d["domain"].update(salt="0x" + "00" * 32), "types.EIP712Domain"),
        (lambda d: d["types"]["Person"].append({"name": "age", "type": "uint25689"}), "Mail"),
        (lambda d: d["types"]["Person"].append({"name": "age", "type": "uint7"}), "Mail"),
        (lambda d: d["message"]["to"].update(wallet="0x12"), "Mail.to.wallet"),
        (lambda d: d["message"]["to"].update(wallet=5), "Mail.to.wallet"),
        (lambda d: d["message"]["to"].update(wallet=None), "Mail.to.wallet"),
        (lambda d: d["message"].update(to="Bob"), "Mail.to"),
        (lambda d: d["message"].update(contents=["Hello"]), "Mail.contents"),
        (lambda d: d["message"].update(contents="\ud800"), "Mail.contents"),
    ],
)
def test_a_document_that_has_no_encoding_is_refused_with_the_path(
    dialect: Dialect, change: Callable[[Any], object], where: str
) -> None:
    with pytest.raises(InvalidTypedData) as refused:
        typed_data_digest(mail(change), dialect)
    assert refused.value.where == where


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d["message"].update(to=None), "Mail.to"),
        (lambda d: d["message"].update(contents=None), "Mail.contents"),
        (lambda d: d["message"].update(extra=1), "Mail"),
        (lambda d: d["message"]["to"].update(wallet=COW.replace("CD", "cD")), "Mail.to.wallet"),
        (lambda d: d["types"]["Mail"].append({"name": "cont ents", "type": "string"}), "types.Mail[3]"),
        (lambda d: (d["types"].update({"": []}), d["types"]["Mail"].append({"name": "odd", "type": ""})), "types"),
        (lambda d: d["types"]["Mail"].append({"name": "to", "type": "Person"}), "types.Mail"),
        (lambda d: d["types"]["EIP712Domain"].reverse(), "types.EIP712Domain"),
        (lambda d: d["types"]["EIP712Domain"][2].update(type="uint8"), "types.EIP712Domain"),
    ],
)
def test_only_the_forgiving_dialect_takes_what_says_less_or_more_than_its_types(
    change: Callable[[Any], object], where: str
) -> None:
    with pytest.raises(InvalidTypedData) as refused:
        typed_data_digest(mail(change))
    assert refused.value.where == where
    assert len(typed_data_digest(mail(change), LENIENT)) == 32


def test_null_is_the_zero_word_for_the_forgiving_dialect() -> None:
    zero = bytes(32)
    types = {"Root": [Field("a", "string"), Field("b", "bytes"), Field("c", "Leaf")], "Leaf": [Field("x", "bool")]}
    encoder = TypedDataEncoder(types, LENIENT)
    assert encoder.encode_data("Root", {})[32:] == zero * 3
    with pytest.raises(InvalidTypedData, match=r"Leaf\.x"):
        encoder.encode_data("Leaf", {"x": None})


def test_a_struct_may_contain_itself() -> None:
    types = {"Node": [Field("value", "uint8"), Field("next", "Node[]")]}
    encoder = TypedDataEncoder(types)
    assert encoder.encode_type("Node") == "Node(uint8 value,Node[] next)"
    leaf = encoder.hash_struct("Node", {"value": 2, "next": []})
    root = encoder.encode_data("Node", {"value": 1, "next": [{"value": 2, "next": []}]})
    assert root[-32:] == keccak256(leaf)


def test_nesting_without_end_is_refused_and_not_followed() -> None:
    value: Any = []
    for _ in range(200):
        value = [{"value": 1, "next": value}]
    encoder = TypedDataEncoder({"Node": [Field("value", "uint8"), Field("next", "Node[]")]})
    with pytest.raises(InvalidTypedData, match="deep"):
        encoder.encode_data("Node", value[0])


def test_a_domain_has_only_the_standards_fields() -> None:
    with pytest.raises(InvalidTypedData, match="no field 'extra'"):
        typed_data_digest(mail(lambda d: (d["types"].pop("EIP712Domain"), d["domain"].update(extra=1))))


@pytest.mark.parametrize(
    "types", [{}, {"A": [], "B": []}, {"A": [{"name": "b", "type": "B"}], "B": [{"name": "a", "type": "A[]"}]}]
)
def test_a_primary_type_that_cannot_be_inferred_is_asked_for(types: dict[str, Any]) -> None:
    with pytest.raises(InvalidTypedData) as refused:
        TypedData.from_parts({}, types, {})
    assert refused.value.where == "primaryType"


def test_a_struct_that_nobody_defined_is_refused() -> None:
    with pytest.raises(InvalidTypedData, match="no type 'Ghost'"):
        typed_data_digest(one_field("Ghost[]", []))


@pytest.mark.parametrize(
    ("type_", "value", "words"),
    [
        ("uint8[]", [], b""),
        ("uint8[2]", [1, 2], bytes(31) + b"\x01" + bytes(31) + b"\x02"),
        ("uint8[1][]", [[1]], keccak256(bytes(31) + b"\x01")),
        ("string[]", ["x"], keccak256(b"x")),
    ],
)
def test_an_array_is_the_digest_of_its_words(type_: str, value: object, words: bytes) -> None:
    encoder = TypedDataEncoder({"Root": [Field("it", type_)]})
    assert encoder.encode_data("Root", {"it": value})[32:] == keccak256(words)


@pytest.mark.parametrize(
    ("type_", "value"), [("uint8[2]", [1]), ("uint8[]", 1), ("uint8[][]", [1]), ("uint8[]", "0x01")]
)
def test_an_array_of_another_shape_is_refused(type_: str, value: object) -> None:
    with pytest.raises(InvalidTypedData):
        typed_data_digest(one_field(type_, value))


def test_the_forgiving_dialect_does_not_count_a_fixed_array() -> None:
    assert typed_data_digest(one_field("uint8[2]", [1]), LENIENT)


@pytest.mark.parametrize(
    "type_", ["bool", "address", "string", "bytes", "uint", "int8", "uint256", "bytes1", "bytes32"]
)
def test_solidity_types_are_elementary(type_: str) -> None:
    assert is_atomic(type_)


@pytest.mark.parametrize(
    "type_", ["", "uint0", "uint7", "uint08", "uint264", "int1", "bytes0", "bytes33", "bytes01", "uint²", "Bool"]
)
def test_widths_that_do_not_exist_are_not_elementary(type_: str) -> None:
    assert not is_atomic(type_)


@pytest.mark.parametrize(
    ("type_", "value", "word"),
    [
        ("bool", True, 1),
        ("bool", False, 0),
        ("uint8", 255, 255),
        ("uint", "0xff", 255),
        ("int8", "-128", 2**256 - 128),
        ("int256", -(2**255), 2**255),
        ("address", COW, int(COW, 16)),
        ("address", COW.lower(), int(COW, 16)),
        ("bytes2", "0x0102", 0x0102 << 240),
        ("bytes2", b"\x01\x02", 0x0102 << 240),
        ("bytes", "0x", int.from_bytes(keccak256(b""), "big")),
        ("string", "é", int.from_bytes(keccak256("é".encode()), "big")),
    ],
)
def test_a_value_of_its_type_is_one_word_in_both_dialects(type_: str, value: object, word: int) -> None:
    for dialect in Dialect:
        assert int.from_bytes(encode_atomic(type_, value, dialect, "it"), "big") == word


@pytest.mark.parametrize(
    ("type_", "value", "word"),
    [
        ("bool", "false", 0),
        ("bool", "no", 1),
        ("bool", 0, 0),
        ("bool", [], 0),
        ("uint8", " 7 ", 7),
        ("uint8", "+7", 7),
        ("address", COW[2:], int(COW, 16)),
        ("address", b"\x01" * 20, int("01" * 20, 16)),
        ("address", COW.replace("CD", "cD"), int(COW, 16)),
        ("bytes2", "0x1", 0x01 << 248),
        ("bytes2", "hi", int.from_bytes(b"hi", "big") << 240),
        ("bytes2", 258, 0x0102 << 240),
        ("bytes2", -1, 0),
        ("bytes2", True, 0x01 << 248),
        ("string", 65, int.from_bytes(keccak256(b"A"), "big")),
    ],
)
def test_the_forgiving_dialect_turns_values_into_their_type_and_the_strict_one_refuses(
    type_: str, value: object, word: int
) -> None:
    assert int.from_bytes(encode_atomic(type_, value, LENIENT, "it"), "big") == word
    with pytest.raises(InvalidTypedData):
        encode_atomic(type_, value, STRICT, "it")


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("bool", [1]),
        ("uint8", 256),
        ("uint8", -1),
        ("int8", 128),
        ("uint8", True),
        ("uint8", 1.0),
        ("uint8", "seven"),
        ("uint8", "9" * 5000),
        ("uint8", "0x" + "0" * 65),
        ("bytes2", "0x010203"),
        ("bytes2", 1.5),
        ("bytes", []),
        ("string", -1),
        ("string", b"x"),
        ("address", "0x" + "zz" * 20),
        ("address", b"\x01" * 19),
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused_in_both_dialects(
    dialect: Dialect, type_: str, value: object
) -> None:
    with pytest.raises(InvalidTypedData):
        encode_atomic(type_, value, dialect, "it")
