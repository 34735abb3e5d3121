"""A market that is out of balance, and orders on it: a finder's, executed by the leader of the block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from devnet.accounts import Account, account
from devnet.scenarios.cast import Seat
from devnet.scenarios.stage import ScenarioFailed, Stage
from governance.actions import Action
from governance.contracts import VAULT_MODULE
from governance.executor import ConcentratedHop, OrderToExecute, PairHop, PairVenue, Plan, encode_execution
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256
from protocol.leaders import EpochTable, Turn
from protocol.signing import sign
from protocol.statements import Order
from protocol.units import (
    Address,
    BasisPoints,
    BlockNumber,
    Hash32,
    LegKey,
    TokenAmount,
    Wei,
    address_from_hex,
)

DRAWN: Final = TokenAmount(10**18)
_WHALE: Final = account("whale-0")
_SWAP: Final = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
_USDC_IN: Final = 900_000 * 10**6


async def unbalance(stage: Stage) -> None:
    """Let a whale make WETH dear on Uniswap V2, so that selling it there and buying it on V3 earns."""
    await stage.act(_WHALE, unbalancing(stage, _WHALE, _USDC_IN))


def unbalancing(stage: Stage, who: Account, amount: int) -> Action:
    """Return the trade that makes WETH dear."""
    weth, usdc = (stage.manifest.token(symbol).address for symbol in ("WETH", "USDC"))
    data = encode_call(_SWAP, amount, 0, [usdc, weth], who.address, 2**40)
    router = address_from_hex(stage.manifest.contracts["uniswap_v2_router"])
    title = f"buy WETH for {amount // 10**6:,} USDC at any price"
    return Action(contract="UniswapV2Router02", to=router, data=data, title=title)


async def order_for_next_block(stage: Stage, table: EpochTable, seats: Sequence[Seat]) -> tuple[Seat, Plan]:
    """Return who leads the next block, and its plan: the order of another of them for it."""
    number, _ = await stage.head()
    target = BlockNumber(number + 1)
    turn = table.leader(target)
    if turn is None:
        raise ScenarioFailed(f"block {target} has no leader")
    leader = next(seat for seat in seats if seat.account == turn.operator)
    finder = stage.random.choice([seat for seat in seats if seat is not leader])
    return leader, selling_weth(stage, target, order_of(stage, finder, target, turn))


def order_of(stage: Stage, finder: Seat, target: BlockNumber, turn: Turn) -> OrderToExecute:
    """Return a finder's order for the leader of a block."""
    order = Order(
        finder=finder.account,
        executor=turn.operator,
        target_block=target,
        finder_bps=BasisPoints(stage.random.randrange(3_000, 7_000)),
        min_finder_wei=TokenAmount(10**12),
        profit_token=address_from_hex(stage.manifest.token("WETH").address),
        pay_to=finder.safe,
        primary_key=LegKey(Hash32(keccak256(target.to_bytes(32, "big")))),
        route_commit=Hash32(b"\x08" * 32),
    )
    return OrderToExecute(order, sign(stage.domain, order, finder.hot_key.key), turn.entry)


def selling_weth(stage: Stage, target: BlockNumber, network: OrderToExecute | None) -> Plan:
    """Return a plan that sells WETH on V2 and buys it on V3."""
    weth, usdc = (address_from_hex(stage.manifest.token(symbol).address) for symbol in ("WETH", "USDC"))
    return Plan(
        last_block=target,
        minimum_profit=TokenAmount(0),
        builder_payment=Wei(0),
        loan=None,
        hops=(
            PairHop(venue=PairVenue.UNISWAP_V2, token_out=usdc, minimum_out=TokenAmount(0)),
            ConcentratedHop(token_out=weth, fee_pips=500, minimum_out=TokenAmount(0)),
        ),
        network=network,
    )


def execute_order(stage: Stage, leader: Seat, plan: Plan) -> Action:
    """Return the execution of a plan by its leader's vault."""
    return execution(stage, leader.safe, plan, "execute another operator's order")


def execution(stage: Stage, safe: Address, plan: Plan, title: str, drawn: TokenAmount = DRAWN) -> Action:
    """Return the execution of a plan with a Safe's WETH."""
    weth = address_from_hex(stage.manifest.token("WETH").address)
    module = address_from_hex(stage.manifest.contracts["vault_module"])
    return Action(contract=VAULT_MODULE, to=module, data=encode_execution(safe, weth, drawn, plan), title=title)
