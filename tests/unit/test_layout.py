"""Layouts: the words are Solidity's own, and one value has one encoding."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode

from protocol.errors import InvalidField, NonCanonical, TrailingBytes, TruncatedMessage, UnknownKind
from protocol.layout import Field, StructLayout
from protocol.statements import Accept, Attestation, Order
from tests.protocol_factories import accept, attestation, order


class Colour(IntEnum):
    RED = 1


LAYOUT = StructLayout("Sample", Field("the_colour", "uint8", Colour), Field("the_amount", "uint128"))


def words(colour: int, amount: int) -> bytes:
    return colour.to_bytes(32, "big") + amount.to_bytes(32, "big")


def test_names_are_spelled_as_in_solidity() -> None:
    assert LAYOUT.type_string == "Sample(uint8 theColour,uint128 theAmount)"


@pytest.mark.parametrize("statement", [order(), accept(), attestation()])
def test_words_are_what_solidity_encodes(statement: Order | Accept | Attestation) -> None:
    types = [field.solidity for field in statement.LAYOUT.fields]
    values = [getattr(statement, field.attribute) for field in statement.LAYOUT.fields]
    assert statement.words() == abi_encode(types, values)


def test_reading_gives_back_what_was_packed() -> None:
    assert LAYOUT.read(LAYOUT.pack((Colour.RED, 1 << 127))) == {"the_colour": Colour.RED, "the_amount": 1 << 127}


@pytest.mark.parametrize(
    ("data", "error", "where"),
    [
        (words(1, 1)[:-1], TruncatedMessage, "sample"),
        (words(1, 1) + b"\0", TrailingBytes, "sample"),
        (words(257, 1), NonCanonical, "sample.theColour"),
        (words(1, 1 << 128), NonCanonical, "sample.theAmount"),
        (words(2, 1), UnknownKind, "sample.theColour"),
    ],
)
def test_other_bytes_are_refused_with_their_place(data: bytes, error: type[Exception], where: str) -> None:
    with pytest.raises(error) as caught:
        LAYOUT.read(data, "above.")
    assert getattr(caught.value, "where", None) == f"above.{where}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("a", "address"), b"\1" * 19),
        (Field("a", "address"), "0x" + "00" * 20),
        (Field("a", "bytes32"), bytearray(32)),
        (Field("a", "uint8", Colour), 1),
        (Field("a", "uint16"), True),
        (Field("a", "uint16"), 1.0),
        (Field("a", "uint16"), -1),
        (Field("a", "uint16"), 1 << 16),
    ],
)
def test_a_value_of_another_type_or_range_is_refused(field: Field, value: Any) -> None:
    with pytest.raises(InvalidField, match=r"^here: "):
        field.check(value, "here")
