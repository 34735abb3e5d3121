"""A node's gossip state in which alice, bob and carol are operators, and messages of theirs."""

from __future__ import annotations

from typing import Any, Final

from protocol import codec
from protocol.gossip import Gossip, GossipLimits, GossipVerdict, Operator, StakeSnapshot
from protocol.kinds import PayloadKind
from protocol.messages import Payload
from protocol.signing import sign_envelope
from protocol.units import BlockNumber, BootId, PeerIdHash, StakeUnits, UnixMilliseconds, UnixSeconds, sequence_number
from tests.protocol_factories import ADDRESSES, DEVNET, KEYS, NOW, envelope, hash_of

HEAD: Final = BlockNumber(21_000_000)
HEAD_TIME: Final = UnixSeconds(NOW // 1_000)
PEERS: Final = {name: PeerIdHash(hash_of(f"peer id of {name}")) for name in ("alice", "bob", "carol", "eve")}
STAKES: Final = {"alice": 10, "bob": 30, "carol": 60}


def snapshot(block: int = HEAD, **changes: Any) -> StakeSnapshot:
    """Return the registry at a block: each operator signs with its own key; a change of None leaves one out."""
    operators = {
        name: Operator((ADDRESSES[name],), PEERS[name], StakeUnits(stake * 10**18)) for name, stake in STAKES.items()
    }
    operators = {name: one for name, one in (operators | changes).items() if one is not None}
    return StakeSnapshot(BlockNumber(block), {ADDRESSES[name]: one for name, one in operators.items()}, HEAD_TIME)


def gossip(**limits: Any) -> Gossip:
    """Return the state of a node that follows `snapshot()`."""
    state = Gossip(DEVNET, GossipLimits(**limits))
    state.follow(snapshot())
    return state


def message(payload: Payload, name: str = "bob", at: int = 0, **changes: Any) -> bytes:
    """Return an envelope of `name`, made `at` ms after NOW."""
    made = UnixMilliseconds(NOW + at)
    fields: dict[str, Any] = {
        "operator": ADDRESSES[name],
        "peer_id_hash": PEERS[name],
        "sequence": sequence_number(made, BootId(7)),
        "expiry": UnixMilliseconds(made + 10_000),
    }
    whole = sign_envelope(DEVNET, envelope(payload, **(fields | changes)), KEYS[name])
    return codec.encode_envelope(whole, DEVNET.separator)


def verdict(
    state: Gossip,
    kind: PayloadKind,
    data: bytes,
    publisher: str = "bob",
    forwarder: str = "alice",
    at: int = 0,
) -> str:
    """Return "ACCEPT", or the name of the reason why not."""
    try:
        state.validate(kind, data, PEERS[publisher], PEERS[forwarder], UnixMilliseconds(NOW + at))
    except GossipVerdict as said:
        return said.reason.name
    return "ACCEPT"
