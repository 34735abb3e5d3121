"""Uniswap V3: factory, position manager, routers, quoter (package bytecode), its pools and their positions."""

from __future__ import annotations

from devnet.manifest import Pool
from devnet.protocols.amounts import positions, sqrt_price_x96
from devnet.protocols.catalogue import POOLS, POSITIONS, TICK_SPACING, PoolSpec
from devnet.protocols.site import FAR_FUTURE, Site

_CORE = "@uniswap/v3-core/artifacts/contracts"
_PERIPHERY = "@uniswap/v3-periphery/artifacts/contracts"
_ROUTER02 = "@uniswap/swap-router-contracts/artifacts/contracts/SwapRouter02.sol/SwapRouter02.json"
_POOL_GAS = 7_000_000
_MINT_GAS = 1_000_000
_NATIVE_LABEL = b"ETH".ljust(32, b"\0")


def deploy(site: Site) -> None:
    """Queue the contracts; the factory gets the 0.01 % tier that governance added on mainnet."""
    factory = site.create("uniswap_v3_factory", f"{_CORE}/UniswapV3Factory.sol/UniswapV3Factory.json")
    site.deployer.call(factory, "enableFeeAmount(uint24,int24)", 100, TICK_SPACING[100])
    weth = site.contracts["weth"]
    two = ("address", "address")
    site.library("NFTDescriptor", f"{_PERIPHERY}/libraries/NFTDescriptor.sol/NFTDescriptor.json")
    descriptor = site.create(
        "uniswap_v3_position_descriptor",
        f"{_PERIPHERY}/NonfungibleTokenPositionDescriptor.sol/NonfungibleTokenPositionDescriptor.json",
        ("address", "bytes32"),
        weth,
        _NATIVE_LABEL,
    )
    manager_path = f"{_PERIPHERY}/NonfungiblePositionManager.sol/NonfungiblePositionManager.json"
    manager = site.create("uniswap_v3_position_manager", manager_path, (*two, "address"), factory, weth, descriptor)
    site.create("uniswap_v3_router", f"{_PERIPHERY}/SwapRouter.sol/SwapRouter.json", two, factory, weth)
    v2_factory = site.contracts["uniswap_v2_factory"]
    site.create("uniswap_v3_router02", _ROUTER02, (*two, *two), v2_factory, factory, manager, weth)
    site.create("uniswap_v3_quoter", f"{_PERIPHERY}/lens/QuoterV2.sol/QuoterV2.json", two, factory, weth)
    site.create("uniswap_v3_tick_lens", f"{_PERIPHERY}/lens/TickLens.sol/TickLens.json")


async def open_pools(site: Site) -> None:
    """Create every V3 pool of the catalogue and mint its positions, spread over the liquidity providers."""
    specs = [spec for spec in POOLS if spec.family == "uniswap_v3"]
    for index, spec in enumerate(specs):
        _open(site, index, spec)
    factory = site.contracts["uniswap_v3_factory"]
    for spec in specs:
        symbols = _ordered(site, spec)
        pair = [site.tokens[symbol] for symbol in symbols]
        signature = "getPool(address,address,uint24)"
        answer = await site.deployer.read(factory, signature, ["address"], *pair, spec.fee_pips)
        site.pools.append(
            Pool(
                name=spec.name,
                family=spec.family,
                address=answer[0],
                tokens=symbols,
                fee_pips=spec.fee_pips,
                tick_spacing=TICK_SPACING[spec.fee_pips],
            )
        )


def _open(site: Site, index: int, spec: PoolSpec) -> None:
    manager = site.contracts["uniswap_v3_position_manager"]
    symbols = _ordered(site, spec)
    pair = [site.tokens[symbol] for symbol in symbols]
    first_is_token0 = symbols == spec.symbols
    price = sqrt_price_x96(spec, first_is_token0)
    create = "createAndInitializePoolIfNecessary(address,address,uint24,uint160)"
    site.deployer.call(manager, create, *pair, spec.fee_pips, price, gas=_POOL_GAS)
    mint = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"
    for turn, position in enumerate(positions(spec, first_is_token0, POSITIONS[spec.positions])):
        provider = site.provider(index + turn)
        ticks, amounts = (position.tick_lower, position.tick_upper), (position.amount0, position.amount1)
        parameters = (*pair, spec.fee_pips, *ticks, *amounts, 0, 0, provider.address, FAR_FUTURE)
        site.deployer.call(manager, mint, parameters, sender=provider, gas=_MINT_GAS)


def _ordered(site: Site, spec: PoolSpec) -> tuple[str, ...]:
    return tuple(sorted(spec.symbols, key=lambda symbol: site.tokens[symbol]))
