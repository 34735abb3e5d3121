"""Uniswap V2 (package bytecode) and SushiSwap (package source): the same interface, both with mainnet's pair code."""

from __future__ import annotations

from devnet.manifest import Pool
from devnet.protocols.amounts import reserves
from devnet.protocols.catalogue import POOLS, PoolSpec, token
from devnet.protocols.site import FAR_FUTURE, Site

_POOL_GAS = 4_000_000
_FEE_PERCENT = 1
"""What the fee-on-transfer token keeps of a transfer; its pool is given that much more."""


def deploy_uniswap(site: Site) -> None:
    """Queue Uniswap V2's factory and router."""
    factory_path, router_path = (
        "@uniswap/v2-core/build/UniswapV2Factory.json",
        "@uniswap/v2-periphery/build/UniswapV2Router02.json",
    )
    factory = site.create("uniswap_v2_factory", factory_path, ("address",), site.deployer.address)
    site.create("uniswap_v2_router", router_path, ("address", "address"), factory, site.contracts["weth"])


def deploy_sushi(site: Site) -> None:
    """Queue SushiSwap's factory and router."""
    factory = site.create_compiled("sushi_factory", "SushiFactory", ("address",), site.deployer.address)
    weth = site.contracts["weth"]
    router = site.create_compiled("sushi_router", "SushiRouter02", ("address", "address"), factory, weth)
    site.contracts |= {"sushi_factory": factory, "sushi_router": router}


async def open_pools(site: Site) -> None:
    """Create and fill every constant-product pool of the catalogue, each by one of the liquidity providers."""
    families = {
        "uniswap_v2": ("uniswap_v2_factory", "uniswap_v2_router"),
        "sushi_v2": ("sushi_factory", "sushi_router"),
    }
    specs = [(spec, *families[spec.family]) for spec in POOLS if spec.family in families]
    for index, (spec, _, router) in enumerate(specs):
        _add_liquidity(site, index, spec, site.contracts[router])
    for spec, factory, _ in specs:
        pair = [site.tokens[symbol] for symbol in spec.symbols]
        answer = await site.deployer.read(site.contracts[factory], "getPair(address,address)", ["address"], *pair)
        symbols = tuple(sorted(spec.symbols, key=lambda symbol: site.tokens[symbol]))
        site.pools.append(
            Pool(name=spec.name, family=spec.family, address=answer[0], tokens=symbols, fee_pips=spec.fee_pips)
        )


def _add_liquidity(site: Site, index: int, spec: PoolSpec, router: str) -> None:
    amounts = reserves(spec)
    for position, symbol in enumerate(spec.symbols):
        if token(symbol).kind == "fee_on_transfer":
            amounts[position] = amounts[position] * 100 // (100 - _FEE_PERCENT)
    provider = site.provider(index)
    signature = "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)"
    pair = [site.tokens[symbol] for symbol in spec.symbols]
    arguments = (*pair, *amounts, 0, 0, provider.address, FAR_FUTURE)
    site.deployer.call(router, signature, *arguments, sender=provider, gas=_POOL_GAS)
