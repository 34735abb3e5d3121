"""The funds' side of an operator's life, from brownie: a Safe opens its vault, and an order is executed out of it."""

from __future__ import annotations

from typing import Final

from governance.contracts import ARB_EXECUTOR, VAULT_MODULE
from governance.deploy_plan import LEDGER, STREAM
from governance.executor import ConcentratedHop, OrderToExecute, PairHop, PairVenue, Plan, encode_plan
from governance.vaults import SafeTransaction, enable_module_call, open_vault_call
from protocol.ethereum.abi import encode_call
from protocol.leaders import EpochTable
from protocol.signing import digest, sign
from protocol.statements import Order
from protocol.units import Address, BasisPoints, BlockNumber, Hash32, LegKey, TokenAmount, Wei, address_from_hex
from tests.contracts.brownie_network import CHAIN, ETHER, Network, height, mine_to, refusal, view

LEG: Final = LegKey(Hash32(b"\x07" * 32))
SHARE: Final = BasisPoints(6_000)
_DRAWN: Final = TokenAmount(ETHER)
_WHALES_USDC: Final = 900_000 * 10**6
_SWAP: Final = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
_OUT: Final = "getAmountsOut(uint256,address[])"
_QUOTE: Final = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
_FEE_PIPS: Final = 500


def dues(net: int) -> tuple[int, int]:
    """Of a net profit in the stream's token: the finder's share, rounded up, and the protocol's hundredth."""
    return -(-net * SHARE // 10_000), net // 100


def owners_do(network: Network, to: Address, data: bytes) -> None:
    """A transaction of the Safe, signed by two owners; anybody brings it to the chain."""
    safe = network.given.safe
    transaction = SafeTransaction(to, data, view(safe, "nonce()", "uint256"))
    signed = transaction.digest(CHAIN, address_from_hex(safe))
    signatures = {network.raw(one): network.key(one).sign_digest(signed) for one in ("owner-0", "owner-1")}
    network.who["bob"].transfer(safe, 0, data="0x" + transaction.execution(signatures).hex())


def open_the_vault(network: Network) -> None:
    """The owners of a Safe enable the module and open its vault for Alice's hot key."""
    module, executor, weth = (
        address_from_hex(network.at[name].address) for name in (VAULT_MODULE, ARB_EXECUTOR, "weth")
    )
    opening = open_vault_call(network.raw("alice-hot"), executor, Wei(ETHER), [(weth, _DRAWN)])
    with network.step("the Safe opens its vault"):
        owners_do(network, address_from_hex(network.given.safe), enable_module_call(module))
        owners_do(network, module, opening)
    assert network.at[VAULT_MODULE].vaultOf(network.given.safe)["operator"] == network.who["alice-hot"]


def execute_an_order(network: Network, table: EpochTable) -> int:
    """Bob's order, in the first block that Alice leads, out of the Safe. Return the net profit.

    What it must be is what the protocols' own router and quoter say in the block before.
    """
    _make_weth_dear(network)
    alice, hot, at = network.raw("alice"), network.who["alice-hot"], network.at
    turns = {number: table.leader(BlockNumber(number)) for number in range(height() + 1, height() + 20)}
    target, turn = next((number, turn) for number, turn in turns.items() if turn and turn.operator == alice)
    assert at[LEDGER].leaderOf(target, turn.entry) == network.who["alice"]
    order = _order(network, BlockNumber(target))
    plan = encode_plan(_plan(network, order, turn.entry))
    mine_to(target - 1)
    net = _quoted(network) - _DRAWN
    paid, fee = dues(net)
    assert paid > order.min_finder_wei
    call = (network.given.safe, at["weth"], _DRAWN, plan)
    execute = at[VAULT_MODULE].execute
    assert refusal(execute, *call, by=hot) == f"WrongBlock: {target}", "brownie asks as if in the latest block"
    moves = {("safe", "WETH"): net - paid - fee, ("bob", "WETH"): paid, (STREAM, "WETH"): fee}
    with network.step("the order is executed and its finder paid", moves):
        told = execute(*call, {"from": hot, "gas_limit": 2_000_000, "allow_revert": True})
    assert told.block_number == target
    executed = told.events["Executed"]
    assert bytes(executed["orderHash"]) == digest(network.domain, order)
    assert (executed["net"], executed["paid"], executed["fee"]) == (net, paid, fee)
    assert at["weth"].allowance(at[ARB_EXECUTOR], at[LEDGER]) == 0, "P17"
    return net


def _make_weth_dear(network: Network) -> None:
    """A whale buys WETH on Uniswap V2."""
    router, whale = network.given.contracts["uniswap_v2_router"], network.who["whale"]
    path = [network.given.usdc, network.given.contracts["weth"]]
    bought = view(router, _OUT, "uint256[]", _WHALES_USDC, path)[-1]
    swap = encode_call(_SWAP, _WHALES_USDC, bought, path, whale.address, 2**40)
    with network.step("a whale makes WETH dear on one venue", {("whale", "WETH"): bought}):
        whale.transfer(router, 0, data="0x" + swap.hex())


def _quoted(network: Network) -> int:
    """What the route gives, by the protocols' own contracts."""
    weth, usdc, contracts = network.given.contracts["weth"], network.given.usdc, network.given.contracts
    sold: int = view(contracts["uniswap_v2_router"], _OUT, "uint256[]", _DRAWN, [weth, usdc])[-1]
    back: int = view(contracts["uniswap_v3_quoter"], _QUOTE, "uint256", (usdc, weth, sold, _FEE_PIPS, 0))
    return back


def _order(network: Network, target: BlockNumber) -> Order:
    """What Bob offers to Alice."""
    return Order(
        finder=network.raw("bob"),
        executor=network.raw("alice"),
        target_block=target,
        finder_bps=SHARE,
        min_finder_wei=TokenAmount(10**15),
        profit_token=address_from_hex(network.given.contracts["weth"]),
        pay_to=network.raw("bob"),
        primary_key=LEG,
        route_commit=Hash32(b"\x08" * 32),
    )


def _plan(network: Network, order: Order, entry: int) -> Plan:
    """How Alice executes it: sell WETH where it is dear, buy it back at the other pool."""
    usdc = address_from_hex(network.given.usdc)
    return Plan(
        last_block=order.target_block,
        minimum_profit=TokenAmount(0),
        builder_payment=Wei(0),
        loan=None,
        hops=(
            PairHop(venue=PairVenue.UNISWAP_V2, token_out=usdc, minimum_out=TokenAmount(0)),
            ConcentratedHop(token_out=order.profit_token, fee_pips=_FEE_PIPS, minimum_out=TokenAmount(0)),
        ),
        network=OrderToExecute(order, sign(network.domain, order, network.key("bob-hot")), entry),
    )
