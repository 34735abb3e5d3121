"""What no block says by itself: tokens that lie, relays that lie, operators that contradict themselves.

Our own are told in few words a block, what others claim is looked at by means of our own alone:

    contract flagged   transfers of the token, simulated after that block out of a pool that we follow
    relay lies         what the relay answered us: who does not use it, or was not lied to, cannot tell
    peer misbehaves    the two signatures in the evidence, by the keys that the registry names

A verdict of None: nothing here can tell. Then nothing follows from the alert, and it is not called false either.

Looking costs the chain's node a simulation, so of others' claims MAX_SCREENS_OF_ONE of an operator and MAX_SCREENS in
all are looked at from one block to the next, of one token after one block once.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from node.engine.headers import Header
from node.engine.network.block_alerts import alert_of
from node.engine.rpc import RpcError
from node.pipeline.events import TokenVerdict
from protocol.claims import Claim, FlaggedContract, LyingRelay, MisbehavingPeer, decode_claim, encode_claim
from protocol.errors import BadSignature, ProtocolError
from protocol.ethereum.keccak import keccak256
from protocol.evidence import Evidence
from protocol.kinds import AlertKind, ContractFault, RelayFault, Severity, Verdict
from protocol.messages import SecurityAlert
from protocol.signing import Domain, verify
from protocol.slashing import offence_id
from protocol.statements import Accept, Attestation
from protocol.units import (
    ADDRESS_BYTES,
    HASH_BYTES,
    Address,
    BlockNumber,
    Hash32,
    PeerIdHash,
    SignatureBytes,
    UnixSeconds,
)

MAX_QUEUED: Final = 64
"""Of each kind, what waits to be told; beyond it what comes is left out."""
MAX_TOLD: Final = 4_096
"""What was told or confirmed lately, so that it is not told again; the oldest is forgotten."""
MAX_SCREENS: Final = 8
MAX_SCREENS_OF_ONE: Final = 2
LIES_REMEMBERED: Final = 64
"""Blocks for which a relay's lie to us speaks for what it is said to have told others."""
_FAULTS: Final = {
    TokenVerdict.HONEYPOT: ContractFault.HONEYPOT,
    TokenVerdict.TAKES_FEE: ContractFault.TAKES_FEE,
}
"""What no token may do; that it rebases, or can be paused, is no lie."""
_LOG: Final = logging.getLogger("hftnode.engine.network")
_SEVERITIES: Final = {ContractFault.HONEYPOT: Severity.HIGH, ContractFault.TAKES_FEE: Severity.MEDIUM}

Screen: TypeAlias = Callable[[Address, Hash32], Awaitable["tuple[Address, TokenVerdict] | None"]]
"""Of a token after a block: the pool of ours that sends it, and what its transfers say; None where none holds it.

Raises RpcError.
"""


class Operators(Protocol):
    """What the registry knows of who signs."""

    def peer_of(self, account: Address) -> PeerIdHash | None:
        """Return the peer id's hash of an operator with enough stake."""

    def key_of(self, account: Address, block: BlockNumber, time: UnixSeconds) -> Address | None:
        """Return the hot key of an operator that was in force at a block and time."""


class _Lie(NamedTuple):
    """What a relay did, to be told once the block is there that the bundle was for."""

    relay: Hash32
    bundle: Hash32
    target: BlockNumber


class Claims:
    """See the module. `counts`: `queued`, `left out` (MAX_QUEUED), `told before`, `screened`, `screens refused` (beyond
    the bounds), `plain by now` (flagged before, and not when it was to be told), `unread`, `faults` (of a screen),
    `block unknown` (of an offence).
    """

    def __init__(self, operators: Operators, domain: Domain, account: Address, relays: Iterable[str] = ()) -> None:
        """`relays`: their addresses as configured."""
        self.counts: Counter[str] = Counter()
        self.screen: Screen = _nobody
        """Set where all is wired, as is `on_proven`."""
        self.on_proven: Callable[[Evidence], None] = lambda _: None
        """Called with what another's alert has proven."""
        self._operators, self._domain, self._account = operators, domain, account
        self._lied: dict[Hash32, BlockNumber | None] = {relay_subject(url): None for url in relays}
        """By relay, the block for which it lied to us last."""
        self._tokens: OrderedDict[Address, None] = OrderedDict()
        self._lies: list[_Lie] = []
        self._offences: OrderedDict[Hash32, Evidence] = OrderedDict()
        self._told: OrderedDict[tuple[AlertKind, bytes], UnixSeconds] = OrderedDict()
        self._screened: dict[tuple[Address, Hash32], tuple[Address, TokenVerdict] | None] = {}
        self._screens: Counter[Address] = Counter()

    def flagged(self, token: Address, verdict: TokenVerdict) -> None:
        """Our screen has come to a verdict; it is looked at once more when it is told."""
        if verdict in _FAULTS and token not in self._tokens and self._has_room(len(self._tokens)):
            self._tokens[token] = None

    def lied(self, url: str, bundle: Hash32, target: BlockNumber) -> None:
        """A relay answered a bundle for a block by the hash of another, and had named bundles rightly before."""
        relay = relay_subject(url)
        if relay not in self._lied:
            return
        self._lied[relay] = max(target, self._lied[relay] or target)
        if all(lie.relay != relay for lie in self._lies) and self._has_room(len(self._lies)):
            self._lies.append(_Lie(relay, bundle, target))

    def contradicted(self, evidence: Evidence) -> None:
        """An operator has contradicted itself; both signatures were checked."""
        name = offence_id(evidence)
        if name not in self._offences and self._has_room(len(self._offences)):
            self._offences[name] = evidence

    async def begin(self, header: Header, known: Sequence[Header]) -> list[SecurityAlert]:
        """A block was looked at: return what is to be told of it or of one before, at most one of each kind.

        `known`: what alerts can be told of, the newest last. From here on what others claim is looked at anew, as far
        as the bounds allow.
        """
        self._screens.clear()
        self._screened.clear()
        self._told = OrderedDict((name, until) for name, until in self._told.items() if until > header.timestamp)
        found = [self._next_lie(header), self._next_offence(known), await self._next_flag(header)]
        return [alert for alert in found if alert is not None]

    def told(self, alert: SecurityAlert) -> None:
        """Our own alert was told: while it stands the same is not told again."""
        self._remember(alert.kind, _what(alert.subject, decode_claim(alert.kind, alert.evidence)), alert.expiry)

    async def judge(self, alert: SecurityAlert, header: Header, teller: Address) -> Verdict | None:
        """Return what our own means say of an alert about this block; None if they do not say. Raises RpcError."""
        try:
            claim = decode_claim(alert.kind, alert.evidence)
            if alert != claim_alert(header, claim, alert.subject):
                return Verdict.REFUTED
        except ProtocolError:
            return Verdict.REFUTED
        match claim:
            case FlaggedContract():
                verdict = await self._judge_contract(Address(alert.subject[-ADDRESS_BYTES:]), claim, teller)
            case LyingRelay():
                verdict = self._judge_relay(alert.subject, header)
            case MisbehavingPeer():
                verdict = self._judge_peer(PeerIdHash(alert.subject), claim.evidence, header)
        if verdict is Verdict.CONFIRMED:
            self._remember(alert.kind, _what(alert.subject, claim), alert.expiry)
        return verdict

    async def _judge_contract(self, token: Address, claim: FlaggedContract, teller: Address) -> Verdict | None:
        """Where the same pool sends it the answer is certain; another of ours can only agree."""
        name = token, claim.block_hash
        if name not in self._screened:
            if self._screens[teller] >= MAX_SCREENS_OF_ONE or self._screens.total() >= MAX_SCREENS:
                self.counts["screens refused"] += 1
                return None
            self._screens[teller] += 1
            self._screened[name] = await self._look_at(token, claim.block_hash)
        found = self._screened[name]
        if found is None or found[1] is TokenVerdict.UNKNOWN:
            return None
        holder, verdict = found
        if _FAULTS.get(verdict) is claim.fault:
            return Verdict.CONFIRMED
        return Verdict.REFUTED if holder == claim.holder else None

    def _judge_relay(self, relay: Hash32, header: Header) -> Verdict | None:
        """That it did not lie to us says nothing of what it told others."""
        lied = self._lied.get(relay)
        is_witness = lied is not None and abs(header.number - lied) <= LIES_REMEMBERED
        return Verdict.CONFIRMED if is_witness else None

    def _judge_peer(self, peer: PeerIdHash, evidence: Evidence, header: Header) -> Verdict | None:
        operator = evidence.operator
        known = self._operators.peer_of(operator)
        if known is None or operator == self._account:
            return None
        if known != peer or not _is_about(evidence, header):
            return Verdict.REFUTED
        for statement, signature in _statements(evidence):
            key = self._operators.key_of(operator, statement.block_number, statement.timestamp)
            if key is None:
                return None
            try:
                verify(self._domain, statement, SignatureBytes(signature), key)
            except BadSignature:
                return Verdict.REFUTED if statement.block_number <= header.number else None
        self.on_proven(evidence)
        return Verdict.CONFIRMED

    def _next_lie(self, header: Header) -> SecurityAlert | None:
        for lie in self._lies:
            if lie.target <= header.number:
                self._lies.remove(lie)
                fault = RelayFault.NAMES_ANOTHER_BUNDLE
                return self._own(
                    header, LyingRelay(block_hash=header.hash, fault=fault, bundle_hash=lie.bundle), lie.relay
                )
        return None

    def _next_offence(self, known: Sequence[Header]) -> SecurityAlert | None:
        while self._offences:
            _, evidence = self._offences.popitem(last=False)
            # Of the block that its statements are about: nobody else would know another.
            header = next((one for one in reversed(known) if _is_about(evidence, one)), None)
            peer = self._operators.peer_of(evidence.operator)
            if header is None or peer is None:
                self.counts["block unknown"] += 1
                continue
            alert = self._own(header, MisbehavingPeer(block_hash=header.hash, evidence=evidence), peer)
            if alert is not None:
                return alert
        return None

    async def _next_flag(self, header: Header) -> SecurityAlert | None:
        while self._tokens:
            token, _ = self._tokens.popitem(last=False)
            subject = Hash32(token.rjust(HASH_BYTES, b"\0"))
            if (AlertKind.CONTRACT_FLAGGED, subject) in self._told:
                self.counts["told before"] += 1
                continue
            try:
                found = await self._look_at(token, header.hash)
            except RpcError:
                self.counts["unread"] += 1
                self._tokens[token] = None  # behind the others, with the next block
                return None
            except Exception:
                # The token may have led to it, whose code is anybody's: the lie and the offence are told all the same.
                self.counts["faults"] += 1
                _LOG.exception("the token 0x%s could not be screened", token.hex())
                return None
            fault = None if found is None else _FAULTS.get(found[1])
            if found is None or fault is None:
                self.counts["plain by now"] += 1
                return None
            claim = FlaggedContract(block_hash=header.hash, fault=fault, holder=found[0])
            return claim_alert(header, claim, subject)
        return None

    async def _look_at(self, token: Address, block: Hash32) -> tuple[Address, TokenVerdict] | None:
        self.counts["screened"] += 1
        return await self.screen(token, block)

    def _own(self, header: Header, claim: Claim, subject: Hash32) -> SecurityAlert | None:
        """Our own alert; none where the same was told lately, by whomever."""
        alert = claim_alert(header, claim, subject)
        what = _what(subject, claim)
        if (alert.kind, what) in self._told:
            self.counts["told before"] += 1
            return None
        return alert

    def _remember(self, kind: AlertKind, what: bytes, until: UnixSeconds) -> None:
        self._told[kind, what] = until
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)

    def _has_room(self, waiting: int) -> bool:
        self.counts["queued" if waiting < MAX_QUEUED else "left out"] += 1
        return waiting < MAX_QUEUED


def relay_subject(url: str) -> Hash32:
    """Name a relay by its address as configured."""
    return Hash32(keccak256(url.encode()))


def claim_alert(header: Header, claim: Claim, subject: Hash32) -> SecurityAlert:
    """Return the one form in which a claim about a block is told. Raises InvalidField for a subject that is none."""
    what = encode_claim(claim)[HASH_BYTES:]
    match claim:
        case FlaggedContract():
            address = subject[-ADDRESS_BYTES:]
            return alert_of(header, AlertKind.CONTRACT_FLAGGED, address, _SEVERITIES[claim.fault], what)
        case LyingRelay():
            return alert_of(header, AlertKind.RELAY_LIES, subject, Severity.MEDIUM, what)
        case MisbehavingPeer():
            return alert_of(header, AlertKind.PEER_MISBEHAVES, subject, Severity.HIGH, what)


def _is_about(evidence: Evidence, header: Header) -> bool:
    """Whether this is the block that is named with evidence: accepts' target, or what attestations speak of."""
    statement = evidence.statement_a
    if isinstance(statement, Attestation):
        return statement.block_hash == header.hash
    return statement.target_block == header.number


def _statements(evidence: Evidence) -> tuple[tuple[Accept | Attestation, bytes], ...]:
    return (evidence.statement_a, evidence.signature_a), (evidence.statement_b, evidence.signature_b)


def _what(subject: Hash32, claim: Claim) -> bytes:
    """What a claim is called among those that are not told twice: an offence, or what it is about."""
    return offence_id(claim.evidence) if isinstance(claim, MisbehavingPeer) else subject


async def _nobody(_token: Address, _block: Hash32) -> tuple[Address, TokenVerdict] | None:
    return None
