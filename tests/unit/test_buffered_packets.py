"""Noise packets out of a buffer: whole, in order, and with as few reads as there were arrivals."""

from __future__ import annotations

from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from libp2p.io.exceptions import IncompleteReadError

from node.sentry.buffered_packets import BufferedPackets, buffer_packets

PACKETS = st.lists(st.binary(max_size=300), max_size=8)


class Arrivals:
    """A connection that gives what arrives piece by piece, then nothing."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = list(pieces)
        self.reads = 0

    async def read(self, n: int | None = None) -> bytes:
        self.reads += 1
        return self.pieces.pop(0) if self.pieces else b""


def packets_of(pieces: list[bytes]) -> tuple[list[bytes], int]:
    """Read to the end; return the packets and how many reads it took."""
    arrivals: Any = Arrivals(pieces)

    async def read() -> list[bytes]:
        packets, found = BufferedPackets(arrivals), []
        try:
            while True:
                found.append(await packets.read_msg())
        except IncompleteReadError:
            return found

    return trio.run(read), arrivals.reads


def framed(packets: list[bytes]) -> bytes:
    return b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)


@given(PACKETS, st.lists(st.integers(1, 40), max_size=60))
def test_packets_come_whole_and_in_order_however_they_are_cut(packets: list[bytes], cuts: list[int]) -> None:
    rest, pieces = framed(packets), []
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    found, _ = packets_of([piece for piece in (*pieces, rest) if piece])
    assert found == packets


def test_what_came_at_once_is_read_at_once() -> None:
    found, reads = packets_of([framed([b"one", b"two", b"three"])])
    assert found == [b"one", b"two", b"three"]
    assert reads == 2, "one for all three, one for the end"


def test_an_end_within_a_packet_is_no_packet() -> None:
    assert packets_of([framed([b"whole"]) + b"\x00\x09half"])[0] == [b"whole"]


def test_what_is_no_connection_of_noise_stays_as_it_is() -> None:
    other = Arrivals([])
    buffer_packets(other)
    assert vars(other) == {"pieces": [], "reads": 0}
