"""What a bundle is said to bring, by the node, by our own EVM, and what it then really brings: the same, to the wei."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from devnet.anvil import CHAIN_ID, Anvil
from governance.executor import BalancerLoan, Plan
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints
from node.engine.headers import Header, header_from_json
from node.engine.own_evm import OwnEvm
from node.engine.simulator import BundleSimulator
from node.pipeline.events import BundleSimulated, SimulateBundle
from node.pipeline.plans import BundlePlan
from node.pipeline.reasons import Reason
from protocol.ethereum.abi import encode_call
from protocol.ethereum.transactions import DynamicFeeFields, SignedTransaction, decode_transaction, sign_dynamic_fee
from protocol.units import Address, BlockNumber, Gas, TokenAmount, UnixNanoseconds, Wei
from tests.contracts.test_execution import ALICE, ETHER, WHALE, Vault, buying, raw, selling
from tests.contracts.test_execution import vault as vault  # the fixture
from tests.vault_stand_in import plan_for

pytestmark = pytest.mark.anvil

GAS_LIMIT = 900_000
GWEI = 10**9
IN_ITS_BLOCK = "0x5f354314600a575f5ffd5b6007546014575f5ffd5b00"
"""Reverts unless the call data is the block's number; then reverts unless slot 7 holds something."""


@pytest.fixture
async def endpoints(world_anvil: Anvil) -> AsyncIterator[Endpoints]:
    opened = Endpoints.open([RpcConfig(http=world_anvil.url, websocket="")], SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
async def simulator(endpoints: Endpoints) -> AsyncIterator[BundleSimulator]:
    made = BundleSimulator(endpoints, OwnEvm(endpoints, CHAIN_ID), lambda: UnixNanoseconds(1))
    yield made
    await made.own_evm.close()


async def head(endpoints: Endpoints) -> Header:
    return header_from_json(await endpoints.call("eth_getBlockByNumber", "latest", False, shape=msgspec.Raw))


async def arbitrage(vault: Vault, second: str = "v3", amount: int = 7 * ETHER) -> Plan:
    return await vault.plan(selling(vault), buying(vault, second), loan=BalancerLoan(TokenAmount(amount)))


async def bundle(vault: Vault, plan: Plan, endpoints: Endpoints, *victims: SignedTransaction) -> BundlePlan:
    at = await head(endpoints)
    nonce = int(await endpoints.call("eth_getTransactionCount", ALICE.address, "latest"), 16)
    base = plan_for(at.number + 1, *victims, call_data=vault.calldata(0, plan))
    (execution,) = base.executions
    base_fee = int(at.base_fee)
    opportunity = msgspec.structs.replace(execution.opportunity, profit_token=vault.token("WETH"))
    own = msgspec.structs.replace(
        execution,
        opportunity=opportunity,
        gas_limit=Gas(GAS_LIMIT),
        sender=raw(ALICE.address),
        nonce=nonce,
        max_fee_per_gas=Wei(2 * base_fee + GWEI),
        bid=msgspec.structs.replace(execution.bid, priority_fee_per_gas=Wei(GWEI)),
    )
    return msgspec.structs.replace(
        base, executions=(own,), entry_point=Address(raw(vault.module)), target_block=BlockNumber(at.number + 1)
    )


async def simulate(simulator: BundleSimulator, plan: BundlePlan) -> BundleSimulated:
    return await simulator.simulate(SimulateBundle(plan))


async def realised(vault: Vault, plan: Plan) -> tuple[int, int]:
    """Profit and gas of the execution on the chain."""
    before = await vault.weth()
    receipt = await vault.chain.send_data(ALICE, vault.module, vault.calldata(0, plan))
    assert receipt["status"] == "0x1"
    return await vault.weth() - before, int(receipt["gasUsed"], 16)


@pytest.mark.parametrize("second", ["v3", "sushi"])
async def test_node_own_evm_and_chain_agree_to_the_wei(
    vault: Vault, endpoints: Endpoints, simulator: BundleSimulator, second: str
) -> None:
    simulator.own_evm.follow(await head(endpoints))
    plan = await arbitrage(vault, second)
    by_node = await simulate(simulator, await bundle(vault, plan, endpoints))
    await simulator.own_evm.settled()
    own = await simulate(simulator, await bundle(vault, plan, endpoints))
    assert simulator.counts["own_evm"] == simulator.counts["by_node"] == 1
    profit, gas = await realised(vault, plan)
    assert (by_node.failure, own.failure) == (None, None)
    assert by_node.profits == own.profits == (profit,)
    assert own.gas_used == by_node.gas_used == pytest.approx(gas, rel=0.01)  # the block's time differs
    assert profit > 0


async def test_what_runs_in_its_target_block_alone_is_learnt(
    vault: Vault, endpoints: Endpoints, simulator: BundleSimulator
) -> None:
    """As an order of the network: in another block it reverts, and without its slot too."""
    where, slot, word = "0x" + "0d" * 20, "0x7", "0x" + (5).to_bytes(32).hex()
    await vault.chain.rpc.call("anvil_setCode", where, IN_ITS_BLOCK)
    await vault.chain.rpc.call("anvil_setStorageAt", where, slot, word)
    await vault.chain.mine()
    simulator.own_evm.follow(await head(endpoints))
    plan = await bundle(vault, await arbitrage(vault), endpoints)
    (execution,) = plan.executions
    own = msgspec.structs.replace(execution, call_data=plan.target_block.to_bytes(32))
    plan = msgspec.structs.replace(plan, executions=(own,), entry_point=Address(raw(where)))

    assert (await simulate(simulator, plan)).failure is None
    await simulator.own_evm.settled()
    assert (await simulate(simulator, plan)).failure is None

    assert simulator.counts["own_evm"] == simulator.counts["by_node"] == 1


async def test_after_blocks_of_others_our_own_evm_still_agrees(
    vault: Vault, endpoints: Endpoints, simulator: BundleSimulator
) -> None:
    simulator.own_evm.follow(await head(endpoints))
    plan = await arbitrage(vault)
    await simulate(simulator, await bundle(vault, plan, endpoints))
    await simulator.own_evm.settled()
    for amount in (20_000, 40_000):
        await make_weth_dear(vault, amount)
        simulator.own_evm.follow(await head(endpoints))
        await simulator.own_evm.settled()
    plan = await arbitrage(vault)
    own = await simulate(simulator, await bundle(vault, plan, endpoints))
    assert simulator.counts["own_evm"] == simulator.own_evm.counts["begun_anew"] == 1
    profit, gas = await realised(vault, plan)
    assert (own.failure, own.profits) == (None, (profit,))
    assert own.gas_used == pytest.approx(gas, rel=0.01)


async def test_behind_a_victim_node_and_own_evm_agree(
    vault: Vault, endpoints: Endpoints, simulator: BundleSimulator
) -> None:
    await approve_router(vault)
    simulator.own_evm.follow(await head(endpoints))
    plan = await arbitrage(vault)
    theirs = await whales_swap(vault, endpoints, 30_000)
    by_node = await simulate(simulator, await bundle(vault, plan, endpoints, theirs))
    await simulator.own_evm.settled()
    own = await simulate(simulator, await bundle(vault, plan, endpoints, theirs))
    assert simulator.counts["own_evm"] == 1
    assert own.failure is by_node.failure is None
    assert own.profits == by_node.profits
    alone = await simulate(simulator, await bundle(vault, plan, endpoints))
    assert own.profits[0] > alone.profits[0] > 0


async def test_a_plan_that_would_fail_is_told_to_revert(
    vault: Vault, endpoints: Endpoints, simulator: BundleSimulator
) -> None:
    simulator.own_evm.follow(await head(endpoints))
    greedy = await vault.plan(
        selling(vault), buying(vault, "v3"), loan=BalancerLoan(TokenAmount(ETHER)), minimum=10**30
    )
    for _ in range(2):
        answer = await simulate(simulator, await bundle(vault, greedy, endpoints))
        assert (answer.failure, answer.profits) == (Reason.SIMULATION_REVERTED, ())
        await simulator.own_evm.settled()


async def approve_router(vault: Vault) -> None:
    usdc, router = vault.manifest.token("USDC").address, vault.manifest.contracts["uniswap_v2_router"]
    await vault.chain.send(WHALE, usdc, "approve(address,uint256)", router, 2**255)


def swap_data(vault: Vault, dollars: int) -> bytes:
    path = [vault.manifest.token(symbol).address for symbol in ("USDC", "WETH")]
    signature = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
    return encode_call(signature, dollars * 10**6, 0, path, WHALE.address, 2**40)


async def make_weth_dear(vault: Vault, dollars: int) -> None:
    router = vault.manifest.contracts["uniswap_v2_router"]
    receipt = await vault.chain.send_data(WHALE, router, swap_data(vault, dollars))
    assert receipt["status"] == "0x1"


async def whales_swap(vault: Vault, endpoints: Endpoints, dollars: int) -> SignedTransaction:
    nonce = int(await endpoints.call("eth_getTransactionCount", WHALE.address, "latest"), 16)
    fields = DynamicFeeFields(
        chain_id=CHAIN_ID,
        nonce=nonce,
        max_priority_fee_per_gas=GWEI,
        max_fee_per_gas=100 * GWEI,
        gas_limit=300_000,
        to=vault.manifest.contracts["uniswap_v2_router"],
        data=swap_data(vault, dollars),
    )
    return decode_transaction(sign_dynamic_fee(fields, WHALE.key))
