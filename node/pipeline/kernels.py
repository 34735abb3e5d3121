"""Numba kernels: enumerate cycles, screen and size many of them at once, in float64.

What they find is a proposal; exact integers decide (`sizing`). Each directed edge of the market (one token into a pool,
another out) has one row of eight float64, one cache line:

    RATE       output per input at the margin, fee included; 0 takes the edge out of every cycle
    CURVATURE  k of out(x) = RATE x / (1 + k x): exact for constant product, local for the other families
    KIND       0 constant product, 1 concentrated, 2 weighted, 3 stable, 4 Solidly's stable, 5 one rate
    A, B       constant product and weighted: balance in, balance out; concentrated: sqrt price, first tick's place;
               stable: balance in, b; Solidly's stable: balance in, the invariant; one rate: largest input
    KEPT       1 less the fee
    C, D       weighted: weight in / weight out, largest input; concentrated: number of ticks, 1.0 for zero-for-one;
               stable: c and how much of the token out a unit of the curve is; Solidly's stable: the latter in D

A stable pool of any number of coins is a quadratic in the two that a swap moves: y² + (x + b) y = c / x, in units of
the token in. Solidly's is the cubic x³ y + y³ x = k, which has one real root y.

Compositions of out(x) = r x / (1 + k x) have the same form, with r = Π rᵢ and k = k₁ + k₂ r₁ + k₃ r₁ r₂; the gain
out(x) - x is greatest at x = (√r - 1) / k, where it is (√r - 1)² / k.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.pipeline.kernel_curves import compiled, solidly_balance, stable_balance

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Places: TypeAlias = NDArray[np.int32]

RATE, CURVATURE, KIND, A, B, KEPT, C, D = range(8)
ROW_WIDTH: Final = 8
CONSTANT_PRODUCT, CONCENTRATED, WEIGHTED, STABLE, SOLIDLY_STABLE, ONE_RATE = 0.0, 1.0, 2.0, 3.0, 4.0, 5.0
PRICE, FEE, MAX_INPUT, FIXED_COST = range(4)
TOKEN_WIDTH: Final = 4
CYCLE_WIDTH: Final = 4
FOUND_WIDTH: Final = 2 + CYCLE_WIDTH
"""A cycle is three edges (the third -1 where there are two) and the rank of the profit token where it starts."""
_ROUNDS: Final = 40
_LEAP: Final = 8.0
_PRECISION: Final = 1e-9


@compiled
def _concentrated_out(amount: float, row: Floats, tick_prices: Floats, tick_liquidity: Floats) -> tuple[float, float]:
    """`edge_out` of a concentrated pool: a walk over its ranges. What the last tick cannot take is lost."""
    first, count, price, down, kept = int(row[B]), int(row[C]), row[A], row[D] == 1.0, row[KEPT]
    remaining, total = amount * kept, 0.0
    low, high = 0, count  # the last tick not above the price
    while low < high:
        middle = (low + high) // 2
        if tick_prices[first + middle] <= price:
            low = middle + 1
        else:
            high = middle
    place = low - 1
    while 0 <= place < count - 1:
        liquidity = tick_liquidity[first + place]
        if down:
            border = tick_prices[first + place]
            room = liquidity * (1.0 / border - 1.0 / price)
            if remaining <= room and liquidity > 0.0:
                after = liquidity * price / (liquidity + remaining * price)
                return total + liquidity * (price - after), kept * after * after
            total += liquidity * (price - border)
        else:
            border = tick_prices[first + place + 1]
            room = liquidity * (border - price)
            if remaining <= room and liquidity > 0.0:
                after = price + remaining / liquidity
                return total + liquidity * (after - price) / (after * price), kept / (after * after)
            total += liquidity * (1.0 / price - 1.0 / border)
        remaining -= room
        price = border
        place += -1 if down else 1
    return total, 0.0


@compiled
def _curve_out(amount: float, row: Floats) -> tuple[float, float]:
    """`edge_out` of a stable pool, Solidly's, or one with one rate."""
    kept, kind, x, unit = row[KEPT], row[KIND], row[A], row[D]
    if kind == ONE_RATE:
        return (amount * row[RATE], row[RATE]) if amount <= x else (x * row[RATE], 0.0)
    more = x + amount
    if kind == STABLE:
        b, c = row[B], row[C]
        y = stable_balance(more, b, c)
        slope = (y + c / (more * more)) / (2.0 * y + more + b)
        return kept * unit * (stable_balance(x, b, c) - y), kept * unit * slope
    y = solidly_balance(more, row[B])
    slope = (3.0 * more * more * y + y * y * y) / (more * more * more + 3.0 * y * y * more)
    return kept * unit * (solidly_balance(x, row[B]) - y), kept * unit * slope


@compiled
def edge_out(amount: float, row: Floats, tick_prices: Floats, tick_liquidity: Floats) -> tuple[float, float]:
    """(output, output per further input at the margin) of one edge for an input."""
    kept = row[KEPT]
    if row[KIND] == CONCENTRATED:
        return _concentrated_out(amount, row, tick_prices, tick_liquidity)
    if row[KIND] == WEIGHTED:
        if amount > row[D]:
            return 0.0, 0.0
        left = np.exp(-row[C] * np.log1p(amount * kept / row[A]))
        return row[B] * (1.0 - left), row[B] * row[C] * left * kept / (row[A] + amount * kept)
    if row[KIND] > WEIGHTED:
        return _curve_out(amount, row)
    whole = row[A] + amount * kept
    return amount * kept * row[B] / whole, kept * row[A] * row[B] / (whole * whole)


@compiled
def _cycle_out(
    amount: float, cycle: Places, rows: Floats, tick_prices: Floats, tick_liquidity: Floats
) -> tuple[float, float]:
    """(output, output per further input at the margin) of a cycle."""
    out, margin = edge_out(amount, rows[cycle[0]], tick_prices, tick_liquidity)
    out, further = edge_out(out, rows[cycle[1]], tick_prices, tick_liquidity)
    margin *= further
    if cycle[2] >= 0:
        out, further = edge_out(out, rows[cycle[2]], tick_prices, tick_liquidity)
        margin *= further
    return out, margin


@compiled
def _closed_form(cycle: Places, rows: Floats, cost: float) -> tuple[float, float]:
    """(best amount, gain) by the composition of the edges; (0, 0) where there is no gain."""
    first, second = rows[cycle[0]], rows[cycle[1]]
    rate = first[RATE] * second[RATE]
    curvature = first[CURVATURE] + second[CURVATURE] * first[RATE]
    if cycle[2] >= 0:
        third = rows[cycle[2]]
        curvature += third[CURVATURE] * rate
        rate *= third[RATE]
    if rate <= cost or not curvature > 0.0:
        return 0.0, 0.0
    root = np.sqrt(rate / cost)
    return (root - 1.0) / curvature, cost * (root - 1.0) ** 2 / curvature


@compiled
def _is_closed(cycle: Places, rows: Floats) -> bool:
    """Whether the closed form is exact: constant product throughout."""
    kinds = rows[cycle[0], KIND] + rows[cycle[1], KIND]
    if cycle[2] >= 0:
        kinds += rows[cycle[2], KIND]
    return bool(kinds == 0.0)


@compiled
def _slack(
    amount: float, wanted: float, cycle: Places, rows: Floats, tick_prices: Floats, tick_liquidity: Floats
) -> float:
    """1/√margin - wanted: below zero as long as more input pays, infinite where nothing more comes out.

    A straight line in the amount for constant product; with concentrated pools it bends at ticks only.
    """
    margin = _cycle_out(amount, cycle, rows, tick_prices, tick_liquidity)[1]
    return 1.0 / np.sqrt(margin) - wanted if margin > 0.0 else np.inf


@compiled
def _best_amount(
    guess: float, most: float, cycle: Places, rows: Floats, tick_prices: Floats, tick_liquidity: Floats, cost: float
) -> float:
    """Where the margin falls to `cost`, at most `most`: secants first outwards, then between two sides (Illinois)."""
    wanted = 1.0 / np.sqrt(cost)
    low, low_value = 0.0, _slack(0.0, wanted, cycle, rows, tick_prices, tick_liquidity)
    if low_value >= 0.0:
        return 0.0
    high = min(guess, most)
    high_value = _slack(high, wanted, cycle, rows, tick_prices, tick_liquidity)
    for _ in range(_ROUNDS):
        if high_value >= 0.0 or high >= most:
            break
        slope = (high_value - low_value) / (high - low)
        low, low_value = high, high_value
        reach = 1.02 * (low - low_value / slope) if slope > 0.0 else _LEAP * low
        high = min(most, max(min(reach, _LEAP * low), 1.001 * low))
        high_value = _slack(high, wanted, cycle, rows, tick_prices, tick_liquidity)
    if high_value < 0.0:
        return high
    side = 0
    for _ in range(_ROUNDS):
        if high_value == np.inf:
            middle = 0.5 * (low + high)
        else:
            middle = low - (high - low) * low_value / (high_value - low_value)
        value = _slack(middle, wanted, cycle, rows, tick_prices, tick_liquidity)
        if abs(value) <= _PRECISION * wanted or high - low <= _PRECISION * high:
            return middle if value < np.inf else low
        if value < 0.0:
            low, low_value = middle, value
            high_value *= 0.5 if side < 0 else 1.0
            side = -1
        else:
            high, high_value = middle, value
            low_value *= 0.5 if side > 0 else 1.0
            side = 1
    return low


@compiled
def size(
    cycle: Places, rows: Floats, tick_prices: Floats, tick_liquidity: Floats, tokens: Floats
) -> tuple[float, float]:
    """(amount, gain in the start token after the flash fee) of one cycle."""
    token = tokens[cycle[3]]
    cost, most = 1.0 + token[FEE], token[MAX_INPUT]
    amount, gain = _closed_form(cycle, rows, cost)
    if amount <= 0.0 or (amount <= most and _is_closed(cycle, rows)):
        return amount, gain
    if _is_closed(cycle, rows):
        amount = most
    else:
        amount = _best_amount(amount, most, cycle, rows, tick_prices, tick_liquidity, cost)
    return amount, _cycle_out(amount, cycle, rows, tick_prices, tick_liquidity)[0] - amount * cost


@compiled
def _keep(place: int, value: float, places: Integers, values: Floats, count: int) -> int:
    """Insert into the descending best-of list; return its new length."""
    limit = len(values)
    if count == limit and value <= values[limit - 1]:
        return count
    slot = count if count < limit else limit - 1
    while slot > 0 and values[slot - 1] < value:
        values[slot], places[slot] = values[slot - 1], places[slot - 1]
        slot -= 1
    values[slot], places[slot] = value, place
    return count + 1 if count < limit else count


@compiled
def screen(
    begin: int, end: int, cycles: Places, rows: Floats, tokens: Floats, places: Integers, values: Floats, count: int
) -> int:
    """Fold the cycles begin … end into the best-of list (places, values in wei by the closed form, descending).

    `tokens` as in `screen_edges`. Returns the list's length.
    """
    for place in range(begin, end):
        cycle = cycles[place]
        rate = rows[cycle[0], RATE] * rows[cycle[1], RATE]
        last = cycle[2]
        if last >= 0:
            rate *= rows[last, RATE]
        if rate <= 1.0:
            continue
        token = tokens[cycle[3]]
        gain = _closed_form(cycle, rows, 1.0 + token[FEE])[1]
        if gain > 0.0:
            count = _keep(place, gain * token[PRICE], places, values, count)
    return count


@compiled
def _size_all(
    count: int,
    cycles: Places,
    rows: Floats,
    tick_prices: Floats,
    tick_liquidity: Floats,
    tokens: Floats,
    costs: Floats,
    places: Integers,
    found: Floats,
) -> int:
    """Size the first `count` of `places`; keep those with a surplus, each once, the greatest first; return how many."""
    kept = 0
    for number in range(count):
        cycle = cycles[places[number]]
        amount, gain = size(cycle, rows, tick_prices, tick_liquidity, tokens)
        token = tokens[cycle[3]]
        surplus = gain * token[PRICE] - token[FIXED_COST] - costs[cycle[0]] - costs[cycle[1]]
        if cycle[2] >= 0:
            surplus -= costs[cycle[2]]
        if amount < 1.0 or not surplus > 0.0:
            continue
        slot = kept
        while slot > 0 and found[slot - 1, 1] < surplus:
            slot -= 1
        if slot > 0 and found[slot - 1, 1] == surplus and _is_same(cycle, found[slot - 1]):
            continue
        for after in range(kept, slot, -1):
            found[after] = found[after - 1]
        found[slot, 0], found[slot, 1] = amount, surplus
        for column in range(CYCLE_WIDTH):
            found[slot, 2 + column] = cycle[column]
        kept += 1
    return kept


@compiled
def _is_same(cycle: Places, found: Floats) -> bool:
    """Whether a row of what was found is of this cycle."""
    return bool(found[2] == cycle[0] and found[3] == cycle[1] and found[4] == cycle[2] and found[5] == cycle[3])


@compiled
def screen_edges(
    edges: Integers,
    offsets: Integers,
    cycles: Places,
    rows: Floats,
    tick_prices: Floats,
    tick_liquidity: Floats,
    tokens: Floats,
    costs: Floats,
    places: Integers,
    found: Floats,
) -> int:
    """Screen all cycles through `edges`, then size the best.

    `offsets` tells where in `cycles` those of each edge lie. `tokens`: one row a profit token: price in wei a unit,
    flash fee, largest input, what an execution costs in wei before its legs; `costs`: wei that each edge's leg costs.
    Fills `found` as far as it goes (rows of amount, surplus in wei, and the cycle), the greatest surplus first; returns
    how many there are with a surplus. `places` is room to work in, as long as `found`.
    """
    values = np.empty(len(places), np.float64)
    count = 0
    for edge in edges:
        count = screen(offsets[edge], offsets[edge + 1], cycles, rows, tokens, places, values, count)
    return _size_all(count, cycles, rows, tick_prices, tick_liquidity, tokens, costs, places, found)


@compiled
def screen_all(
    cycles: Places,
    rows: Floats,
    tick_prices: Floats,
    tick_liquidity: Floats,
    tokens: Floats,
    costs: Floats,
    places: Integers,
    found: Floats,
) -> int:
    """Screen every cycle, then size the best; as `screen_edges`."""
    values = np.empty(len(places), np.float64)
    count = screen(0, len(cycles), cycles, rows, tokens, places, values, 0)
    return _size_all(count, cycles, rows, tick_prices, tick_liquidity, tokens, costs, places, found)


@compiled
def _add(cycles: Places, count: int, first: int, second: int, third: int, rank: int) -> int:
    if count < len(cycles):
        cycles[count, 0], cycles[count, 1], cycles[count, 2], cycles[count, 3] = first, second, third, rank
    return count + 1


@compiled
def _first_into(token: int, begin: int, end: int, graph: Places, by_source: Places) -> int:
    """The first place in begin … end whose edge leads into `token` or a later one."""
    while begin < end:
        middle = (begin + end) // 2
        if graph[by_source[middle], 2] < token:
            begin = middle + 1
        else:
            end = middle
    return begin


@compiled
def enumerate_cycles(
    graph: Places, offsets: Integers, by_source: Places, starts: Places, rank_of: Places, cycles: Places
) -> int:
    """List all cycles of two and three hops over distinct pools, each once, at its profit token of the lowest rank.

    `graph`: a row an edge: pool, token in, token out. `by_source[offsets[t]:offsets[t+1]]`: the edges out of token t,
    by token out. `starts`: the profit tokens by rank, `rank_of` the inverse (len(starts) for other tokens). Fills
    `cycles` as far as it goes and returns how many there are.
    """
    count = 0
    for rank, start in enumerate(starts):
        for first in by_source[offsets[start] : offsets[start + 1]]:
            middle = graph[first, 2]
            if rank_of[middle] < rank:
                continue
            for second in by_source[offsets[middle] : offsets[middle + 1]]:
                token = graph[second, 2]
                if graph[second, 0] == graph[first, 0] or rank_of[token] < rank:
                    continue
                if token == start:
                    count = _add(cycles, count, first, second, -1, rank)
                    continue
                end = offsets[token + 1]
                place = _first_into(start, offsets[token], end, graph, by_source)
                while place < end and graph[by_source[place], 2] == start:
                    third = by_source[place]
                    if graph[third, 0] != graph[first, 0] and graph[third, 0] != graph[second, 0]:
                        count = _add(cycles, count, first, second, third, rank)
                    place += 1
    return count
