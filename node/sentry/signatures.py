"""Who signed what gossip brings (mends 2 and 16 of `hardening`): whatever a stranger's bytes are, nothing raises."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from libp2p.crypto.ed25519 import Ed25519PublicKey
from libp2p.crypto.keys import PublicKey
from libp2p.peer.envelope import consume_envelope
from libp2p.peer.id import ID
from libp2p.peer.peer_record import PEER_RECORD_ENVELOPE_DOMAIN
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX

PEER_BYTES: Final = 38
"""Of a peer id that holds an Ed25519 key."""
NUMBER_BYTES: Final = 8


def is_signed(message: rpc_pb2.Message) -> bool:
    """Tell whether the publisher signed, whose key is in its peer id: we take no peers but those with Ed25519 keys.

    Both parts of a message's id have one length: what is kept of it has one, too.
    """
    if len(message.from_id) != PEER_BYTES or len(message.seqno) != NUMBER_BYTES:
        return False
    key = _key_of(message.from_id)
    try:
        return key is not None and key.verify(_signed_bytes(message), message.signature)
    except ValueError:  # a signature of another length
        return False


def signed_its_record(record: bytes, peer: ID) -> bool:
    """Tell whether a record of addresses is a peer's own, however old."""
    try:
        envelope, said = consume_envelope(record, PEER_RECORD_ENVELOPE_DOMAIN)
        return bool(said.peer_id == peer == ID.from_pubkey(envelope.public_key))
    except Exception:  # mend 2: the bytes may be anything
        return False


@lru_cache(maxsize=4_096)
def _key_of(peer: bytes) -> PublicKey | None:
    """Return the key in a peer id, None if it is no Ed25519 key; kept, for it costs as much as a signature."""
    try:
        key = ID(peer).extract_public_key()
    except Exception:  # mend 2: the bytes may be anything
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def _signed_bytes(message: rpc_pb2.Message) -> bytes:
    bare = rpc_pb2.Message(data=message.data, topicIDs=message.topicIDs, from_id=message.from_id, seqno=message.seqno)
    return PUBSUB_SIGNING_PREFIX.encode() + bare.SerializeToString()
