"""Finds who contradicts itself, and takes it to the court: with nobody's help, and nobody's word.

A finder alone sees one accept of a leader. So once the target block is there, it reveals the accept that it got, as the
payload of a gossiped opportunity (docs/protocol.md); every node remembers the verified accepts that it saw, and two
that contradict each other are evidence. So are two verdicts on one alert, which are gossiped as they are. Evidence is
reported until the court has it, and only where the court would take it: what it refuses (of somebody without stake,
too old, beyond the loss limit) is asked again ever more seldom, and given up.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from governance.network import offence_query, report_call
from node.engine.headers import Header
from node.engine.network.keys import NetworkKeys
from node.engine.network.membership import Membership
from node.engine.network.registry import Registry
from node.engine.rpc import RpcError
from protocol.errors import BadSignature, ProtocolError
from protocol.ethereum.keccak import keccak256
from protocol.evidence import Evidence, SignedStatement
from protocol.gossip import BLOCKS_BEHIND
from protocol.kinds import OpportunityKind
from protocol.messages import SALT_BYTES, Envelope, Opportunity, Payload, SignedAccept, SignedAttestation
from protocol.reveals import decode_revealed, encode_revealed
from protocol.signing import verify
from protocol.slashing import Slashable, Watch, offence_id
from protocol.statements import Attestation
from protocol.units import (
    Address,
    BlockNumber,
    Hash32,
    SignatureBytes,
    Wei,
    profit_bucket_of,
)

MAX_WATCHED: Final = 16_384
MAX_WAITING: Final = 256
MAX_REPORTS: Final = 64
MAX_PAUSE: Final = 1_024
"""Blocks between two questions; after that the evidence is given up."""
_LOG: Final = logging.getLogger("hftnode.engine.network")


class Promised(msgspec.Struct, frozen=True):
    """An accept that we got, to be revealed when its block is there."""

    leader: Address
    signed: SignedAccept
    kind: OpportunityKind
    profit: Wei


class _Case(msgspec.Struct):
    """Evidence, and when the court is to be asked again."""

    evidence: Evidence
    not_before: BlockNumber = BlockNumber(0)
    pause: int = 1


class Watcher:
    """See the module. `counts`: statements `seen`, accepts `revealed`, statements `refused`; offences `found`, `without
    stake`, `full` (not kept), `reported`, `not taken` (by the court), `given up`, `settled`.
    """

    def __init__(
        self,
        keys: NetworkKeys,
        registry: Registry,
        membership: Membership,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.publish: Callable[[Payload], Awaitable[None]] = _nowhere
        self.on_attested: Callable[[Address, Attestation], None] = lambda _operator, _attestation: None
        """Called for each verdict whose signature is the operator's."""
        self.on_contradicted: Callable[[Evidence], None] = lambda _: None
        """Called with evidence that is new here, once."""
        self._keys, self._registry, self._membership, self._draw = keys, registry, membership, draw
        self._accepts, self._verdicts = Watch(MAX_WATCHED), Watch(MAX_WATCHED)  # neither can crowd the other out
        self._promised: list[Promised] = []
        self._cases: dict[Hash32, _Case] = {}

    def got(self, promised: Promised) -> None:
        """A leader has accepted an order of ours; its signature was checked."""
        self._see(promised.leader, promised.signed)
        self._promised.append(promised)
        del self._promised[:-MAX_WAITING]

    def heard(self, envelope: Envelope) -> None:
        """Somebody reveals an accept that it got."""
        told = envelope.payload
        if not isinstance(told, Opportunity):
            return
        try:
            read = decode_revealed(told.revealed)
            if read is None:
                return
            leader, signed = read
            self._require_bound(leader, signed.accept, signed.signature)
        except ProtocolError:
            self.counts["refused"] += 1
            return
        self._see(leader, signed)

    def attested(self, envelope: Envelope) -> None:
        """Somebody gives its verdict on an alert."""
        signed = envelope.payload
        if not isinstance(signed, SignedAttestation):
            return
        try:
            self._require_bound(envelope.operator, signed.attestation, signed.signature)
        except BadSignature:
            self.counts["refused"] += 1
            return
        self.on_attested(envelope.operator, signed.attestation)
        self._see(envelope.operator, signed)

    def proven(self, evidence: Evidence) -> None:
        """Somebody's alert held evidence, whose signatures were checked."""
        self._take(evidence)

    async def follow(self, header: Header) -> None:
        """Reveal what is over, and report what is not with the court yet; forget what no gossip tells of any more."""
        for watch in (self._accepts, self._verdicts):
            watch.forget(BlockNumber(header.number - BLOCKS_BEHIND))
        over = [one for one in self._promised if one.signed.accept.target_block <= header.number]
        self._promised = [one for one in self._promised if one.signed.accept.target_block > header.number]
        for one in over:
            self.counts["revealed"] += 1
            await self.publish(_revealed(one, self._draw(SALT_BYTES)))
        due = {name: case for name, case in self._cases.items() if case.not_before <= header.number}
        if due:
            try:
                await self._report(due, header)
            except RpcError as error:
                _LOG.warning("the court cannot be asked: %s", error)

    async def _report(self, due: dict[Hash32, _Case], header: Header) -> None:
        """Send the first that the court would take: one a block, as a second would wait behind the same nonce."""
        contracts = self._registry.contracts
        offences = await self._registry.ask([offence_query(contracts, name) for name in due], header)
        for name, offence in zip(list(due), offences, strict=True):
            if offence.state:
                self.counts["settled"] += 1
                evidence = due[name].evidence
                _LOG.warning("the court has the %s of 0x%s", _kind_of(evidence), evidence.operator.hex())
                del self._cases[name], due[name]
        calls = [report_call(case.evidence) for case in due.values()]
        taken = await self._registry.would_pass(contracts.court, calls, header)
        for name, passes in zip(due, taken, strict=True):
            if not passes:
                self._wait(name, header)
        first = next((name for name, passes in zip(due, taken, strict=True) if passes), None)
        if first is not None:
            self.counts["reported"] += 1
            await self._membership.report(first, due[first].evidence, header)

    def _wait(self, name: Hash32, header: Header) -> None:
        case = self._cases[name]
        self.counts["not taken"] += 1
        case.not_before, case.pause = BlockNumber(header.number + case.pause), 2 * case.pause
        if case.pause > MAX_PAUSE:
            self.counts["given up"] += 1
            kind, operator = _kind_of(case.evidence), case.evidence.operator
            _LOG.warning("the court does not take the %s of 0x%s", kind, operator.hex())
            del self._cases[name]

    def _see(self, operator: Address, signed: SignedStatement) -> None:
        self.counts["seen"] += 1
        evidence = (self._accepts if isinstance(signed, SignedAccept) else self._verdicts).see(operator, signed)
        if evidence is not None:
            self._take(evidence)

    def _take(self, evidence: Evidence) -> None:
        operator = evidence.operator
        if offence_id(evidence) in self._cases or operator == self._keys.account:
            return
        if not self._registry.has_stake(operator):
            self.counts["without stake"] += 1
            return
        if len(self._cases) >= MAX_REPORTS:
            self.counts["full"] += 1
            return
        self.counts["found"] += 1
        _LOG.error("0x%s has signed what contradicts itself: %s", operator.hex(), _kind_of(evidence))
        self._cases[offence_id(evidence)] = _Case(evidence)
        self.on_contradicted(evidence)

    def _require_bound(self, operator: Address, said: Slashable, signature: SignatureBytes) -> None:
        key = self._registry.key_of(operator, said.block_number, said.timestamp)
        if key is None:
            raise BadSignature("no hot key of this operator was in force", "signature")
        verify(self._keys.domain, said, signature, key)


async def _nowhere(_: Payload) -> None:
    return


def _kind_of(evidence: Evidence) -> str:
    return evidence.kind.name.lower().replace("_", " ")


def _revealed(promised: Promised, salt: bytes) -> Opportunity:
    signed = promised.signed
    revealed = encode_revealed(salt, promised.leader, signed)
    return Opportunity(
        kind=promised.kind,
        target_block=signed.accept.target_block,
        profit_bucket=profit_bucket_of(promised.profit),
        commitment=Hash32(keccak256(revealed)),
        revealed=revealed,
    )
