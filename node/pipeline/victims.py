"""Pending transactions of others: into the book, simulated where no decoder reads them, and what is found behind them.

Before a simulation come cheap questions: can it pay, is its nonce next, is it more than a call of a token, has its like
touched a followed pool before, is there budget. What it tells holds on its head alone: with the next block those
that are still pending are asked for anew, the latest first.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.pipeline import coordination
from node.pipeline.events import Effect, PendingSimulated, PendingTransactionSeen, SimulatePending
from node.pipeline.pending import PendingSwap
from node.pipeline.reasons import Reason
from node.pipeline.state import PipelineState
from node.pipeline.unread import LEAST_GAS, MOST_GAS, SELECTOR_BYTES
from protocol.ethereum.transactions import SignedTransaction
from protocol.units import Address, BlockNumber, UnixSeconds

ANEW_PER_BLOCK: Final = 32
"""Simulated again when a block arrives: the latest; older ones are forgotten."""
REEVALUATED_PER_BLOCK: Final = 512
"""Pending swaps looked at anew when a block arrives: the latest; older ones only as company of a new one."""
REEVALUATED_GAS: Final = REEVALUATED_PER_BLOCK * 500_000
"""Of these together: what a look may cost grows with the gas that a transaction may use (`reach`)."""


def came(state: PipelineState, pending: PendingSwap) -> list[Effect]:
    """Take a transaction into the book whose effect is known, look behind it, and send what is found."""
    head = state.blocks.head
    if head is None:
        return []
    _put(state, pending)
    target, timestamp = BlockNumber(head.number + 1), UnixSeconds(head.timestamp + 1)
    found = state.backruns.behind(pending, target, timestamp, pending.received_at)
    if isinstance(found, Reason):
        state.count(found)
        return []
    return [effect for find in found for effect in coordination.take(state, find)]


def unread(state: PipelineState, event: PendingTransactionSeen, why: Reason) -> list[Effect]:
    """Simulate a transaction that no decoder reads (`why`), if it may touch a followed pool."""
    head = state.blocks.head
    if head is None:
        state.count(why)
        return []
    pending = PendingSwap(event.transaction, (), (), event.received_at, head.number, event.account_nonce)
    if _is_transfer(event.transaction):
        _put(state, pending)  # told because another of its sender stands behind it
        state.count(Reason.NOT_A_SWAP)
        return []
    if not state.settings.simulate_pending:
        state.count(why)
        return []
    if _is_of_a_token(state, event.transaction):
        _put(state, pending)  # it changes no pool, but others of its sender stand behind it
        state.count(Reason.UNREAD_UNLIKELY)
        return []
    return _ask(state, pending, is_new=True)


def simulated(state: PipelineState, event: PendingSimulated) -> list[Effect]:
    """Look behind what was simulated; where another head came meanwhile, ask again."""
    state.now = event.now
    pending, head = state.unread.pop(event.transaction_hash), state.blocks.head
    if pending is None or head is None:
        return []
    if event.on_block != head.hash:
        return _ask(state, pending)
    if event.failure is not None:
        state.book.remove(event.transaction_hash)
        state.count(event.failure)
        if event.failure is Reason.SIMULATION_UNAVAILABLE:  # with the next block it is asked for again
            _put(state, msgspec.structs.replace(pending, pools=(), changes=None, on_block=event.on_block))
        return []
    numbers = [state.market.number_of(change.pool_id) for change in event.pool_changes]
    pools = tuple(dict.fromkeys([number for number in numbers if number is not None]))
    state.unread.learn(pending.transaction, touched=bool(pools))
    if not pools:
        _put(state, msgspec.structs.replace(pending, pools=(), changes=(), on_block=None))
        state.count(Reason.TOUCHES_NO_POOL)
        return []
    known = msgspec.structs.replace(pending, pools=pools, changes=event.pool_changes, on_block=event.on_block)
    return came(state, known)


def begin_block(state: PipelineState) -> list[Effect]:
    """Ask anew for what was simulated on the head before, and is still pending."""
    effects: list[Effect] = []
    outdated = state.book.outdate()
    left = max(0, len(outdated) - ANEW_PER_BLOCK)
    state.count(Reason.OVER_SIMULATION_BUDGET, left)
    for place, pending in enumerate(outdated):
        asked = _ask(state, pending) if place >= left else []
        if not asked:
            state.book.remove(pending.transaction.hash)
        effects += asked
    return effects


def looked_at_anew(state: PipelineState) -> list[PendingSwap]:
    """The pending swaps to look behind again, in the order of arrival; of too much gas together those of the least,
    the others counted.
    """
    latest = [one for one in state.book if one.pools][-REEVALUATED_PER_BLOCK:]
    if sum([one.transaction.gas_limit for one in latest]) <= REEVALUATED_GAS:
        return latest
    left, chosen = REEVALUATED_GAS, set[bytes]()
    for one in sorted(latest, key=lambda pending: pending.transaction.gas_limit):
        left -= one.transaction.gas_limit
        if left < 0:
            break
        chosen.add(one.transaction.hash)
    state.count(Reason.OVER_LOOKS_BUDGET, len(latest) - len(chosen))
    return [one for one in latest if one.transaction.hash in chosen]


def _ask(state: PipelineState, pending: PendingSwap, *, is_new: bool = False) -> list[Effect]:
    head, chain = state.blocks.head, state.book.with_predecessors(pending)
    reason = _why_not(state, pending, is_new=is_new) or (Reason.VICTIM_NONCE_GAP if chain is None else None)
    gas = sum(one.transaction.gas_limit for one in chain or ())
    if reason is None and gas > MOST_GAS:
        reason = Reason.UNREAD_UNLIKELY
    if reason is None and not state.unread.is_within_budget(state.now, gas):
        reason = Reason.OVER_SIMULATION_BUDGET
    if reason is not None or chain is None or head is None:
        state.count(reason or Reason.POOL_UNKNOWN)
        return []
    state.count(Reason.OVER_SIMULATION_BUDGET, state.unread.wait(pending))
    return [SimulatePending(tuple([one.transaction for one in chain]), head.hash, state.blocks.next_base_fee)]


def _why_not(state: PipelineState, pending: PendingSwap, *, is_new: bool) -> Reason | None:
    transaction = pending.transaction
    if transaction.to is None or len(transaction.data) < SELECTOR_BYTES:
        return Reason.NOT_A_SWAP
    if pending.account_nonce is not None and pending.account_nonce > transaction.nonce:
        return Reason.VICTIM_GONE
    if transaction.max_fee_per_gas < state.search.base_fee:
        return Reason.VICTIM_FEE_TOO_LOW
    if is_new and (transaction.gas_limit < LEAST_GAS or not state.unread.is_likely(transaction)):
        return Reason.UNREAD_UNLIKELY
    return None


def _is_transfer(transaction: SignedTransaction) -> bool:
    """Whether it carries ether and calls no function. A contract that trades when it is paid is not looked for: what
    stands behind it is simulated before it is sent, as everything is.
    """
    return transaction.to is not None and len(transaction.data) < SELECTOR_BYTES


def _is_of_a_token(state: PipelineState, transaction: SignedTransaction) -> bool:
    """Whether it calls a token that we know, which is no pool."""
    address = Address(bytes.fromhex((transaction.to or "0x")[2:]))
    return state.market.token_number(address) is not None and state.market.number_of(address) is None


def _put(state: PipelineState, pending: PendingSwap) -> None:
    overflowed = state.book.overflowed
    state.book.add(pending)
    state.count(Reason.PENDING_OVERFLOW, state.book.overflowed - overflowed)
