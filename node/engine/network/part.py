"""The engine's part in the network, as the engine's process sees it: what it does at each block and with what is heard.

    chain ──▶ Registry ──▶ SentryLink ──▶ sentry            (who has stake, at each block)
                  └──▶ Membership ──▶ public mempool        (check-in, roll)
    sentry ──▶ heard: heartbeats, alerts, attestations      asked: sealing keys, orders

A failure here costs the network's part, never the node's own executions.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from governance.network import vault_query
from node.engine.headers import Header
from node.engine.network.abilities import EXECUTES, Means, abilities
from node.engine.network.alerts import Alerts
from node.engine.network.brake import Brake
from node.engine.network.directory import PeerDirectory
from node.engine.network.exchange import Exchange
from node.engine.network.hot_key import HotKey
from node.engine.network.keys import NetworkKeys
from node.engine.network.membership import Membership
from node.engine.network.orders import OrderDesk
from node.engine.network.policy import Policy
from node.engine.network.registry import Registry
from node.engine.network.sentry_link import SentryLink
from node.engine.network.shown import Shown
from node.engine.network.terms import Terms
from node.engine.network.trust_file import TrustFile
from node.engine.network.watcher import Watcher
from node.engine.resume import LeftOpen
from node.engine.rpc import RpcError
from node.engine.signing_journal import Owner
from node.link import GossipHeard, NetworkStatus, PeerAsks, clock_words
from node.pipeline.events import Event, KillSwitchSet, NetworkRead
from node.pipeline.network_view import NetworkView
from node.records import AlertRaised, AnyRecord, PaymentMade
from protocol.codec import DirectMessage, decode_direct, decode_envelope, encode_envelope
from protocol.errors import RemoteProtocolError
from protocol.kinds import Capability
from protocol.messages import (
    Envelope,
    Heartbeat,
    Opportunity,
    Payload,
    SealedOrder,
    SealingKeyRequest,
    SecurityAlert,
    SignedAttestation,
)
from protocol.units import (
    ZERO_ADDRESS,
    Address,
    BlockNumber,
    Hash32,
    PeerIdHash,
    UnixMilliseconds,
    UnixNanoseconds,
    Wei,
)

FINDER_PAID: Final = "finder_paid"
TURNS_AHEAD: Final = 4
RETRACTED_REMEMBERED: Final = 64
RETRY_SECONDS: Final = 0.5
"""Until a head that could not be read is read again, if no newer one comes before."""
_LOG: Final = logging.getLogger("hftnode.engine.network")

Answerer = Callable[[PeerIdHash, DirectMessage], "DirectMessage | None"]


class NetworkPart:
    """See the module. `counts`: blocks `followed` and `unread`, envelopes `heard` by kind, questions by kind."""

    def __init__(
        self,
        registry: Registry,
        keys: NetworkKeys,
        membership: Membership,
        directory: PeerDirectory,
        sentry: SentryLink,
        orders: OrderDesk,
        alerts: Alerts,
        terms: Terms,
        journal: Path,
        owner: Owner,
        now_ms: Callable[[], UnixMilliseconds],
        draw: Callable[[int], bytes] = os.urandom,
        trust_file: TrustFile | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.registry, self.keys, self.membership, self.directory = registry, keys, membership, directory
        self.sentry = sentry
        self.on_envelope: dict[type, Callable[[Envelope], None]] = {}
        """Who takes payloads of a type, beside the directory."""
        self.tell: Callable[[AnyRecord], object] = lambda _: None
        """Puts a record into the ledger; set where both are wired."""
        self._hot_key = HotKey(keys, registry, membership, journal, owner, self.counts)
        self._now_ms = now_ms
        self.terms, self.orders, self.alerts = terms, orders, alerts
        self._trust_file = trust_file or TrustFile(None)
        self.trust = self._trust_file.load()
        self.watcher = Watcher(keys, registry, membership, draw)
        self.brake = Brake(registry, membership, terms.supports)
        self.watcher.on_attested = self.brake.attested
        self.watcher.publish = alerts.publish = self.publish
        alerts.on_confirmed = self._confirmed
        self.policy = Policy(lambda: self.terms)
        self.policy.notify, self.policy.on_stopped = self._notify, self._stopped
        self.policy.stop_all = lambda why: self.feed(KillSwitchSet(True, why))
        self.watcher.on_contradicted = alerts.claims.contradicted
        alerts.claims.on_proven = self.watcher.proven
        orders.on_promise = self.watcher.got
        self.on_envelope[Opportunity] = self.watcher.heard
        self.on_envelope[SecurityAlert] = alerts.heard
        self.on_envelope[SignedAttestation] = self.watcher.attested
        orders.on_revealed = self.trust.revealed
        self.shown = Shown(self.trust, terms.routers, lambda: (keys.hot_key,))
        orders.on_refused, orders.on_withheld = self.shown.refused, self.shown.withheld
        alerts.on_block = lambda header, receipts: self.shown.look(header.number, receipts)
        orders.on_given = lambda order, order_hash, value, accepted: self.trust.given(
            order.executor, order_hash, order.target_block, value, accepted=accepted
        )
        self.feed: Callable[[Event], None] = lambda _: None
        """Steps the pipeline; set where both are wired, as the relays and the registered hot key's `balance`."""
        self.relays_usable: Callable[[], int] = lambda: 0
        self.relays_needed: Callable[[], int] = lambda: 0
        self.balance: Callable[[], Wei] = lambda: Wei(0)
        self.draws: Callable[[], bool] = lambda: False
        """Whether the registered hot key's vault funds executions; set where both are wired."""
        self.exchange: Exchange | None = None
        """In lockstep alone: where what is said is exchanged with the other operators."""
        self._is_live = self._is_clock_wrong = False
        self._latest: Header | None = None
        self._view: NetworkView | None = None
        self._retracted: dict[Hash32, None] = {}
        self._news = asyncio.Event()

    def head_seen(self, header: Header) -> None:
        """A block is there; `run` takes it up, or a later one."""
        self._expect(header)
        self._news.set()

    async def take_up(self, header: Header) -> None:
        """A block is there: do all that follows from it, at once. In lockstep, in place of `head_seen` and `run`."""
        self._expect(header)
        await self._follows(header)

    def retract(self, block_hash: Hash32) -> None:
        """A block left the chain: nothing is told of it any more, and what was is looked for again."""
        self.registry.retract(block_hash)
        self.membership.retract(block_hash)
        self.brake.retract(block_hash)
        self._retracted[block_hash] = None
        while len(self._retracted) > RETRACTED_REMEMBERED:
            del self._retracted[next(iter(self._retracted))]

    async def run(self) -> None:
        """Follow the heads that are seen until cancelled, apart from what the node does on its own."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._latest is not None and not await self._follows(self._latest):
                newer = asyncio.ensure_future(self._news.wait())
                await asyncio.wait({newer}, timeout=RETRY_SECONDS)
                newer.cancel()
                self._news.clear()

    def _expect(self, header: Header) -> None:
        self._latest = header
        self._retracted.pop(header.hash, None)
        self.alerts.expect(header)

    async def _follows(self, header: Header) -> bool:
        """Whether a head was taken in; not where the chain does not answer. A fault of ours ends nothing else."""
        try:
            followed = await self.follow(header)
            await self.alerts.work()
            await self.brake.follow(header, self.keys.account)
        except Exception:
            self.counts["faults"] += 1
            _LOG.exception("the network's part failed at block %d", header.number)
            return True
        return followed

    async def follow(self, header: Header) -> bool:
        """A block is there: read the registry, tell the sentry, attend to the membership, beat. False if unread."""
        try:
            await self.registry.follow(header)
        except RpcError as error:
            self.counts["unread"] += 1
            _LOG.warning("the registry cannot be read at block %d: %s", header.number, error)
            return False
        self.counts["followed"] += 1
        self._hot_key.follow(header)
        self.directory.follow(header.number)
        self._look_at_clock()
        await self._tell_pipeline(header)
        for made in (*self._finder_payments(), *await self.membership.settled()):
            if made.block_hash in self._retracted:  # it was read before it left, and is told after
                self.retract(made.block_hash)
            else:
                self.tell(made)
        await self._keep_trust()
        await self.sentry.follow(self.registry.snapshot())
        await self.membership.attend(header, self.keys.account)
        await self.watcher.follow(header)
        self.orders.fetch_keys(self._coming_leaders(header.number), BlockNumber(header.number + 1))
        if self.keys.account in self.registry.operators:
            await self.publish(self._heartbeat(header))
        return True

    async def publish(self, payload: Payload) -> None:
        """Say something to the network, signed."""
        envelope = self.keys.envelope(payload)
        await self.sentry.publish(encode_envelope(envelope, self.keys.domain.separator))

    def expect(self, secret: bytes) -> None:
        """The next hot key is at hand; it signs from the block on in which it is in force."""
        self._hot_key.expect(secret)

    def resume(self, left: LeftOpen) -> None:
        """Go on where an earlier process ended."""
        self.membership.resume(left.transactions, left.payments)
        if left.since is not None:
            told = [(made.block_hash, made.subject) for made in left.payments if made.what == FINDER_PAID]
            self.registry.resume(told, left.since)

    def heard(self, message: GossipHeard) -> None:
        """An envelope that the sentry accepted; it is judged by who it is of, once more, from our own registry."""
        try:
            envelope = decode_envelope(message.envelope, self.keys.domain.separator)
        except RemoteProtocolError:  # the sentry decoded it before: they disagree, which is a fault of ours
            self.counts["undecodable"] += 1
            return
        self.counts[f"heard {envelope.kind.name.lower()}"] += 1
        if envelope.operator == self.keys.account:
            self._hot_key.hear(envelope)
            return
        self.directory.heard(envelope, self._now_ms())
        take = self.on_envelope.get(type(envelope.payload))
        if take is not None:
            take(envelope)

    async def asked(self, question: PeerAsks) -> DirectMessage | None:
        """What we answer to a peer."""
        try:
            message = decode_direct(question.question)
        except RemoteProtocolError:
            self.counts["undecodable"] += 1
            return None
        self.counts[f"asked {type(message).__name__}"] += 1
        if isinstance(message, SealingKeyRequest):
            return self._sealing_key(message.target_block)
        if isinstance(message, SealedOrder) and self.terms.takes_orders:
            if question.peer_id_hash in self.policy.stopped:
                self.counts["orders of stopped peers"] += 1
                return None
            return await self.orders.asked(PeerIdHash(Hash32(question.peer_id_hash)), message)
        return None

    def status(self) -> NetworkStatus:
        """The network as this node sees it."""
        registry, head = self.registry, self.registry.head
        number = BlockNumber(0 if head is None else head.number)
        turn = registry.leader(BlockNumber(number + 1))
        counts: dict[str, int] = dict(self.counts)
        parts: list[tuple[str, Mapping[str, int]]] = [
            ("registry", registry.counts),
            ("membership", self.membership.counts),
            ("orders", self.orders.counts),
            ("alerts", self.alerts.counts),
            ("claims", self.alerts.claims.counts),
            ("policy", self.policy.counts),
            ("accepts", self.watcher.counts),
            ("brake", self.brake.counts),
            ("finds", self.shown.counts),
            ("sentry", self.sentry.counts),
        ]
        if self.sentry.status is not None:
            parts.append(("gossip", self.sentry.status.counts))
        for name, own in parts:
            counts |= {f"{name} {what}": count for what, count in own.items()}
        return NetworkStatus(
            account=self.keys.account,
            is_connected=self.sentry.is_connected,
            operators=len(registry.operators),
            next_leader=b"" if turn is None else turn.operator,
            is_paused=registry.is_paused,
            may_sign=self.keys.slashable is not None,
            peers=self.directory.seen(self.sentry.status, self.trust),
            clock_ahead_ms=0 if self.sentry.status is None else self.sentry.status.clock_ahead_ms,
            clock_peers=0 if self.sentry.status is None else self.sentry.status.clock_peers,
            withheld=self.trust.control.seen,
            withheld_taken=self.trust.control.taken,
            counts=counts,
        )

    def close(self) -> None:
        """Let go of the stores."""
        self._hot_key.close()

    async def _tell_pipeline(self, header: Header) -> None:
        """Tell the pipeline whose turn the coming blocks are, and what we can do ourselves."""
        terms, registry = self.terms, self.registry
        try:
            (vault,) = await registry.ask([vault_query(terms.vault_module, terms.safe)], header)
        except RpcError as error:
            self.counts["unread"] += 1
            _LOG.warning("the vault cannot be read at block %d: %s", header.number, error)
            return
        self._is_live = vault.is_live
        blocks = [BlockNumber(header.number + ahead) for ahead in range(1, TURNS_AHEAD + 1)]
        turns = {block: turn for block in blocks if (turn := registry.leader(block)) is not None}
        now = self._now_ms()
        self.policy.forget(header.timestamp)
        takes = frozenset(
            account
            for account in registry.operators
            if self.directory.offers(account, EXECUTES, now) and self._may_deal(account)
        )
        self._view = view = NetworkView(
            account=self.keys.account,
            hot_key=self.keys.hot_key,
            pay_to=terms.safe,
            turns=turns,
            takes_orders=takes,
            funds_orders=frozenset(
                account for account in takes if self.directory.offers(account, Capability.FUNDS_ORDERS, now)
            ),
            value_limits=self.trust.limits(registry.operators),
            is_paused=registry.is_paused,
            fee_bps=registry.fee_bps,
            finder_bps=terms.finder_bps,
            finder_floor_bps=terms.finder_floor_bps,
            relays=self.relays_needed(),
            relays_usable=self.relays_usable(),
            executor_live=vault.is_live,
            resting=self.membership.resting(header.number, self.keys.account),
            removed=registry.removed | self.policy.stopped.keys(),
            removed_families=frozenset(terms.venues[one] for one in registry.removed if one in terms.venues),
        )
        self.feed(NetworkRead(view))

    def _look_at_clock(self) -> None:
        """Tell once when the peers agree that our clock is wrong, and again if it has been right meanwhile."""
        said = None if self.sentry.status is None else clock_words(self.sentry.status)
        if said is not None and not self._is_clock_wrong:
            _LOG.error("%s", said)
            self._notify("clock_wrong", said)
        self._is_clock_wrong = said is not None

    def _coming_leaders(self, head: BlockNumber) -> list[Address]:
        """Each once, the next one first: what is asked has an order."""
        turns = (self.registry.leader(BlockNumber(head + ahead)) for ahead in range(1, TURNS_AHEAD + 1))
        return list(dict.fromkeys(turn.operator for turn in turns if turn is not None))

    async def _keep_trust(self) -> None:
        try:
            await self._trust_file.save(self.trust)
        except OSError as error:
            self.counts["trust not kept"] += 1
            _LOG.error("what leaders did is not on disk: %s", error)

    def _finder_payments(self) -> list[PaymentMade]:
        """What came in because others executed orders of ours."""
        own = [executed for executed in self.registry.take_executed() if executed.finder == self.keys.account]
        for executed in own:
            self.trust.paid(executed.executor, executed.order_hash)
        # Behind the payments: after a restart these may be of orders whose time is long over.
        self.trust.begin(self.registry.head.number if self.registry.head is not None else BlockNumber(0))
        return [
            PaymentMade(
                what=FINDER_PAID,
                transaction_hash=executed.transaction_hash,
                sender=ZERO_ADDRESS,
                token=executed.profit_token,
                amount=str(executed.paid),
                block=executed.block,
                block_hash=executed.block_hash,
                gas_wei="0",
                bid_wei="0",
                subject=executed.order_hash,
            )
            for executed in own
        ]

    def _confirmed(self, alert: SecurityAlert, header: Header) -> None:
        """Do what the operator's policy says: our own means have come to this alert."""
        self.brake.confirmed(alert, header)
        self.policy.confirmed(alert, header)

    def _notify(self, kind: str, what: str) -> None:
        self.tell(AlertRaised(kind=kind, detail=what, at=UnixNanoseconds(self._now_ms() * 1_000_000)))

    def _stopped(self) -> None:
        """Let nothing go through what is stopped, and deal with no peer that is: at once, not with the next block."""
        if self._view is not None:
            stopped = self.policy.stopped
            takes, funds = (
                frozenset(who for who in several if self._may_deal(who))
                for several in (self._view.takes_orders, self._view.funds_orders)
            )
            removed = self._view.removed | stopped.keys()
            self._view = msgspec.structs.replace(self._view, removed=removed, takes_orders=takes, funds_orders=funds)
            self.feed(NetworkRead(self._view))

    def _may_deal(self, account: Address) -> bool:
        """Whether the operator's policy lets us give orders to an operator and take its."""
        return self.registry.peer_of(account) not in self.policy.stopped

    def _heartbeat(self, header: Header) -> Heartbeat:
        means = Means(
            may_sign=self.keys.slashable is not None,
            takes_orders=self.terms.takes_orders,
            is_live=self._is_live,
            draws=self.draws(),
            relays=self.relays_usable(),
            balance=self.balance(),
            base_fee=Wei(header.base_fee),
        )
        return Heartbeat(block_number=header.number, block_hash=Hash32(header.hash), capabilities=int(abilities(means)))

    def _sealing_key(self, target: BlockNumber) -> DirectMessage | None:
        """Our key for the epoch of a block; nothing for one that is far away."""
        leaders, head = self.registry.leaders, self.registry.head
        if leaders is None or head is None or not head.number - 1 <= target <= head.number + 2 * leaders.rules.length:
            return None
        first = leaders.rules.first_block(leaders.rules.epoch_of(target))
        return self.keys.sealing_key(first, BlockNumber(first + leaders.rules.length - 1))
