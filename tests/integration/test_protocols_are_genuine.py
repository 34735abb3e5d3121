"""The protocols on the devnet are the real ones: their code is compared with mainnet's, or with their packages'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from devnet.artifacts import load
from devnet.home import Home
from devnet.manifest import Pool
from devnet.packages import Packages
from devnet.protocols import multicall3, uniswap_v4
from devnet.protocols.compilations import compile_all
from devnet.protocols.tokens import SPENDERS
from devnet.world import World
from protocol.ethereum.abi import encode
from protocol.ethereum.create2 import create2_address
from protocol.ethereum.keccak import keccak256
from tests.chain import Chain
from tests.conftest import quiet

pytestmark = pytest.mark.anvil

# Published by github.com/safe-global/safe-deployments (v1.4.1); WETH9's and Multicall3's are mainnet's EXTCODEHASH.
MAINNET_RUNTIME_HASHES = {
    "weth": "d0a06b12ac47863b5c7be4185c2deaad1c61557033f56c7d4ea74429cbb25e23",
    "multicall3": multicall3.RUNTIME_HASH,
    "safe_singleton": "1fe2df852ba3299d6534ef416eefa406e56ced995bca886ab7a553e6d0c5e1c4",
    "safe_singleton_l2": "b1f926978a0f44a2c0ec8fe822418ae969bd8c3f18d61e5103100339894f81ff",
    "safe_proxy_factory": "50c3cdc4074750a7a974204a716c999edd37482f907608d960b2b025ee0b3317",
    "safe_fallback_handler": "7c6007a5d711cea8dfd5d91f5940ec29c7f200fe511eb1fc1397b367af3c42f9",
    "safe_multi_send_call_only": "ecd5bd14a08c5d2122379900b2f272bdf107a7e92423c10dd5fe3254386c9939",
    "safe": "d7d408ebcd99b2b70be43e20253d6d92a8ea8fab29bd3be7f55b10032331fb4c",
}
UNISWAP_V2_PAIR_INIT_HASH = "96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"
SUSHI_PAIR_INIT_HASH = "e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303"
UNISWAP_V3_POOL_INIT_HASH = "e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54"

BALANCER = "@balancer-labs/v2-deployments/dist/tasks"
AAVE = "@aave/core-v3/artifacts/contracts"
PERIPHERY = "@uniswap/v3-periphery/artifacts/contracts"
V4 = uniswap_v4.ARTIFACTS
SAFE = "@safe-global/safe-contracts/build/artifacts/contracts"
PACKAGE_ARTIFACTS = {
    "uniswap_v2_factory": "@uniswap/v2-core/build/UniswapV2Factory.json",
    "uniswap_v2_router": "@uniswap/v2-periphery/build/UniswapV2Router02.json",
    "uniswap_v3_factory": "@uniswap/v3-core/artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory.json",
    "uniswap_v3_position_manager": f"{PERIPHERY}/NonfungiblePositionManager.sol/NonfungiblePositionManager.json",
    "uniswap_v3_position_descriptor": (
        f"{PERIPHERY}/NonfungibleTokenPositionDescriptor.sol/NonfungibleTokenPositionDescriptor.json"
    ),
    "uniswap_v3_router": f"{PERIPHERY}/SwapRouter.sol/SwapRouter.json",
    "uniswap_v3_router02": "@uniswap/swap-router-contracts/artifacts/contracts/SwapRouter02.sol/SwapRouter02.json",
    "uniswap_v3_quoter": f"{PERIPHERY}/lens/QuoterV2.sol/QuoterV2.json",
    "uniswap_v4_pool_manager": f"{V4}/PoolManager.sol/PoolManager.default.json",
    "uniswap_v4_position_manager": f"{V4}/PositionManager.sol/PositionManager.json",
    "uniswap_v4_position_descriptor": f"{V4}/PositionDescriptor.sol/PositionDescriptor.json",
    "uniswap_v4_quoter": f"{V4}/V4Quoter.sol/V4Quoter.json",
    "uniswap_v4_state_view": f"{V4}/StateView.sol/StateView.json",
    "balancer_authorizer": f"{BALANCER}/20210418-authorizer/artifact/Authorizer.json",
    "balancer_vault": f"{BALANCER}/20210418-vault/artifact/Vault.json",
    "balancer_weighted_pool_factory": f"{BALANCER}/20230206-weighted-pool-v3/artifact/WeightedPoolFactory.json",
    "balancer_stable_pool_factory": (
        f"{BALANCER}/20230206-composable-stable-pool-v3/artifact/ComposableStablePoolFactory.json"
    ),
    "aave_addresses_provider": f"{AAVE}/protocol/configuration/PoolAddressesProvider.sol/PoolAddressesProvider.json",
    "aave_acl_manager": f"{AAVE}/protocol/configuration/ACLManager.sol/ACLManager.json",
    "aave_oracle": f"{AAVE}/misc/AaveOracle.sol/AaveOracle.json",
    "aave_pool_implementation": f"{AAVE}/protocol/pool/Pool.sol/Pool.json",
    "aave_pool_configurator_implementation": f"{AAVE}/protocol/pool/PoolConfigurator.sol/PoolConfigurator.json",
    "aave_a_token_implementation": f"{AAVE}/protocol/tokenization/AToken.sol/AToken.json",
    "safe_multi_send": f"{SAFE}/libraries/MultiSend.sol/MultiSend.json",
}


@pytest.fixture(scope="module")
async def code(untouched_chain: Chain) -> Callable[[str], Any]:
    async def read(address: str) -> bytes:
        return bytes.fromhex((await untouched_chain.rpc.call("eth_getCode", address, "latest"))[2:])

    return read


@pytest.fixture(scope="module")
async def creations(untouched_chain: Chain, world: World) -> dict[str, bytes]:
    """Contract address to the input of the transaction that created it."""
    rpc = untouched_chain.rpc
    inputs: dict[str, bytes] = {}
    for number in range(1, world.manifest.block_number + 1):
        block = await rpc.call("eth_getBlockByNumber", hex(number), True)
        receipts = await rpc.call("eth_getBlockReceipts", hex(number))
        for transaction, receipt in zip(block["transactions"], receipts, strict=True):
            if receipt["contractAddress"] is not None:
                inputs[receipt["contractAddress"].lower()] = bytes.fromhex(transaction["input"][2:])
    return inputs


def pools_of(world: World, family: str) -> list[Pool]:
    return [pool for pool in world.manifest.pools if pool.family == family]


def addresses(world: World, pool: Pool) -> list[str]:
    return [world.manifest.token(symbol).address for symbol in pool.tokens]


def indexed(world: World, pool: Pool) -> list[tuple[int, str]]:
    return list(enumerate(addresses(world, pool)))


def without(code: bytes, offsets: tuple[int, ...]) -> bytes:
    """The code with zeros where libraries' addresses are."""
    masked = bytearray(code)
    for offset in offsets:
        masked[offset : offset + 20] = bytes(20)
    return bytes(masked)


@pytest.mark.parametrize("name", MAINNET_RUNTIME_HASHES)
async def test_its_runtime_code_is_mainnets(name: str, world: World, code: Callable[[str], Any]) -> None:
    assert keccak256(await code(world.manifest.contracts[name])).hex() == MAINNET_RUNTIME_HASHES[name]


def test_multicall3_stands_where_it_does_on_every_chain(world: World) -> None:
    assert world.manifest.contracts["multicall3"] == "0xca11bde05977b3631167028862be2a173976ca11"


def test_every_uniswap_v2_pair_is_created_by_mainnets_pair_code(world: World) -> None:
    pools = pools_of(world, "uniswap_v2")
    assert len(pools) >= 10
    for pool in pools:
        salt = keccak256(b"".join(bytes.fromhex(address[2:]) for address in addresses(world, pool)))
        factory = world.manifest.contracts["uniswap_v2_factory"]
        assert create2_address(factory, salt, bytes.fromhex(UNISWAP_V2_PAIR_INIT_HASH)) == pool.address, pool.name


def test_every_uniswap_v3_pool_is_created_by_mainnets_pool_code(world: World) -> None:
    pools = pools_of(world, "uniswap_v3")
    assert {pool.fee_pips for pool in pools} == {100, 500, 3000, 10000}
    for pool in pools:
        salt = keccak256(encode(["address", "address", "uint24"], [*addresses(world, pool), pool.fee_pips]))
        factory = world.manifest.contracts["uniswap_v3_factory"]
        assert create2_address(factory, salt, bytes.fromhex(UNISWAP_V3_POOL_INIT_HASH)) == pool.address, pool.name


async def test_every_sushi_pair_is_created_by_mainnets_pair_code(world: World, untouched_chain: Chain) -> None:
    factory = world.manifest.contracts["sushi_factory"]
    found = await untouched_chain.read(factory, "pairCodeHash()", ["bytes32"])
    assert found[0].hex() == SUSHI_PAIR_INIT_HASH
    pools = pools_of(world, "sushi_v2")
    assert len(pools) >= 8
    for pool in pools:
        salt = keccak256(b"".join(bytes.fromhex(address[2:]) for address in addresses(world, pool)))
        assert create2_address(factory, salt, bytes.fromhex(SUSHI_PAIR_INIT_HASH)) == pool.address, pool.name


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("sushi_factory", "SushiFactory"),
        ("sushi_router", "SushiRouter02"),
        ("morpho", "Morpho"),
        ("morpho_irm", "IrmMock"),
    ],
)
def test_it_is_created_by_its_packages_source_as_compiled(
    name: str, contract: str, world: World, packages: Packages, home: Home, creations: dict[str, bytes]
) -> None:
    compiled = compile_all(packages, home, quiet)[contract]
    assert creations[world.manifest.contracts[name]].startswith(compiled.creation)


async def test_every_feed_is_the_packages_source_as_compiled(
    world: World, packages: Packages, home: Home, creations: dict[str, bytes]
) -> None:
    compiled = compile_all(packages, home, quiet)
    assert len(world.manifest.feeds) == len(world.manifest.aggregators) == 9
    for address in world.manifest.feeds.values():
        assert creations[address].startswith(compiled["EACAggregatorProxy"].creation)
    for address in world.manifest.aggregators.values():
        assert creations[address].startswith(compiled["FluxAggregator"].creation)


@pytest.mark.parametrize("name", PACKAGE_ARTIFACTS)
def test_it_is_created_by_its_packages_bytecode(
    name: str, world: World, packages: Packages, creations: dict[str, bytes]
) -> None:
    artifact = load(packages, PACKAGE_ARTIFACTS[name])
    sent = creations[world.manifest.contracts[name]]
    links = tuple(offset for offsets in artifact.links.values() for offset in offsets)
    assert without(sent[: len(artifact.creation)], links) == artifact.creation
    assert (len(sent) - len(artifact.creation)) % 32 == 0  # what follows is the constructor's arguments


@pytest.mark.parametrize("name", PACKAGE_ARTIFACTS)
async def test_its_runtime_code_is_its_packages_but_for_links_and_immutables(
    name: str, world: World, packages: Packages, code: Callable[[str], Any]
) -> None:
    artifact = load(packages, PACKAGE_ARTIFACTS[name])
    runtime = await code(world.manifest.contracts[name])
    differing = [i for i, (ours, theirs) in enumerate(zip(runtime, artifact.runtime, strict=True)) if ours != theirs]
    assert all(artifact.runtime[i] == 0 for i in differing)  # a placeholder, filled in by constructor or linker
    assert len(differing) < len(runtime) / 10


def test_aave_asks_the_linked_libraries_of_its_package(
    world: World, packages: Packages, creations: dict[str, bytes]
) -> None:
    pool = load(packages, PACKAGE_ARTIFACTS["aave_pool_implementation"])
    sent = creations[world.manifest.contracts["aave_pool_implementation"]]
    assert len(pool.links) == 7
    for library, offsets in pool.links.items():
        linked = {"0x" + sent[offset : offset + 20].hex() for offset in offsets}
        artifact = load(packages, f"{AAVE}/protocol/libraries/logic/{library}.sol/{library}.json")
        links = tuple(offset for offsets in artifact.links.values() for offset in offsets)
        assert [without(creations[address], links) for address in linked] == [artifact.creation]


async def test_permit2_is_where_and_what_its_package_says(
    world: World, packages: Packages, code: Callable[[str], Any]
) -> None:
    assert world.manifest.contracts["permit2"] == "0x000000000022d473030f116ddee9f6b43ac78ba3"
    assert await code(world.manifest.contracts["permit2"]) == uniswap_v4.permit2_code(packages)


async def test_every_uniswap_v4_pool_is_in_the_manager_under_the_hash_of_its_key(
    world: World, untouched_chain: Chain
) -> None:
    pools = pools_of(world, "uniswap_v4")
    assert {pool.fee_pips for pool in pools} == {100, 500, 3000}
    for pool in pools:
        currencies = [uniswap_v4.NATIVE if pool.native_ether and i == 0 else a for i, a in indexed(world, pool)]
        key = (*currencies, pool.fee_pips, pool.tick_spacing, uniswap_v4.NATIVE)
        pool_id = keccak256(encode((uniswap_v4.KEY,), (key,)))
        assert "0x" + pool_id.hex() == pool.pool_id, pool.name
        view = world.manifest.contracts["uniswap_v4_state_view"]
        assert (await untouched_chain.read(view, "getLiquidity(bytes32)", ["uint128"], pool_id))[0] > 0, pool.name


def test_what_is_ours_is_created_by_our_source(
    world: World, packages: Packages, home: Home, creations: dict[str, bytes]
) -> None:
    compiled = compile_all(packages, home, quiet)
    oracles = [market.oracle for market in world.manifest.morpho_markets]
    curve = [pool.address for pool in pools_of(world, "curve_stable")]
    assert len(oracles) == 2
    assert len(curve) == 1
    ours = {"FeedPriceOracle": oracles, "DevnetStableSwap": curve}
    ours["DevnetShareVault"] = [world.manifest.contracts["share_vault"]]
    for name, places in ours.items():
        assert all(creations[place].startswith(compiled[name].creation) for place in places), name


async def test_every_balancer_pool_comes_from_its_factory(world: World, untouched_chain: Chain) -> None:
    for family, factory in (("weighted", "balancer_weighted_pool_factory"), ("stable", "balancer_stable_pool_factory")):
        for pool in pools_of(world, f"balancer_v2_{family}"):
            answer = await untouched_chain.read(
                world.manifest.contracts[factory], "isPoolFromFactory(address)", ["bool"], pool.address
            )
            assert answer == (True,)


async def test_every_spender_is_a_contract(world: World, code: Callable[[str], Any]) -> None:
    for name in SPENDERS:
        assert len(await code(world.manifest.contracts[name])) > 100
