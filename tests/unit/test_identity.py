"""What an identity makes of a node in the protocol, against libp2p itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID

from node.identity import peer_id_bytes, peer_id_hash, peer_id_text
from node.sentry.host import hash_of_peer


@given(seed=st.binary(min_size=32, max_size=32))
def test_the_peer_id_is_the_one_that_libp2p_gives_to_the_key(seed: bytes) -> None:
    peer = ID.from_pubkey(create_new_key_pair(seed).public_key)

    assert peer_id_bytes(seed) == peer.to_bytes()
    assert peer_id_hash(seed) == hash_of_peer(peer)
    assert peer_id_text(seed) == str(peer)


def test_a_seed_of_another_length_is_none() -> None:
    with pytest.raises(ValueError, match="32"):
        peer_id_bytes(b"short")
