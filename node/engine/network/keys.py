"""What the registered hot key signs for the network: envelopes, orders, sealing keys; slashable things by the store."""

from __future__ import annotations

from collections.abc import Callable

from node.engine.anti_slashing import AntiSlashingStore, SlashableSigner
from protocol import signing
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.messages import CLOCK_TOLERANCE_MS, MAX_LIFETIME_MS, Envelope, Payload, SignedSealingKey
from protocol.sealing import SealingSecret
from protocol.signing import Domain
from protocol.statements import Order, SealingKey
from protocol.units import (
    Address,
    BlockNumber,
    BootId,
    PeerIdHash,
    SequenceNumber,
    SignatureBytes,
    UnixMilliseconds,
    address_from_hex,
    milliseconds_of,
    sequence_number,
)

ENVELOPE_LIFETIME_MS = MAX_LIFETIME_MS - CLOCK_TOLERANCE_MS


class Repeated:
    """In place of chance in a devnet's lockstep, where one seed has to give equal bytes: what follows from a secret.

    Never elsewhere: a run draws what the run before it has drawn.
    """

    def __init__(self, secret: bytes) -> None:
        self._state = keccak256(b"hftnode lockstep" + secret)

    def __call__(self, count: int) -> bytes:
        drawn = b""
        while len(drawn) < count:
            self._state = keccak256(self._state)
            drawn += keccak256(b"drawn" + self._state)
        return drawn[:count]

    def __repr__(self) -> str:
        return "Repeated()"


class NetworkKeys:
    """One operator's hot key at work in the network. `slashable` signs accepts and attestations.

    `first_sequence`: of this run's envelopes, by which a twin is told.
    """

    def __init__(
        self,
        domain: Domain,
        account: Address,
        peer: PeerIdHash,
        secret: bytes,
        boot_id: BootId,
        now_ms: Callable[[], UnixMilliseconds],
    ) -> None:
        self.domain, self.account = domain, account
        self._peer, self._secret, self._boot_id, self._now_ms = peer, secret, boot_id, now_ms
        self.key = SigningKey(secret)
        self.hot_key: Address = address_from_hex(self.key.address)
        self._former: bytes | None = None
        self._voice = self.key
        self._last_ms = now_ms()
        self.first_sequence: SequenceNumber = sequence_number(self._last_ms, boot_id)
        self.slashable: SlashableSigner | None = None
        """None until the chain is in sync, and the store could be opened."""

    def replace(self, secret: bytes) -> None:
        """Sign by another hot key from now on, and envelopes from the next block on (`speak`).

        Who has not seen the block yet in which it came into force would blame us for them.
        """
        self._former, self._secret = self._secret, secret
        self.key = SigningKey(secret)
        self.hot_key = address_from_hex(self.key.address)
        self.slashable = None

    def speak(self) -> None:
        """A block is there: envelopes are signed by the key that was in force before it."""
        self._voice = self.key

    def open(self, store: AntiSlashingStore) -> None:
        """Sign slashable things from now on, by this store."""
        self.slashable = SlashableSigner(self.domain, self.key, store)

    def envelope(self, payload: Payload) -> Envelope:
        """Return a signed envelope that may travel for a minute; its number is higher than all current ones before."""
        self._last_ms = self._next_ms(self._now_ms())
        envelope = Envelope(
            operator=self.account,
            peer_id_hash=self._peer,
            sequence=sequence_number(self._last_ms, self._boot_id),
            expiry=UnixMilliseconds(self._last_ms + ENVELOPE_LIFETIME_MS),
            payload=payload,
        )
        return signing.sign_envelope(self.domain, envelope, self._voice)

    def _next_ms(self, now: UnixMilliseconds) -> UnixMilliseconds:
        """The next number's time; now, where the last was said under a clock that was ahead: it was current nowhere."""
        latest = now + CLOCK_TOLERANCE_MS
        if milliseconds_of(self.first_sequence) > latest:
            self.first_sequence = sequence_number(now, self._boot_id)
        return now if self._last_ms >= latest else UnixMilliseconds(max(now, self._last_ms + 1))

    def order(self, order: Order) -> SignatureBytes:
        """Return the signature of an order of ours."""
        return signing.sign(self.domain, order, self.key)

    def sealing_key(self, first: BlockNumber, last: BlockNumber) -> SignedSealingKey:
        """Return the key to which others seal orders for the blocks of the epoch that begins at `first`."""
        told = SealingKey(
            operator=self.account,
            public_key=self.sealing_secret(first).public_key,
            from_block=first,
            until_block=last,
        )
        return signing.sign_sealing_key(self.domain, told, self.key)

    def sealing_secret(self, first: BlockNumber) -> SealingSecret:
        """Return what opens them."""
        return SealingSecret.of_epoch(self._secret, first)

    def opening_secrets(self, first: BlockNumber) -> tuple[SealingSecret, ...]:
        """Return what opens orders: others may still seal to the key that was told by a former hot key."""
        former = () if self._former is None else (SealingSecret.of_epoch(self._former, first),)
        return (self.sealing_secret(first), *former)

    def __repr__(self) -> str:
        return f"NetworkKeys({self.key.address})"
