"""Draws repeat by their labels, and have the shapes they claim."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from devnet.actors.randomness import Dice

MANY = 4000
PINNED = (231578, 9, False, "2807.139944363280346372570833", 23)
"""Whatever the machine: a change here is a change of every devnet."""


def test_equal_labels_draw_alike_and_any_other_label_does_not() -> None:
    def draws(*labels: str | int) -> list[int]:
        dice = Dice(7, *labels)
        return [dice.below(10**9) for _ in range(5)]

    assert draws("traders", 3) == draws("traders", 3)
    assert len({tuple(draws(*labels)) for labels in (("traders", 3), ("traders", 4), ("whales", 3))}) == 3
    assert draws("a", "b") != draws("ab")


def test_known_draws_stay_what_they_are() -> None:
    dice = Dice(1, "pinned")
    assert (dice.below(10**6), dice.between(5, 9), dice.chance(Decimal("0.5"))) == (PINNED[0], PINNED[1], PINNED[2])
    assert str(dice.log_normal(Decimal(700), Decimal("1.6"))) == PINNED[3]
    assert dice.poisson(Decimal("34.0")) == PINNED[4]


def test_a_normal_draw_has_mean_zero_and_deviation_one() -> None:
    dice = Dice(2, "normal")
    draws = [dice.normal() for _ in range(MANY)]
    mean = sum(draws, Decimal(0)) / MANY
    assert abs(mean) < Decimal("0.06")
    assert abs(sum(((draw - mean) ** 2 for draw in draws), Decimal(0)) / MANY - 1) < Decimal("0.08")


def test_the_median_of_a_log_normal_is_its_median() -> None:
    dice = Dice(3, "sizes")
    draws = sorted(dice.log_normal(Decimal(700), Decimal("1.6")) for _ in range(MANY))
    assert Decimal(620) < draws[MANY // 2] < Decimal(790)
    assert draws[-1] > 20 * draws[MANY // 2]


@pytest.mark.parametrize("mean", ["0", "0.3", "34"])
def test_a_poisson_count_has_its_mean_and_variance(mean: str) -> None:
    dice = Dice(4, "counts", mean)
    counts = [dice.poisson(Decimal(mean)) for _ in range(MANY)]
    average = Decimal(sum(counts)) / MANY
    variance = sum(((count - average) ** 2 for count in counts), Decimal(0)) / MANY
    assert abs(average - Decimal(mean)) <= Decimal(mean) / 20
    assert abs(variance - Decimal(mean)) <= Decimal(mean) / 8


def test_weights_decide_and_no_weight_is_refused() -> None:
    dice = Dice(5, "weights")
    drawn = Counter(dice.weighted([("often", 9), ("never", 0), ("rarely", 1)]) for _ in range(MANY))
    assert drawn["never"] == 0
    assert 8 < drawn["often"] / drawn["rarely"] < 10.5
    with pytest.raises(ValueError, match="empty range"):
        dice.weighted([])


def test_certain_and_impossible_chances_are_so() -> None:
    dice = Dice(6, "chance")
    assert all(dice.chance(Decimal(1)) for _ in range(100))
    assert not any(dice.chance(Decimal(0)) for _ in range(100))
