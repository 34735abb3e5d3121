"""What is remembered of peers: deliveries, faults, bans, addresses; bounded, and kept over a restart. Time is given.

A peer's score is what it delivered lately, up to MAX_CREDIT, less its points of fault: both halve every HALF_LIFE_MS.
So a peer that only listens has nothing to lose, and goes first when there is no room. At BAN_POINTS it is banned, for
BAN_MS the first time and twice as long each time after, up to MAX_BAN_MS; a ban expires by itself.
"""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from node.durable import replace_file
from protocol.units import UnixMilliseconds

MAX_PEERS: Final = 1_024
MAX_CREDIT: Final = 1_000
HALF_LIFE_MS: Final = 10 * 60_000
BAN_POINTS: Final = 100
BAN_MS: Final = 10 * 60_000
MAX_BAN_MS: Final = 24 * 3_600_000
MAX_ADDRESSES: Final = 4
MAX_ADDRESS_CHARACTERS: Final = 256
_LOG: Final = logging.getLogger("hftnode.sentry")


class Fault(Enum):
    """What a peer is blamed for."""

    MALFORMED_RPC = "sent bytes that are no RPC"
    OVERSIZE_RPC = "sent an RPC beyond its bounds"
    BAD_FRAMES = "broke a bound of the muxer"
    BAD_GOSSIP_SIGNATURE = "sent a message that its publisher did not sign"
    BAD_RECORD = "sent a record of its addresses that it did not sign"
    REJECTED_MESSAGE = "sent a message that every honest node rejects"
    BAD_STREAM = "sent on a direct stream what no correct node sends"
    FLOOD = "sends more than it may"
    REPLAY = "publishes one envelope under several numbers"


POINTS: Final = {
    Fault.MALFORMED_RPC: 100,
    Fault.OVERSIZE_RPC: 100,
    Fault.BAD_FRAMES: 50,
    Fault.BAD_GOSSIP_SIGNATURE: 25,
    Fault.REJECTED_MESSAGE: 25,
    Fault.BAD_STREAM: 25,
    Fault.BAD_RECORD: 5,
    Fault.FLOOD: 1,
    Fault.REPLAY: 1,
}


class PeerRecord(msgspec.Struct, kw_only=True):
    """One peer: decaying counts in thousandths as of `at`, its bans, where it says to be, where it was dialled last."""

    at: int
    delivered: int = 0
    faults: int = 0
    bans: int = 0
    banned_until: int = 0
    addresses: list[str] = []
    dialled: str = ""

    def decay(self, now: UnixMilliseconds) -> None:
        """Halve the counts for every half-life that has passed, in whole steps of a sixteenth of one."""
        steps = max(0, now - self.at) * 16 // HALF_LIFE_MS
        if steps:
            self.at += steps * HALF_LIFE_MS // 16
            keep = 65_536 >> min(steps // 16, 63)
            for _ in range(steps % 16):
                keep = keep * 62_757 // 65_536
            self.delivered = self.delivered * keep // 65_536
            self.faults = self.faults * keep // 65_536

    @property
    def score(self) -> int:
        """Thousandths: credit for deliveries less faults."""
        return min(self.delivered, MAX_CREDIT * 1_000) - 10 * self.faults


class PeerBook:
    """Records by peer id (base 58), at most MAX_PEERS: the lowest score leaves first, but banned ones last."""

    def __init__(self, path: Path | None = None) -> None:
        self.evicted = self.unsaved = 0
        self.has_news = self._is_failing = False
        self._path = path
        self._records: dict[str, PeerRecord] = _read(path)

    def __len__(self) -> int:
        return len(self._records)

    def delivered(self, peer: str, now: UnixMilliseconds) -> None:
        """Count a message that the peer was the first to bring."""
        record = self._of(peer, now)
        record.delivered = min(record.delivered + 1_000, 2 * MAX_CREDIT * 1_000)

    def blame(self, peer: str, fault: Fault, now: UnixMilliseconds) -> bool:
        """Count a fault; return whether the peer is banned now."""
        record = self._of(peer, now)
        record.faults += POINTS[fault] * 1_000
        if record.faults >= BAN_POINTS * 1_000 and record.banned_until <= now:
            record.banned_until = now + min(BAN_MS << min(record.bans, 10), MAX_BAN_MS)
            record.bans += 1
            record.faults = 0
        return record.banned_until > now

    def is_banned(self, peer: str, now: UnixMilliseconds) -> bool:
        """Tell whether a ban of the peer has not expired."""
        record = self._records.get(peer)
        return record is not None and record.banned_until > now

    def banned(self, now: UnixMilliseconds) -> int:
        """Return how many peers are banned."""
        return sum(record.banned_until > now for record in self._records.values())

    def score(self, peer: str, now: UnixMilliseconds) -> int:
        """Return the peer's score now, in thousandths; 0 for one that is not known."""
        record = self._records.get(peer)
        if record is None:
            return 0
        record.decay(now)
        return record.score

    def told(self, peer: str, addresses: list[str], now: UnixMilliseconds) -> None:
        """Remember where a peer says that it is."""
        short = [address for address in addresses if len(address) <= MAX_ADDRESS_CHARACTERS]
        self._of(peer, now).addresses = short[:MAX_ADDRESSES]

    def reached(self, peer: str, address: str, now: UnixMilliseconds) -> None:
        """Remember where a peer was dialled and answered."""
        record = self._of(peer, now)
        self.has_news = self.has_news or record.dialled != address
        record.dialled = address

    def addresses(self) -> dict[str, list[str]]:
        """Return where each peer was reached, and then where it says that it is."""
        known = {peer: [*filter(None, [record.dialled]), *record.addresses] for peer, record in self._records.items()}
        return {peer: addresses for peer, addresses in known.items() if addresses}

    def keep(self) -> None:
        """Write the book if that goes: a disk that takes nothing costs the file, is counted, and told once."""
        self.has_news = False
        try:
            self.save()
        except OSError as error:
            self.unsaved += 1
            if not self._is_failing:
                _LOG.error("the book of peers cannot be written, and goes on in memory alone: %s", error)
            self._is_failing = True
        else:
            if self._is_failing:
                _LOG.warning("the book of peers is written again")
            self._is_failing = False

    def save(self) -> None:
        """Write the book to its file, whole or not at all. Raises OSError."""
        if self._path is not None:
            replace_file(self._path, msgspec.json.encode(self._records))

    def _of(self, peer: str, now: UnixMilliseconds) -> PeerRecord:
        record = self._records.get(peer)
        if record is None:
            if len(self._records) >= MAX_PEERS:
                worst = min(self._records, key=lambda name: self._worth(name, now))
                del self._records[worst]
                self.evicted += 1
            record = self._records[peer] = PeerRecord(at=now)
        record.decay(now)
        return record

    def _worth(self, peer: str, now: UnixMilliseconds) -> tuple[bool, int, int]:
        record = self._records[peer]
        record.decay(now)
        return record.banned_until > now, record.score, record.at


def _read(path: Path | None) -> dict[str, PeerRecord]:
    """Return the records of a file; of one that is missing or damaged none: a book is worth less than a start."""
    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, PeerRecord])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        _LOG.warning("the book of peers cannot be read, and begins anew: %s", error)
        return {}
