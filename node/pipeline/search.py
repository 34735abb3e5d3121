"""From the market and an overlay to exact routes: the kernels propose, integers decide."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from node.pipeline.amm.swap_math import FEE_SCALE
from node.pipeline.amm.units import TokenAmount
from node.pipeline.gas import GasModel, fixed_guess, leg_guess
from node.pipeline.kernels import (
    FEE,
    FIXED_COST,
    FOUND_WIDTH,
    MAX_INPUT,
    PRICE,
    TOKEN_WIDTH,
    Floats,
    Integers,
    screen_all,
    screen_edges,
)
from node.pipeline.lenders import LenderBook, flash_loan, leaders_vault
from node.pipeline.market import Market
from node.pipeline.overlay import Overlay
from node.pipeline.plans import FlashLender, FlashLoan, SwapStep
from node.pipeline.prices import ReferencePrice
from node.pipeline.reasons import Reason
from node.pipeline.refusals import Refusals
from node.pipeline.settings import Bounds, ProfitToken
from node.pipeline.sizing import Leg, best_amount, exact_amounts
from protocol.units import BASIS_POINTS_ONE, BasisPoints, Gas, Wei

_COARSE = 10**9
"""Where an amount on a route has fewer units than this, rounding moves the optimum: then integers look for it."""
_EVALUATIONS = 24
"""Exact computations around the proposal in that case."""
_LEG_SLACK = 100
"""Basis points that a leg may give less than computed: the profit's own minimum is the one that counts."""
_SWEEP = 64
"""Cycles that the screen of the whole market hands on."""


class Route(msgspec.Struct, frozen=True, gc=False):
    """A cycle in exact integers: `amounts` before each leg and after the last; `gain` after the flash fee.

    `surplus_wei`: the gain at the reference price, less the gas at the next base fee. `beyond`: what would
    bring more, at an amount that no lender of ours has, be it on the same edges or others; of use to who funds it.
    """

    edges: tuple[int, ...]
    rank: int
    amounts: tuple[TokenAmount, ...]
    loan: FlashLoan
    gain: TokenAmount
    gain_wei: Wei
    gas: Gas
    surplus_wei: Wei
    beyond: Route | None = None


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """What a kernel proposes: the edges, the profit token's rank, an amount, and its guess of the surplus in wei.

    `is_beyond`: proposed as if what our own lenders have were no bound.
    """

    edges: tuple[int, ...]
    rank: int
    amount: TokenAmount
    surplus: float
    is_beyond: bool = False


class Search:
    """Holds the kernels' buffers and what a find is measured by: prices, lenders, gas."""

    def __init__(self, market: Market, tokens: Sequence[ProfitToken], lenders: LenderBook, bounds: Bounds) -> None:
        self.lenders = lenders
        self.gas = GasModel()
        self.prices: list[ReferencePrice | None] = [None] * len(tokens)
        self.base_fee = Wei(0)
        self.share_of_funded = BasisPoints(0)
        """What we get of a find that another operator funds and executes in the next block; 0 where none would."""
        self.most_funded = Wei(0)
        """The most that such a find may be worth after gas: what is worth more is not given to that operator."""
        self.refusals = Refusals(market, [token.address for token in tokens])
        self._market, self._tokens, self._bounds = market, tokens, bounds
        self._rows: Floats = np.zeros((len(tokens), TOKEN_WIDTH), np.float64)
        self._beyond: Floats = np.zeros((len(tokens), TOKEN_WIDTH), np.float64)
        """The tokens as who funds all of it has them."""
        self._leg_gas: Floats = np.zeros(0, np.float64)
        """By edge; a market only grows, so what is here stays."""
        self._costs: Floats = np.zeros(0, np.float64)
        self._few = _buffers(bounds.finalists)
        self._many = _buffers(_SWEEP)

    def set_prices(self, prices: Sequence[ReferencePrice | None], base_fee: Wei) -> None:
        """Take in the reference prices by rank and the next base fee; a token without a price or lender is left out."""
        self.prices, self.base_fee = list(prices), base_fee
        for rank, (token, price) in enumerate(zip(self._tokens, prices, strict=True)):
            lender, most = self.lenders.cheapest(token.address), self.lenders.most(token.address)
            bound = token.max_input if most is None else min(token.max_input, most)
            self._set_row(self._rows[rank], price, lender, bound)
            if self.share_of_funded:
                self._set_row(self._beyond[rank], price, lender or leaders_vault(token.address), token.max_input)
        self._costs = self._gas_of_legs() * float(base_fee)

    def _set_row(
        self, row: Floats, price: ReferencePrice | None, lender: FlashLender | None, most: TokenAmount
    ) -> None:
        row[:] = 0.0
        if price is not None and lender is not None:
            row[PRICE] = price.numerator / price.denominator
            row[FEE] = lender.fee_pips / FEE_SCALE
            row[MAX_INPUT] = float(most)
            row[FIXED_COST] = float(fixed_guess(lender.kind) * self.base_fee)

    def through(self, edges: Sequence[int]) -> list[Candidate]:
        """The best cycles through any of the edges, at the rows as they are: ours, best first, then those beyond."""
        market, (places, found) = self._market, self._few
        index, ticks = market.index, market.ticks.arrays
        # Pools that were discovered since the last block are not in the index yet.
        numbers = np.array([edge for edge in edges if edge < index.edge_count], np.int64)
        candidates: list[Candidate] = []
        for is_beyond, tokens in self._screens():
            count = screen_edges(
                numbers, index.offsets, index.by_edge, market.rows, *ticks, tokens, self._costs, places, found
            )
            candidates += self._allowed(found, count, self._bounds.exact_finalists, is_beyond) if count else []
        return candidates

    def everywhere(self) -> list[Candidate]:
        """The best cycles of the whole market, at the rows as they are: ours, best first, then those beyond."""
        market, (places, found) = self._market, self._many
        index, ticks = market.index, market.ticks.arrays
        candidates: list[Candidate] = []
        for is_beyond, tokens in self._screens():
            count = screen_all(index.cycles, market.rows, *ticks, tokens, self._costs, places, found)
            candidates += self._allowed(found, count, count, is_beyond)
        return candidates

    def _screens(self) -> list[tuple[bool, Floats]]:
        """The tokens to screen with: what others could fund is looked for apart, and takes no place of ours."""
        return [(False, self._rows), (True, self._beyond)] if self.share_of_funded else [(False, self._rows)]

    def exact(self, candidates: Sequence[Candidate], overlay: Overlay) -> Route | Reason:
        """The best of the candidates in exact integers, or why there is none. Candidates come best first.

        What we can do ourselves comes back, and beside it (`beyond`) what would bring more to who funds it: whether
        anybody takes that is open. One that comes out as good as the next was only guessed to be ends the search.
        """
        own = self._best_of([one for one in candidates if not one.is_beyond], overlay)
        beyond = self._best_of([one for one in candidates if one.is_beyond], overlay)
        if isinstance(own, Reason):
            return own if beyond is Reason.NOT_PROFITABLE else beyond
        if isinstance(beyond, Reason) or beyond.gain_wei <= own.gain_wei:
            return own
        return msgspec.structs.replace(own, beyond=beyond)

    def _best_of(self, candidates: Sequence[Candidate], overlay: Overlay) -> Route | Reason:
        """Of candidates that are all ours, or all beyond: the one that is worth most, or why none is."""
        best: Route | None = None
        why = Reason.NOT_PROFITABLE
        for candidate in candidates[: self._bounds.exact_finalists]:
            if best is not None and best.surplus_wei >= candidate.surplus:
                break
            route = self._evaluate(candidate, candidate.amount, overlay, is_beyond=candidate.is_beyond)
            if isinstance(route, Reason):
                why = route if why is Reason.NOT_PROFITABLE else why
            elif best is None or route.surplus_wei > best.surplus_wei:
                best = route
        if best is None or best.surplus_wei <= 0:
            return why
        return self._refined(best, overlay) if min(best.amounts) < _COARSE else best

    def steps_of(self, route: Route) -> tuple[SwapStep, ...]:
        """The legs of a route for the executor."""
        return self.swap_steps(route.edges, route.amounts)

    def swap_steps(self, edges: Sequence[int], amounts: Sequence[TokenAmount]) -> tuple[SwapStep, ...]:
        """Legs for the executor; `amounts` before each and after the last."""
        steps: list[SwapStep] = []
        for number, amount_in, amount_out in zip(edges, amounts[:-1], amounts[1:], strict=True):
            edge = self._market.edges[number]
            spec, tokens = self._market.specs[edge.pool], self._market.routed[edge.pool]
            ends = (tokens[edge.index_in], tokens[edge.index_out], edge.index_in, edge.index_out)
            amounts_of = (amount_in, amount_out, least_out(amount_out))
            steps.append(
                SwapStep(
                    spec.id,
                    spec.family,
                    spec.address,
                    *ends,
                    spec.fee_pips,
                    *amounts_of,
                    spec.tick_spacing,
                    spec.holds_ether,
                )
            )
        return tuple(steps)

    def _allowed(self, found: Floats, count: int, most: int, is_beyond: bool) -> list[Candidate]:
        """The best so many of those that simulations did not refuse."""
        if not self.refusals:
            return _candidates(found, min(count, most), is_beyond)
        return [one for one in _candidates(found, count, is_beyond) if not self.refusals.passes_over(one.edges)][:most]

    def _gas_of_legs(self) -> Floats:
        market, known = self._market, len(self._leg_gas)
        if known < len(market.edges):
            fresh = [leg_guess(market.specs[edge.pool].family) for edge in market.edges[known:]]
            self._leg_gas = np.concatenate([self._leg_gas, np.array(fresh, np.float64)])
        return self._leg_gas

    def _evaluate(
        self, candidate: Candidate | Route, amount: TokenAmount, overlay: Overlay, *, is_beyond: bool
    ) -> Route | Reason:
        """The best of what our lenders let be done of an amount; or all of it, as who funds it would do it."""
        market, rank, legs = self._market, candidate.rank, self._legs(candidate.edges, overlay)
        price, token = self.prices[rank], self._tokens[rank].address
        if price is None:
            return Reason.NOT_PROFITABLE
        specs = [market.specs[market.edges[edge].pool] for edge in candidate.edges]
        sources = self.lenders.sources(token, amount, specs, overlay.states)
        if is_beyond:
            if sources and sources[-1][1] >= amount:
                return Reason.NOT_PROFITABLE  # for another: we do it ourselves
            sources = [(leaders_vault(token), amount)]
        best: Route | None = None
        for lender, part in sources:
            amounts = exact_amounts(legs, part)
            if amounts is None:
                continue
            loan = flash_loan(lender, part)
            gain = amounts[-1] - part - loan.fee
            gas = self.gas.expected(lender.kind, [spec.family for spec in specs])
            gain_wei = price.wei_down(gain)
            surplus = Wei(gain_wei - gas * self.base_fee)
            if best is None or surplus > best.surplus_wei:
                best = Route(candidate.edges, rank, amounts, loan, gain, gain_wei, gas, surplus)
        if best is None:
            return Reason.NOT_PROFITABLE if sources else Reason.NO_FLASH_LENDER
        return Reason.ABOVE_VALUE_LIMIT if is_beyond and best.surplus_wei > self.most_funded else best

    def part_of(self, route: Route) -> Wei:
        """What we get of a route that another operator executes."""
        return Wei(route.gain_wei * self.share_of_funded // BASIS_POINTS_ONE)

    def _refined(self, route: Route, overlay: Overlay) -> Route:
        """The same route at the best amount nearby, with the same lender."""
        legs, lender = self._legs(route.edges, overlay), route.loan.lender

        def gain_of(amount: TokenAmount) -> int | None:
            amounts = exact_amounts(legs, amount)
            return None if amounts is None else amounts[-1] - amount - flash_loan(lender, amount).fee

        most = self._tokens[route.rank].max_input
        best = best_amount(gain_of, route.amounts[0], most, _EVALUATIONS)
        if best is None or best[1] <= route.gain:
            return route
        refined = self._evaluate(route, best[0], overlay, is_beyond=not route.loan.is_ours)
        return route if isinstance(refined, Reason) or refined.gain <= route.gain else refined

    def _legs(self, edges: tuple[int, ...], overlay: Overlay) -> list[Leg]:
        legs: list[Leg] = []
        for number in edges:
            edge = self._market.edges[number]
            state = overlay.state(edge.pool)
            if state is None:
                raise LookupError(f"the state of pool {edge.pool} is not known")
            legs.append((state, edge.index_in, edge.index_out))
        return legs


def least_out(amount_out: TokenAmount) -> TokenAmount:
    """The least that a leg must give on-chain."""
    return amount_out - amount_out * _LEG_SLACK // BASIS_POINTS_ONE


def _candidates(found: Floats, count: int, is_beyond: bool) -> list[Candidate]:
    """The first `count`."""
    candidates: list[Candidate] = []
    for amount, surplus, first, second, third, rank in found[:count].tolist():
        edges = (int(first), int(second), int(third)) if third >= 0 else (int(first), int(second))
        candidates.append(Candidate(edges, int(rank), int(amount), surplus, is_beyond))
    return candidates


def _buffers(size: int) -> tuple[Integers, Floats]:
    return np.empty(size, np.int64), np.empty((size, FOUND_WIDTH), np.float64)
