"""The demo's operators in the world: genuine Safes, vaults that are open for one hot key each, funds in both."""

from __future__ import annotations

import pytest

from devnet.accounts import account
from devnet.errors import ChainFailed
from devnet.protocols import vaults
from devnet.protocols.amounts import raw_amount
from devnet.protocols.catalogue import USD, token
from devnet.protocols.deployer import Deployer
from devnet.world import LAST_BLOCK, World
from governance.executor import BalancerLoan, ConcentratedHop, PairHop, PairVenue, Plan, encode_execution
from protocol.units import Address, BlockNumber, TokenAmount, Wei
from tests.chain import Chain

pytestmark = pytest.mark.anvil

VAULT = "(address,uint88,bool,address,bool,uint64)"


def raw(address: str) -> Address:
    return Address(bytes.fromhex(address[2:]))


def test_there_are_five_operators_with_hot_keys_and_safes_of_their_own(world: World) -> None:
    operators = world.manifest.operators
    assert [operator.name for operator in operators] == list(vaults.OPERATORS)
    safes = [vault.safe for operator in operators for vault in operator.vaults]
    keys = [vault.hot_key for operator in operators for vault in operator.vaults]
    assert len(set(safes)) == len(set(keys)) == len(vaults.OPERATORS) * vaults.VAULTS_EACH


async def test_each_safe_is_owned_by_three_of_whom_two_sign_and_has_the_module(
    untouched_chain: Chain, world: World
) -> None:
    module = world.manifest.contracts["vault_module"]
    for operator in world.manifest.operators:
        for vault in operator.vaults:
            (owners,) = await untouched_chain.read(vault.safe, "getOwners()", ["address[]"])
            assert list(owners) == [account(name).address for name in operator.owners]
            assert await untouched_chain.read(vault.safe, "getThreshold()", ["uint256"]) == (2,)
            enabled = await untouched_chain.read(vault.safe, "isModuleEnabled(address)", ["bool"], module)
            assert enabled == (True,)


async def test_each_vault_is_open_for_its_hot_key_within_its_limits(untouched_chain: Chain, world: World) -> None:
    contracts = world.manifest.contracts
    for operator in world.manifest.operators:
        for vault in operator.vaults:
            (settings,) = await untouched_chain.read(contracts["vault_module"], "vaultOf(address)", [VAULT], vault.safe)
            hot_key = account(vault.hot_key).address
            assert settings == (hot_key, vaults.BID_CAP, False, contracts["arb_executor"], True, 0)
            balance = int(await untouched_chain.rpc.call("eth_getBalance", hot_key, "latest"), 16)
            assert balance == vaults.HOT_KEY_ETHER * 10**18
            for symbol, dollars in vaults.PINNED.items():
                held, address = raw_amount(token(symbol), dollars * USD), world.manifest.token(symbol).address
                assert await untouched_chain.balance(address, vault.safe) == held
                limit = await untouched_chain.read(
                    contracts["vault_module"], "limitOf(address,address)", ["bool", "uint128"], vault.safe, address
                )
                assert limit == (True, held // 2)


async def test_a_hot_key_executes_and_the_profit_is_in_its_safe(chain: Chain, world: World) -> None:
    manifest, vault = world.manifest, world.manifest.operators[1].vaults[2]
    weth, usdc, whale = manifest.token("WETH").address, manifest.token("USDC").address, account("whale-0")
    swap = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
    router = manifest.contracts["uniswap_v2_router"]
    await chain.send(whale, router, swap, 900_000 * 10**6, 0, [usdc, weth], whale.address, 2**40)
    head = int(await chain.rpc.call("eth_blockNumber"), 16)
    sell = PairHop(venue=PairVenue.UNISWAP_V2, token_out=raw(usdc), minimum_out=TokenAmount(1))
    buy = ConcentratedHop(token_out=raw(weth), fee_pips=500, minimum_out=TokenAmount(1))
    plan = Plan(
        last_block=BlockNumber(head + 1),
        minimum_profit=TokenAmount(1),
        builder_payment=Wei(10**15),
        loan=BalancerLoan(TokenAmount(10 * 10**18)),
        hops=(sell, buy),
    )
    before = await chain.balance(weth, vault.safe)
    data = encode_execution(raw(vault.safe), raw(weth), TokenAmount(0), plan)
    receipt = await chain.send_data(account(vault.hot_key), manifest.contracts["vault_module"], data)
    assert receipt["status"] == "0x1"
    assert await chain.balance(weth, vault.safe) > before


async def test_the_world_ends_with_an_empty_block_of_a_fixed_number(untouched_chain: Chain, world: World) -> None:
    head = await untouched_chain.rpc.call("eth_getBlockByNumber", "latest", False)
    assert int(head["number"], 16) == world.manifest.block_number == LAST_BLOCK
    assert head["transactions"] == []


async def test_a_world_that_outgrows_its_number_of_blocks_is_refused(untouched_chain: Chain) -> None:
    deployer = Deployer(untouched_chain.rpc, account("nobody"), 0)
    deployer.block_number = LAST_BLOCK
    with pytest.raises(ChainFailed, match=f"more than {LAST_BLOCK - 1} blocks"):
        await deployer.fill_up(LAST_BLOCK)
