"""What became of bundles, as `flashbots_getBundleStatsV2` and `flashbots_getUserStatsV2` tell it. Pure.

Bounds: the latest 8192 bundles and 4096 signers; the one not touched for longest is forgotten and counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from devnet.relay.context import Bundle, PlacedBundle

BUNDLES_KEPT: Final = 8192
SIGNERS_KEPT: Final = 4096
_DAY: Final = 86_400
_DAYS: Final = 7


@dataclass(slots=True)
class BundleRecord:
    """One bundle at all builders; times in devnet seconds."""

    received_at: float
    simulated_at: float | None = None
    considered: dict[str, float] = field(default_factory=dict)
    """Builder to the time at which it built a block with the bundle at hand."""
    sealed: dict[str, float] = field(default_factory=dict)
    """Builder to the time at which its block holds the bundle."""


@dataclass(slots=True)
class SignerRecord:
    """One signer: wei paid to builders by landed bundles, and gas that was simulated; by day, at most 7, and in all."""

    paid: int = 0
    gas: int = 0
    days: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, day: int, paid: int, gas: int) -> None:
        """Count what happened on a day (days since the epoch)."""
        self.paid += paid
        self.gas += gas
        old_paid, old_gas = self.days.get(day, (0, 0))
        self.days[day] = (old_paid + paid, old_gas + gas)
        for old in [known for known in self.days if known <= day - _DAYS]:
            del self.days[old]

    def since(self, day: int) -> tuple[int, int]:
        """Return wei and gas from `day` on."""
        figures = [figure for known, figure in self.days.items() if known >= day]
        return sum(paid for paid, _ in figures), sum(gas for _, gas in figures)


class BundleStats:
    """Remembers what became of bundles. `forgotten` counts what the bounds cost."""

    def __init__(self) -> None:
        self._bundles: OrderedDict[tuple[bytes, int], BundleRecord] = OrderedDict()
        self._signers: OrderedDict[str, SignerRecord] = OrderedDict()
        self.forgotten: Counter[str] = Counter()

    def received(self, bundle: Bundle) -> None:
        """A builder has taken the bundle."""
        self._bundle(bundle)

    def simulated(self, bundle: Bundle, gas: int, at: float) -> None:
        """The bundle ran at the top of a block and took that gas."""
        record = self._bundle(bundle)
        if record.simulated_at is None:
            record.simulated_at = at
        self._signer(bundle.signer).add(int(at) // _DAY, 0, gas)

    def considered(self, bundle: Bundle, builder: str, at: float) -> None:
        """A builder built a block with the bundle at hand."""
        self._bundle(bundle).considered.setdefault(builder, at)

    def sealed(self, placed: PlacedBundle, builder: str, at: float) -> None:
        """A published block holds the bundle."""
        self._bundle(placed.bundle).sealed.setdefault(builder, at)
        self._signer(placed.bundle.signer).add(int(at) // _DAY, placed.payment, 0)

    def bundle_v2(self, bundle_hash: bytes, block_number: int) -> dict[str, Any]:
        """Return the answer of `flashbots_getBundleStatsV2`; a builder's name stands for its public key."""
        record = self._bundles.get((bundle_hash, block_number))
        if record is None:
            return {"isSimulated": False}
        answer: dict[str, Any] = {
            "isHighPriority": False,
            "isSimulated": record.simulated_at is not None,
            "receivedAt": _iso(record.received_at),
            "consideredByBuildersAt": _by_builder(record.considered),
            "sealedByBuildersAt": _by_builder(record.sealed),
        }
        if record.simulated_at is not None:
            answer["simulatedAt"] = _iso(record.simulated_at)
        return answer

    def bundle_v1(self, bundle_hash: bytes, block_number: int) -> dict[str, Any]:
        """Return the answer of the older `flashbots_getBundleStats`."""
        record = self._bundles.get((bundle_hash, block_number))
        if record is None:
            return {"isSimulated": False, "isSentToMiners": False, "isHighPriority": False}
        answer: dict[str, Any] = {
            "isSimulated": record.simulated_at is not None,
            "isSentToMiners": bool(record.considered),
            "isHighPriority": False,
            "submittedAt": _iso(record.received_at),
        }
        if record.simulated_at is not None:
            answer["simulatedAt"] = _iso(record.simulated_at)
        if record.considered:
            answer["sentToMinersAt"] = _iso(min(record.considered.values()))
        return answer

    def user_v2(self, signer: str, now: float) -> dict[str, Any]:
        """Return the answer of `flashbots_getUserStatsV2`: wei and gas as decimal strings."""
        paid, gas, week, day = self._figures(signer, now)
        return {
            "isHighPriority": False,
            "allTimeValidatorPayments": str(paid),
            "allTimeGasSimulated": str(gas),
            "last7dValidatorPayments": str(week[0]),
            "last7dGasSimulated": str(week[1]),
            "last1dValidatorPayments": str(day[0]),
            "last1dGasSimulated": str(day[1]),
        }

    def user_v1(self, signer: str, now: float) -> dict[str, Any]:
        """Return the answer of the older `flashbots_getUserStats`."""
        paid, gas, week, day = self._figures(signer, now)
        return {
            "is_high_priority": False,
            "all_time_miner_payments": str(paid),
            "all_time_gas_simulated": str(gas),
            "last_7d_miner_payments": str(week[0]),
            "last_7d_gas_simulated": str(week[1]),
            "last_1d_miner_payments": str(day[0]),
            "last_1d_gas_simulated": str(day[1]),
        }

    def _figures(self, signer: str, now: float) -> tuple[int, int, tuple[int, int], tuple[int, int]]:
        record = self._signers.get(signer, SignerRecord())
        today = int(now) // _DAY
        return record.paid, record.gas, record.since(today - _DAYS + 1), record.since(today)

    def _bundle(self, bundle: Bundle) -> BundleRecord:
        key = (bundle.hash, bundle.block_number)
        record = self._bundles.setdefault(key, BundleRecord(bundle.received_at))
        self._bundles.move_to_end(key)
        if len(self._bundles) > BUNDLES_KEPT:
            self._bundles.popitem(last=False)
            self.forgotten["bundles"] += 1
        return record

    def _signer(self, signer: str) -> SignerRecord:
        record = self._signers.setdefault(signer, SignerRecord())
        self._signers.move_to_end(signer)
        if len(self._signers) > SIGNERS_KEPT:
            self._signers.popitem(last=False)
            self.forgotten["signers"] += 1
        return record


def _by_builder(times: dict[str, float]) -> list[dict[str, str]]:
    return [{"pubkey": builder, "timestamp": _iso(at)} for builder, at in times.items()]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
