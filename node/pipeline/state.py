"""All that the pipeline knows. `step` alone changes it, and only by events: equal events make equal states."""

from __future__ import annotations

from collections import Counter

from node.pipeline.bids import BidPolicy
from node.pipeline.blocks import Blocks
from node.pipeline.bundle import BundleBuilder
from node.pipeline.detectors.backrun import BackrunDetector
from node.pipeline.detectors.cyclic_arbitrage import CyclicArbitrageDetector
from node.pipeline.detectors.liquidation import LiquidationDetector
from node.pipeline.detectors.residual import ResidualDetector
from node.pipeline.events import OrderArrived, TreasuryRead
from node.pipeline.finds import Given
from node.pipeline.lenders import LenderBook
from node.pipeline.lending.aave_book import AaveBook
from node.pipeline.lending.morpho_book import MorphoBook
from node.pipeline.loans import Loans, MorphoLoans
from node.pipeline.market import Market
from node.pipeline.network_view import NetworkView
from node.pipeline.pending import PendingBook
from node.pipeline.pending_answers import PendingAnswers
from node.pipeline.placed import Placed, Trial
from node.pipeline.plans import BundlePlan
from node.pipeline.pool_lenders import PoolLenders
from node.pipeline.ports import CallDataBuilder
from node.pipeline.reasons import Reason
from node.pipeline.risk import RiskGate
from node.pipeline.schedule import Schedule
from node.pipeline.search import Search
from node.pipeline.settings import PipelineSettings, RouterKind
from node.pipeline.unread import Unread
from node.pipeline.vaults import Vaults
from protocol.units import Address, Hash32, LegKey, UnixNanoseconds

MAX_OUTSTANDING = 4_096
"""Sent executions whose outcome is not known yet; the oldest is forgotten, and its reservation stays for the day."""


class PipelineState:
    """Wires the pipeline's parts together; nothing but data otherwise."""

    def __init__(self, settings: PipelineSettings, call_data: CallDataBuilder) -> None:
        bounds, tokens = settings.bounds, [token.address for token in settings.profit_tokens]
        self.settings = settings
        self.now = UnixNanoseconds(0)
        self.market = Market(tokens, bounds.max_pools, bounds.max_cycles, settings.traded)
        self.blocks = Blocks(self.market, bounds.undo_blocks)
        self.lenders = LenderBook(settings.lenders, PoolLenders(self.market) if settings.pools_lend else None)
        self.search = Search(self.market, settings.profit_tokens, self.lenders, bounds)
        self.book = PendingBook(bounds.max_pending_swaps)
        self.unread = Unread(bounds.pending_simulations_per_second)
        self.backruns = BackrunDetector(self.market, self.search, self.book, settings)
        self.residuals = ResidualDetector(self.market, self.search, self.book, settings)
        self.cyclic = CyclicArbitrageDetector(self.market, self.search, settings)
        self.loans = Loans(bounds.undo_blocks)
        self.morpho = MorphoLoans(bounds.undo_blocks)
        self.answers = PendingAnswers()
        self.liquidations = LiquidationDetector(self.market, self.search, settings)
        self.bids = BidPolicy(b"".join(settings.senders))
        self.gate = RiskGate(settings.limits, settings.profit_tokens)
        self.schedule = Schedule(BundleBuilder(settings, call_data))
        self.treasury: dict[Address, TreasuryRead] = {}
        self.vaults = Vaults()
        self.waiting: dict[Hash32, BundlePlan] = {}
        """Plans that wait for their simulation."""
        self.outstanding: dict[Hash32, Placed] = {}
        """Executions that were sent, by opportunity, until their outcome is known."""
        self.network: NetworkView | None = None
        """None for a node that belongs to no network, and until it is read."""
        self.given: dict[Hash32, Given] = {}
        """Finds handed over for the next block, by opportunity."""
        self.given_keys: set[LegKey] = set()
        self.given_now: set[Hash32] = set()
        self.given_before: set[Hash32] = set()
        """What was given for this block and the last one, whatever the block: by that a backup is told."""
        self.orders_waiting: dict[Hash32, OrderArrived] = {}
        """Others' orders that wait for their simulation, by order hash."""
        self.trials: dict[Hash32, Trial] = {}
        """Of them, those that have no place yet, by the plan that is simulated."""
        self.orders_early: list[OrderArrived] = []
        """Others' orders for a block of ours whose head has not come yet."""
        self.taken_keys: set[LegKey] = set()
        """Primary keys of orders that were accepted for the next block."""
        self.orders_tried: Counter[Address] = Counter()
        """How many of each finder's orders were looked at for the next block, by simulation."""
        self.orders_failed: dict[Address, int] = {}
        """How many of a finder's simulations in a row were not as it said, of those that ended with one."""
        self.dropped: dict[Reason, int] = {}
        """How often each reason occurred, also where there was no opportunity yet to record."""
        self.cycles_capped = 0
        self.routers: dict[str, RouterKind] = {"0x" + address.hex(): kind for address, kind in settings.routers.items()}

    def books(self) -> list[AaveBook | MorphoBook]:
        """The lenders' books that are known."""
        return [book for book in (self.loans.book, self.morpho.book) if book is not None]

    def count(self, reason: Reason, times: int = 1) -> None:
        """Count a drop."""
        if times:
            self.dropped[reason] = self.dropped.get(reason, 0) + times
