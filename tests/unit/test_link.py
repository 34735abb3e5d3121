"""Frames between processes: bytes in, messages out, however they are cut; garbage is refused by name."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.link import (
    LINK_VERSION,
    MAX_FRAME_BYTES,
    AnyLinkMessage,
    FrameDecoder,
    Hello,
    LedgerAcknowledgement,
    LedgerEntry,
    MarketTick,
    Ping,
    Pong,
    Refusal,
    ShutDown,
    decode_body,
    encode_frame,
    require_version,
)
from protocol.errors import (
    InvalidField,
    MalformedMessage,
    Misuse,
    OversizeMessage,
    RemoteProtocolError,
    TooLarge,
    TruncatedMessage,
    UnknownKind,
    WrongVersion,
)
from protocol.units import UnixMilliseconds

TICK = MarketTick(
    venue="binance",
    symbol="ETH/USDT",
    bid_price=350_012,
    bid_size=15,
    ask_price=350_013,
    ask_size=7,
    price_decimals=2,
    size_decimals=1,
    at=UnixMilliseconds(1_790_000_000_000),
)
ENTRY = LedgerEntry(sequence=1, at=UnixMilliseconds(5), kind="execution", body=b"\x00\xff")
MESSAGES: tuple[AnyLinkMessage, ...] = (
    Hello(process="venues"),
    Refusal(reason="no"),
    Ping(nonce=2**64 - 1),
    Pong(nonce=0),
    TICK,
    ENTRY,
    LedgerAcknowledgement(sequence=1),
    ShutDown(reason="done"),
)


def framed(value: object) -> bytes:
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(4, "big") + body


def taken(decoder: FrameDecoder) -> list[AnyLinkMessage]:
    return list(iter(decoder.next_message, None))


@given(st.lists(st.integers(1, 40), min_size=1))
def test_messages_come_out_whole_however_the_stream_is_cut(sizes: list[int]) -> None:
    stream, decoder, received = b"".join(map(encode_frame, MESSAGES)), FrameDecoder(), []
    position = 0
    while position < len(stream):
        for size in sizes:
            decoder.feed(stream[position : position + size])
            received += taken(decoder)
            position += size
    decoder.end()
    assert tuple(received) == MESSAGES


def test_messages_before_garbage_are_still_delivered() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(ENTRY) + b"\0\0\0\0")
    assert decoder.next_message() == ENTRY
    with pytest.raises(MalformedMessage, match="empty frame"):
        decoder.next_message()


def test_a_stream_that_broke_stays_broken() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\xff\xff\xff\xff")
    with pytest.raises(OversizeMessage, match="announces 4294967295 bytes"):
        decoder.next_message()
    for use in (decoder.next_message, lambda: decoder.feed(b"more")):
        with pytest.raises(Misuse):
            use()
    decoder.end()


def test_a_stream_that_ends_within_a_frame_is_truncated() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(ENTRY)[:-1])
    assert decoder.next_message() is None
    with pytest.raises(TruncatedMessage, match="into a frame"):
        decoder.end()


def test_a_length_above_the_cap_is_refused_before_its_body_arrives() -> None:
    decoder = FrameDecoder(max_frame_bytes=10)
    decoder.feed(encode_frame(ENTRY)[:4])
    with pytest.raises(OversizeMessage):
        decoder.next_message()


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ({"type": "teleport"}, UnknownKind, "'teleport'"),
        ({"type": 5}, UnknownKind, "int"),
        ({"nonce": 5}, MalformedMessage, "missing required field `type`"),
        ({"type": "ping"}, MalformedMessage, "missing required field `nonce`"),
        ({"type": "ping", "nonce": "x"}, MalformedMessage, "nonce"),
        ({"type": "ping", "nonce": 1, "more": 1}, MalformedMessage, "unknown field `more`"),
        ([1], MalformedMessage, "Expected `object`"),
    ],
)
def test_a_frame_of_something_else_is_refused_with_the_reason(value: object, error: type[Exception], said: str) -> None:
    decoder = FrameDecoder()
    decoder.feed(framed(value))
    with pytest.raises(error, match=said):
        decoder.next_message()


def test_a_refusal_quotes_little_of_what_a_stranger_sent() -> None:
    with pytest.raises(UnknownKind) as caught:
        decode_body(msgspec.msgpack.encode({"type": "x" * 100_000}))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("body", [b"\x81\xa1z" + b"\x91" * 100_000, b"\x81\xa4type\xa2\xff\xff", b"\xc1", b"\xdf" * 5])
def test_nested_broken_or_lying_bytes_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_body(body)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_what_the_sender_is_to_blame_for(data: bytes) -> None:
    decoder = FrameDecoder()
    decoder.feed(data)
    with contextlib.suppress(RemoteProtocolError):
        taken(decoder)
        decoder.end()
    with contextlib.suppress(RemoteProtocolError):
        decode_body(data)


def test_a_message_above_the_cap_is_not_framed() -> None:
    with pytest.raises(TooLarge, match="LedgerEntry"):
        encode_frame(LedgerEntry(sequence=1, at=UnixMilliseconds(1), kind="k", body=bytes(MAX_FRAME_BYTES)))


def test_an_integer_beyond_64_bits_is_not_framed() -> None:
    with pytest.raises(InvalidField, match="64 bits"):
        encode_frame(Ping(nonce=1 << 64))


def test_another_version_is_refused_by_both_numbers_even_if_its_hello_has_more_fields() -> None:
    newer: Any = {"type": "hello", "process": "desk", "version": 9, "features": ["x"]}
    hello = decode_body(msgspec.msgpack.encode(newer))
    assert isinstance(hello, Hello)
    with pytest.raises(WrongVersion, match=f"desk speaks version 9, this is version {LINK_VERSION}"):
        require_version(hello)
    require_version(Hello(process="desk"))
