"""The gate: nothing is signed that did not pass it. `check` answers `Approved` or `Rejected(reason)`."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import TypeAlias

import msgspec

from node.pipeline.amm.units import TokenAmount
from node.pipeline.plans import Opportunity
from node.pipeline.reasons import Reason
from node.pipeline.settings import NANOSECONDS_PER_SECOND, ProfitToken, RiskLimits
from protocol.units import BASIS_POINTS_ONE, Address, BlockNumber, UnixNanoseconds, Wei

_NANOSECONDS_PER_DAY = 86_400 * NANOSECONDS_PER_SECOND


class Approved(msgspec.Struct, frozen=True, gc=False):
    """The gate lets it through."""


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """The gate holds it back."""

    reason: Reason


class StoppedBy(StrEnum):
    """Who turned the kill switch on; each turns it off for itself only."""

    OPERATOR = "operator"
    """By hand or by a policy of theirs."""
    SPOOL = "spool"
    """What is not on disk must not be executed."""


class DayUse(msgspec.Struct, frozen=True):
    """What a day (UTC, in days since 1970) has used of its limits, what is on its way included; `spent` by hot keys."""

    day: int
    spent: Wei
    turnover: dict[Address, TokenAmount]
    """By profit token."""


Verdict: TypeAlias = Approved | Rejected
_APPROVED = Approved()


class Question(msgspec.Struct, frozen=True, gc=False):
    """What the gate judges: an opportunity with its costs, and the state of things.

    `gas_wei`: gas without the bid. `bid_wei`: the most that the builder can get, at the gas limit.
    `hot_key_wei`: the most that the hot key can pay. `ages` in nanoseconds; `in_flight`: executions already on their
    way to the same block.
    """

    opportunity: Opportunity
    gas_wei: Wei
    bid_wei: Wei
    hot_key_wei: Wei
    net_profit_wei: Wei
    next_block: BlockNumber
    head_age_ns: int
    in_flight: int
    quarantined: bool
    trusted: bool
    taken_out: bool = False
    """By governance, whatever else is true of it."""
    suspended: bool = False
    """A pool, because simulations refused what goes through it."""


class RiskGate:
    """Limits and what has been used of them."""

    def __init__(self, limits: RiskLimits, tokens: tuple[ProfitToken, ...]) -> None:
        self.stopped_by: set[StoppedBy] = set()
        self._limits = limits
        self._tokens = {token.address: token for token in tokens}
        self._day = -1
        self._spent = 0
        self._turnover: dict[Address, int] = {}
        self._failures: deque[bool] = deque(maxlen=limits.breaker_window)
        self._open_until = UnixNanoseconds(0)

    @property
    def kill_switch(self) -> bool:
        """Whether anybody has turned it on."""
        return bool(self.stopped_by)

    def check(self, question: Question, now: UnixNanoseconds) -> Verdict:
        """Judge one execution; the first limit that it breaks is the reason."""
        self._turn_day(now)
        reason: Reason | None = None
        if self.kill_switch:
            reason = Reason.KILL_SWITCH
        elif self.breaker_open(now):
            reason = Reason.BREAKER_OPEN
        elif question.head_age_ns > self._limits.max_head_age_ns:
            reason = Reason.HEAD_STALE
        elif question.opportunity.target_block != question.next_block:
            reason = Reason.OPPORTUNITY_STALE
        elif question.taken_out:
            reason = Reason.TAKEN_OUT_OF_USE
        elif question.quarantined:
            reason = Reason.POOL_QUARANTINED
        elif question.suspended:
            reason = Reason.POOL_SUSPENDED
        elif not question.trusted:
            reason = Reason.TOKEN_REFUSED
        else:
            reason = self._broken_limit(question)
        return _APPROVED if reason is None else Rejected(reason)

    def _broken_limit(self, question: Question) -> Reason | None:
        limits, opportunity = self._limits, question.opportunity
        token, amount = self._tokens[opportunity.profit_token], opportunity.loan.amount
        if amount > token.max_input:
            return Reason.BUNDLE_LIMIT
        if question.gas_wei * BASIS_POINTS_ONE > opportunity.gross_profit_wei * limits.max_gas_share:
            return Reason.GAS_SHARE_TOO_HIGH
        if question.bid_wei > limits.max_bid:
            return Reason.BID_ABOVE_CAP
        if question.net_profit_wei <= limits.minimum_net_profit:
            return Reason.BELOW_MINIMUM_PROFIT
        if self._spent + question.hot_key_wei > limits.max_daily_spend:
            return Reason.DAILY_LIMIT
        if self._turnover.get(opportunity.profit_token, 0) + amount > token.max_daily_turnover:
            return Reason.TOKEN_LIMIT
        return Reason.BLOCK_LIMIT if question.in_flight >= limits.max_executions_per_block else None

    # What is used of the limits

    @property
    def used(self) -> DayUse:
        """What the day has used so far."""
        return DayUse(self._day, Wei(self._spent), dict(self._turnover))

    def spend(self, wei: Wei) -> None:
        """Count what was paid and never reserved here."""
        self._spent += wei

    def resume(self, use: DayUse) -> None:
        """Go on from what an earlier process used of a day; another day's is forgotten when the first find comes."""
        self._day, self._spent = use.day, use.spent
        self._turnover = dict(use.turnover)

    def reserve(self, token: Address, amount: TokenAmount, hot_key_wei: Wei) -> int:
        """Count an execution that goes out as if it landed at its worst; return the day that counts it."""
        self._spent += hot_key_wei
        self._turnover[token] = self._turnover.get(token, 0) + amount
        return self._day

    def settle(
        self, day: int, token: Address, amount: TokenAmount, reserved_wei: Wei, spent_wei: Wei, *, landed: bool
    ) -> None:
        """Replace what was reserved by what really happened; what another day counted is not in this day's use."""
        self._spent += spent_wei
        if day != self._day:
            return
        self._spent = max(0, self._spent - reserved_wei)
        if not landed:
            self._turnover[token] = max(0, self._turnover.get(token, 0) - amount)

    # The breaker

    def breaker_open(self, now: UnixNanoseconds) -> bool:
        """Whether too many executions have failed lately."""
        longest = UnixNanoseconds(now + self._limits.breaker_pause_ns)
        self._open_until = min(self._open_until, longest)  # it opened under a clock that was ahead
        return now < self._open_until

    def report(self, now: UnixNanoseconds, *, failed: bool) -> bool:
        """Count an execution that reached a verdict; True if this opened the breaker."""
        self._failures.append(failed)
        if sum(self._failures) <= self._limits.breaker_failures or self.breaker_open(now):
            return False
        self._open_until = UnixNanoseconds(now + self._limits.breaker_pause_ns)
        self._failures.clear()
        return True

    def _turn_day(self, now: UnixNanoseconds) -> None:
        """Begin a new day's use, but not the same day's twice: a clock that went ahead and back gives no limit anew.

        One that was further ahead than a day has to wait for tomorrow at most.
        """
        day = now // _NANOSECONDS_PER_DAY
        if day > self._day:
            self._day, self._spent = day, 0
            self._turnover.clear()
        self._day = min(self._day, day + 1)
