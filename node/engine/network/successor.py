"""The next hot key in the network, before it is in force: its journal is begun as soon as the key is at hand.

A journal that is new to a node makes it sign nothing slashable for HORIZON blocks. That time runs from when the key
was found, so that one that lay there so long before it came into force accepts and attests without a gap.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from node.engine.anti_slashing import AntiSlashingStore
from node.engine.signing_journal import Owner, place_of
from node.errors import NodeError
from protocol.ethereum.keys import SigningKey
from protocol.units import Address, BlockNumber, address_from_hex

_LOG: Final = logging.getLogger("hftnode.engine.network")


class Successor:
    """See the module. `journal` and `owner` are its own. `store`: None before the first block, or where it fails."""

    def __init__(self, secret: bytes, journal: Path, owner: Owner) -> None:
        """`journal`: where the node's journals are, by the name of the first; `owner` of the present one."""
        self.secret = secret
        self.hot_key: Address = address_from_hex(SigningKey(secret).address)
        self.owner = owner._replace(hot_key=self.hot_key)
        self.journal = place_of(journal, self.owner)
        self.store: AntiSlashingStore | None = None
        self._is_unusable = False

    def follow(self, head: BlockNumber) -> None:
        """Begin the journal, or go on with it, at this head."""
        try:
            if self.store is not None:
                self.store.follow(head)
            elif not self._is_unusable:
                self.store = AntiSlashingStore(self.journal, self.owner, head)
        except NodeError as error:
            self._is_unusable = True
            self.close()
            _LOG.error("the journal of the next hot key cannot be begun: %s", error)

    def close(self) -> None:
        """Let go of the store."""
        store, self.store = self.store, None
        if store is not None:
            store.close()

    def __repr__(self) -> str:
        return f"Successor(0x{self.hot_key.hex()})"
