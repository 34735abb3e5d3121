"""What hostile peers send is what it says that it is: else a storm shows nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from devnet.hostile.ammunition import Arsenal, Volley
from node.sentry.hardening import next_rpc
from node.sentry.host import hash_of_peer
from protocol.codec import decode_direct
from protocol.errors import BadSeal
from protocol.ethereum.keys import SigningKey
from protocol.gossip import Gossip, GossipVerdict, topic
from protocol.kinds import PayloadKind
from protocol.messages import SealedOrder
from protocol.routes import decode_route
from protocol.sealing import open_sealed
from protocol.signing import verify
from protocol.units import BlockNumber, UnixSeconds
from tests.protocol_factories import ADDRESSES, DEVNET, KEYS, NOW, hash_of, sealing_key, sealing_secret
from tests.sentry_scene import HEAD_TIME, identity, peer_of, registry

BLOCK = BlockNumber(21_000_000)
TOPICS = {topic(DEVNET, kind): kind for kind in PayloadKind}


@pytest.fixture
def arsenal() -> Arsenal:
    return Arsenal(DEVNET, identity("carol"), KEYS["carol"], seed=4, alerts_until=UnixSeconds(HEAD_TIME + 600))


def judged(volley: Volley) -> Counter[str]:
    """What an honest node makes of it, straight from the peer, all in one instant."""
    state, buffer, said = Gossip(DEVNET), bytearray(b"".join(volley.frames)), Counter[str]()
    state.follow(registry(block=BLOCK))
    peer = hash_of_peer(peer_of("carol"))
    while (rpc := next_rpc(buffer)) is not None:
        for message in rpc.publish:
            try:
                state.validate(TOPICS[message.topicIDs[0]], message.data, peer, peer, NOW)
                said["ACCEPT"] += 1
            except GossipVerdict as verdict:
                said[verdict.reason.name] += 1
    return said


def test_each_volley_is_judged_as_its_name_says(arsenal: Arsenal) -> None:
    next_key = SigningKey(hash_of("carol's next hot key"))
    assert judged(arsenal.heartbeats(NOW, BLOCK, 9)) == {"ACCEPT": 9}
    assert judged(arsenal.attestations(NOW, BLOCK, 9)) == {"ACCEPT": 9}
    assert judged(arsenal.replays(NOW, 9)) == {"ACCEPT": 1, "DUPLICATE": 8}
    assert judged(arsenal.rotated(NOW, next_key, 9)) == {"UNKNOWN_KEY": 9}


def test_what_is_sent_to_leaders_can_be_opened_or_not_as_it_says(arsenal: Arsenal) -> None:
    secret, key = sealing_secret("leader"), sealing_key(public_key=sealing_secret("leader").public_key)
    for data in arsenal.sealed_orders(key, key.from_block, 3):
        sealed = decode_direct(data)
        assert isinstance(sealed, SealedOrder)
        handed = open_sealed(DEVNET, sealed, secret)
        verify(DEVNET, handed.order, handed.signature, ADDRESSES["carol"])
        assert len(decode_route(handed.route).swaps) == 2
    for data in arsenal.shut_boxes(key.from_block, 3):
        sealed = decode_direct(data)
        assert isinstance(sealed, SealedOrder)
        with pytest.raises(BadSeal):
            open_sealed(DEVNET, sealed, secret)
