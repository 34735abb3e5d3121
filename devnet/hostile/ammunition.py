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
from msgspec.structs import replace

from node.sentry.hardening import next_rpc
from node.sentry.host import hash_of_peer
from protocol.codec import encode_direct, encode_envelope
from protocol.conflicts import Occasion, leg_key
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.gossip import topic
from protocol.kinds import AlertKind, Capability, PayloadKind, Severity, Verdict
from protocol.messages import (
    MAX_ENVELOPE_BYTES,
    Envelope,
    Heartbeat,
    OrderHandover,
    Payload,
    SealedOrder,
    SecurityAlert,
)
from protocol.routes import Route, RouteSwap, encode_route
from protocol.sealing import SealingSecret, seal
from protocol.signing import Domain, sign, sign_attestation, sign_envelope
from protocol.statements import Attestation, Order, SealingKey
from protocol.units import (
    Address,
    BasisPoints,
    BlockNumber,
    BootId,
    Hash32,
    TokenAmount,
    UnixMilliseconds,
    UnixSeconds,
    address_from_hex,
    sequence_number,
)

LIFETIME_MS: Final = 30_000
OVERSIZE_RPC_BYTES: Final = 8 * 1024 * 1024
IDS: Final = 5_000
COPIES: Final = 100


class Volley(NamedTuple):
    """What an attack writes to one gossip stream, and why it is expected to be of no use."""

    name: str
    frames: tuple[bytes, ...]


class Arsenal:
    """Makes volleys for one identity. `alerts_until`: their expiry, by the chain's time. `account`: of the operator,
    where that is not the hot key's own address.
    """

    def __init__(
        self,
        domain: Domain,
        identity: KeyPair,
        hot_key: SigningKey,
        seed: int,
        alerts_until: UnixSeconds,
        account: Address | None = None,
    ) -> None:
        self.drawn = random.Random(seed)  # noqa: S311 to be drawn again
        self._domain, self._identity, self._hot_key = domain, identity, hot_key
        self._peer = ID.from_pubkey(identity.public_key)
        self._numbers, self._alerts_until = count(1), alerts_until
        self._account = account or address_from_hex(hot_key.address)

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

    def heartbeats(self, now: UnixMilliseconds, block: BlockNumber, number: int) -> Volley:
        """Return good heartbeats of a block, each with another hash for it, as fast as they are written."""
        made = (
            Heartbeat(block_number=block, block_hash=self._hash(), capabilities=int(Capability.ACCEPTS_ORDERS))
            for _ in range(number)
        )
        return Volley("heartbeats", tuple(self._said(now, payload) for payload in made))

    def attestations(self, now: UnixMilliseconds, block: BlockNumber, number: int) -> Volley:
        """Return signed verdicts on as many alerts that nobody told, on blocks that are none: no two contradict."""
        made = (
            Attestation(
                alert_id=self._hash(),
                block_hash=self._hash(),
                block_number=block,
                timestamp=UnixSeconds(now // 1_000),
                verdict=Verdict.CONFIRMED,
            )
            for _ in range(number)
        )
        signed = (sign_attestation(self._domain, one, self._hot_key) for one in made)
        return Volley("attestations", tuple(self._said(now, payload) for payload in signed))

    def nagging(self, now: UnixMilliseconds) -> tuple[bytes, ...]:
        """Return what costs an honest node work and is no fault: copies, and control messages of no use."""
        copy = self._frame(self._envelope(now))
        whole = next_rpc(bytearray(copy))
        assert whole is not None  # nosec B101
        name = whole.publish[0].from_id + whole.publish[0].seqno
        control = rpc_pb2.ControlMessage(
            iwant=[rpc_pb2.ControlIWant(messageIDs=[name, *(self.drawn.randbytes(46) for _ in range(20))])],
            prune=[rpc_pb2.ControlPrune(topicID="elsewhere") for _ in range(20)],
        )
        return (*[copy] * COPIES, encode_varint_prefixed(rpc_pb2.RPC(control=control).SerializeToString()))

    def replays(self, now: UnixMilliseconds, number: int) -> Volley:
        """Return one good envelope under ever new numbers of libp2p's, and nothing else."""
        envelope = self._envelope(now)
        return Volley("replays", tuple(self._frame(envelope) for _ in range(number)))

    def rotated(self, now: UnixMilliseconds, next_key: SigningKey, number: int) -> Volley:
        """Return what is signed by a key that the registry was just given, or will be: who relays it knew it first."""
        made = (self._envelope(now, key=next_key) for _ in range(number))
        return Volley("rotated", tuple(self._frame(envelope) for envelope in made))

    def sealed_orders(self, recipient: SealingKey, block: BlockNumber, number: int) -> Iterator[bytes]:
        """Yield direct messages: orders that the leader can open, signed by their finder, through invented pools."""
        for _ in range(number):
            there, back = (self._swap() for _ in range(2))
            back = replace(back, token_in=there.token_out, token_out=there.token_in)
            route = encode_route(Route(transactions=(), swaps=(there, back)))
            order = Order(
                finder=self._account,
                executor=self._address(),
                target_block=block,
                finder_bps=BasisPoints(5_000),
                min_finder_wei=TokenAmount(1),
                profit_token=there.token_in,
                pay_to=self._account,
                primary_key=leg_key(Occasion(self._domain.chain_id, block, None), there.leg),
                route_commit=Hash32(keccak256(route)),
            )
            handed = OrderHandover(order=order, signature=sign(self._domain, order, self._hot_key), route=route)
            yield encode_direct(seal(self._domain, handed, recipient, SealingSecret(self.drawn.randbytes(32))))

    def shut_boxes(self, block: BlockNumber, number: int) -> Iterator[bytes]:
        """Yield direct messages of the right form whose boxes no key opens."""
        for _ in range(number):
            key = SealingSecret(self.drawn.randbytes(32)).public_key
            yield encode_direct(SealedOrder(target_block=block, ephemeral_key=key, box=self.drawn.randbytes(900)))

    def _swap(self) -> RouteSwap:
        pool = self._address()
        return RouteSwap(
            family="uniswap_v2",
            pool_id=pool,
            pool=pool,
            token_in=self._address(),
            token_out=self._address(),
            index_in=0,
            index_out=1,
            fee_pips=3_000,
            amount_in=TokenAmount(10**18),
            amount_out=TokenAmount(10**18),
        )

    def _address(self) -> Address:
        return Address(self.drawn.randbytes(20))

    def _hash(self) -> Hash32:
        return Hash32(self.drawn.randbytes(32))

    def _said(self, now: UnixMilliseconds, payload: Payload) -> bytes:
        made = self._unsigned(now, payload)
        signed = sign_envelope(self._domain, made, self._hot_key)
        return self._frame(encode_envelope(signed, self._domain.separator), kind=made.kind)

    def _unsigned(self, now: UnixMilliseconds, payload: Payload, operator: Address | None = None) -> Envelope:
        return Envelope(
            operator=operator or self._account,
            peer_id_hash=hash_of_peer(self._peer),
            sequence=sequence_number(now, BootId(next(self._numbers))),
            expiry=UnixMilliseconds(now + LIFETIME_MS),
            payload=payload,
        )

    def _envelope(self, now: UnixMilliseconds, address_of: bytes = b"", key: SigningKey | None = None) -> bytes:
        evidence = self.drawn.randbytes(500)
        alert = SecurityAlert(
            kind=AlertKind.SANDWICH_SEEN,
            subject=Hash32(keccak256(b"no such pool")),
            severity=Severity.CRITICAL,
            evidence_hash=Hash32(keccak256(evidence)),
            expiry=self._alerts_until,
            evidence=evidence,
        )
        made = self._unsigned(now, alert, Address(keccak256(address_of)[:20]) if address_of else None)
        return encode_envelope(sign_envelope(self._domain, made, key or self._hot_key), self._domain.separator)

    def _message(self, data: bytes, publisher: ID | None = None, kind: PayloadKind = PayloadKind.ALERT) -> Any:
        message = rpc_pb2.Message(
            data=data,
            topicIDs=[topic(self._domain, kind)],
            from_id=(publisher or self._peer).to_bytes(),
            seqno=next(self._numbers).to_bytes(8, "big"),
        )
        signed = PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString()
        message.signature = self._identity.private_key.sign(signed)
        return message

    def _frame(self, data: bytes, publisher: ID | None = None, kind: PayloadKind = PayloadKind.ALERT) -> bytes:
        return _framed(publish=[self._message(data, publisher, kind)])

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
