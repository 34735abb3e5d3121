"""RLP: what encodes, and what is refused at which byte."""

from __future__ import annotations

import pickle

import pytest

from protocol.errors import InvalidField
from protocol.ethereum import rlp
from protocol.ethereum.rlp import RlpError, RlpFault


@pytest.mark.parametrize(
    ("item", "encoded"),
    [
        (b"", "80"),
        (b"\x00", "00"),
        (b"\x7f", "7f"),
        (b"\x80", "8180"),
        (b"dog", "83646f67"),
        ([b"cat", b"dog"], "c88363617483646f67"),
        ([], "c0"),
        ([[], [[]], [[], [[]]]], "c7c0c1c0c3c0c1c0"),
        (b"a" * 55, "b7" + "61" * 55),
        (b"a" * 56, "b838" + "61" * 56),
        (b"a" * 256, "b90100" + "61" * 256),
        ([b"a" * 55], "f838b7" + "61" * 55),
    ],
)
def test_an_item_has_one_encoding_both_ways(item: rlp.RlpItem, encoded: str) -> None:
    assert rlp.encode(item).hex() == encoded
    assert rlp.decode(bytes.fromhex(encoded)) == item


@pytest.mark.parametrize(
    ("encoded", "fault", "offset"),
    [
        ("", RlpFault.EMPTY, 0),
        ("b8", RlpFault.TRUNCATED, 0),
        ("f9ff", RlpFault.TRUNCATED, 0),
        ("83646f", RlpFault.SIZE, 0),
        ("c883636174", RlpFault.SIZE, 0),
        ("c2" + "83", RlpFault.SIZE, 0),
        ("c1" + "83", RlpFault.SIZE, 1),
        ("b83861", RlpFault.SIZE, 0),
        ("8000", RlpFault.TRAILING, 1),
        ("c0c0", RlpFault.TRAILING, 1),
        ("b90038" + "61" * 56, RlpFault.LEADING_ZERO, 0),
        ("b837" + "61" * 55, RlpFault.NOT_SHORTEST, 0),
        ("f801" + "80", RlpFault.NOT_SHORTEST, 0),
        ("817f", RlpFault.NOT_SHORTEST, 0),
        ("c3808100", RlpFault.NOT_SHORTEST, 2),
        ("bfffffffffffffffff", RlpFault.SIZE, 0),
    ],
)
def test_anything_but_the_canonical_encoding_is_refused_with_its_offset(
    encoded: str, fault: RlpFault, offset: int
) -> None:
    with pytest.raises(RlpError) as refused:
        rlp.decode(bytes.fromhex(encoded))
    assert (refused.value.fault, refused.value.offset) == (fault, offset)
    assert f"byte {offset}" in str(refused.value)


def test_nesting_deeper_than_the_bound_is_refused() -> None:
    def nested(depth: int) -> rlp.RlpItem:
        return [nested(depth - 1)] if depth > 1 else []

    assert rlp.decode(rlp.encode(nested(4)), max_depth=4) == nested(4)
    with pytest.raises(RlpError) as refused:
        rlp.decode(rlp.encode(nested(5)), max_depth=4)
    assert refused.value.fault is RlpFault.TOO_DEEP
    with pytest.raises(RlpError, match="too deeply"):
        rlp.decode(rlp.encode(nested(rlp.MAX_DEPTH + 1)))


def test_more_items_than_the_bound_are_refused_across_all_lists() -> None:
    three: list[rlp.RlpItem] = [b"a", [b"b"]]
    assert rlp.decode(rlp.encode([*three]), max_items=4) == three
    with pytest.raises(RlpError) as refused:
        rlp.decode(rlp.encode(three), max_items=2)
    assert refused.value.fault is RlpFault.TOO_MANY


def test_what_has_no_encoding_of_its_own_is_not_encoded() -> None:
    with pytest.raises(InvalidField, match="str"):
        rlp.encode("text")
    with pytest.raises(InvalidField, match="int"):
        rlp.encode([1])  # type: ignore[list-item]
    with pytest.raises(InvalidField, match="negative"):
        rlp.encode_int(-1)


def test_an_rlp_error_survives_a_process_boundary() -> None:
    copy = pickle.loads(pickle.dumps(RlpError(RlpFault.SIZE, 9)))
    assert (copy.fault, copy.offset, str(copy)) == (RlpFault.SIZE, 9, str(RlpError(RlpFault.SIZE, 9)))
