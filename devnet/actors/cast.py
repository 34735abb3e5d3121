"""Who plays: the actors of a world, each with its accounts, and what has to be read for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from devnet.accounts import account as named_account
from devnet.actors.borrowers import Borrowers
from devnet.actors.flow import Informed, Traders, Whales
from devnet.actors.intents import BundleIntent, Intent
from devnet.actors.market import WETH, Market
from devnet.actors.oracle import Oracle, is_stable
from devnet.actors.parameters import Parameters
from devnet.actors.pending import PendingSwap
from devnet.actors.providers import Providers
from devnet.actors.randomness import Dice
from devnet.actors.reading import Holdings
from devnet.actors.rival import EXECUTOR as RIVAL_EXECUTOR
from devnet.actors.rival import Rival
from devnet.actors.sandwicher import EXECUTOR as SANDWICH_EXECUTOR
from devnet.actors.sandwicher import Sandwicher
from devnet.actors.view import View

FLOW_PARTICIPANT: Final = "actors"
"""Name of all order flow in lockstep; the searchers take part under their own names."""
PARTICIPANTS: Final = ((FLOW_PARTICIPANT, 0), (Rival.name, 1), (Sandwicher.name, 1))
"""Who takes part in lockstep, each with its stage: the order flow as one, then each searcher."""


class FlowActor(Protocol):
    """Plans public transactions from a view."""

    @property
    def name(self) -> str:
        """Unique among the actors."""

    def plan(self, view: View, dice: Dice) -> list[Intent]:
        """Return what to send for the next block; pure."""


class Searcher(Protocol):
    """Plans bundles from a view and what is pending."""

    @property
    def name(self) -> str:
        """Unique among the actors; also its name in lockstep."""

    def plan(self, view: View, pending: Sequence[PendingSwap], dice: Dice) -> list[BundleIntent]:
        """Return what to offer for the next block; pure."""


@dataclass(frozen=True, slots=True)
class Cast:
    """All actors. `flow` in the order in which they plan, `searchers` in the order in which they act."""

    flow: tuple[FlowActor, ...]
    searchers: tuple[Searcher, ...]
    accounts: tuple[str, ...]
    """Names of all accounts that sign."""
    holdings: tuple[Holdings, ...]
    providers: tuple[str, ...]
    borrowers: tuple[str, ...]


def assemble(market: Market, parameters: Parameters, block_seconds: float) -> Cast:
    """Return the cast for a world; a role without accounts has an actor that does nothing."""
    funded: Mapping[str, tuple[str, ...]] = market.manifest.funded
    traders, whales = funded.get("trader", ()), funded.get("whale", ())
    providers, borrowers = funded.get("liquidity_provider", ()), funded.get("borrower", ())
    rivals, sandwichers = funded.get("rival", ()), funded.get("sandwicher", ())
    oracles = funded.get("oracle", ())
    plain = tuple(symbol for symbol, token in market.tokens.items() if token.kind == "plain")
    everything = tuple(market.tokens)
    with_price = tuple(s for s, token in market.tokens.items() if s == WETH or is_stable(token.usd_price_e8))
    holdings = [Holdings(name, named_account(name).address, everything) for name in traders]
    holdings += [Holdings(name, named_account(name).address, plain) for name in (*whales, *providers, *borrowers)]
    holdings += [Holdings(name, named_account(name).address, with_price) for name in sandwichers]
    holdings.append(Holdings(RIVAL_EXECUTOR, market.contract(RIVAL_EXECUTOR), (WETH,)))
    holdings.append(Holdings(SANDWICH_EXECUTOR, market.contract(SANDWICH_EXECUTOR), with_price))
    return Cast(
        flow=(
            Oracle(market, parameters.oracle, oracles, block_seconds),
            Traders(market, parameters.traders, traders),
            # Two actors must not plan with one balance, so the deep pockets are shared out.
            Whales(market, parameters.whales, whales[::2]),
            Informed(market, parameters.informed, whales[1::2]),
            Providers(market, parameters.providers, providers),
            Borrowers(market, parameters.borrowers, borrowers),
        ),
        searchers=(
            Rival(market, parameters.rival, rivals),
            Sandwicher(market, parameters.sandwicher, sandwichers),
        ),
        accounts=(*oracles, *traders, *whales, *providers, *borrowers, *rivals, *sandwichers),
        holdings=tuple(holdings),
        providers=tuple(providers),
        borrowers=tuple(borrowers),
    )
