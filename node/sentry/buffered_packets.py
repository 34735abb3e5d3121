"""Noise packets out of one buffer: libp2p 0.8.1 reads each in two steps, its length and its body, two calls of the
system and a dozen of Python's each (16, ran; the third part of `hardening`; upstream: libp2p/py-libp2p).
"""

from __future__ import annotations

from typing import Final

from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import IncompleteReadError
from libp2p.security.noise.io import NoisePacketReadWriter, NoiseTransportReadWriter
from libp2p.security.secure_session import SecureSession

READ_BYTES: Final = 64 * 1024


class BufferedPackets(NoisePacketReadWriter):
    """Reads what there is, and gives it away packet by packet: at most one and what came with its end are kept."""

    def __init__(self, connection: ReadWriteCloser) -> None:
        super().__init__(connection)
        self._buffer = bytearray()

    async def read_msg(self) -> bytes:
        """Return the next packet. Raises IncompleteReadError when the connection ends, and what the connection does."""
        buffer, prefix = self._buffer, self.size_len_bytes
        while len(buffer) < prefix or len(buffer) < (end := prefix + int.from_bytes(buffer[:prefix], "big")):
            data = await self.read_write_closer.read(READ_BYTES)
            if not data:
                raise IncompleteReadError("the connection ended within a packet, or before one")
            buffer += data
        packet = bytes(buffer[prefix:end])
        del buffer[:end]
        return packet


def buffer_packets(connection: object) -> None:
    """Have an encrypted connection read by a buffer, where it is one of Noise; between two packets of it."""
    if isinstance(connection, SecureSession) and isinstance(connection.conn, NoiseTransportReadWriter):
        packets = connection.conn.read_writer
        if not isinstance(packets, BufferedPackets):
            connection.conn.read_writer = BufferedPackets(packets.read_write_closer)
