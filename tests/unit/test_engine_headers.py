"""A header is believed for its hash, not for what the node says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from node.engine.headers import Header, HeaderInvalid, header_from_json
from tests.fake_blocks import header_json


def test_a_header_is_read_with_its_units() -> None:
    body = header_json(7, timestamp=1_800_000_000, base_fee=5)
    header = header_from_json(orjson.dumps(body))
    assert isinstance(header, Header)
    assert (header.number, header.timestamp, header.base_fee) == (7, 1_800_000_000, 5)
    assert "0x" + header.hash.hex() == body["hash"]
    assert "0x" + header.parent_hash.hex() == body["parentHash"]
    assert header.excess_blob_gas is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("number", "0x8"), ("parentHash", "0x" + "11" * 32), ("baseFeePerGas", "0x1"), ("gasUsed", "0x2")],
)
def test_a_header_that_was_changed_does_not_hash_to_its_hash(field: str, value: str) -> None:
    with pytest.raises(HeaderInvalid, match="does not hash to"):
        header_from_json(orjson.dumps({**header_json(7), field: value}))


def test_fields_of_later_forks_are_hashed_in_their_order() -> None:
    plain = header_json(7)
    later: dict[str, Any] = {
        "withdrawalsRoot": "0x" + "01" * 32,
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x20",
        "parentBeaconBlockRoot": "0x" + "02" * 32,
        "requestsHash": "0x" + "03" * 32,
    }
    header = header_from_json(orjson.dumps(header_json(7, **later)))
    assert header.excess_blob_gas == 32
    with pytest.raises(HeaderInvalid, match="does not hash to"):
        header_from_json(orjson.dumps({**plain, **later}))


@pytest.mark.parametrize("body", [b"null", b"{}", b"[]", b"\xff", b"[" * 3000, b'{"number":1}'])
def test_what_is_no_header_is_refused(body: bytes) -> None:
    with pytest.raises(HeaderInvalid, match="not a header"):
        header_from_json(body)
