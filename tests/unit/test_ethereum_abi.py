"""The ABI: selectors, call data, and what is refused on either side."""

from __future__ import annotations

import pytest

from protocol.errors import InvalidField
from protocol.ethereum import abi
from protocol.ethereum.abi import InvalidAbi

ALICE = "0x" + "a1" * 20


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_selectors_are_the_known_ones() -> None:
    assert abi.selector("transfer(address,uint256)").hex() == "a9059cbb"
    assert abi.selector("totalSupply()").hex() == "18160ddd"


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "transfer",
        "transfer(address",
        "transfer(address,uint256) ",
        "transfer(address, uint256)",
        "transfer(address,uint)",
        "f(int[])",
        "f((uint,bool))",
        "f(address))(",
        "f((address)",
        "f(address),(bool))",
        "1f()",
        "f(é)",
    ],
)
def test_a_signature_that_is_not_canonical_has_no_selector(signature: str) -> None:
    with pytest.raises(InvalidField):
        abi.selector(signature)


def test_argument_types_keep_tuples_whole() -> None:
    assert abi.argument_types("f()") == []
    assert abi.argument_types("f((address,uint256)[],bytes)") == ["(address,uint256)[]", "bytes"]
    assert abi.argument_types("f(int256,bytes32[2])") == ["int256", "bytes32[2]"]


def test_call_data_comes_back_as_its_arguments() -> None:
    data = abi.encode_call("transfer(address,uint256)", ALICE, 5)
    assert data.hex() == "a9059cbb" + "00" * 12 + "a1" * 20 + "00" * 31 + "05"
    assert abi.decode_call("transfer(address,uint256)", data) == (ALICE, 5)
    with pytest.raises(InvalidAbi, match="no call of approve"):
        abi.decode_call("approve(address,uint256)", data)


@pytest.mark.parametrize(
    ("types", "values"),
    [
        (["uint8"], [256]),
        (["uint8"], [-1]),
        (["uint8"], ["1"]),
        (["uint8"], [True]),
        (["address"], ["0x12"]),
        (["bytes2"], [b"abc"]),
        (["uint8[2]"], [[1]]),
        (["uint8"], []),
        (["uint8", "uint8"], [1]),
        (["uint7"], [1]),
        (["nonsense"], [1]),
        (["uint8["], [1]),
        ([5], [1]),
    ],
)
def test_values_that_are_not_of_their_type_are_our_fault(types: list[str], values: list[object]) -> None:
    with pytest.raises(InvalidField):
        abi.encode(types, values)


def test_types_that_do_not_exist_are_our_fault_also_when_decoding() -> None:
    for bad in ("uint7", "nonsense", "uint8["):
        with pytest.raises(InvalidField):
            abi.decode([bad], bytes(64))


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("uint256", b""),
        ("uint256", bytes(31)),
        ("uint8", word(256)),
        ("bool", word(2)),
        ("address", b"\x01" + bytes(31)),
        ("bytes2", word(1)),
        ("bytes", word(32)),
        ("bytes", word(2**255)),
        ("bytes", word(0) + bytes(64)),
        ("bytes", word(32) + word(2**255)),
        ("bytes", word(32) + word(2**64)),
        ("bytes", word(32) + word(1) + b"a" + b"\x01" * 31),
        ("string", word(32) + word(1) + b"\xff" + bytes(31)),
        ("uint256[]", word(32) + word(2**255)),
        ("bytes[]", word(32) + word(2) + word(2**200) + word(0)),
        ("(bytes,uint8)", word(32) + word(2**100) + word(1)),
    ],
)
def test_bytes_that_are_no_encoding_are_the_senders_fault(type_: str, data: bytes) -> None:
    with pytest.raises(InvalidAbi):
        abi.decode([type_], data)


def test_many_offsets_to_the_same_bytes_do_not_multiply_them() -> None:
    count, blob = 2000, b"\xff" * 60_000
    shared = b"".join(word(32 * count) for _ in range(count)) + word(len(blob)) + blob
    with pytest.raises(InvalidAbi, match="too often"):
        abi.decode(["bytes[]"], word(32) + word(count) + shared)
    honest = [b"\xff" * 30_000] * 10
    assert abi.decode(["bytes[]"], abi.encode(["bytes[]"], [honest])) == (tuple(honest),)


def test_bytes_after_the_values_are_taken_unless_the_encoding_must_be_exact() -> None:
    data = abi.encode(["uint256", "bytes"], [1, b"abc"])
    assert abi.decode(["uint256", "bytes"], data + bytes(32)) == (1, b"abc")
    assert abi.decode(["uint256", "bytes"], data, exact=True) == (1, b"abc")
    with pytest.raises(InvalidAbi, match="canonical"):
        abi.decode(["uint256", "bytes"], data + bytes(32), exact=True)
