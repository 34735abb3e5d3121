"""What the pipeline decides: opportunities, the executions that take them, and the bundle that carries both.

The order in a bundle is not a choice: `BundlePlan` holds the others' transactions and our executions apart, and its one
order is all of theirs, then all of ours. There is no value of these types in which a transaction of ours stands before
a victim's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TypeVar

import msgspec

from node.pipeline.amm.units import FeePips, TokenAmount
from node.pipeline.pools import PoolFamily, PoolId
from protocol.ethereum.transactions import SignedTransaction
from protocol.kinds import OpportunityKind
from protocol.statements import Order
from protocol.units import ZERO_ADDRESS, Address, BlockNumber, Gas, Hash32, SignatureBytes, UnixNanoseconds, Wei

_Slot = TypeVar("_Slot")


class LenderKind(StrEnum):
    """Where the working capital of one execution comes from."""

    BALANCER_V2 = "balancer_v2"
    AAVE_V3 = "aave_v3"
    UNISWAP_V3 = "uniswap_v3"
    VAULT = "vault"


class FlashLender(msgspec.Struct, frozen=True, gc=False):
    """One source of a token: the contract that lends it, its fee, and the most that it lends (None: not known).

    `address` is the Balancer vault, the Aave pool, the Uniswap V3 pool or the vault module; zero for another operator's
    vault, which is none of our sources.
    """

    kind: LenderKind
    address: Address
    token: Address
    fee_pips: FeePips
    available: TokenAmount | None = None
    other_token: Address | None = None
    """Uniswap V3 only: the pool's other token."""


class FlashLoan(msgspec.Struct, frozen=True, gc=False):
    """What is borrowed, and the fee that is paid back on top."""

    lender: FlashLender
    amount: TokenAmount
    fee: TokenAmount

    @property
    def is_ours(self) -> bool:
        """Whether a source of ours has it; else another operator would execute, and fund it."""
        return self.lender.address != ZERO_ADDRESS


class SwapStep(msgspec.Struct, frozen=True, gc=False, tag=True):
    """One leg of a route with its exact amounts; `minimum_out` is the least that it must give on-chain.

    `tick_spacing` and `in_ether` are Uniswap V4's: part of the pool's name; and that it holds ether where the route
    holds the wrapped coin.
    """

    pool_id: PoolId
    family: PoolFamily
    address: Address
    token_in: Address
    token_out: Address
    index_in: int
    index_out: int
    fee_pips: FeePips
    amount_in: TokenAmount
    amount_out: TokenAmount
    minimum_out: TokenAmount
    tick_spacing: int = 0
    in_ether: bool = False


class LiquidationVenue(StrEnum):
    """Which lender a liquidation is made at."""

    AAVE_V3 = "aave_v3_liquidation"
    MORPHO_BLUE = "morpho_blue_liquidation"


class MorphoTerms(msgspec.Struct, frozen=True, gc=False):
    """What names a market of Morpho's beside its two tokens, and how many shares of the debt are repaid."""

    oracle: Address
    rate_model: Address
    lltv: int
    repaid_shares: int


class LiquidationStep(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A leg that repays a borrower's debt (`token_in`) and takes collateral (`token_out`); `address` is the lender's.

    `amount_in` is what the lender is given: no more than the close factor, the debt and the collateral let it take.
    """

    family: LiquidationVenue
    address: Address
    borrower: Address
    token_in: Address
    token_out: Address
    amount_in: TokenAmount
    amount_out: TokenAmount
    minimum_out: TokenAmount
    terms: MorphoTerms | None = None
    """Morpho's alone."""

    @property
    def pool_id(self) -> PoolId:
        """By what the ledger and the outcomes name what was contended for: the borrower."""
        return self.borrower


Step = SwapStep | LiquidationStep
"""A leg of a route."""


class NetworkOrder(msgspec.Struct, frozen=True, gc=False):
    """Another operator's order that an opportunity executes: signed by its finder; `entry` is ours in the epoch."""

    order: Order
    order_hash: Hash32
    signature: SignatureBytes
    entry: int


class Opportunity(msgspec.Struct, frozen=True, gc=False):
    """A find: what, where, what it brings before gas and bid, and until when.

    `gross_profit` is in smallest units of `profit_token`, after the flash fee; `gross_profit_wei` the same in wei at
    the reference price. `victims` are the transactions that must run first, in this order.
    """

    id: Hash32
    kind: OpportunityKind
    target_block: BlockNumber
    steps: tuple[Step, ...]
    loan: FlashLoan
    profit_token: Address
    gross_profit: TokenAmount
    gross_profit_wei: Wei
    gas: Gas
    victims: tuple[SignedTransaction, ...]
    seen_at: UnixNanoseconds
    order: NetworkOrder | None = None
    """None for a find of our own; else the profit is what is left after the finder's part and the fee."""
    behind: tuple[Hash32, ...] = ()
    """Better finds of ours behind which it was computed: what it brings holds where they are executed before it."""


class Bid(msgspec.Struct, frozen=True, gc=False):
    """What the builder gets: a priority fee on the gas from the hot key, and a transfer out of the profit (WETH only).

    `share_bucket` is the bid policy's own mark, by which it learns from the outcome.
    """

    priority_fee_per_gas: Wei
    coinbase_wei: Wei
    share_bucket: int


class Execution(msgspec.Struct, frozen=True, gc=False):
    """One transaction of ours: an opportunity, the exact integers of its call, and its gas and nonce.

    `minimum_profit` (smallest units of the profit token) is enforced on-chain, as what is left after the coinbase
    payment.
    """

    opportunity: Opportunity
    bid: Bid
    minimum_profit: TokenAmount
    net_profit_wei: Wei
    gas_limit: Gas
    max_fee_per_gas: Wei
    sender: Address
    nonce: int
    call_data: bytes


class BundlePlan(msgspec.Struct, frozen=True, gc=False):
    """A bundle for one block: the others' transactions first, then ours. See the module's docstring.

    `entry_point` is the contract that our transactions call. A later plan with the same `replaces` takes the place of
    an earlier one at the relays.
    """

    id: Hash32
    target_block: BlockNumber
    victims: tuple[SignedTransaction, ...]
    executions: tuple[Execution, ...]
    entry_point: Address
    chain_id: int
    replaces: Hash32

    def in_order(self, theirs: Callable[[SignedTransaction], _Slot], ours: Callable[[Execution], _Slot]) -> list[_Slot]:
        """Return what the two functions make of the transactions, in the bundle's one order."""
        return [*map(theirs, self.victims), *map(ours, self.executions)]

    @property
    def opportunities(self) -> Iterator[Opportunity]:
        """The opportunities that this bundle takes."""
        return (execution.opportunity for execution in self.executions)

    @property
    def net_profit_wei(self) -> Wei:
        """What all executions together bring after gas and bids, at the reference price."""
        return Wei(sum(execution.net_profit_wei for execution in self.executions))
