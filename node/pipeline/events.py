"""What goes into the pipeline (events, named by their origin) and what comes out (effects, named by their destination).

All frozen. Time comes in as data (`now`, `received_at`, node time in nanoseconds); nothing in the pipeline reads a
clock. The same events in the same order give the same effects, live and in a replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

import msgspec

from node.pipeline.amm.units import Liquidity, LiquidityDelta, SqrtPriceX96, Tick, TokenAmount, TokenDelta
from node.pipeline.lending.aave_book import AaveBook, LoanLog
from node.pipeline.lending.aave_v3 import Position
from node.pipeline.lending.morpho_book import MorphoBook
from node.pipeline.network_view import NetworkView
from node.pipeline.plans import BundlePlan, Execution, Opportunity
from node.pipeline.pools import PoolId, PoolSpec, PoolState
from node.pipeline.reasons import Reason
from node.pipeline.risk import DayUse, StoppedBy
from protocol.ethereum.transactions import SignedTransaction
from protocol.kinds import DeclineReason
from protocol.statements import Order
from protocol.units import Address, BlockNumber, Gas, Hash32, SignatureBytes, UnixNanoseconds, UnixSeconds, Wei

# What a block changes in a pool, as its logs tell it. In the order of the logs; a pool may occur more than once.


class ReservesSet(msgspec.Struct, frozen=True, gc=False, tag=True):
    """`Sync` of Uniswap V2 and its like: the reserves from here on."""

    pool_id: PoolId
    reserve0: TokenAmount
    reserve1: TokenAmount


class PriceMoved(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Uniswap V3 and V4 `Swap`: price, liquidity in range and tick from here on."""

    pool_id: PoolId
    sqrt_price_x96: SqrtPriceX96
    liquidity: Liquidity
    tick: Tick


class LiquidityChanged(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Uniswap V3 `Mint` (positive) or `Burn` (negative), V4 `ModifyLiquidity`, over lower … upper."""

    pool_id: PoolId
    lower: Tick
    upper: Tick
    delta: LiquidityDelta


class BalancesChanged(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Balancer V2 `Swap` and `PoolBalanceChanged`, a vault's `Deposit` and `Withdraw`: what each balance grew by, in
    the pool's own order of tokens.
    """

    pool_id: PoolId
    deltas: tuple[TokenDelta, ...]


class CoinsExchanged(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Curve `TokenExchange`: what went in and out; the balances follow by the pool's own maths, which it checks."""

    pool_id: PoolId
    index_in: int
    index_out: int
    amount_in: TokenAmount
    amount_out: TokenAmount


class CoinsChanged(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Curve `AddLiquidity` (positive) and its withdrawals (negative), and the fees of which the admin has a share."""

    pool_id: PoolId
    deltas: tuple[TokenDelta, ...]
    fees: tuple[TokenAmount, ...]


class StateOutdated(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Something changed the pool and the log does not say all of it: the state is to be read."""

    pool_id: PoolId


PoolChange: TypeAlias = (
    ReservesSet | PriceMoved | LiquidityChanged | BalancesChanged | CoinsExchanged | CoinsChanged | StateOutdated
)


# Events


class PoolDiscovered(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A factory announced a pool. It takes part once it is synced and its tokens passed the screen."""

    spec: PoolSpec


class PoolSynced(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A pool's whole state as read from the chain after `block`; ends a quarantine."""

    pool_id: PoolId
    state: PoolState
    block: BlockNumber


class PoolQuarantined(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A pool's state is not to be trusted (`why`, for the log) until it is synced again."""

    pool_id: PoolId
    why: str


class TokenVerdict(StrEnum):
    """What the token screen found."""

    PLAIN = "plain"
    TAKES_FEE = "takes_fee"
    REBASES = "rebases"
    HONEYPOT = "honeypot"
    PAUSABLE = "pausable"
    BLACKLISTS = "blacklists"
    UNKNOWN = "unknown"


class TokenScreened(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The screen's verdict on a token; `trusted` says whether the operator's configuration lets it into cycles."""

    token: Address
    verdict: TokenVerdict
    trusted: bool


class BlockArrived(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A new head, with what it changed in pools that we follow and the hashes of its transactions."""

    number: BlockNumber
    hash: Hash32
    parent_hash: Hash32
    timestamp: UnixSeconds
    base_fee: Wei
    gas_limit: Gas
    gas_used: Gas
    pool_changes: tuple[PoolChange, ...]
    included: tuple[Hash32, ...]
    now: UnixNanoseconds
    loan_logs: tuple[LoanLog, ...] = ()
    """Of Aave, and of the feeds that it asks."""
    morpho_logs: tuple[LoanLog, ...] = ()
    """Of Morpho, and of the feeds that its oracles ask."""


class BlockRetracted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The head is not on the chain any more: its changes are undone. Retract from the newest downwards."""

    hash: Hash32
    now: UnixNanoseconds


class PendingTransactionSeen(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A pending transaction with call data, its hash checked against its bytes.

    `account_nonce` is the sender's next nonce on the chain, None where the collector does not know it.
    """

    transaction: SignedTransaction
    received_at: UnixNanoseconds
    account_nonce: int | None = None


class PendingGone(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A pending transaction was replaced or dropped (inclusion is told by the block)."""

    hash: Hash32
    why: str


class PendingSimulated(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The answer to `SimulatePending`: what the last of its transactions changes in followed pools, in the order of its
    logs, if the next block after `on_block` has them; or why that is not known.
    """

    transaction_hash: Hash32
    on_block: Hash32
    failure: Reason | None
    pool_changes: tuple[PoolChange, ...]
    now: UnixNanoseconds


class BundleSimulated(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The answer to `SimulateBundle`: `failure` None if it ran clean; `profits` in smallest units and `own_gas`, one an
    execution. `gas_used`: by all transactions of the bundle.
    """

    plan_id: Hash32
    failure: Reason | None
    profits: tuple[TokenAmount, ...]
    gas_used: Gas
    now: UnixNanoseconds
    own_gas: tuple[Gas, ...] = ()


class ExecutionLanded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A transaction of ours is in a block and succeeded; what it really brought and cost."""

    opportunity_id: Hash32
    block: BlockNumber
    profit: TokenAmount
    gas_used: Gas
    spent_wei: Wei


class ExecutionMissed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A submitted execution is not in its target block, or reverted there; `spent_wei` is what that cost.

    Where somebody else took it and it is known: what the builder got from the winner's own transaction, priority fee
    and transfers (`winning_bid_wei`), and the gas that this used (`winning_gas`).
    """

    opportunity_id: Hash32
    reason: Reason
    spent_wei: Wei
    winning_bid_wei: Wei | None = None
    winning_gas: Gas | None = None


class HotKeyUsed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A hot key of ours paid for what no outcome tells of; or its nonce rose and nothing says why (`spent_wei` 0).

    `strange`: what is wrong with that, for the alert; empty where nothing is: membership pays too.
    """

    sender: Address
    spent_wei: Wei
    reverted: bool
    strange: str


class TreasuryRead(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Balance and next nonce of a hot key of ours, as of the last block."""

    address: Address
    balance: Wei
    nonce: int


class SenderReplaced(msgspec.Struct, frozen=True, gc=False, tag=True):
    """From the coming block on a vault executes for another hot key of ours."""

    former: Address
    present: Address


class LenderRead(msgspec.Struct, frozen=True, gc=False, tag=True):
    """How much of a token a flash lender has."""

    lender: Address
    token: Address
    available: TokenAmount


class VaultRead(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What the Safe of a hot key of ours allows of a profit token: the most that one execution may draw of it, 0 for
    borrowed funds only; None where the token is not pinned, so that nothing is executed in it at all.
    """

    sender: Address
    token: Address
    drawable: TokenAmount | None


class LoansRead(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A lender's loans as read from the chain after `block`: all of them, or with `book` None these positions anew."""

    block: BlockNumber
    book: AaveBook | MorphoBook | None
    positions: Mapping[str, Position] = {}


class RatesRead(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What debt grows by in markets of Morpho's after `block`, a second, in 18 decimals."""

    block: BlockNumber
    rates: Mapping[bytes, int]


class LimitsResumed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What an earlier process used of a day's limits; before everything else."""

    use: DayUse


class KillSwitchSet(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The kill switch was turned on, or off; it stays on as long as anybody wants it on."""

    on: bool
    why: str
    by: StoppedBy = StoppedBy.OPERATOR


class NetworkRead(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The network as it is after the last block."""

    view: NetworkView


class OrderAnswer(StrEnum):
    """What became of an order that we gave."""

    ACCEPT = "accept"
    HAVE = "have"
    DECLINE = "decline"
    SILENT = "silent"


class OrderAnswered(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The leader's answer to an order of ours, or that none came in time."""

    opportunity_id: Hash32
    answer: OrderAnswer
    now: UnixNanoseconds


class OrderArrived(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Another operator's order, its signature and its box checked; answer by an `AnswerOrder` of the same number."""

    number: int
    order: Order
    order_hash: Hash32
    signature: SignatureBytes
    route: bytes
    now: UnixNanoseconds


class TimePassed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The node's clock, at least every second."""

    now: UnixNanoseconds


Event: TypeAlias = (
    PoolDiscovered
    | PoolSynced
    | PoolQuarantined
    | TokenScreened
    | BlockArrived
    | BlockRetracted
    | PendingTransactionSeen
    | PendingGone
    | PendingSimulated
    | BundleSimulated
    | ExecutionLanded
    | ExecutionMissed
    | HotKeyUsed
    | TreasuryRead
    | SenderReplaced
    | LenderRead
    | VaultRead
    | LoansRead
    | RatesRead
    | LimitsResumed
    | KillSwitchSet
    | NetworkRead
    | OrderAnswered
    | OrderArrived
    | TimePassed
)


# Effects


class SimulateBundle(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the simulator: run this bundle on the head's state; answer with `BundleSimulated`. `ahead`: executions of
    other bundles of ours that it was computed behind, which run before it with what they stand behind themselves.
    """

    plan: BundlePlan
    ahead: tuple[Execution, ...] = ()


class SimulatePending(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the simulator: run these transactions of one sender on the state after `on_block`, which is the head; answer
    for the last of them with `PendingSimulated`.
    """

    transactions: tuple[SignedTransaction, ...]
    on_block: Hash32
    base_fee: Wei
    """Of the next block."""


class SignAndSubmit(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the signer and the relays: this plan passed the risk gate."""

    plan: BundlePlan


class CancelBundle(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the relays: withdraw what was sent under `replaces`, because nothing of it is worth sending any more."""

    replaces: Hash32
    target_block: BlockNumber
    reason: Reason


class RecordOpportunity(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the ledger: a find that is going to be executed, before it is sent."""

    opportunity: Opportunity


class RecordDrop(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the ledger: an opportunity goes no further."""

    opportunity: Opportunity
    reason: Reason


class ResyncPools(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the chain reader: read these pools anew; an empty tuple means all of them."""

    pool_ids: tuple[PoolId, ...]
    why: str


class ResyncLoans(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the chain reader: read these borrowers' positions; an empty tuple means the lender's whole book."""

    users: tuple[str, ...]
    why: str
    is_morpho: bool = False
    """Morpho's book, not Aave's."""


class ScreenTokens(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the chain reader: screen these tokens anew; the verdicts come as `TokenScreened`."""

    tokens: tuple[Address, ...]
    why: str


class HandOver(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the network: sign this order, seal it with its route to its leader, and ask."""

    opportunity: Opportunity
    order: Order
    route: bytes
    lack: str
    """What we lack to execute it ourselves."""
    is_backup: bool
    """Whether the same was given to the leader of the block before."""


class OrderVerdict(StrEnum):
    """What we say to an order."""

    ACCEPT = "accept"
    HAVE = "have"
    DECLINE = "decline"


class AnswerOrder(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the network: answer an `OrderArrived`. An accept is signed by the store only; where that refuses, the order
    must not be executed. `reason` of a decline."""

    number: int
    order: Order
    order_hash: Hash32
    verdict: OrderVerdict
    reason: DeclineReason | None = None


class AlertKind(StrEnum):
    """What an operator should look at."""

    REORG_TOO_DEEP = "reorg_too_deep"
    PARENT_UNKNOWN = "parent_unknown"
    POOL_QUARANTINED = "pool_quarantined"
    POOL_SUSPENDED = "pool_suspended"
    BREAKER_OPENED = "breaker_opened"
    KILL_SWITCH = "kill_switch"
    TREASURY_LOW = "treasury_low"
    STRAY_TRANSACTION = "stray_transaction"
    """A hot key was used by what no outcome tells of."""
    CYCLES_CAPPED = "cycles_capped"
    LOANS_UNKNOWN = "loans_unknown"


class RaiseAlert(msgspec.Struct, frozen=True, gc=False, tag=True):
    """To the operator."""

    kind: AlertKind
    detail: str


Effect: TypeAlias = (
    SimulateBundle
    | SimulatePending
    | SignAndSubmit
    | CancelBundle
    | RecordOpportunity
    | RecordDrop
    | ResyncPools
    | ResyncLoans
    | ScreenTokens
    | HandOver
    | AnswerOrder
    | RaiseAlert
)
