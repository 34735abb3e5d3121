"""A node's configuration for the tests of the engine, also one that fits a devnet's world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devnet.manifest import Manifest
from node.config import (
    ChainConfig,
    Config,
    ExecutionConfig,
    FactoryConfig,
    ListedPoolConfig,
    Mode,
    ProtocolsConfig,
    RouterConfig,
    RpcConfig,
    TokensConfig,
)
from node.pipeline.pools import PoolFamily
from node.pipeline.settings import ProfitToken, RouterKind
from protocol.units import Address, ChainId, address_from_hex

CHAIN_ID = 31337
_FACTORIES = {
    PoolFamily.UNISWAP_V2: "uniswap_v2_factory",
    PoolFamily.SUSHI_V2: "sushi_factory",
    PoolFamily.UNISWAP_V3: "uniswap_v3_factory",
    PoolFamily.BALANCER_V2_WEIGHTED: "balancer_vault",
    PoolFamily.UNISWAP_V4: "uniswap_v4_pool_manager",
}
_ROUTERS = {
    RouterKind.UNISWAP_V2: "uniswap_v2_router",
    RouterKind.SUSHI_V2: "sushi_router",
    RouterKind.UNISWAP_V3: "uniswap_v3_router",
    RouterKind.SWAP_ROUTER_02: "uniswap_v3_router02",
    RouterKind.BALANCER_V2: "balancer_vault",
}


def made_up(name: str) -> Address:
    """An address that is nobody's."""
    return Address(name.encode().ljust(20, b"\x11")[:20])


def listed_pools(manifest: Manifest) -> tuple[ListedPoolConfig, ...]:
    """The world's pools that no factory announces."""
    curves = [pool.address for pool in manifest.pools if pool.family == "curve_stable"]
    chosen = [(PoolFamily.CURVE_PLAIN, address) for address in curves]
    chosen += [
        (PoolFamily.ERC4626, manifest.contracts["share_vault"]),
        (PoolFamily.WRAPPER, manifest.contracts["weth"]),
    ]
    return tuple(ListedPoolConfig(family=family, address=address_from_hex(address)) for family, address in chosen)


def engine_config(
    manifest: Manifest | None = None, folder: Path = Path("/nonexistent"), http: str = "", ws: str = "", **changes: Any
) -> Config:
    """A node in shadow mode; of a manifest, with its contracts and WETH and USDC as profit tokens."""

    def contract(name: str) -> Address:
        return made_up(name) if manifest is None else address_from_hex(manifest.contracts[name])

    def token(symbol: str) -> Address:
        return made_up(symbol) if manifest is None else address_from_hex(manifest.token(symbol).address)

    most = 10**30
    fields: dict[str, Any] = {
        "name": "alice",
        "mode": Mode.SHADOW,
        "data_folder": folder,
        "chain": ChainConfig(id=ChainId(CHAIN_ID), block_seconds=2.0, rpcs=(RpcConfig(http=http, websocket=ws),)),
        "protocols": ProtocolsConfig(
            multicall3=contract("multicall3"),
            factories=tuple(
                FactoryConfig(family=family, address=contract(name)) for family, name in _FACTORIES.items()
            ),
            pools=() if manifest is None else listed_pools(manifest),
            routers=tuple(RouterConfig(kind=kind, address=contract(name)) for kind, name in _ROUTERS.items()),
        ),
        "tokens": TokensConfig(profit=tuple(ProfitToken(token(symbol), most, most) for symbol in ("WETH", "USDC"))),
        "execution": ExecutionConfig(vault_module=made_up("module")),
        **changes,
    }
    return Config(**fields)
