"""The registered hot key and what it has signed: its store, and the next one's, which begins before that is in force.

A key that is in force without a store signs nothing slashable; that costs the network's part, never a block.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Final

from node.engine.anti_slashing import AntiSlashingStore
from node.engine.headers import Header
from node.engine.network.keys import NetworkKeys
from node.engine.network.membership import Membership
from node.engine.network.registry import Registry
from node.engine.network.successor import Successor
from node.engine.signing_journal import Owner
from node.errors import NodeError
from protocol.messages import Envelope
from protocol.units import BlockNumber

JOURNAL: Final = "signed.journal"
_LOG: Final = logging.getLogger("hftnode.engine.network")


class HotKey:
    """See the module. `journal` and `owner` are the present key's.

    `counts`: `keys replaced`, `no store`, `no last word` (a journal was left without the head that ends it).
    """

    def __init__(
        self,
        keys: NetworkKeys,
        registry: Registry,
        membership: Membership,
        journal: Path,
        owner: Owner,
        counts: Counter[str],
    ) -> None:
        self._keys, self._registry, self._membership = keys, registry, membership
        self._journal, self._owner, self._counts = journal, owner, counts
        self._store: AntiSlashingStore | None = None
        self._successor: Successor | None = None

    def expect(self, secret: bytes) -> None:
        """The next hot key is at hand; it signs from the block on in which it is in force."""
        successor = Successor(secret, self._journal.with_name(JOURNAL), self._owner)
        if successor.hot_key == self._keys.hot_key:
            return
        self._let_go(self._successor)
        self._successor = successor

    def follow(self, header: Header) -> None:
        """A block is there, and the registry was read at it: sign by the key that is in force, by its store."""
        self._follow_key(header)
        self._follow_store(header.number)

    def hear(self, envelope: Envelope) -> None:
        """An envelope of our account: ours, or a twin's, with which nothing slashable is signed for a while."""
        try:
            if self._store is not None:
                self._store.hear(envelope.sequence, self._keys.first_sequence)
        except NodeError as error:
            self._stop_signing(error)

    def close(self) -> None:
        """Let go of the stores."""
        self._let_go(self._store)
        self._let_go(self._successor)

    def _let_go(self, store: AntiSlashingStore | Successor | None) -> None:
        """Close a store; where its disk fails nothing else waits for that: the lease is free all the same."""
        try:
            if store is not None:
                store.close()
        except NodeError as error:
            self._counts["no last word"] += 1
            _LOG.error("a journal of what a hot key signed has no last word: %s", error)

    def _follow_key(self, header: Header) -> None:
        """Sign by the next hot key once it is in force; its journal has been kept since it was found."""
        self._keys.speak()
        successor = self._successor
        if successor is None:
            return
        successor.follow(header.number)
        if self._registry.key_of(self._keys.account, header.number, header.timestamp) != successor.hot_key:
            return
        self._successor, former = None, self._store
        self._let_go(former)
        self._keys.replace(successor.secret)
        self._membership.replace(self._keys.key)
        self._store, self._owner, self._journal = successor.store, successor.owner, successor.journal
        if self._store is not None:
            self._keys.open(self._store)
        self._counts["keys replaced"] += 1
        _LOG.warning("the hot key %s is in force from block %d on", self._keys.key.address, header.number)

    def _follow_store(self, head: BlockNumber) -> None:
        try:
            if self._store is not None:
                self._store.follow(head)
                return
            self._store = AntiSlashingStore(self._journal, self._owner, head)
        except NodeError as error:
            self._stop_signing(error)
            return
        if self._store.doubt:
            _LOG.warning("the signing journal is %s: nothing slashable is signed for a while", self._store.doubt)
        self._keys.open(self._store)

    def _stop_signing(self, why: NodeError) -> None:
        self._counts["no store"] += 1
        self._keys.slashable = None
        _LOG.error("nothing slashable is signed: %s", why)

    def __repr__(self) -> str:
        return f"HotKey({self._keys.key.address})"
