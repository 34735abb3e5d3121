"""The lockstep machine, event by event."""

from __future__ import annotations

import pytest

from devnet.relay.lockstep import (
    MAX_HELD,
    MAX_PARTICIPANTS,
    Admit,
    Build,
    Dropped,
    Lockstep,
    LockstepError,
    Phase,
    StageOpened,
)


def started() -> Lockstep:
    """Alice and bob send order flow, carol searches; block 10 is in the making."""
    machine = Lockstep(10, expected=3)
    assert machine.join("bob", 0) == []
    assert machine.join("carol", 1) == []
    assert machine.join("alice", 0) == [StageOpened(10, 0)]
    return machine


def test_the_first_block_waits_until_all_expected_have_joined() -> None:
    machine = Lockstep(1, expected=2)
    machine.join("alice", 0)
    assert machine.phase is Phase.GATHERING
    assert machine.join("bob", 1) == [StageOpened(1, 0)]


def test_a_participant_may_tell_how_many_to_wait_for() -> None:
    machine = Lockstep(1, expected=1)
    assert machine.join("alice", 0, at_least=3) == []
    assert machine.join("bob", 0, at_least=2) == []
    assert machine.join("carol", 1) == [StageOpened(1, 0)]
    assert machine.join("dave", 1, at_least=9) == []  # too late to keep anybody waiting
    with pytest.raises(LockstepError, match="cannot wait for 65 participants"):
        machine.join("erin", 0, at_least=65)


def test_a_stage_closes_when_its_last_participant_has_passed() -> None:
    machine = started()
    assert machine.barrier("bob", 10, 0) == []
    assert machine.waiting_for() == ("alice",)
    assert machine.barrier("alice", 10, 0) == [Admit(()), StageOpened(10, 1)]
    assert machine.barrier("carol", 10, 1) == [Admit(()), Build(10)]
    assert machine.waiting_for() == ()
    assert machine.built() == [StageOpened(11, 0)]


def test_arrivals_are_admitted_by_participant_and_sequence_not_by_time() -> None:
    machine = started()
    machine.hold("bob", (1, 0), "b1")
    machine.hold("alice", (7, 0), "a7")
    machine.hold("bob", (0, 0), "b0")
    machine.hold("alice", (3, 1), "a3, second call")
    machine.hold("alice", (3, 0), "a3")
    machine.barrier("bob", 10, 0)
    assert machine.barrier("alice", 10, 0)[0] == Admit(("a3", "a3, second call", "a7", "b0", "b1"))


def test_a_stage_without_participants_is_passed_at_once() -> None:
    machine = Lockstep(1, expected=1)
    assert machine.join("carol", 1) == [StageOpened(1, 0), Admit(()), StageOpened(1, 1)]
    assert machine.barrier("carol", 1, 1) == [Admit(()), Build(1)]


def test_who_joins_late_takes_part_from_the_next_block_on() -> None:
    machine = started()
    assert machine.join("dave", 1) == []
    with pytest.raises(LockstepError, match="dave takes part from the next block on"):
        machine.barrier("dave", 10, 1)
    machine.barrier("alice", 10, 0)
    machine.barrier("bob", 10, 0)
    machine.barrier("carol", 10, 1)
    machine.built()
    assert machine.participants == ("alice", "bob", "carol", "dave")


def test_who_holds_up_a_stage_past_the_deadline_is_dropped_by_name() -> None:
    machine = started()
    machine.hold("alice", (0, 0), "lost")
    machine.barrier("bob", 10, 0)
    effects = machine.deadline(5.0)
    reason = "alice was dropped: it did not pass stage 0 of block 10 in 5 s"
    assert effects == [Dropped("alice", reason), Admit(()), StageOpened(10, 1)]
    with pytest.raises(LockstepError, match=reason):
        machine.barrier("alice", 10, 0)
    assert machine.counts == {"participants_dropped": 1, "arrivals_discarded": 1}
    machine.join("alice", 0)
    with pytest.raises(LockstepError, match="from the next block on"):
        machine.hold("alice", (0, 0), "x")


def test_when_all_are_dropped_the_chain_waits_for_somebody_to_join() -> None:
    machine = Lockstep(4, expected=1)
    machine.join("alice", 0)
    machine.join("bob", 0)
    assert [type(effect) for effect in machine.deadline(1.0)] == [Dropped, StageOpened]
    assert machine.participants == ("bob",)
    machine.deadline(1.0)
    assert machine.phase is Phase.GATHERING
    assert machine.join("carol", 0) == [StageOpened(4, 0)]


def test_who_leaves_no_longer_holds_up_the_stage() -> None:
    machine = started()
    machine.hold("alice", (0, 0), "gone")
    machine.barrier("bob", 10, 0)
    assert machine.leave("alice") == [Admit(()), StageOpened(10, 1)]
    assert machine.counts["arrivals_discarded"] == 1
    machine.join("alice", 0)
    assert machine.leave("alice") == []


def test_calls_that_do_not_fit_are_refused_by_name() -> None:
    machine = started()
    with pytest.raises(LockstepError, match="dave has not joined"):
        machine.barrier("dave", 10, 0)
    with pytest.raises(LockstepError, match="alice has joined already"):
        machine.join("alice", 0)
    with pytest.raises(LockstepError, match="dave cannot join stage 2"):
        machine.join("dave", 2)
    with pytest.raises(LockstepError, match="alice has joined stage 0, not 1"):
        machine.barrier("alice", 10, 1)
    with pytest.raises(LockstepError, match="stage 0 of block 9 is not open for alice"):
        machine.barrier("alice", 9, 0)
    with pytest.raises(LockstepError, match="stage 1 of block 10 is not open for carol"):
        machine.hold("carol", (0, 0), "early")
    machine.barrier("alice", 10, 0)
    with pytest.raises(LockstepError, match="alice has passed stage 0 of block 10 already"):
        machine.barrier("alice", 10, 0)
    with pytest.raises(LockstepError, match="alice has passed"):
        machine.hold("alice", (1, 0), "late")
    with pytest.raises(LockstepError, match="block 10 was not to be built yet"):
        machine.built()


def test_a_sequence_number_is_used_once() -> None:
    machine = started()
    machine.hold("alice", (5, 0), "a")
    with pytest.raises(LockstepError, match="alice has used sequence 5 already"):
        machine.hold("alice", (5, 0), "b")
    machine.barrier("alice", 10, 0)
    machine.barrier("bob", 10, 0)
    machine.barrier("carol", 10, 1)
    machine.built()
    with pytest.raises(LockstepError, match="or passed it"):
        machine.hold("alice", (4, 0), "c")


def test_what_waits_and_who_takes_part_is_bounded() -> None:
    machine = Lockstep(1, expected=1)
    machine.join("alice", 0)
    for sequence in range(MAX_HELD):
        machine.hold("alice", (sequence, 0), "x")
    with pytest.raises(LockstepError, match="arrivals waiting"):
        machine.hold("alice", (MAX_HELD, 0), "x")
    for index in range(MAX_PARTICIPANTS - 1):
        machine.join(f"p{index}", 0)
    with pytest.raises(LockstepError, match="participants already"):
        machine.join("one too many", 0)
