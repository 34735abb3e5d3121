"""What a hostile peer sends once it is connected: bytes, drawn from a seed, such as no honest node sends.

A staked one has a hot key: it can sign envelopes that are good, too many, replayed, or false. One without stake signs
with a key that the registry does not know.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from typing import Any, Final, NamedTuple

from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX
from libp2p.utils import encode_varint_prefixed

from node.sentry.host import hash_of_peer
from protocol.codec import encode_envelope
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.gossip import topic
from protocol.kinds import AlertKind, PayloadKind, Severity
from protocol.messages import MAX_ENVELOPE_BYTES, Envelope, SecurityAlert
from protocol.signing import Domain, sign_envelope
from protocol.units import BootId, Hash32, UnixMilliseconds, UnixSeconds, address_from_hex, sequence_number

ALERT_SECONDS: Final = 600
LIFETIME_MS: Final = 30_000
OVERSIZE_RPC_BYTES: Final = 8 * 1024 * 1024
IDS: Final = 5_000


class Volley(NamedTuple):
    """What an attack writes to one gossip stream, and why it is expected to be of no use."""

    name: str
    frames: tuple[bytes, ...]


class Arsenal:
    """Makes volleys for one identity."""

    def __init__(self, domain: Domain, identity: KeyPair, hot_key: SigningKey, seed: int) -> None:
        self.drawn = random.Random(seed)  # noqa: S311 to be drawn again
        self._domain, self._identity, self._hot_key = domain, identity, hot_key
        self._peer = ID.from_pubkey(identity.public_key)
        self._numbers = count(1)

    def volleys(self, now: UnixMilliseconds, honest: ID) -> Iterator[Volley]:
        """Yield one volley of each kind, the mild ones first: a ban then ends what comes after."""
        yield Volley("controls", tuple(self._controls()))
        yield Volley("too many", tuple(self._frame(self._envelope(now)) for _ in range(200)))
        yield Volley("replayed", tuple(self._replayed(now)))
        yield Volley("stale", tuple(self._frame(self._envelope(UnixMilliseconds(now - 120_000))) for _ in range(50)))
        yield Volley("false operator", (self._frame(self._envelope(now, address_of=b"another")),))
        yield Volley("false publisher", (self._frame(self._envelope(now), honest),))
        yield Volley("forged", (self._frame(self._envelope(now)[:-65] + self.drawn.randbytes(65)),))
        yield Volley("malformed", (self._frame(self.drawn.randbytes(700)),))
        yield Volley("oversize", (self._frame(self.drawn.randbytes(MAX_ENVELOPE_BYTES * 8)),))
        yield Volley("not RPC", (encode_varint_prefixed(self.drawn.randbytes(200)),))
        yield Volley("oversize RPC", (encode_varint_prefixed(bytes(OVERSIZE_RPC_BYTES)),))

    def _envelope(self, now: UnixMilliseconds, address_of: bytes = b"") -> bytes:
        evidence = self.drawn.randbytes(500)
        account = keccak256(address_of)[:20].hex() if address_of else self._hot_key.address
        made = Envelope(
            operator=address_from_hex("0x" + account.removeprefix("0x")),
            peer_id_hash=hash_of_peer(self._peer),
            sequence=sequence_number(now, BootId(next(self._numbers))),
            expiry=UnixMilliseconds(now + LIFETIME_MS),
            payload=SecurityAlert(
                kind=AlertKind.SANDWICH_SEEN,
                subject=Hash32(keccak256(b"no such pool")),
                severity=Severity.CRITICAL,
                evidence_hash=Hash32(keccak256(evidence)),
                expiry=UnixSeconds(now // 1_000 + ALERT_SECONDS),
                evidence=evidence,
            ),
        )
        return encode_envelope(sign_envelope(self._domain, made, self._hot_key), self._domain.separator)

    def _message(self, data: bytes, publisher: ID | None = None) -> Any:
        message = rpc_pb2.Message(
            data=data,
            topicIDs=[topic(self._domain, PayloadKind.ALERT)],
            from_id=(publisher or self._peer).to_bytes(),
            seqno=next(self._numbers).to_bytes(8, "big"),
        )
        signed = PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString()
        message.signature = self._identity.private_key.sign(signed)
        return message

    def _frame(self, data: bytes, publisher: ID | None = None) -> bytes:
        return _framed(publish=[self._message(data, publisher)])

    def _replayed(self, now: UnixMilliseconds) -> Iterator[bytes]:
        """Yield one message again and again, and its envelope under ever new numbers."""
        envelope = self._envelope(now)
        yield from [self._frame(envelope)] * 100
        for _ in range(100):
            yield self._frame(envelope)

    def _controls(self) -> Iterator[bytes]:
        """Yield all that an RPC can ask of a router, on topics of ours and on invented ones."""
        alerts, invented = topic(self._domain, PayloadKind.ALERT), self.drawn.randbytes(20).hex()
        ids = [self.drawn.randbytes(20) for _ in range(IDS)]
        for name in (alerts, invented):
            yield _framed(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=name)])
            control = rpc_pb2.ControlMessage(
                ihave=[rpc_pb2.ControlIHave(topicID=name, messageIDs=ids)],
                iwant=[rpc_pb2.ControlIWant(messageIDs=ids)],
                graft=[rpc_pb2.ControlGraft(topicID=name)] * 50,
                prune=[rpc_pb2.ControlPrune(topicID=name, backoff=2**40)] * 50,
            )
            yield from [_framed(control=control)] * 3


def _framed(**fields: Any) -> bytes:
    return encode_varint_prefixed(rpc_pb2.RPC(**fields).SerializeToString())
