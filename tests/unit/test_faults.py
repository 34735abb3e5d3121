"""Which faults are in force, where, and for how long."""

from __future__ import annotations

import pytest

from devnet.relay.faults import MAX_FAULTS, PUBLIC, FaultKind, FaultRefused, Faults


def test_a_fault_with_a_count_strikes_so_often() -> None:
    faults = Faults(["swift"])
    faults.set("swift", "refuse", now=0, block=0, count=2)
    struck = [faults.strike("swift", FaultKind.REFUSE, 0) is not None for _ in range(3)]
    assert struck == [True, True, False]
    assert faults.active(0) == []
    assert faults.used == {"swift.refuse": 2}


def test_a_fault_with_a_duration_ends_with_devnet_time() -> None:
    faults = Faults([])
    fault = faults.set(PUBLIC, "garbage", now=100, block=0, seconds=5)
    assert faults.look(PUBLIC, FaultKind.GARBAGE, 104.9) is fault
    assert faults.look(PUBLIC, FaultKind.GARBAGE, 105) is None
    assert fault.is_over(105)


def test_a_fault_that_begins_later_is_not_in_force_before_and_lasts_its_time_from_then() -> None:
    faults = Faults(["swift"])
    faults.set("swift", "shun", now=100, block=0, after=30, seconds=5, senders=["0xAA"])
    in_force = [faults.shuns("swift", ["0xaa"], now) for now in (100, 129.9, 130, 134.9, 135)]
    assert in_force == [False, False, True, True, False]


def test_one_that_is_still_to_come_does_not_make_room() -> None:
    faults = Faults([])
    for _ in range(MAX_FAULTS):
        faults.set(PUBLIC, "hang", now=0, block=0, after=10)
    with pytest.raises(FaultRefused, match="clear some"):
        faults.set(PUBLIC, "hang", now=0, block=0)


def test_looking_does_not_use_a_fault_up() -> None:
    faults = Faults([])
    faults.set(PUBLIC, "stale_head", now=0, block=7, count=1)
    assert faults.look(PUBLIC, FaultKind.STALE_HEAD, 0) is faults.look(PUBLIC, FaultKind.STALE_HEAD, 0)


def test_a_fault_strikes_its_own_endpoint_only() -> None:
    faults = Faults(["swift", "picky"])
    faults.set("swift", "hang", now=0, block=0)
    assert faults.strike("picky", FaultKind.HANG, 0) is None
    assert faults.strike(PUBLIC, FaultKind.HANG, 0) is None


def test_faults_can_be_cleared_one_or_all() -> None:
    faults = Faults(["swift"])
    first = faults.set("swift", "hang", now=0, block=0)
    faults.set("swift", "leak", now=0, block=0)
    assert faults.clear(first.identifier) == 1
    assert first.cleared.is_set()
    assert faults.clear(first.identifier) == 0
    assert faults.clear() == 1


@pytest.mark.parametrize(
    ("endpoint", "kind", "options", "message"),
    [
        ("nobody", "hang", {}, "no endpoint nobody; there are public, swift"),
        ("swift", "reorg", {"depth": 1}, "no fault reorg on swift"),
        (PUBLIC, "leak", {}, "no fault leak on public"),
        (PUBLIC, "explode", {}, "no fault explode on public"),
        (PUBLIC, "reorg", {}, "needs a depth"),
        (PUBLIC, "lie", {"lie": "weather"}, "one of head, balance"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    endpoint: str, kind: str, options: dict[str, int | str], message: str
) -> None:
    with pytest.raises(FaultRefused, match=message):
        Faults(["swift"]).set(endpoint, kind, now=0, block=0, **options)  # type: ignore[arg-type]


def test_a_reorg_happens_once_unless_told_otherwise() -> None:
    fault = Faults([]).set(PUBLIC, "reorg", now=0, block=0, depth=3)
    assert (fault.count, fault.depth) == (1, 3)


def test_the_number_of_faults_is_bounded() -> None:
    faults = Faults([])
    for _ in range(MAX_FAULTS):
        faults.set(PUBLIC, "hang", now=0, block=0)
    with pytest.raises(FaultRefused, match="clear some"):
        faults.set(PUBLIC, "hang", now=0, block=0)
