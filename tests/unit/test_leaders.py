"""Leaders: epochs, whose turn a block is, and who comes after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InvalidField
from protocol.ethereum.keccak import keccak256
from protocol.leaders import TABLES_KEPT, Entry, EpochRules, EpochTable, Leaders
from protocol.units import Address, BlockNumber, EpochNumber, Hash32, StakeUnits
from tests.protocol_factories import ALICE, BOB, CAROL, hash_of

DEVNET_RULES = EpochRules(length=30, cut_off=12, seed_lag=6)
MAINNET_RULES = EpochRules(length=7_200, cut_off=200, seed_lag=64)
SEED = hash_of("seed")
STAKES = st.lists(st.integers(1, 2**80), min_size=1, max_size=30)


def table(*stakes: int, epoch: int = 1, seed: Hash32 = SEED) -> EpochTable:
    """A table in which the n-th entry's operator is made of its number."""
    entries, total = [], 0
    for number, stake in enumerate(stakes):
        total += stake
        entries.append(Entry(Address(number.to_bytes(20, "big")), StakeUnits(total)))
    return EpochTable(EpochNumber(epoch), seed, entries)


@pytest.mark.parametrize("rules", [DEVNET_RULES, MAINNET_RULES])
def test_the_starting_values_are_allowed(rules: EpochRules) -> None:
    assert rules.checked() == rules


@pytest.mark.parametrize("wrong", [(30, 12, 12), (30, 30, 6), (30, 12, 0), (600, 400, 256), (30, 6, 12)])
def test_rules_that_the_contract_refuses_are_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidField):
        EpochRules(*wrong).checked()


@given(st.integers(0, 2**40))
def test_the_seed_is_mined_after_the_last_check_in_and_before_the_first_turn(number: int) -> None:
    block = BlockNumber(number)
    epoch = DEVNET_RULES.check_in_epoch(block)
    if epoch is None:
        return
    assert epoch == DEVNET_RULES.epoch_of(block) + 1
    assert block < DEVNET_RULES.seed_block(epoch) < DEVNET_RULES.first_block(epoch)


def test_check_in_ends_at_the_cut_off() -> None:
    answers = [DEVNET_RULES.check_in_epoch(BlockNumber(block)) for block in range(30, 60)]
    assert answers == [2] * 18 + [None] * 12


def test_nobody_can_check_in_for_the_first_epoch() -> None:
    with pytest.raises(InvalidField):
        DEVNET_RULES.seed_block(EpochNumber(0))


@given(STAKES, st.integers(0, 2**64 - 1))
def test_the_leader_is_the_entry_in_whose_share_the_draw_falls(stakes: list[int], block: int) -> None:
    drawn = int.from_bytes(keccak256(SEED + block.to_bytes(32, "big")), "big") % sum(stakes)
    turn = table(*stakes).leader(BlockNumber(block))
    assert turn is not None
    assert sum(stakes[: turn.entry]) <= drawn < sum(stakes[: turn.entry + 1])
    assert turn.operator == turn.entry.to_bytes(20, "big")


def test_turns_come_in_proportion_to_stake() -> None:
    small = table(1, 2, 7)
    turns = [turn.entry for block in range(10_000) if (turn := small.leader(BlockNumber(block))) is not None]
    shares = [turns.count(index) for index in range(3)]
    assert sum(shares) == 10_000
    assert abs(shares[0] - 1_000) < 150
    assert abs(shares[1] - 2_000) < 200
    assert abs(shares[2] - 7_000) < 250


def test_without_check_ins_nobody_leads() -> None:
    empty = EpochTable(EpochNumber(1), SEED, ())
    assert (empty.leader(BlockNumber(30)), empty.total_stake) == (None, 0)


@pytest.mark.parametrize(
    "entries",
    [
        [Entry(ALICE, StakeUnits(0))],
        [Entry(ALICE, StakeUnits(5)), Entry(BOB, StakeUnits(5))],
        [Entry(ALICE, StakeUnits(5)), Entry(BOB, StakeUnits(4))],
        [Entry(ALICE, StakeUnits(1 << 96))],
        [Entry(Address(b"short"), StakeUnits(1))],
    ],
)
def test_entries_that_the_contract_cannot_hold_are_refused(entries: list[Entry]) -> None:
    with pytest.raises(InvalidField):
        EpochTable(EpochNumber(1), SEED, entries)


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(InvalidField):
        EpochTable(EpochNumber(1), Hash32(b"short"), [Entry(CAROL, StakeUnits(1))])


def test_the_backup_leads_the_next_block_also_across_epochs() -> None:
    leaders = Leaders(DEVNET_RULES)
    leaders.put(table(1, 2, 3, epoch=1))
    last = BlockNumber(59)
    assert leaders.backup(BlockNumber(40)) == leaders.leader(BlockNumber(41)) is not None
    assert leaders.backup(last) is None
    leaders.put(table(4, 5, epoch=2, seed=hash_of("another seed")))
    assert leaders.backup(last) == leaders.leader(BlockNumber(60)) is not None


def test_only_the_last_tables_are_kept_and_a_new_one_replaces_one_undone() -> None:
    leaders = Leaders(DEVNET_RULES)
    for epoch in range(1, 10):
        leaders.put(table(1, epoch=epoch))
    known = [epoch for epoch in range(12) if leaders.leader(BlockNumber(30 * epoch)) is not None]
    assert known == [7, 8, 9]
    assert len(known) == TABLES_KEPT
    leaders.put(table(1, epoch=9, seed=hash_of("after a reorganisation")))
    assert leaders.seed(BlockNumber(270)) == hash_of("after a reorganisation")
    assert leaders.seed(BlockNumber(300)) is None
