"""Orders of the network through vault, executor and ledger on the devnet's world: only in their block, by its leader,
and never without the finder's payment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from devnet.accounts import Account, account
from devnet.anvil import CHAIN_ID
from devnet.demo.network_contracts import network_contracts
from devnet.protocols.network import CUT, Member
from devnet.protocols.vaults import OPERATORS
from devnet.world import World
from governance.caller import JsonRpcCaller
from governance.client import NetworkReader
from governance.contracts import ARB_EXECUTOR, VAULT_MODULE, error_meanings
from governance.deploy_plan import LEDGER, STAKING
from governance.executor import ConcentratedHop, OrderToExecute, PairHop, PairVenue, Plan, encode_execution
from governance.network import executor_query, roll_call
from governance.reverts import explain_revert
from protocol.errors import InvalidField
from protocol.ethereum.abi import encode_call
from protocol.ethereum.block_header import header_rlp
from protocol.ethereum.keccak import keccak256
from protocol.leaders import EpochTable
from protocol.signing import Domain, digest, sign
from protocol.statements import Order
from protocol.units import (
    BasisPoints,
    BlockNumber,
    ChainId,
    EpochNumber,
    Hash32,
    LegKey,
    TokenAmount,
    Wei,
    address_from_hex,
)
from tests.chain import Chain

pytestmark = pytest.mark.anvil

ETHER = 10**18
WHALE = account("whale-0")
EXECUTED = "0x" + keccak256(b"Executed(bytes32,bytes32,address,address,address,uint256,uint256,uint256)").hex()


@dataclass
class Scene:
    """The world in an epoch with leaders, WETH dear on Uniswap V2; what runs runs in block `target`."""

    chain: Chain
    world: World
    table: EpochTable
    target: BlockNumber

    def __post_init__(self) -> None:
        turn = self.table.leader(self.target)
        assert turn is not None
        self.turn = turn
        names = {address_from_hex(Member.of(name).owner.address): name for name in OPERATORS}
        self.leader = names.pop(turn.operator)
        self.finder = next(iter(names.values()))
        contracts = self.world.manifest.contracts
        self.domain = Domain(ChainId(CHAIN_ID), address_from_hex(contracts["node_staking"]))
        self.weth = address_from_hex(self.world.manifest.token("WETH").address)
        self.usdc = address_from_hex(self.world.manifest.token("USDC").address)
        self.pay_to = address_from_hex(self.vault_of(self.finder))

    def vault_of(self, name: str) -> str:
        (operator,) = (one for one in self.world.manifest.operators if one.name == name)
        return operator.vaults[0].safe

    def order(self, **changes: Any) -> Order:
        order = Order(
            finder=address_from_hex(Member.of(self.finder).owner.address),
            executor=self.turn.operator,
            target_block=self.target,
            finder_bps=BasisPoints(6_000),
            min_finder_wei=TokenAmount(10**15),
            profit_token=self.weth,
            pay_to=self.pay_to,
            primary_key=LegKey(Hash32(b"\x07" * 32)),
            route_commit=Hash32(b"\x08" * 32),
        )
        return replace(order, **changes)

    def plan(self, order: Order, *, signer: Account | None = None, entry: int | None = None) -> Plan:
        key = (signer or Member.of(self.finder).hot_key).key
        executed = OrderToExecute(order, sign(self.domain, order, key), self.turn.entry if entry is None else entry)
        return Plan(
            last_block=order.target_block,
            minimum_profit=TokenAmount(0),
            builder_payment=Wei(0),
            loan=None,
            hops=(
                PairHop(venue=PairVenue.UNISWAP_V2, token_out=self.usdc, minimum_out=TokenAmount(0)),
                ConcentratedHop(token_out=self.weth, fee_pips=500, minimum_out=TokenAmount(0)),
            ),
            network=executed,
        )

    async def execute(self, plan: Plan, by: str | None = None) -> dict[str, Any]:
        """Let an operator's hot key run a plan in the next block."""
        name = by or self.leader
        data = encode_execution(address_from_hex(self.vault_of(name)), self.weth, TokenAmount(ETHER), plan)
        module = self.world.manifest.contracts["vault_module"]
        return await self.chain.send_data(Member.of(name).hot_key, module, data)

    async def refusal(self, plan: Plan, by: str | None = None) -> str:
        """Why a plan would revert in the next block: the error's name."""
        name = by or self.leader
        data = encode_execution(address_from_hex(self.vault_of(name)), self.weth, TokenAmount(ETHER), plan)
        request = {
            "from": Member.of(name).hot_key.address,
            "to": self.world.manifest.contracts["vault_module"],
            "data": "0x" + data.hex(),
            "gas": hex(3_000_000),
        }
        with pytest.raises(Exception) as refused:  # noqa: PT011
            await self.chain.rpc.call("eth_call", request, "pending")
        said = getattr(refused.value, "data", None) or "0x"
        meanings = error_meanings(ARB_EXECUTOR, VAULT_MODULE, LEDGER, STAKING)
        return explain_revert(bytes.fromhex(str(said)[2:]), meanings).name


@pytest.fixture
async def scene(chain: Chain, world: World) -> Scene:
    contracts, manifest = network_contracts(world.manifest), world.manifest
    caller = JsonRpcCaller(chain.rpc, WHALE.key, chain.mine, priority_fee=Wei(0))
    reader = NetworkReader(caller, contracts, BlockNumber(0))
    assert await reader.ask(executor_query(contracts, address_from_hex(manifest.contracts["arb_executor"])))
    epoch = EpochNumber(manifest.block_number // CUT.length + 1)
    while int(await chain.rpc.call("eth_blockNumber"), 16) < epoch * CUT.length + 2:
        await chain.mine()
    seed_block = await chain.rpc.call("eth_getBlockByNumber", hex(epoch * CUT.length - CUT.lag), False)
    roll = roll_call(epoch, header_rlp(seed_block))
    sent = await chain.send_data(WHALE, manifest.contracts["execution_ledger"], roll)
    assert sent["status"] == "0x1"
    weth, usdc = manifest.token("WETH").address, manifest.token("USDC").address
    swap = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
    await chain.send(
        WHALE, manifest.contracts["uniswap_v2_router"], swap, 900_000 * 10**6, 0, [usdc, weth], WHALE.address, 2**40
    )
    table = await reader.epoch_table(epoch)
    assert table is not None
    return Scene(chain, world, table, await _next_block(chain))


async def _next_block(chain: Chain) -> BlockNumber:
    return BlockNumber(int(await chain.rpc.call("eth_blockNumber"), 16) + 1)


async def test_the_finder_is_paid_in_the_transaction_and_the_leader_keeps_the_rest(scene: Scene) -> None:
    token = scene.world.manifest.token("WETH").address
    leader_safe, finder_safe = scene.vault_of(scene.leader), scene.vault_of(scene.finder)
    before = [await scene.chain.balance(token, safe) for safe in (leader_safe, finder_safe)]
    order = scene.order()

    receipt = await scene.execute(scene.plan(order))

    assert receipt["status"] == "0x1"
    (told,) = (log for log in receipt["logs"] if log["topics"][0] == EXECUTED)
    assert told["topics"][1] == "0x" + digest(scene.domain, order).hex()
    assert told["topics"][2] == "0x" + order.primary_key.hex()
    words = bytes.fromhex(told["data"][2:])
    net, paid, fee = (int.from_bytes(words[32 * place : 32 * place + 32], "big") for place in (2, 3, 4))
    assert paid == -(-net * 6_000 // 10_000) > 10**15
    assert fee == net // 100
    after = [await scene.chain.balance(token, safe) for safe in (leader_safe, finder_safe)]
    assert after == [before[0] + net - paid - fee, before[1] + paid]
    executor = scene.world.manifest.contracts["arb_executor"]
    ledger = scene.world.manifest.contracts["execution_ledger"]
    assert await scene.chain.balance(token, executor) == 0
    (left,) = await scene.chain.read(token, "allowance(address,address)", ["uint256"], executor, ledger)
    assert left == 0, "P17"


async def test_an_order_is_refused_to_others_in_other_blocks_and_unsigned(scene: Scene) -> None:
    other = next(name for name in OPERATORS if name not in (scene.leader, scene.finder))

    assert await scene.refusal(scene.plan(scene.order()), by=other) == "NotTheOrdersExecutor"
    stolen = scene.order(executor=address_from_hex(Member.of(other).owner.address))
    assert await scene.refusal(scene.plan(stolen), by=other) == "NotLeader"
    assert await scene.refusal(scene.plan(scene.order(), entry=scene.turn.entry + 1)) == "NotLeader"
    assert await scene.refusal(scene.plan(scene.order(), signer=WHALE)) == "KeyNotInForce"
    late = scene.order(target_block=BlockNumber(scene.target + 1))
    assert await scene.refusal(scene.plan(late)) == "WrongBlock"


async def test_an_order_is_refused_while_stake_has_paused_a_pool_of_its_route_and_an_own_execution_is_not(
    scene: Scene,
) -> None:
    manifest = scene.world.manifest
    pool = next(each.address for each in manifest.pools if each.name == "uniswap_v3:WETH/USDC:500")
    support = encode_call("supportScopePause(bytes32)", bytes(12) + address_from_hex(pool))
    for name in OPERATORS:
        await scene.chain.send_data(Member.of(name).hot_key, manifest.contracts["emergency_brake"], support)
    later = Scene(scene.chain, scene.world, scene.table, await _next_block(scene.chain))
    plan = later.plan(later.order())

    assert await later.refusal(plan) == "Paused"
    receipt = await later.execute(replace(plan, network=None))
    assert receipt["status"] == "0x1"


async def test_less_profit_than_the_finders_floor_pays_nobody(scene: Scene) -> None:
    greedy = scene.order(min_finder_wei=TokenAmount(10 * ETHER))

    assert await scene.refusal(scene.plan(greedy)) == "Empty", "WETH9 gives no reason"
    receipt = await scene.execute(scene.plan(greedy))
    assert receipt["status"] == "0x0"


async def test_what_is_left_for_the_leader_is_held_to_the_plans_minimum(scene: Scene) -> None:
    plan = scene.plan(scene.order())
    own = await scene.refusal(replace(plan, minimum_profit=TokenAmount(100 * ETHER)))

    assert own == "ProfitBelowMinimum"


def test_a_plan_whose_order_does_not_fit_it_is_not_packed(scene: Scene) -> None:
    safe = address_from_hex(scene.vault_of(scene.leader))
    plan = scene.plan(scene.order())

    with pytest.raises(InvalidField, match="target block"):
        encode_execution(safe, scene.weth, TokenAmount(1), replace(plan, last_block=BlockNumber(1)))
    turned = (replace(plan.hops[0], token_out=scene.weth), replace(plan.hops[1], token_out=scene.usdc))
    with pytest.raises(InvalidField, match="another token"):
        encode_execution(safe, scene.usdc, TokenAmount(1), replace(plan, hops=turned))
