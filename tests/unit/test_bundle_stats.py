"""What became of bundles, in the words of the Flashbots relay."""

from __future__ import annotations

from devnet.accounts import account
from devnet.relay import bundle_stats
from devnet.relay.bundle_stats import BundleStats
from devnet.relay.context import PlacedBundle
from tests.bundle_factories import bundle, transaction

ALICE = account("alice").address
DAY = 86_400
NOON = 20_000 * DAY + DAY // 2
SENT = bundle(transaction("alice"), received_at=NOON + 0.25)


def test_a_bundle_is_followed_from_receipt_to_block() -> None:
    stats = BundleStats()
    stats.received(SENT)
    assert stats.bundle_v2(SENT.hash, 1) == {
        "isHighPriority": False,
        "isSimulated": False,
        "receivedAt": "2024-10-04T12:00:00.250Z",
        "consideredByBuildersAt": [],
        "sealedByBuildersAt": [],
    }
    stats.simulated(SENT, 21_000, NOON + 1)
    stats.considered(SENT, "swift", NOON + 1)
    stats.sealed(PlacedBundle(SENT, 0, 5, 21_000), "swift", NOON + 2)
    assert stats.bundle_v2(SENT.hash, 1) == {
        "isHighPriority": False,
        "isSimulated": True,
        "receivedAt": "2024-10-04T12:00:00.250Z",
        "simulatedAt": "2024-10-04T12:00:01.000Z",
        "consideredByBuildersAt": [{"pubkey": "swift", "timestamp": "2024-10-04T12:00:01.000Z"}],
        "sealedByBuildersAt": [{"pubkey": "swift", "timestamp": "2024-10-04T12:00:02.000Z"}],
    }
    assert stats.bundle_v1(SENT.hash, 1) == {
        "isSimulated": True,
        "isSentToMiners": True,
        "isHighPriority": False,
        "submittedAt": "2024-10-04T12:00:00.250Z",
        "simulatedAt": "2024-10-04T12:00:01.000Z",
        "sentToMinersAt": "2024-10-04T12:00:01.000Z",
    }


def test_a_bundle_nobody_sent_was_not_simulated() -> None:
    assert BundleStats().bundle_v2(SENT.hash, 1) == {"isSimulated": False}
    assert BundleStats().bundle_v1(SENT.hash, 1)["isSentToMiners"] is False


def test_the_same_transactions_for_another_block_are_another_bundle() -> None:
    stats = BundleStats()
    stats.received(SENT)
    assert stats.bundle_v2(SENT.hash, 2) == {"isSimulated": False}


def test_a_signers_figures_are_by_day_by_week_and_in_all() -> None:
    stats = BundleStats()
    for days_ago, gas in ((30, 1), (6, 20), (0, 300)):
        stats.simulated(SENT, gas, NOON - days_ago * DAY)
        stats.sealed(PlacedBundle(SENT, 0, gas * 1000, gas), "swift", NOON - days_ago * DAY)
    assert stats.user_v2(ALICE, NOON) == {
        "isHighPriority": False,
        "allTimeValidatorPayments": "321000",
        "allTimeGasSimulated": "321",
        "last7dValidatorPayments": "320000",
        "last7dGasSimulated": "320",
        "last1dValidatorPayments": "300000",
        "last1dGasSimulated": "300",
    }
    assert stats.user_v1(ALICE, NOON)["last_7d_miner_payments"] == "320000"
    assert stats.user_v2(account("bob").address, NOON)["allTimeGasSimulated"] == "0"


def test_beyond_its_bounds_the_longest_untouched_is_forgotten_and_counted() -> None:
    stats = BundleStats()
    for number in range(bundle_stats.BUNDLES_KEPT + 3):
        stats.received(bundle(*SENT.transactions, block_number=number))
    assert stats.forgotten["bundles"] == 3
    assert stats.bundle_v2(SENT.hash, 2) == {"isSimulated": False}
    assert "receivedAt" in stats.bundle_v2(SENT.hash, 3)
