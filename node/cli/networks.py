"""Chains that `hftnode init` knows: Ethereum by itself, others by whoever offers them in the entry points.

A package names a function in the group `hftnode.networks`; it takes the folder of the new configuration and returns a
`Network`. So the devnet offers itself, and the node imports nothing above it (ADR 0005).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from node.config import (
    ChainConfig,
    Config,
    ExecutionConfig,
    FactoryConfig,
    LenderConfig,
    Mode,
    ProtocolsConfig,
    RelayConfig,
    RouterConfig,
    RpcConfig,
    TokensConfig,
)
from node.errors import NodeError
from node.pipeline.plans import LenderKind
from node.pipeline.pools import PoolFamily
from node.pipeline.settings import ProfitToken, RouterKind
from protocol.units import ZERO_ADDRESS, BlockNumber, ChainId, address_from_hex

GROUP: Final = "hftnode.networks"
ETHEREUM: Final = "ethereum"
_WEIGHTED_FACTORIES: Final = tuple(
    map(
        address_from_hex,
        (
            "0x8E9aa87E45e92bad84D5F8DD1bff34Fb92637dE9",  # WeightedPoolFactory
            "0xA5bf2ddF098bb0Ef6d120C98217dD6B141c74EE0",  # WeightedPool2TokensFactory
            "0xcC508a455F5b0073973107Db6a878DdBDab957bC",  # WeightedPoolFactory, version 2
            "0x5Dd94Da3644DDD055fcf6B3E1aa310Bb7801EB8b",  # version 3
            "0x897888115Ada5773E02aA29F775430BFB5F34c51",  # version 4
        ),
    )
)
"""Balancer's own on Ethereum: its vault registers whatever calls it, and whoever wrote a pool says what it holds."""


class NetworkUnknown(NodeError):
    """No package offers a network of this name."""


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration to begin with. `secrets`: of hot keys that are public anyway, for its keystores in order; without
    them `init` draws one new key. `identity`: likewise for libp2p."""

    config: Config
    secrets: tuple[bytes, ...] = ()
    identity: bytes = b""

    def __repr__(self) -> str:
        return f"Network({self.config.name})"


def network(name: str, folder: Path) -> Network:
    """Return the network of that name, for a configuration in `folder`. Raises NetworkUnknown and what it raises."""
    if name == ETHEREUM:
        return Network(config=_ethereum(folder))
    for entry in importlib.metadata.entry_points(group=GROUP, name=name):
        offered: Callable[[Path], Network] = entry.load()
        return offered(folder)
    raise NetworkUnknown(f"no installed package offers the network {name!r}")


def _ethereum(folder: Path) -> Config:
    """Return Ethereum in shadow mode, with a node on this machine: nothing is signed until vaults are configured."""
    weth, usdc, dai, usdt = map(
        address_from_hex,
        (
            "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
            "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
            "0x6B175474E89094C44Da98b954EedeAC495271d0F",
            "0xdAC17F958D2ee523a2206206994597C13D831ec7",
        ),
    )
    balancer = address_from_hex("0xBA12222222228d8Ba445958a75a0704d566BF2C8")
    return Config(
        name="hftnode",
        mode=Mode.SHADOW,
        data_folder=folder / "data",
        chain=ChainConfig(
            id=ChainId(1),
            block_seconds=12.0,
            rpcs=(RpcConfig(http="http://127.0.0.1:8545", websocket="ws://127.0.0.1:8546"),),
        ),
        protocols=ProtocolsConfig(
            multicall3=address_from_hex("0xcA11bde05977b3631167028862bE2a173976CA11"),
            factories=tuple(
                FactoryConfig(
                    family=family,
                    address=address_from_hex(address),
                    from_block=BlockNumber(block),
                    pool_factories=_WEIGHTED_FACTORIES if family is PoolFamily.BALANCER_V2_WEIGHTED else (),
                )
                for family, address, block in (
                    (PoolFamily.UNISWAP_V2, "0x5C69bEe701ef814a2B6a3EDD4B1652CB9cc5aA6f", 10_000_835),
                    (PoolFamily.SUSHI_V2, "0xC0AEe478e3658e2610c5F7A4A2E1777cE9e4f2Ac", 10_794_229),
                    (PoolFamily.UNISWAP_V3, "0x1F98431c8aD98523631AE4a59f267346ea31F984", 12_369_621),
                    (PoolFamily.BALANCER_V2_WEIGHTED, "0xBA12222222228d8Ba445958a75a0704d566BF2C8", 12_272_146),
                )
            ),
            routers=tuple(
                RouterConfig(kind=kind, address=address_from_hex(address))
                for kind, address in (
                    (RouterKind.UNISWAP_V2, "0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D"),
                    (RouterKind.SUSHI_V2, "0xd9e1cE17f2641f24aE83637ab66a2cca9C378B9F"),
                    (RouterKind.UNISWAP_V3, "0xE592427A0AEce92De3Edee1F18E0157C05861564"),
                    (RouterKind.SWAP_ROUTER_02, "0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"),
                    (RouterKind.BALANCER_V2, "0xBA12222222228d8Ba445958a75a0704d566BF2C8"),
                )
            ),
            lenders=(
                LenderConfig(kind=LenderKind.BALANCER_V2, address=balancer),
                LenderConfig(
                    kind=LenderKind.AAVE_V3, address=address_from_hex("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2")
                ),
                LenderConfig(kind=LenderKind.UNISWAP_V3),
                LenderConfig(kind=LenderKind.VAULT),
            ),
        ),
        tokens=TokensConfig(
            profit=(
                ProfitToken(weth, 500 * 10**18, 50_000 * 10**18),
                ProfitToken(usdc, 1_000_000 * 10**6, 100_000_000 * 10**6),
                ProfitToken(dai, 1_000_000 * 10**18, 100_000_000 * 10**18),
                ProfitToken(usdt, 1_000_000 * 10**6, 100_000_000 * 10**6),
            )
        ),
        execution=ExecutionConfig(vault_module=ZERO_ADDRESS),
        relays=(RelayConfig(name="flashbots", url="https://relay.flashbots.net"),),
    )
