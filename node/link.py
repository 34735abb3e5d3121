"""What the node's processes say to each other, and how it is framed: no I/O here (`link_sockets` has it).

A frame is a 4-byte big-endian length, 1 to MAX_FRAME_BYTES, and that many bytes of MessagePack: a map whose `type`
tells which of the messages below it is. A connection begins with `Hello` from the connecting side; the listening side
answers `Hello`, or `Refusal` and closes. Bytes that are no such frame raise RemoteProtocolError: MalformedMessage,
OversizeMessage, TruncatedMessage, UnknownKind, WrongVersion.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from protocol.errors import (
    InvalidField,
    MalformedMessage,
    Misuse,
    OversizeMessage,
    TooLarge,
    TruncatedMessage,
    UnknownKind,
    WrongVersion,
)
from protocol.units import UnixMilliseconds

LINK_VERSION: Final = 1
MAX_FRAME_BYTES: Final = 1024 * 1024
LENGTH_BYTES: Final = 4


class LinkMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """Base of all messages between processes of one node."""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hello", forbid_unknown_fields=False):
    """First message in both directions. Fields of a later version are ignored: it is refused by its number."""

    process: str
    version: int = LINK_VERSION


class Refusal(LinkMessage, frozen=True, kw_only=True, tag="refusal"):
    """The listening side closes after this; `reason` is one sentence for the log."""

    reason: str


class Ping(LinkMessage, frozen=True, kw_only=True, tag="ping"):
    """Are you there? The receiver answers with a Pong of the same nonce."""

    nonce: int


class Pong(LinkMessage, frozen=True, kw_only=True, tag="pong"):
    """The answer to a Ping."""

    nonce: int


class MarketTick(LinkMessage, frozen=True, kw_only=True, tag="market_tick"):
    """The best bid and ask of a venue: prices in 10^-price_decimals quote units, sizes in 10^-size_decimals base units.

    A tick replaces the one before it, so the oldest is dropped when the queue is full.
    """

    venue: str
    symbol: str
    bid_price: int
    bid_size: int
    ask_price: int
    ask_size: int
    price_decimals: int
    size_decimals: int
    at: UnixMilliseconds


class LedgerEntry(LinkMessage, frozen=True, kw_only=True, tag="ledger_entry"):
    """One entry for the desk's ledger; `sequence` rises by one per sender: the desk can tell a gap and a repetition."""

    sequence: int
    at: UnixMilliseconds
    kind: str
    body: bytes


class LedgerAcknowledgement(LinkMessage, frozen=True, kw_only=True, tag="ledger_acknowledgement"):
    """The desk has every entry up to and with `sequence` on disk: the sender may forget them."""

    sequence: int


class NetworkPeer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operator as this node sees it: who it is, whether it is connected (`peer` not empty), what it told last."""

    operator: bytes
    stake: str
    peer: str
    score: int
    """In thousandths."""
    heard_at: UnixMilliseconds
    """When its last heartbeat came; 0 if none did."""
    head: int
    capabilities: int
    value_limit: str
    """Wei that is handed to it at once, at most."""
    given: int
    """Orders that it was given, of these accepted, of these paid for on the chain, and accepted but not executed."""
    accepted: int
    paid: int
    broken: int
    revealed_wei: str
    """Gross profit of the finds that were shown to it …"""
    lost_wei: str
    """… and of these, of what it accepted and did not execute, or was taken beyond chance after it had refused."""
    refused: int = 0
    """Finds that it was shown and did not take, of late, and of these those that somebody else took."""
    taken: int = 0
    is_beyond_chance: bool = False
    """Whether these are far more, of all that it was shown and refused or executed, than of what nobody was shown."""


class NetworkStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The network as the engine sees it. Counters rise from the start."""

    account: bytes
    is_connected: bool
    """To our own sentry."""
    operators: int
    next_leader: bytes
    """The account whose turn the next block is; empty if nobody's, or not known."""
    is_paused: bool
    may_sign: bool
    """Whether slashable statements can be signed at all: the store is open."""
    peers: list[NetworkPeer]
    counts: dict[str, int]
    withheld: int = 0
    """Finds that nobody was shown, of late, and of these those that somebody else took: what chance would have."""
    withheld_taken: int = 0
    clock_ahead_ms: int = 0
    """By how much our own clock is ahead of the peers' (below zero: behind), where they agree that it is; else 0 …"""
    clock_peers: int = 0
    """… and how many say so."""


class LoadStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a start is with its market; times in milliseconds."""

    stage: str
    """`finding pools`, in blocks of their factories, or `reading pools`, in pools."""
    done: int
    whole: int
    kept: int
    """Of `done`, what was so when the stage began: out of the files of an earlier run."""
    pools: int
    """Known so far."""
    elapsed_ms: int
    """Of this stage."""
    left_ms: int | None
    """By the pace so far; None while there is none."""

    @property
    def per_second(self) -> float:
        """The pace of this stage so far."""
        return 1_000 * (self.done - self.kept) / max(self.elapsed_ms, 1)


class EngineStatus(LinkMessage, frozen=True, kw_only=True, tag="engine_status"):
    """What the engine sees and does, about once a second; replaces the one before it. Counters rise from the start."""

    at: UnixMilliseconds
    phase: str
    """`starting`, `warming up`, `running`, `behind` (no trusted head)."""
    mode: str
    head_number: int
    head_age_ms: int
    pools: int
    pools_quarantined: int
    cycles: int
    tokens_trusted: int
    tokens_refused: int
    tokens_unpriced: list[str]
    """Profit tokens of which our pools tell no price, so that finds in them are not taken; addresses."""
    pending_seen: int
    pending_read: int
    opportunities: dict[str, int]
    """By kind."""
    dropped: dict[str, int]
    """By reason."""
    bundles_sent: int
    tick_to_bundle_us: dict[str, int]
    """p50, p99 and max of the last bundles."""
    rpcs: dict[str, str]
    """By URL without credentials: `ok`, or what is wrong."""
    relays: dict[str, str]
    hot_keys: dict[str, str]
    """Address to balance in wei."""
    spooled: int
    """Ledger entries that the desk has not acknowledged."""
    network: NetworkStatus | None = None
    """None for a node that belongs to no network."""
    pending_simulated: dict[str, int] = {}
    """Simulations of pending transactions that no decoder reads, by how they went and who ran them."""
    load: LoadStatus | None = None
    """While a start finds and reads its market."""
    loans: dict[str, int] = {}
    """What is followed of the lenders' loans, and what is left out of it, at a bound or for what it is."""


class ShutDown(LinkMessage, frozen=True, kw_only=True, tag="shut_down"):
    """Finish what is under way and end; `reason` is for the log."""

    reason: str


class StakedOperator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operator of a `RegistrySnapshot`: addresses have 20 bytes, the peer id's hash 32; `stake` is decimal text."""

    account: bytes
    hot_keys: list[bytes]
    peer_id_hash: bytes
    stake: str


class RegistrySnapshot(LinkMessage, frozen=True, kw_only=True, tag="registry_snapshot"):
    """Engine to sentry, at each block: who has enough stake. It replaces the one before it. `time`: the block's."""

    block: int
    time: int
    operators: list[StakedOperator]


class PublishGossip(LinkMessage, frozen=True, kw_only=True, tag="publish_gossip"):
    """Engine to sentry: send this signed envelope to the network."""

    envelope: bytes


class GossipHeard(LinkMessage, frozen=True, kw_only=True, tag="gossip_heard"):
    """Sentry to engine: an envelope that was accepted, and the libp2p peer that brought it."""

    envelope: bytes
    peer: str


class AskPeer(LinkMessage, frozen=True, kw_only=True, tag="ask_peer"):
    """Engine to sentry: ask the peer of this hash; a `PeerAnswered` of the same number comes within the deadline."""

    number: int
    peer_id_hash: bytes
    question: bytes
    deadline_ms: int


class PeerAnswered(LinkMessage, frozen=True, kw_only=True, tag="peer_answered"):
    """Sentry to engine: what a peer answered; empty if it did not, and `why`."""

    number: int
    answer: bytes
    why: str


class PeerAsks(LinkMessage, frozen=True, kw_only=True, tag="peer_asks"):
    """Sentry to engine: a staked peer asks; answer by an `AnswerPeer` of the same number, or not at all."""

    number: int
    peer_id_hash: bytes
    question: bytes


class AnswerPeer(LinkMessage, frozen=True, kw_only=True, tag="answer_peer"):
    """Engine to sentry: the answer to a `PeerAsks`; empty to say nothing."""

    number: int
    answer: bytes


class StageQuiet(LinkMessage, frozen=True, kw_only=True, tag="stage_quiet"):
    """Engine to who stands for the sentry in lockstep: of this block all is done and said that we had to."""

    block: int


class StageResumed(LinkMessage, frozen=True, kw_only=True, tag="stage_resumed"):
    """The answer once all engines are quiet: what came before it is what they said; `is_over` if it was nothing."""

    is_over: bool


class PeerSeen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A connected peer: its operator's account, and its score in thousandths."""

    peer: str
    operator: bytes
    score: int


class SentryStatus(LinkMessage, frozen=True, kw_only=True, tag="sentry_status"):
    """Sentry to engine, every few seconds: who is there, and what became of messages, by name. Counts rise."""

    at: UnixMilliseconds
    peers: list[PeerSeen]
    counts: dict[str, int]
    clock_ahead_ms: int = 0
    """By how much our own clock is ahead of the peers' (below zero: behind), where they agree that it is; else 0 …"""
    clock_peers: int = 0
    """… and how many say so."""


AnyLinkMessage: TypeAlias = (
    Hello
    | Refusal
    | Ping
    | Pong
    | MarketTick
    | LedgerEntry
    | LedgerAcknowledgement
    | EngineStatus
    | ShutDown
    | RegistrySnapshot
    | PublishGossip
    | GossipHeard
    | AskPeer
    | PeerAnswered
    | PeerAsks
    | AnswerPeer
    | SentryStatus
    | StageQuiet
    | StageResumed
)


def clock_words(told: SentryStatus | NetworkStatus) -> str | None:
    """Return what is wrong with our clock, as a sentence; None where nothing is."""
    if not told.clock_ahead_ms:
        return None
    way = "ahead of" if told.clock_ahead_ms > 0 else "behind"
    by = f"{abs(told.clock_ahead_ms) / 1_000:.1f} s"
    return f"our clock is {by} {way} those of {told.clock_peers} peers, who hold most of the stake that speaks: set it"


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(AnyLinkMessage)


def encode_frame(message: AnyLinkMessage) -> bytes:
    """Return the frame of a message. Raises TooLarge above the cap, InvalidField for an integer beyond 64 bits."""
    try:
        body = _ENCODER.encode(message)
    except OverflowError:
        raise InvalidField("an integer does not fit 64 bits", type(message).__name__) from None
    if len(body) > MAX_FRAME_BYTES:
        raise TooLarge(f"{len(body)} bytes, more than {MAX_FRAME_BYTES}", type(message).__name__)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def decode_body(body: bytes) -> AnyLinkMessage:
    """Return the message that a frame's body is. Raises RemoteProtocolError only."""
    try:
        message: AnyLinkMessage = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        if "`$.type`" in str(error):
            raise UnknownKind(f"not a message of version {LINK_VERSION}: {_short(error)}", "frame") from None
        raise MalformedMessage(_short(error), "frame") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"not MessagePack: {_short(error)}", "frame") from None
    return message


def _short(error: Exception) -> str:
    """Return the error's text, cut: it may quote what a stranger sent."""
    return str(error)[:200]


def require_version(hello: Hello) -> None:
    """Raise WrongVersion unless the other process speaks this version."""
    if hello.version != LINK_VERSION:
        raise WrongVersion(f"{hello.process} speaks version {hello.version}, this is version {LINK_VERSION}", "hello")


class FrameDecoder:
    """Bytes in, messages out, in the manner of h11: `feed` whatever arrived, then take `next_message` until it is None.

    How the bytes are cut into pieces makes no difference. Who takes all messages before feeding more holds at most one
    incomplete frame. Once it raised, the stream is lost: it raises Misuse from then on.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._broken = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._broken:
            raise Misuse("the stream is broken", "frame")
        self._buffer += data

    def next_message(self) -> AnyLinkMessage | None:
        """Return the next message, or None if its frame is not complete. Raises RemoteProtocolError."""
        if self._broken:
            raise Misuse("the stream is broken", "frame")
        self._broken = True
        body = self._next_body()
        message = None if body is None else decode_body(body)
        self._broken = False
        return message

    def end(self) -> None:
        """Tell that the stream has ended; once the last message is taken, TruncatedMessage if within a frame."""
        if self._buffer and not self._broken:
            raise TruncatedMessage(f"the stream ended {len(self._buffer)} bytes into a frame", "frame")

    def _next_body(self) -> bytes | None:
        if len(self._buffer) < LENGTH_BYTES:
            return None
        length = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
        if length == 0:
            raise MalformedMessage("an empty frame", "frame")
        if length > self._max_frame_bytes:
            raise OversizeMessage(f"announces {length} bytes, more than {self._max_frame_bytes}", "frame")
        end = LENGTH_BYTES + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[LENGTH_BYTES:end])
        del self._buffer[:end]  # constant time in CPython: the start moves
        return body
