"""The codec: what the vectors and the properties do not say."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import codec
from protocol.errors import NonCanonical, OversizeMessage, RemoteProtocolError
from tests import protocol_factories as make


def test_what_is_no_message_is_not_encoded() -> None:
    foreign: Any = make.order()
    for encode in (codec.encode_payload, codec.encode_direct):
        with pytest.raises(AssertionError):
            encode(foreign)


def test_size_is_looked_at_before_anything_else() -> None:
    with pytest.raises(OversizeMessage, match="8193 bytes"):
        codec.decode_envelope(bytes(8193), make.DEVNET.separator)
    with pytest.raises(OversizeMessage):
        codec.decode_direct(bytes(codec.MAX_DIRECT_BYTES + 1))


def test_an_error_names_the_field_and_not_its_content() -> None:
    handed = bytearray(codec.encode_direct(make.handover(b"secret route")))
    handed[32 * 4] = 1
    with pytest.raises(NonCanonical) as caught:
        codec.decode_direct(bytes(handed))
    assert str(caught.value) == "direct.orderHandover.order.finderBps: padding is not zero"
    with pytest.raises(RemoteProtocolError) as route:
        codec.decode_direct(codec.encode_direct(make.handover(b"secret route")) + b"!")
    assert "secret" not in str(route.value)
