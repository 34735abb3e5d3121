"""The gas of one order of the network: opened, run, its finder paid and the fee, out of the leader's vault."""

from __future__ import annotations

from typing import Final

from benchmarks.gas_scene import ETHER, WHALE, Scene, raw
from benchmarks.harness import Row
from devnet.anvil import CHAIN_ID
from devnet.demo.network_contracts import network_contracts
from devnet.errors import ChainFailed
from devnet.protocols.network import CUT, Member
from devnet.protocols.vaults import OPERATORS
from governance.caller import JsonRpcCaller
from governance.client import NetworkReader
from governance.executor import OrderToExecute, PairHop, PairVenue, Plan, encode_execution
from governance.network import roll_call
from protocol.ethereum.block_header import header_rlp
from protocol.signing import Domain, sign
from protocol.statements import Order
from protocol.units import (
    Address,
    BasisPoints,
    BlockNumber,
    ChainId,
    EpochNumber,
    Hash32,
    LegKey,
    TokenAmount,
    Wei,
)

_FINDER_BPS: Final = BasisPoints(6_000)
_LEAST: Final = TokenAmount(10**15)


async def order_gas(chain: Scene) -> Row:
    """Measure a network order over two hops, V2 and Sushi, in its leader's block. Raises `ChainFailed`."""
    manifest = chain.manifest
    caller = JsonRpcCaller(chain.rpc, WHALE.key, chain.mine, priority_fee=Wei(0))
    reader = NetworkReader(caller, network_contracts(manifest), BlockNumber(0))
    epoch = EpochNumber(manifest.block_number // CUT.length + 1)
    while await chain.head() < epoch * CUT.length + 2:
        await chain.mine()
    seed = await chain.rpc.call("eth_getBlockByNumber", hex(epoch * CUT.length - CUT.lag), False)
    await chain.send(WHALE, chain.contract("execution_ledger"), roll_call(epoch, header_rlp(seed)))
    table = await reader.epoch_table(epoch)
    target = BlockNumber(await chain.head() + 1)
    turn = table.leader(target) if table is not None else None
    if turn is None:
        raise ChainFailed(f"epoch {epoch} has no leader for block {target}")
    names = {raw(Member.of(name).owner.address): name for name in OPERATORS}
    leader = names.pop(turn.operator)
    finder = next(iter(names.values()))
    domain, weth = Domain(ChainId(CHAIN_ID), raw(chain.contract("node_staking"))), raw(chain.token("WETH"))
    order = Order(
        finder=raw(Member.of(finder).owner.address),
        executor=turn.operator,
        target_block=target,
        finder_bps=_FINDER_BPS,
        min_finder_wei=_LEAST,
        profit_token=weth,
        pay_to=_vault(chain, finder),
        primary_key=LegKey(Hash32(b"\x07" * 32)),
        route_commit=Hash32(b"\x08" * 32),
    )
    nothing = TokenAmount(0)
    usdc = raw(chain.token("USDC"))
    plan = Plan(
        last_block=target,
        minimum_profit=nothing,
        builder_payment=Wei(0),
        loan=None,
        hops=(
            PairHop(venue=PairVenue.UNISWAP_V2, token_out=usdc, minimum_out=nothing),
            PairHop(venue=PairVenue.SUSHI_SWAP, token_out=weth, minimum_out=nothing),
        ),
        network=OrderToExecute(order, sign(domain, order, Member.of(finder).hot_key.key), turn.entry),
    )
    data = encode_execution(_vault(chain, leader), weth, TokenAmount(ETHER), plan)
    used = await chain.gas(Member.of(leader).hot_key, chain.contract("vault_module"), data)
    return Row("network order: V2, Sushi, out of the leader's vault", "gas", used, used)


def _vault(chain: Scene, name: str) -> Address:
    return raw(next(one for one in chain.manifest.operators if one.name == name).vaults[0].safe)
