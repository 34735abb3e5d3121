"""The network's brake, by policy: our stake supports a pause when we came to an alert ourselves and others attest it.

Only where the operator's policy for that kind of alert says so, and only while a pause can come of it: those who attest
the same alert at the same block hold, with us, the part of the stake that the brake asks for (a third for the subject,
two thirds for everything). A support costs gas and counts once in 24 hours: it is tried in an `eth_call` before it is
sent. That is done at most MAX_TRIES times for an alert and MAX_A_DAY times in a day of chain time, while the alert is
young.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from governance.actions import support_pause, support_scope_pause
from governance.network import paused_query, scope_paused_query
from node.config import BrakeSupport
from node.engine.headers import Header
from node.engine.network.membership import Membership
from node.engine.network.registry import Registry
from node.engine.rpc import RpcError
from node.records import AlertRaised, AnyRecord
from protocol.kinds import Verdict
from protocol.messages import SecurityAlert
from protocol.signing import alert_id
from protocol.statements import Attestation
from protocol.units import HASH_BYTES, Address, BlockNumber, Hash32, StakeUnits, UnixNanoseconds, UnixSeconds

MAX_CASES: Final = 64
MAX_SAID_BY_ONE: Final = 64
"""Confirmed verdicts of one operator that are remembered, also of alerts that are not ours yet; its own oldest goes."""
YOUNG_BLOCKS: Final = 64
"""So long after its block an alert is supported."""
AGAIN_BLOCKS: Final = 4
"""Between two tries for one alert, also such that came to nothing."""
MAX_TRIES: Final = 3
MAX_A_DAY: Final = 4
DAY_SECONDS: Final = 24 * 3_600
EVERYTHING: Final = Hash32(bytes(HASH_BYTES))
"""Stands for the subject of a pause of everything."""
_PARTS: Final = {BrakeSupport.SUBJECT: (3, 1), BrakeSupport.ALL: (3, 2)}
_NS: Final = 1_000_000_000
_LOG: Final = logging.getLogger("hftnode.engine.network")

_Name = tuple[Hash32, Hash32]
"""An alert's id, and the hash of its block."""


class _Case(msgspec.Struct):
    """An alert that we came to and whose kind the policy takes to the brake."""

    alert: SecurityAlert
    block: BlockNumber
    support: BrakeSupport
    tries: int = 0
    not_before: BlockNumber = BlockNumber(0)


class Brake:
    """See the module. `counts`: `cases`, `supported` (sent), `settled` (counted), `not taken` (the brake would refuse),
    `too few` (attest it, at a block), `paused already`, `held back` (MAX_A_DAY), `given up`,
    `not asked` (the node did not say), `not sent` (no ether, or refused).
    """

    def __init__(self, registry: Registry, membership: Membership, policies: Mapping[str, BrakeSupport]) -> None:
        self.counts: Counter[str] = Counter()
        self.tell: Callable[[AnyRecord], object] = lambda _: None
        self._registry, self._membership = registry, membership
        self._policies = {kind: support for kind, support in policies.items() if support is not BrakeSupport.NONE}
        self._cases: OrderedDict[_Name, _Case] = OrderedDict()
        self._said: dict[Address, OrderedDict[_Name, None]] = {}
        self._sent: deque[UnixSeconds] = deque(maxlen=MAX_A_DAY)

    def confirmed(self, alert: SecurityAlert, header: Header) -> None:
        """Our own look at the chain has come to an alert of this block."""
        support = self._policies.get(alert.kind.name.lower())
        if support is None:
            return
        self.counts["cases"] += 1
        self._cases[alert_id(alert), header.hash] = _Case(alert, header.number, support)
        if len(self._cases) > MAX_CASES:
            self._cases.popitem(last=False)
            self.counts["given up"] += 1

    def attested(self, operator: Address, attestation: Attestation) -> None:
        """An operator has given its verdict; its signature was checked."""
        if attestation.verdict is not Verdict.CONFIRMED or not self._policies:
            return
        if operator not in self._registry.operators:
            return
        said = self._said.setdefault(operator, OrderedDict())
        said[attestation.alert_id, attestation.block_hash] = None
        if len(said) > MAX_SAID_BY_ONE:
            said.popitem(last=False)

    def retract(self, block_hash: Hash32) -> None:
        """A block left the chain, and what it gave with it."""
        for name in [name for name in self._cases if name[1] == block_hash]:
            del self._cases[name]

    async def follow(self, header: Header, account: Address) -> None:
        """A block is there: support the first case that is ripe. One a block: a second would wait behind its nonce."""
        self._said = {who: said for who, said in self._said.items() if who in self._registry.operators}
        for name, case in list(self._cases.items()):
            if self._cases.get(name) is not case:
                continue  # its block left the chain while another was tried
            if header.number > case.block + YOUNG_BLOCKS or case.alert.expiry <= header.timestamp:
                del self._cases[name]
                self.counts["given up"] += 1
                continue
            is_due = case.not_before <= header.number and self._is_ripe(name, case.support, account)
            if is_due and await self._support(name, case, header):
                return

    def _is_ripe(self, name: _Name, support: BrakeSupport, account: Address) -> bool:
        """Whether those who attest a case, and we, hold as much as the brake asks for."""
        operators = self._registry.operators
        if account not in operators:
            return False
        attesting = {who for who, said in self._said.items() if name in said} | {account}
        weight = StakeUnits(sum(operators[who].active for who in attesting if who in operators))
        total = sum(record.active for record in operators.values())
        whole, part = _PARTS[support]
        if weight * whole >= total * part:
            return True
        self.counts["too few"] += 1
        return False

    async def _support(self, name: _Name, case: _Case, header: Header) -> bool:
        """Send a support, if nothing speaks against it; whether this block's try is used up, be it in vain.

        While we wait for the node the case may go, with its block (`retract`).
        """
        registry, contracts = self._registry, self._registry.contracts
        is_for_all = case.support is BrakeSupport.ALL
        subject = EVERYTHING if is_for_all else case.alert.subject
        query = paused_query(contracts) if is_for_all else scope_paused_query(contracts, subject)
        action = support_pause(contracts) if is_for_all else support_scope_pause(contracts, subject)
        try:
            (is_paused,) = await registry.ask([query], header)
            is_taken = not is_paused and await self._membership.would_pass(action.to, action.data, header)
        except RpcError as error:
            _LOG.warning("the brake cannot be asked: %s", error)
            self.counts["not asked"] += 1
            case.not_before = BlockNumber(header.number + AGAIN_BLOCKS)
            return True
        if self._cases.get(name) is not case:
            return False
        if not is_taken:
            self.counts["paused already" if is_paused else "settled" if case.tries else "not taken"] += 1
            del self._cases[name]
            return False
        if len(self._sent) == MAX_A_DAY and self._sent[0] + DAY_SECONDS > header.timestamp:
            self.counts["held back"] += 1
            return False
        case.not_before = BlockNumber(header.number + AGAIN_BLOCKS)
        if await self._membership.support(subject, action.to, action.data, header):
            self._book(name, case, action.title, header)
        else:
            self.counts["not sent"] += 1
        return True

    def _book(self, name: _Name, case: _Case, title: str, header: Header) -> None:
        """Count and tell a support that was sent."""
        self._sent.append(header.timestamp)
        case.tries += 1
        if case.tries == MAX_TRIES:
            self._cases.pop(name, None)
        self.counts["supported"] += 1
        what = f"{title}, for {case.alert.kind.name.lower()} in block {case.block}"
        _LOG.warning("%s", what)
        at = UnixNanoseconds(header.timestamp * _NS)
        self.tell(AlertRaised(kind="brake_supported", detail=what, at=at))
