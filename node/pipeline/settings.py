"""Everything that an operator, or the chain, sets for the pipeline: one frozen value, the same for a whole run."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from node.pipeline.amm.units import TokenAmount
from node.pipeline.plans import FlashLender
from node.pipeline.pools import PoolFamily
from protocol.units import Address, BasisPoints, ChainId, Wei

NANOSECONDS_PER_SECOND = 1_000_000_000


class RouterKind(StrEnum):
    """Which call data a contract takes."""

    UNISWAP_V2 = "uniswap_v2"
    SUSHI_V2 = "sushi_v2"
    UNISWAP_V3 = "uniswap_v3"
    SWAP_ROUTER_02 = "swap_router_02"
    BALANCER_V2 = "balancer_v2"
    UNIVERSAL = "universal_router"
    CURVE = "curve_router"


class ProfitToken(msgspec.Struct, frozen=True):
    """A token in which profit is taken; cycles begin and end in it."""

    address: Address
    """Of the token."""
    max_input: TokenAmount
    """The most that one bundle may put in, flash loan included."""
    max_daily_turnover: TokenAmount
    """The most that a day's (UTC) bundles may put in together."""


class RiskLimits(msgspec.Struct, frozen=True):
    """What the risk gate holds every execution to; the tighter of the operator's and the chain's numbers."""

    minimum_net_profit: Wei = Wei(0)
    """After gas, flash fee and bid."""
    max_gas_share: BasisPoints = BasisPoints(8_000)
    """Gas (without the bid) as a share of the gross profit."""
    max_bid: Wei = Wei(10**18)
    """The vault's cap on what one execution may pay to the builder."""
    max_daily_spend: Wei = Wei(10**18)
    """Gas and priority fees of a day (UTC) that the hot keys may pay."""
    max_executions_per_block: int = 8
    """Of all hot keys together."""
    max_head_age_ns: int = 30 * NANOSECONDS_PER_SECOND
    """Of the last block: with an older one nothing is executed."""
    breaker_window: int = 20
    """Of the last so many executions that reached a verdict …"""
    breaker_failures: int = 10
    """… at most so many may have reverted on the chain; one more opens the breaker."""
    breaker_pause_ns: int = 60 * NANOSECONDS_PER_SECOND
    """How long an open breaker stays open."""
    treasury_warning: Wei = Wei(10**17)
    """Alert when a hot key's balance is below."""


class Bounds(msgspec.Struct, frozen=True):
    """How much the pipeline holds and how far it looks. What happens at each bound is said where it is applied."""

    undo_blocks: int = 64
    """Of a reorganisation that is undone block by block; a deeper one reads everything anew."""
    max_pools: int = 20_000
    """Pools beyond are not followed."""
    max_cycles: int = 2_000_000
    """Cycles beyond are not screened."""
    max_pending_swaps: int = 4_096
    """Of the overlay; the oldest leave."""
    pending_blocks: int = 12
    """A pending swap that no block took in so many blocks is forgotten."""
    pending_simulations_per_second: int = 50
    """Pending transactions that no decoder reads and that are simulated instead; those beyond are left alone."""
    victims_per_bundle: int = 4
    """Pending swaps that one execution stands behind at most."""
    finalists: int = 8
    """Cycles that the screen hands on to be sized."""
    exact_finalists: int = 3
    """Sized cycles that are computed in exact integers."""
    finds_per_block_start: int = 16
    """Opportunities that one new block may give at most."""
    plans_waiting: int = 256
    """For their simulation or signature."""


class PipelineSettings(msgspec.Struct, frozen=True):
    """See the module. `profit_tokens` in order of preference, first the wrapped coin (WETH), in which gas counts.

    `entry_point`: the contract that our transactions call (the vault module). `routers`: which contracts' call data is
    read. `senders`: hot keys; each has its own nonces, and so its own bundle a block. `pools_lend`: whether Uniswap
    V3's pools are flash lenders beside `lenders`. `simulate`: whether a plan waits for `BundleSimulated`;
    `simulate_pending`: whether pending transactions that no decoder reads are simulated. `traded`: the families that
    the executor has venues for; the others' pools are seen, not traded.
    """

    chain_id: ChainId
    entry_point: Address
    profit_tokens: tuple[ProfitToken, ...]
    lenders: tuple[FlashLender, ...]
    routers: dict[Address, RouterKind]
    senders: tuple[Address, ...]
    pools_lend: bool = False
    limits: RiskLimits = RiskLimits()
    bounds: Bounds = Bounds()
    simulate: bool = False
    simulate_pending: bool = False
    traded: frozenset[PoolFamily] = frozenset(PoolFamily)

    @property
    def wrapped_coin(self) -> Address:
        """The token whose smallest unit is a wei."""
        return self.profit_tokens[0].address
