"""Stake, leaders, fees and rewards as docs/protocol.md tells them: slow, plain, and of nothing but that text.

It imports nothing of ours. What it remembers is lists of what happened; every number is computed from them again.
`block` and `now` are those of the transaction; a method returns whether the chain takes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import sha3

DAY = 86_400
TENTH_OF_PERCENT = 10_000
SHARE_BPS = {"double accept": 100, "contradiction": 500}


def keccak(data: bytes) -> int:
    """Keccak-256 as a number."""
    return int.from_bytes(sha3.keccak_256(data).digest(), "big")


@dataclass
class Operator:
    """What the contracts hold of an operator."""

    active: int = 0
    leaving: int = 0
    ready_at: int = 0
    locked: int = 0
    locked_through: int = 0
    history: list[tuple[int, int]] = field(default_factory=list)
    """(second, active stake after a transaction in it)."""
    penalties: list[tuple[int, int]] = field(default_factory=list)
    """(second of the report, penalty)."""

    def stake_at(self, second: int) -> int:
        """Active stake after the last transaction at or before a second."""
        return next((stake for at, stake in reversed(self.history) if at <= second), 0)

    def lost(self, now: int) -> int:
        """Penalties of the last 30 days."""
        return sum(penalty for at, penalty in self.penalties if at > now - 30 * DAY)


@dataclass
class Offence:
    """A penalty in escrow."""

    operator: str
    penalty: int
    reported_at: int
    reporter: str
    is_open: bool = True


@dataclass
class Pot:
    """What one day gave."""

    second: int
    amount: int


@dataclass
class Epoch:
    """Who checked in, in order, with which stake; the seed once it is rolled."""

    entries: list[tuple[str, int]] = field(default_factory=list)
    seed: bytes | None = None


class PlainModel:
    """The whole of it."""

    def __init__(self, length: int, cut_off: int, lag: int, least: int, fee_bps: int) -> None:
        self.length, self.cut_off, self.lag, self.least, self.fee_bps = length, cut_off, lag, least, fee_bps
        self.operators: dict[str, Operator] = {}
        self.offences: dict[str, Offence] = {}
        self.epochs: dict[int, Epoch] = {}
        self.pots: list[Pot] = []
        self.next_pot: dict[str, int] = {}
        self.wallets: dict[str, int] = {}
        """What accounts have of the staked token."""
        self.earned: dict[str, int] = {}
        """What the stream has paid them."""
        self.escrow = self.burned = self.funded = self.promised = 0
        self.rolled_day = 0

    # Stake

    def stake(self, who: str, amount: int, block: int, now: int) -> bool:
        """Add to active stake."""
        if not 0 < amount <= self.wallets.get(who, 0):
            return False
        self.wallets[who] -= amount
        return self._set_active(who, self._of(who).active + amount, now)

    def request(self, who: str, amount: int, block: int, now: int) -> bool:
        """Let stake leave."""
        operator = self._of(who)
        kept = operator.locked if block <= operator.locked_through else 0
        if not 0 < amount <= operator.active - kept:
            return False
        operator.leaving += amount
        operator.ready_at = now + 21 * DAY
        return self._set_active(who, operator.active - amount, now)

    def complete(self, who: str, block: int, now: int) -> bool:
        """Take out what has left."""
        operator = self._of(who)
        if operator.leaving == 0 or now < operator.ready_at:
            return False
        self.wallets[who] += operator.leaving
        operator.leaving = 0
        return True

    # Leaders

    def check_in(self, who: str, epoch: int, block: int, now: int) -> bool:
        """Take part in an epoch."""
        operator, entries = self._of(who), self.epochs.setdefault(epoch, Epoch()).entries
        is_open = block // self.length + 1 == epoch and block < epoch * self.length - self.cut_off
        if not is_open or any(each == who for each, _ in entries) or operator.active < self.least:
            return False
        operator.locked, operator.locked_through = operator.active, (epoch + 1) * self.length - 1
        entries.append((who, operator.active))
        return True

    def roll_epoch(self, epoch: int, seed: bytes, block: int, now: int) -> bool:
        """Give an epoch its seed."""
        found = self.epochs.get(epoch)
        seed_block = epoch * self.length - self.lag
        if found is None or not found.entries or found.seed is not None or not 0 < block - seed_block <= 8_191:
            return False
        found.seed = seed
        return True

    def leader(self, block: int) -> str | None:
        """Who leads a block; None where nobody does."""
        epoch = self.epochs.get(block // self.length)
        if epoch is None or epoch.seed is None:
            return None
        draw = keccak(epoch.seed + block.to_bytes(32, "big")) % sum(stake for _, stake in epoch.entries)
        for who, stake in epoch.entries:
            if draw < stake:
                return who
            draw -= stake
        raise AssertionError("a draw below the sum of all stakes belongs to one of them")

    # Slashing

    def slash(self, offence: str, kind: str, who: str, reporter: str, block: int, now: int) -> bool:
        """Take a penalty into escrow."""
        operator = self._of(who)
        stake, lost = operator.active + operator.leaving, operator.lost(now)
        share, limit = stake * SHARE_BPS[kind] // TENTH_OF_PERCENT, (stake + lost) * 1_000 // TENTH_OF_PERCENT
        if offence in self.offences or share == 0 or lost >= limit:
            return False
        penalty = min(share, limit - lost)
        from_active = min(operator.active, penalty)
        operator.leaving -= penalty - from_active
        operator.penalties.append((now, penalty))
        self.offences[offence] = Offence(who, penalty, now, reporter)
        self.escrow += penalty
        return self._set_active(who, operator.active - from_active, now)

    def settle(self, offence: str, block: int, now: int) -> bool:
        """End an escrow."""
        found = self.offences.get(offence)
        if found is None or not found.is_open or now < found.reported_at + 12 * DAY:
            return False
        reward = found.penalty // 10
        self.wallets[found.reporter] = self.wallets.get(found.reporter, 0) + reward
        self.burned += found.penalty - reward
        self.escrow -= found.penalty
        found.is_open = False
        return True

    def cancel(self, offence: str, block: int, now: int) -> bool:
        """Give a penalty back."""
        found = self.offences.get(offence)
        if found is None or not found.is_open:
            return False
        self.escrow -= found.penalty
        found.is_open = False
        return self._set_active(found.operator, self._of(found.operator).active + found.penalty, now)

    # Fees and rewards

    def dues(self, net: int, finder_bps: int, least_paid: int) -> tuple[int, int]:
        """What finder and stream get of a net profit in the stream's token."""
        paid = max(-(-net * finder_bps // TENTH_OF_PERCENT), least_paid)
        return paid, min(net * self.fee_bps // TENTH_OF_PERCENT, max(net - paid, 0))

    def fund(self, amount: int) -> bool:
        """A fee arrives at the stream."""
        self.funded += amount
        return True

    @property
    def pool(self) -> int:
        """What the stream has and has not promised."""
        return self.funded - sum(self.earned.values()) - self.promised

    def roll_stream(self, block: int, now: int) -> bool:
        """Make the day's pot."""
        day = now // DAY
        if day == self.rolled_day:
            return False
        self.rolled_day, second, amount = day, day * DAY - 1, self.pool // 7
        if self._all_at(second) and amount:
            self.pots.append(Pot(second, amount))
            self.promised += amount
        return True

    def claim(self, who: str, count: int, block: int, now: int) -> bool:
        """Pay an operator its share of the next pots."""
        first = self.next_pot.get(who, 0)
        pots = self.pots[first : first + count]
        paid = sum(pot.amount * self._of(who).stake_at(pot.second) // self._all_at(pot.second) for pot in pots)
        self.next_pot[who] = first + len(pots)
        self.promised -= paid
        self.earned[who] = self.earned.get(who, 0) + paid
        return True

    def _all_at(self, second: int) -> int:
        return sum(operator.stake_at(second) for operator in self.operators.values())

    def _of(self, who: str) -> Operator:
        return self.operators.setdefault(who, Operator())

    def _set_active(self, who: str, amount: int, now: int) -> bool:
        operator = self._of(who)
        operator.active = amount
        operator.history.append((now, amount))
        return True
