"""Takes transactions in: decode, check, admit, announce; in lockstep hold them until their stage closes.

In lockstep bundles take their turn here too, so that neither a bound nor a replacement depends on who came first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from devnet.relay.chain import Chain
from devnet.relay.config import RelayConfig
from devnet.relay.context import PooledTransaction
from devnet.relay.jsonrpc import JsonRpcError
from devnet.relay.lockstep import LockstepError, Place
from devnet.relay.lockstep_driver import LockstepDriver
from devnet.relay.mempool import Mempool
from devnet.relay.mempool_rules import AccountState, Refused, check_account, read_transaction
from devnet.relay.stats import RelayStats
from devnet.relay.subscriptions import Subscriptions
from protocol.ethereum.transactions import InvalidTransaction, SignedTransaction, decode_transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who sent a request in lockstep, and which of its requests it is."""

    participant: str
    sequence: int
    _calls: itertools.count[int] = field(default_factory=itertools.count, repr=False, compare=False)

    def next_place(self) -> Place:
        """Return the place of the request's next call that sends something; a batch may have several."""
        return self.sequence, next(self._calls)


current_ticket: Final[ContextVar[Ticket | None]] = ContextVar("current_ticket", default=None)
"""The ticket of the request that is being served."""


class Intake:
    """The only way into the mempool, and the turnstile of lockstep for bundles."""

    def __init__(
        self,
        *,
        config: RelayConfig,
        chain: Chain,
        mempool: Mempool,
        subscriptions: Subscriptions,
        stats: RelayStats,
        lockstep: LockstepDriver | None,
    ) -> None:
        self._limits = config.mempool
        self._gas_limit = config.gas_limit
        self._chain = chain
        self._mempool = mempool
        self._subscriptions = subscriptions
        self._stats = stats
        self._lockstep = lockstep

    async def submit(self, raw: bytes, *, public: bool) -> bytes:
        """Admit a raw transaction and return its hash. Raises `Refused`, and `LockstepError` in lockstep.

        In lockstep it is checked against the head's state at once, and against the mempool when its stage closes:
        what is refused then shows in the counters only.
        """
        self._stats.counts["transactions_seen"] += 1
        try:
            transaction = read_transaction(raw, self._chain.chain_id, self._gas_limit, self._limits)
            account = await self._chain.account(transaction.sender)
            if self._lockstep is None:
                self._admit(transaction, account, public=public)
            else:
                check_account(transaction, account, self._limits)
        except Refused as error:
            self._stats.refused[error.reason.name.lower()] += 1
            raise
        if self._lockstep is not None:
            ticket = require_ticket()
            arrival = partial(self._admit_late, transaction, public=public)
            self._lockstep.hold(ticket.participant, ticket.next_place(), arrival)
        return transaction.hash

    def in_turn(self, action: Callable[[], T]) -> T | None:
        """Do `action` now and return its result. Raises what it raises.

        In lockstep do it when the stage closes, in the request's turn, and return None: what is refused then shows in
        the counters only. Raises `LockstepError`.
        """
        if self._lockstep is None:
            return action()
        ticket = require_ticket()
        self._lockstep.hold(ticket.participant, ticket.next_place(), partial(self._do_late, action))
        return None

    def leak(self, raw: bytes) -> None:
        """Show a bundle's transaction to everybody (a fault). What cannot be read is not shown."""
        try:
            transaction = decode_transaction(raw)
        except InvalidTransaction:
            self._stats.counts["leaks_unreadable"] += 1
            return
        self._stats.counts["transactions_leaked"] += 1
        self._subscriptions.announce_pending(PooledTransaction(transaction, 0, public=True))

    def _admit(self, transaction: SignedTransaction, account: AccountState, *, public: bool) -> None:
        admission = self._mempool.add(transaction, account, public=public, base_fee=self._chain.head.next_base_fee)
        self._stats.counts["transactions_admitted"] += 1
        if admission.announce:
            self._subscriptions.announce_pending(admission.pooled)

    async def _admit_late(self, transaction: SignedTransaction, *, public: bool) -> None:
        account = await self._chain.account(transaction.sender)
        try:
            self._admit(transaction, account, public=public)
        except Refused as error:
            self._stats.refused[f"late_{error.reason.name.lower()}"] += 1

    async def _do_late(self, action: Callable[[], object]) -> None:
        try:
            action()
        except JsonRpcError:
            self._stats.counts["bundles_refused_late"] += 1


def require_ticket() -> Ticket:
    """Return the ticket of the request that is being served. Raises `LockstepError` if it has none."""
    ticket = current_ticket.get()
    if ticket is None:
        raise LockstepError(
            "in lockstep a request that sends something says who it is from: X-Devnet-Participant, X-Devnet-Sequence"
        )
    return ticket
