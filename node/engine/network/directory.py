"""Who is there: what each operator's heartbeats told last, and how long that counts. No larger than the registry."""

from __future__ import annotations

from typing import Final

import msgspec

from node.engine.network.registry import Registry
from node.engine.network.trust import Trust
from node.link import NetworkPeer, SentryStatus
from protocol.kinds import Capability
from protocol.messages import Envelope, Heartbeat
from protocol.units import Address, BlockNumber, UnixMilliseconds

SILENT_MS: Final = 30_000
"""Who was not heard for so long is not asked."""


class _Heard(msgspec.Struct, frozen=True):
    block: BlockNumber
    capabilities: Capability
    at: UnixMilliseconds


class PeerDirectory:
    """See the module."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._heard: dict[Address, _Heard] = {}

    def heard(self, envelope: Envelope, now: UnixMilliseconds) -> None:
        """An operator has said something; a heartbeat also says what it offers."""
        if envelope.operator not in self._registry.operators:
            return
        beat = envelope.payload
        if isinstance(beat, Heartbeat):
            told = _Heard(beat.block_number, Capability(beat.capabilities & _KNOWN), now)
            self._heard[envelope.operator] = told

    def follow(self, _head: BlockNumber) -> None:
        """Forget who has left the registry."""
        self._heard = {who: told for who, told in self._heard.items() if who in self._registry.operators}

    def offers(self, account: Address, capability: Capability, now: UnixMilliseconds) -> bool:
        """Whether an operator said lately that it can do this."""
        told = self._heard.get(account)
        return told is not None and now - told.at <= SILENT_MS and capability in told.capabilities

    def seen(self, sentry: SentryStatus | None, trust: Trust) -> list[NetworkPeer]:
        """Every operator with what is known of it."""
        connected = {} if sentry is None else {peer.operator: peer for peer in sentry.peers}
        peers = []
        for account, record in self._registry.operators.items():
            told, there, known = self._heard.get(account), connected.get(account), trust.of(account)
            peers.append(
                NetworkPeer(
                    operator=account,
                    stake=str(record.active),
                    peer="" if there is None else there.peer,
                    score=0 if there is None else there.score,
                    heard_at=UnixMilliseconds(0) if told is None else told.at,
                    head=0 if told is None else told.block,
                    capabilities=0 if told is None else int(told.capabilities),
                    value_limit=str(known.limit),
                    given=known.given,
                    accepted=known.accepted,
                    paid=known.paid,
                    broken=known.broken,
                    revealed_wei=str(known.revealed),
                    lost_wei=str(known.lost),
                    refused=known.refused,
                    taken=known.taken,
                    is_beyond_chance=trust.is_beyond_chance(known),
                )
            )
        return peers


_KNOWN: Final = sum(Capability)
