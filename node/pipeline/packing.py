"""Which of several conflicting finds to take: the set without conflicts that is worth most."""

from __future__ import annotations

from collections.abc import Sequence

from node.pipeline.finds import Find, conflict

EXACT_UP_TO = 16
"""More finds than this are packed greedily by worth."""


def pack(finds: Sequence[Find]) -> tuple[list[Find], list[Find]]:
    """(taken, left out), both the most valuable first; ties go to the smaller id."""
    ranked = sorted(finds, key=_most_first)
    chosen = _best_set(ranked) if len(ranked) <= EXACT_UP_TO else _greedy(ranked)
    return [find for place, find in enumerate(ranked) if place in chosen], [
        find for place, find in enumerate(ranked) if place not in chosen
    ]


def _most_first(find: Find) -> tuple[int, bytes]:
    return -find.surplus, find.opportunity.id


def _greedy(ranked: Sequence[Find]) -> list[int]:
    chosen: list[int] = []
    for place, find in enumerate(ranked):
        if not any(conflict(find, ranked[other]) for other in chosen):
            chosen.append(place)
    return chosen


def _best_set(ranked: Sequence[Find]) -> list[int]:
    """The set of places with the greatest total, by branch and bound over the finds in order of worth."""
    against = [[conflict(one, other) for other in ranked] for one in ranked]
    worth = [max(0, find.surplus) for find in ranked]
    rest = [sum(worth[place:]) for place in range(len(worth) + 1)]
    best: list[int] = _greedy(ranked)
    best_worth = sum(worth[place] for place in best)

    def extend(place: int, chosen: list[int], total: int) -> None:
        nonlocal best, best_worth
        if total > best_worth:
            best, best_worth = chosen, total
        if place == len(ranked) or total + rest[place] <= best_worth:
            return
        if not any(against[place][other] for other in chosen):
            extend(place + 1, [*chosen, place], total + worth[place])
        extend(place + 1, chosen, total)

    extend(0, [], 0)
    return best
