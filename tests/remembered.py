"""Finds every container, reachable from an object, in which a peer stands: by its id, text, bytes or hash."""

from __future__ import annotations

from typing import Any

from libp2p.peer.id import ID

from node.sentry.host import hash_of_peer
from tests.reachable import containers


def where_remembered(root: object, peer: ID) -> set[str]:
    """Return the paths of the containers, as attributes and keys of `root`; what is inside an entry has `[]`."""

    def holds(value: Any) -> bool:
        return any(_is(each, peer) for each in list(value))

    return containers(root, holds)


def _is(value: object, peer: ID) -> bool:
    if isinstance(value, str):
        return str(peer) in value
    if isinstance(value, bytes):
        return value == hash_of_peer(peer) or value.startswith(peer.to_bytes())  # an id of a message begins with it
    return isinstance(value, ID) and value == peer
