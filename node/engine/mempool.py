"""Pending transactions as the pipeline wants them: once each, hash checked against the bytes; those to routers that we
read, or all that call something.

Senders' next nonces are known from the blocks that were read, and asked for in the background where they are not: the
hot path waits for nothing. A transaction that is replaced, or whose nonce another one used, is gone; one that no block
takes within `keep_blocks` is forgotten (the pipeline does so too). Everything here is bounded; the oldest leave.

What is not told by itself (a plain transfer, for one) is held as it came: if something that is told stands behind it by
its sender's nonces, it is told too, once its signature says that it is the sender's. Without it there would be a gap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from node.engine.block_reader import MinedTransaction
from node.pipeline.events import Event, PendingGone, PendingTransactionSeen
from node.pipeline.pending import MAX_PREDECESSORS
from protocol.errors import RemoteProtocolError
from protocol.ethereum.hot_path import pending_from_json
from protocol.ethereum.transaction_json import transaction_from_rpc
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import BlockNumber, Hash32, UnixNanoseconds

MAX_SEEN: Final = 65_536
"""Hashes remembered, so that a transaction is told once however many nodes announce it."""
SEEN_BLOCKS: Final = 64
"""For so many blocks: nodes announce within seconds, and older hashes would only fill memory. What is announced again
later is told again."""
MAX_NONCES: Final = 16_384
MAX_WAITING: Final = 16_384
"""Transactions of which a replacement is told."""
SHORTEST_CALL: Final = len("0x") + 2 * 4
"""Call data with less than a function's selector call nothing that we look at."""
MAX_HELD: Final = 4_096
LONGEST_HELD: Final = 2_048
"""Characters of JSON; a plain transfer takes some seven hundred. What is longer is not held."""
FURTHEST: Final = MAX_PREDECESSORS
"""By so many nonces a transaction may stand before one that is told: of more no chain is followed."""
MAX_UNASKED: Final = 256
"""Senders whose nonce is to be asked; more of them stay unknown until their next transaction."""


class _Glance(msgspec.Struct, gc=False):
    hash: str
    sender: str = msgspec.field(name="from", default="")
    nonce: str = ""
    to: str | None = None
    input: str = ""


_GLANCE: Final = msgspec.json.Decoder(_Glance)
_MALFORMED: Final = (msgspec.DecodeError, RemoteProtocolError, UnicodeDecodeError, RecursionError)
"""What reading a node's JSON may raise."""


class _Waiting(msgspec.Struct, frozen=True, gc=False):
    hash: Hash32
    block: BlockNumber


class _Held(msgspec.Struct, frozen=True, gc=False):
    """What was not told: its JSON, and the head at which it came."""

    raw: bytes
    block: BlockNumber


class Mempool:
    """What is pending. `destinations`: the routers, lower-case hex; `is_for_all`: tell of other calls too. `unasked`:
    senders whose nonce is not known.

    `counts`: `announced`, `repeated`, `read` (to the destinations), `others` (told besides), `cancelled` (by one
    that is not told), `gaps_filled` (told because of one behind it), `malformed`, `seen_forgotten`,
    `waiting_forgotten`, `held_forgotten`.
    """

    def __init__(
        self,
        destinations: set[str],
        emit: Callable[[Event], None],
        now: Callable[[], UnixNanoseconds],
        keep_blocks: int,
        *,
        is_for_all: bool = False,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.unasked: dict[str, None] = {}
        self._routers = self._destinations = frozenset(destinations)
        self._feeds: dict[str, frozenset[str]] = {}
        self._emit, self._now, self._keep_blocks = emit, now, keep_blocks
        self._is_for_all = is_for_all
        self._head = BlockNumber(0)
        self._seen: dict[str, BlockNumber] = {}
        """By hash the head at which it came: the oldest first."""
        self._nonces: dict[str, int] = {}
        self._waiting: dict[tuple[str, int], _Waiting] = {}
        self._held: dict[tuple[str, int], _Held] = {}

    def watch(self, lender: str, feeds: Iterable[str]) -> None:
        """Tell also of transactions to these contracts (lower-case hex), and no more to a lender's that are not among
        them: whose feeds a stranger's oracle names may change with every read.
        """
        self._feeds[lender] = frozenset(feeds)
        self._destinations = self._routers.union(*self._feeds.values())

    def announced(self, raw: msgspec.Raw | bytes) -> None:
        """Take in a transaction's JSON object."""
        self.counts["announced"] += 1
        try:
            glance = _GLANCE.decode(raw)
            to = (glance.to or "").lower()
            is_read = to in self._destinations
            if not is_read and not self._is_other(to, glance.input):
                if not self._look_for_cancelled(glance, raw):
                    self._hold(glance, raw)
                return
            if glance.hash in self._seen:
                self.counts["repeated"] += 1
                return
            transaction = pending_from_json(raw, (to,))
        except _MALFORMED:
            self.counts["malformed"] += 1
            return
        if transaction is None:
            return
        self.counts["read" if is_read else "others"] += 1
        sender, nonce = transaction.sender, transaction.nonce
        known = self._nonces.get(sender)
        if known is None and len(self.unasked) < MAX_UNASKED:
            self.unasked[sender] = None
        self._held.pop((sender, nonce), None)
        earlier = self._held_before(sender, nonce, known)
        if known is None and earlier:  # they wait as well, and one of them is the next
            known = earlier[0].nonce
        for one in earlier:
            self._tell(one, "0x" + one.hash.hex(), known)
        self._tell(transaction, glance.hash, known)

    def _tell(self, transaction: SignedTransaction, transaction_hash: str, known: int | None) -> None:
        sender, nonce = transaction.sender, transaction.nonce
        self._remember(transaction_hash)
        replaced = self._waiting.pop((sender, nonce), None)
        if replaced is not None:
            self._emit(PendingGone(replaced.hash, "replaced"))
        self._waiting[sender, nonce] = _Waiting(Hash32(transaction.hash), self._head)
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
            self.counts["waiting_forgotten"] += 1
        self._emit(PendingTransactionSeen(transaction, self._now(), known))

    def _held_before(self, sender: str, nonce: int, known: int | None) -> list[SignedTransaction]:
        """What was held of a sender before a nonce, the earliest first: from the sender's next nonce; where that is not
        known, as far down as there is no gap.
        """
        found: list[SignedTransaction] = []
        for earlier in range(nonce - 1, max(known or 0, nonce - FURTHEST) - 1, -1):
            transaction = self._release(sender, earlier)
            if transaction is not None:
                found.insert(0, transaction)
            elif known is None:
                break
        return found

    def _hold(self, glance: _Glance, raw: msgspec.Raw | bytes) -> None:
        """Keep what is not told, and tell it at once where something that was told stands behind it.

        Where the sender's nonce is not known, it stays until something is told that stands behind it: what was told
        without a nonce is the sender's next for the pipeline, and a nonce that is learned is not told by itself.
        """
        key = sender, nonce = glance.sender.lower(), _nonce_of(glance.nonce)
        if nonce < self._nonces.get(sender, 0) or glance.hash in self._seen or len(bytes(raw)) > LONGEST_HELD:
            return
        self._held.pop(key, None)
        self._held[key] = _Held(bytes(raw), self._head)
        if len(self._held) > MAX_HELD:
            del self._held[next(iter(self._held))]
            self.counts["held_forgotten"] += 1
        known = self._nonces.get(sender)
        if known is None or not any((sender, nonce + step) in self._waiting for step in range(1, FURTHEST + 1)):
            return
        transaction = self._release(sender, nonce)
        if transaction is not None:
            self._tell(transaction, glance.hash, known)

    def _release(self, sender: str, nonce: int) -> SignedTransaction | None:
        """What was held of a sender with a nonce, if there is any, and if its signature is the sender's."""
        held = self._held.pop((sender, nonce), None)
        if held is None:
            return None
        try:
            transaction = transaction_from_rpc(msgspec.json.decode(held.raw))
        except _MALFORMED:
            self.counts["malformed"] += 1
            return None
        if (transaction.sender, transaction.nonce) != (sender, nonce):
            return None
        self.counts["gaps_filled"] += 1
        return transaction

    def _look_for_cancelled(self, glance: _Glance, raw: msgspec.Raw | bytes) -> bool:
        """What is not told (a plain transfer to oneself, above all) still takes the nonce of one that waits. Return
        whether it is the very one that waits.

        Raises RemoteProtocolError, msgspec.DecodeError.
        """
        waiting = self._waiting.get((glance.sender.lower(), _nonce_of(glance.nonce)))
        if waiting is None:
            return False
        # Here its word would end an opportunity of another's: the signature says who sent it.
        transaction = transaction_from_rpc(msgspec.json.decode(raw))
        if transaction.hash == waiting.hash:
            return True
        del self._waiting[transaction.sender, transaction.nonce]
        self.counts["cancelled"] += 1
        self._emit(PendingGone(waiting.hash, "replaced"))
        return False

    def sender_of(self, raw: msgspec.Raw | bytes) -> str | None:
        """Return who sent a transaction that `announced` would tell, if the nonce is not known; None else."""
        try:
            glance = _WITH_SENDER.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        sender, to = glance.sender.lower(), (glance.to or "").lower()
        is_wanted = to in self._destinations or self._is_other(to, glance.input)
        return sender if is_wanted and sender not in self._nonces else None

    def learned(self, sender: str, nonce: int) -> None:
        """Take in a sender's next nonce at the head."""
        self.unasked.pop(sender, None)
        self._nonces.pop(sender, None)
        self._nonces[sender] = nonce
        if len(self._nonces) > MAX_NONCES:
            del self._nonces[next(iter(self._nonces))]

    def mined(self, number: BlockNumber, transactions: Sequence[MinedTransaction]) -> None:
        """A block took these: nonces rise, and what waited for the same nonces is gone."""
        self._head = number
        included = {bytes(transaction.hash) for transaction in transactions}
        for transaction in transactions:
            sender, nonce = "0x" + transaction.sender.hex(), int(transaction.nonce)
            self.learned(sender, nonce + 1)
            self._held.pop((sender, nonce), None)
            waiting = self._waiting.pop((sender, nonce), None)
            if waiting is not None and waiting.hash not in included:
                self._emit(PendingGone(waiting.hash, "its nonce was used by another"))
        while self._waiting:
            oldest = next(iter(self._waiting))
            if number - self._waiting[oldest].block < self._keep_blocks:
                break
            del self._waiting[oldest]
        while self._held and number - next(iter(self._held.values())).block >= self._keep_blocks:
            del self._held[next(iter(self._held))]
        while self._seen and number - next(iter(self._seen.values())) >= SEEN_BLOCKS:
            del self._seen[next(iter(self._seen))]

    def retracted(self, number: BlockNumber) -> None:
        """A block left the chain: nonces are to be asked anew, and what it took may be announced again."""
        self._head = BlockNumber(number - 1)
        self._nonces.clear()
        self._seen.clear()

    def _is_other(self, to: str, call_data: str) -> bool:
        """Whether to tell of a call of a contract that we do not read."""
        return self._is_for_all and to != "" and len(call_data) >= SHORTEST_CALL

    def _remember(self, transaction_hash: str) -> None:
        self._seen[transaction_hash] = self._head
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
            self.counts["seen_forgotten"] += 1


def _nonce_of(written: str) -> int:
    """The nonce as JSON-RPC writes it; none of anybody's where it is not written so."""
    try:
        return int(written, 16)
    except ValueError:
        return -1


class _WithSender(msgspec.Struct, gc=False):
    sender: str = msgspec.field(name="from")
    to: str | None = None
    input: str = ""


_WITH_SENDER: Final = msgspec.json.Decoder(_WithSender)
