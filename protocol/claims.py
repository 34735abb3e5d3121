"""The evidence of alerts that no block gives by itself: what somebody came to (docs/protocol.md).

    contract flagged   block hash ‖ fault ‖ holder: whose transfer was simulated after that block
    relay lies         block hash ‖ fault ‖ hash of the bundle that the relay was sent
    peer misbehaves    block hash ‖ Evidence as a direct message: it proves itself

Words, but for the last part. Pure: whether a claim is true is not looked at here.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

from protocol.codec import decode_direct, encode_direct
from protocol.errors import UnknownKind
from protocol.evidence import Evidence
from protocol.kinds import AlertKind, ContractFault, RelayFault
from protocol.layout import Field, StructLayout
from protocol.units import HASH_BYTES, Address, Hash32

_BLOCK: Final = Field("block_hash", "bytes32")
_CONTRACT: Final = StructLayout(
    "FlaggedContract", _BLOCK, Field("fault", "uint8", ContractFault), Field("holder", "address")
)
_RELAY: Final = StructLayout("LyingRelay", _BLOCK, Field("fault", "uint8", RelayFault), Field("bundle_hash", "bytes32"))


class FlaggedContract(Struct, frozen=True, kw_only=True):
    """A token that lies where `holder` (a pool) sends it, after a block."""

    block_hash: Hash32
    fault: ContractFault
    holder: Address


class LyingRelay(Struct, frozen=True, kw_only=True):
    """A relay that answered a bundle falsely; `block_hash`: a block at or after the bundle's."""

    block_hash: Hash32
    fault: RelayFault
    bundle_hash: Hash32


class MisbehavingPeer(Struct, frozen=True, kw_only=True):
    """An operator that contradicted itself; `block_hash`: the block that its statements are about."""

    block_hash: Hash32
    evidence: Evidence


Claim: TypeAlias = FlaggedContract | LyingRelay | MisbehavingPeer

CLAIM_BYTES: Final = {
    AlertKind.CONTRACT_FLAGGED: _CONTRACT.size,
    AlertKind.RELAY_LIES: _RELAY.size,
    AlertKind.PEER_MISBEHAVES: HASH_BYTES + 546,
}


def encode_claim(claim: Claim) -> bytes:
    """Return the evidence of an alert."""
    match claim:
        case FlaggedContract():
            return _CONTRACT.words(claim)
        case LyingRelay():
            return _RELAY.words(claim)
        case MisbehavingPeer():
            return claim.block_hash + encode_direct(claim.evidence)


def decode_claim(kind: AlertKind, evidence: bytes) -> Claim:
    """Return what the evidence of an alert of this kind says. Raises RemoteProtocolError."""
    if kind is AlertKind.CONTRACT_FLAGGED:
        return FlaggedContract(**_CONTRACT.read(evidence, "evidence."))
    if kind is AlertKind.RELAY_LIES:
        return LyingRelay(**_RELAY.read(evidence, "evidence."))
    if kind is not AlertKind.PEER_MISBEHAVES:
        raise UnknownKind("its evidence is no claim", "kind")
    proof = decode_direct(evidence[HASH_BYTES:])
    if not isinstance(proof, Evidence):
        raise UnknownKind("no Evidence", "evidence")
    return MisbehavingPeer(block_hash=Hash32(evidence[:HASH_BYTES]), evidence=proof)
