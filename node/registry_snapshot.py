"""The registry as the engine tells it to who carries gossip, and as `protocol.gossip` judges by it."""

from __future__ import annotations

from node.link import RegistrySnapshot
from protocol.gossip import Operator, StakeSnapshot
from protocol.units import ADDRESS_BYTES, HASH_BYTES, Address, BlockNumber, Hash32, PeerIdHash, StakeUnits, UnixSeconds


def snapshot_of(message: RegistrySnapshot) -> StakeSnapshot:
    """Return the registry that the engine tells of. Raises InvalidField for what no engine of ours sends."""
    operators = {}
    for one in message.operators:
        if len(one.account) == ADDRESS_BYTES and len(one.peer_id_hash) == HASH_BYTES and one.stake.isdecimal():
            operators[Address(one.account)] = Operator(
                tuple(Address(key) for key in one.hot_keys),
                PeerIdHash(Hash32(one.peer_id_hash)),
                StakeUnits(int(one.stake)),
            )
    return StakeSnapshot(BlockNumber(message.block), operators, UnixSeconds(message.time))
