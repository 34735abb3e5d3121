"""Coverage-guided fuzzing of the sentry's readers: `python -m tests.network.fuzz_sentry TARGET [OPTIONS of libFuzzer]`.

A reader may refuse bytes in the one way that it declares; anything else that it raises is a crash.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import atheris

with atheris.instrument_imports(include=["node.sentry", "protocol"]):
    from node.sentry.hardening import MalformedRpc, next_rpc
    from protocol.codec import decode_direct, decode_envelope
    from protocol.errors import RemoteProtocolError
    from protocol.gossip import Gossip, GossipVerdict
    from protocol.kinds import PayloadKind
    from protocol.units import Hash32, PeerIdHash, UnixMilliseconds
    from tests.protocol_factories import DEVNET

NOW: Final = UnixMilliseconds(1_790_000_000_123)
PEER: Final = PeerIdHash(Hash32(bytes(32)))
GOSSIP: Final = Gossip(DEVNET)


def rpc(data: bytes) -> None:
    """Read RPCs out of a buffer, as they come from a stream."""
    buffer = bytearray(data)
    try:
        while next_rpc(buffer) is not None:
            continue
    except MalformedRpc:
        return
    assert len(buffer) <= len(data)


def envelope(data: bytes) -> None:
    """Decode an envelope."""
    try:
        decode_envelope(DEVNET.separator + data, DEVNET.separator)
    except RemoteProtocolError:
        return


def direct(data: bytes) -> None:
    """Decode a direct message."""
    try:
        decode_direct(bytes(31) + data)
    except RemoteProtocolError:
        return


def gossip(data: bytes) -> None:
    """Judge a gossiped message."""
    try:
        GOSSIP.validate(PayloadKind.ALERT, DEVNET.separator + data, PEER, PEER, NOW)
    except GossipVerdict:
        return


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "rpc": rpc,
    "envelope": envelope,
    "direct": direct,
    "gossip": gossip,
}


def main() -> None:
    """Fuzz one target until libFuzzer's options say to end, or something crashes."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
