"""Coverage-guided fuzzing of the sentry's readers: `python -m tests.network.fuzz_sentry TARGET FOLDER [OPTIONS]`.

FOLDER takes the seeds, what libFuzzer adds to them, and `reached`: each state that the target came to, so that one that
refuses everything at its first line is found out. A reader may refuse bytes in the one way that it declares, and
keeps within its bounds; anything else is a crash. OPTIONS are libFuzzer's.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import atheris
import trio
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from google.protobuf.message import DecodeError
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.identity.update import update_peerstore_from_identify
from libp2p.pubsub.pb import rpc_pb2
from msgspec.structs import replace
from multiaddr import Multiaddr

with atheris.instrument_imports(include=["node.sentry", "protocol"]):
    from devnet.hostile.ammunition import Arsenal
    from node.sentry import seen_ids
    from node.sentry.hardening import MESHSUB, MalformedRpc, Overdrawn, next_rpc
    from node.sentry.host import Callbacks, SentryHost, SentrySettings, hash_of_peer
    from node.sentry.peer_records import RecordBook
    from node.sentry.peer_store import MAX_ADDRESSES, MAX_PROTOCOLS, BoundedPeerStore
    from node.sentry.peers import MAX_PEERS, Fault, PeerBook
    from node.sentry.rpc_budget import RpcBudget
    from node.sentry.streams import LENGTH_BYTES, DirectStreams, NoAnswer
    from protocol import sealing
    from protocol.codec import decode_direct, decode_envelope, encode_direct, encode_envelope
    from protocol.errors import BadSeal, RemoteProtocolError
    from protocol.gossip import GossipVerdict, topic
    from protocol.kinds import PayloadKind
    from protocol.messages import MAX_BOX_BYTES, PeerRecords, PeerRecordsRequest, SealedOrder, SealingKeyRequest
    from protocol.peer_records import decode_record, place_of, seal_record
    from protocol.routes import Route, RouteSwap, decode_route, encode_route
    from protocol.signing import sign_envelope
    from protocol.units import BlockNumber, Hash32, TokenAmount, UnixMilliseconds, UnixSeconds, max_uint
    from tests.gossip_factories import PEERS
    from tests.gossip_factories import gossip as new_gossip
    from tests.peer_record_samples import address as record_address
    from tests.peer_record_samples import refused_records, sealed_records
    from tests.peer_record_samples import sealed as sealed_record
    from tests.protocol_factories import ADDRESSES, DEVNET, KEYS, NOW, hash_of, heartbeat, sealing_secret
    from tests.sentry_scene import HEAD_TIME, identity, peer_of, registry

VECTORS: Final = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
TOPICS: Final = {topic(DEVNET, kind): kind for kind in PayloadKind}
BEATS: Final = topic(DEVNET, PayloadKind.HEARTBEAT)
CAROL: Final = peer_of("carol")
START: Final = PeerRecordsRequest(after=Hash32(bytes(32)))
LEADER: Final = sealing_secret("leader")
KIND, WHOSE, TIME, SIGNED, DIRECT, LATE, FOREIGN = (1 << bit for bit in range(7))
"""What of an envelope is put right before it is judged, and how it comes."""
_reached: Final[dict[str, None]] = {}
_report: Final[list[Path]] = []
"""Where they are noted, once the folder is known."""
_clock: Final = [NOW]


def reached(state: str) -> None:
    """Note that a state was reached."""
    if state not in _reached:
        _reached[state] = None
        for path in _report:
            path.write_text("\n".join(_reached))


def rpc(data: bytes) -> None:
    """Read RPCs out of a buffer, as they come from a stream."""
    buffer = bytearray(data)
    try:
        while next_rpc(buffer) is not None:
            reached("RPC")
    except MalformedRpc as error:
        reached(error.fault.name)
    assert len(buffer) <= len(data)


def envelope(data: bytes) -> None:
    """Decode an envelope; one has one form."""
    whole = DEVNET.separator + data
    try:
        found = decode_envelope(whole, DEVNET.separator)
    except RemoteProtocolError as error:
        reached(type(error).__name__)
        return
    assert encode_envelope(found, DEVNET.separator) == whole
    reached(found.kind.name)


def direct(data: bytes) -> None:
    """Decode a direct message; one has one form."""
    try:
        found = decode_direct(bytes(31) + data)
    except RemoteProtocolError as error:
        reached(type(error).__name__)
        return
    assert encode_direct(found) == bytes(31) + data
    reached(type(found).__name__)


def gossip(data: bytes) -> None:
    """Judge a gossiped message, again, and another one with its sequence number."""
    flags, kind = data[0] if data else 0, PayloadKind(1 + (data[1] if len(data) > 1 else 0) % len(PayloadKind))
    whole = _put_right(flags, kind, bytearray(data[2:]))
    state, forwarder = new_gossip(seen=2, forwarders=2), PEERS["bob" if flags & DIRECT else "alice"]
    now = UnixMilliseconds(NOW + (12_001 if flags & LATE else 0))

    def judge(said: bytes) -> str:
        try:
            state.validate(kind, said, PEERS["bob"], forwarder, now)
        except GossipVerdict as verdict:
            return verdict.reason.name
        return "ACCEPT"

    first = judge(whole)
    reached(first)
    again = judge(whole)
    reached(again)
    assert (again == "DUPLICATE") == (first == "ACCEPT") or first == "DUPLICATE", (first, again)
    if first == "ACCEPT" and kind is PayloadKind.HEARTBEAT:
        made = decode_envelope(whole, DEVNET.separator)
        twin = sign_envelope(DEVNET, replace(made, payload=heartbeat(capabilities=99)), KEYS["bob"])
        reached(judge(encode_envelope(twin, DEVNET.separator)))
    assert len(state._seen) <= 2


def _put_right(flags: int, kind: PayloadKind, body: bytearray) -> bytes:
    """Return the envelope that the bytes behind the separator make, with some fields as they ought to be."""
    words = {
        KIND: (0, int(kind).to_bytes(32, "big")),
        WHOSE: (32, bytes(12) + ADDRESSES["bob"] + PEERS["bob"]),
        TIME: (96, ((NOW << 64) + 7).to_bytes(32, "big") + (NOW + 10_000).to_bytes(32, "big")),
    }
    for flag, (place, word) in words.items():
        if flags & flag and len(body) >= place + len(word):
            body[place : place + len(word)] = word
    whole = (hash_of("elsewhere") if flags & FOREIGN else DEVNET.separator) + bytes(body)
    if flags & SIGNED:
        try:
            unsigned = decode_envelope(whole, DEVNET.separator)
        except RemoteProtocolError:
            return whole
        return encode_envelope(sign_envelope(DEVNET, unsigned, KEYS["bob"]), DEVNET.separator)
    return whole


def _note_blame(peer: Any, fault: Fault) -> bool:
    reached(fault.name)
    return False


def _host() -> SentryHost:
    async def silent(peer: Any, question: Any) -> None:
        return None

    nobody = Callbacks(lambda *given: None, silent)
    host = SentryHost(SentrySettings(()), DEVNET, identity("alice"), nobody, PeerBook(), lambda: _clock[0])
    host.follow(registry(block=21_000_000))
    host.pubsub._blame = _note_blame
    for service in (host.pubsub, host.router):
        service._manager = SimpleNamespace(is_running=False)  # type: ignore[assignment]
    host.router.mesh = {name: set() for name in TOPICS}
    host.router.add_peer(CAROL, MESHSUB)
    return host


HOST: Final = _host()


def control(data: bytes) -> None:
    """Take an RPC of a peer: messages, subscriptions and what it asks of the router."""
    whole = rpc_pb2.RPC()
    try:
        whole.ParseFromString(data)
    except DecodeError:
        reached("no RPC")
        return
    pubsub, router = HOST.pubsub, HOST.router
    _clock[0] = UnixMilliseconds(_clock[0] + 50)

    async def take() -> None:
        try:
            await pubsub._take_rpc(whole, CAROL, RpcBudget().account(CAROL), is_aside=False)
        except (Overdrawn, MalformedRpc):
            reached("not paid for")

    trio.run(take)
    for state in ("ACCEPTED", "SEEN", "OTHER_TOPIC"):
        if pubsub.counts[state]:
            reached(state)
    if any(CAROL in peers for peers in pubsub.peer_topics.values()):
        reached("subscribed")
    if any(CAROL in mesh for mesh in router.mesh.values()):
        reached("in the mesh")
    assert set(pubsub.peer_topics) | set(router.mesh) | set(router.back_off) <= set(TOPICS)
    assert len(pubsub.seen_messages) <= seen_ids.ACCEPTED_IDS + seen_ids.REFUSED_IDS
    assert all(len(ids) <= router.max_idontwant_messages for ids in router.dont_send_message_ids.values())
    assert set(router.dont_send_message_ids) | set(router.graft_flood_tracking) <= {CAROL}
    assert len(HOST.book) <= MAX_PEERS
    router.mcache.shift()  # as each second


def identify(data: bytes) -> None:
    """Take what a peer tells of itself; libp2p refuses it by whatever it raises, and contains that."""
    store = BoundedPeerStore(lambda peer: peer == CAROL)
    try:
        told = parse_identify_response(data)
    except Exception as error:
        reached(type(error).__name__)
        return
    trio.run(update_peerstore_from_identify, store, CAROL, told)
    assert set(store.peer_data_map) <= {CAROL}
    if CAROL in store.peer_data_map:
        kept = store.peer_data_map[CAROL]
        reached("addresses" if kept.addrs else "no addresses")
        reached("protocols" if kept.protocols else "no protocols")
        assert len(kept.addrs) <= MAX_ADDRESSES
        assert len(kept.protocols) <= MAX_PROTOCOLS


class _Peer:
    """A libp2p host whose only peer answers so."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def set_stream_handler(self, protocol: Any, handler: Any) -> None:
        """Nobody asks us."""

    async def new_stream(self, peer: Any, protocols: Any) -> _Peer:
        """A stream to it: itself."""
        await trio.lowlevel.checkpoint()
        return self

    async def read(self, size: int) -> bytes:
        """Give what it said, then nothing."""
        await trio.lowlevel.checkpoint()
        given, self._said = self._said[:size], self._said[size:]
        return given

    async def write(self, data: bytes) -> None:
        """Take the question."""
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """End."""
        await trio.lowlevel.checkpoint()

    close = reset


def answer(data: bytes) -> None:
    """Ask a peer, and read what it answers."""
    blamed: list[Any] = []
    peer: Any = _Peer(data[1:])
    streams = DirectStreams(peer, "/orders", lambda *given: None, lambda *given: blamed.append(given), lambda: NOW)  # type: ignore[arg-type]
    order = SealedOrder(target_block=BlockNumber(9), ephemeral_key=hash_of("key"), box=b"box")
    question = order if data[:1] < b"\x80" else SealingKeyRequest(target_block=BlockNumber(9))

    async def ask() -> None:
        try:
            reached(type(await streams.ask(CAROL, question)).__name__)
        except NoAnswer:
            reached("no answer")

    trio.run(ask)
    assert len(blamed) <= 1
    assert not streams._asked


def sealed(data: bytes) -> None:
    """Open a box: any bytes as the box, or sealed as they ought to be, and then read."""
    is_sealed, inside = data[:1] >= b"\x80", data[1 : MAX_BOX_BYTES - 16]
    block = BlockNumber(min(int.from_bytes(inside[64:96], "big"), max_uint(64)) or 9)
    ephemeral, box = sealing_secret("once"), inside
    if is_sealed:
        info = sealing._info(DEVNET, block)
        key, nonce = sealing._key_and_nonce(ephemeral, LEADER.public_key, info)
        box = ChaCha20Poly1305(key).encrypt(nonce, inside, None)
    if not box:
        return
    try:
        sealing.open_sealed(
            DEVNET, SealedOrder(target_block=block, ephemeral_key=ephemeral.public_key, box=box), LEADER
        )
    except BadSeal:
        reached("shut")
        assert not is_sealed, "what was sealed as it ought to be does not open"
    except RemoteProtocolError as error:
        reached(type(error).__name__)
    else:
        reached("open")


def route(data: bytes) -> None:
    """Decode a route; one has one form."""
    try:
        found = decode_route(data)
    except RemoteProtocolError as error:
        reached(type(error).__name__)
        return
    assert encode_route(found) == data
    reached("route")


def record(data: bytes) -> None:
    """Take a signed record of a peer; one has one form, and only who has stake is remembered."""
    book = RecordBook({hash_of_peer(CAROL)}.__contains__, may_be_private=False)
    try:
        found, signature = decode_record(data)
        assert seal_record(found, lambda _: signature) == data
        book.take(CAROL, START, PeerRecords(records=(data,)), NOW)
    except RemoteProtocolError as error:
        reached(type(error).__name__)
    else:
        reached(next(iter(book.counts)))
    assert set(book.addresses()) <= {CAROL}
    assert all(place_of(one.to_bytes()) is not None for told in book.addresses().values() for one in told)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (rpc, envelope, direct, gossip, control, identify, answer, sealed, route, record)
}


def _vectors(name: str) -> Iterator[dict[str, Any]]:
    yield from json.loads((VECTORS / f"{name}.json").read_text())["vectors"]


def _bytes(told: str | list[str | int]) -> bytes:
    pieces = [told] if isinstance(told, str) else told
    return b"".join(bytes(each) if isinstance(each, int) else bytes.fromhex(each[2:]) for each in pieces)


def seeds(target: str) -> Iterator[bytes]:
    """Yield what libFuzzer begins with: the protocol's own vectors, and what hostile peers send."""
    arsenal = Arsenal(DEVNET, identity("carol"), KEYS["carol"], seed=1, alerts_until=UnixSeconds(HEAD_TIME + 600))
    frames = [frame for volley in arsenal.volleys(NOW, peer_of("bob")) for frame in dict.fromkeys(volley.frames)][:200]
    joining = rpc_pb2.RPC(
        subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=BEATS)],
        control=rpc_pb2.ControlMessage(graft=[rpc_pb2.ControlGraft(topicID=BEATS)]),
    ).SerializeToString()
    directs = [_bytes(vector["encoding"]) for vector in _vectors("direct")]
    match target:
        case "rpc":
            yield from (frame for frame in frames if len(frame) < 8_000)
            yield b"\xff\xff\xff\xff\x01"
        case "control":
            yield joining
            yield from (each.SerializeToString() for each in _well_formed(frames))
        case "envelope":
            yield from (_bytes(vector["encoding"])[32:] for vector in _vectors("envelopes"))
        case "direct":
            yield from (data[31:] for data in directs)
        case "answer":
            yield from (
                first + len(data).to_bytes(LENGTH_BYTES, "big") + data for data in directs for first in (b"\0", b"\xff")
            )
        case "gossip":
            for heard in (arrival for vector in _vectors("gossip") for arrival in vector["arrivals"][:3]):
                kind, data = TOPICS[heard["topic"]] - 1, _bytes(heard["bytes"])[32:]
                for flags in (0, KIND | WHOSE | TIME | SIGNED, DIRECT, LATE, FOREIGN, KIND | WHOSE | TIME):
                    yield bytes((flags, kind)) + data
                yield bytes((0, kind)) + data[:44] + ADDRESSES["carol"][::-1] + data[64:]  # of an unknown operator
        case "sealed":
            yield from (first + _bytes(vector["plain"]) for vector in _vectors("sealing") for first in (b"\0", b"\xff"))
        case "record":
            yield from (data for _, data in sealed_records())
            yield from (data for _, data in refused_records())
            yield sealed_record("carol", record_address("8.8.8.8", 4711))
            yield sealed_record("carol", record_address("127.0.0.1", 4711))
        case "identify":
            key = identity("carol").public_key.serialize()
            addresses = [Multiaddr(f"/ip4/10.0.0.1/tcp/{port}").to_bytes() for port in range(1, 30)]
            yield Identify(public_key=key, listen_addrs=addresses, protocols=["/a", "/b"]).SerializeToString()
            yield Identify(public_key=key).SerializeToString()
        case _:
            swap = RouteSwap(
                family="uniswap_v2",
                pool_id=ADDRESSES["carol"],
                pool=ADDRESSES["carol"],
                token_in=ADDRESSES["alice"],
                token_out=ADDRESSES["bob"],
                index_in=0,
                index_out=1,
                fee_pips=3_000,
                amount_in=TokenAmount(1),
                amount_out=TokenAmount(2),
            )
            yield encode_route(Route(transactions=(b"raw",), swaps=(swap, swap)))


def _well_formed(frames: list[bytes]) -> Iterator[Any]:
    for frame in frames:
        try:
            found = next_rpc(bytearray(frame))
        except MalformedRpc:
            continue
        if found is not None and len(frame) < 8_000:
            yield found


def main() -> None:
    """Fuzz one target until libFuzzer's options say to end, or something crashes."""
    logging.disable(logging.CRITICAL)
    target, folder = sys.argv.pop(1), Path(sys.argv.pop(1))
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed{number}").write_bytes(seed)
    _report.append(folder / "reached")
    atheris.Setup([*sys.argv, str(corpus)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
