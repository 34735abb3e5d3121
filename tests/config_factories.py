"""Configurations for tests: a whole one that is right, to be changed where a test needs it."""

from __future__ import annotations

from pathlib import Path

from node.config import (
    ChainConfig,
    Config,
    DeskConfig,
    ExecutionConfig,
    FactoryConfig,
    LenderConfig,
    Mode,
    NetworkConfig,
    ProtocolsConfig,
    RelayConfig,
    RouterConfig,
    RpcConfig,
    TokensConfig,
    VaultConfig,
)
from node.pipeline.plans import LenderKind
from node.pipeline.pools import PoolFamily
from node.pipeline.settings import ProfitToken, RouterKind
from protocol.units import Address, ChainId

WETH = Address(bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"))


def numbered(number: int) -> Address:
    """An address that a reader recognises."""
    return Address(number.to_bytes(20, "big"))


def config_in(folder: Path, mode: Mode = Mode.LIVE) -> Config:
    """A configuration with one of everything, below `folder`; the desk takes a free port."""
    return Config(
        name="alice",
        mode=mode,
        data_folder=folder / "data",
        chain=ChainConfig(
            id=ChainId(31337),
            block_seconds=2.0,
            rpcs=(RpcConfig(http="http://127.0.0.1:8545", websocket="ws://127.0.0.1:8545"),),
        ),
        protocols=ProtocolsConfig(
            multicall3=numbered(1),
            factories=(FactoryConfig(family=PoolFamily.UNISWAP_V2, address=numbered(2)),),
            routers=(RouterConfig(kind=RouterKind.UNISWAP_V2, address=numbered(3)),),
            lenders=(
                LenderConfig(kind=LenderKind.BALANCER_V2, address=numbered(4)),
                LenderConfig(kind=LenderKind.UNISWAP_V3),
            ),
        ),
        tokens=TokensConfig(profit=(ProfitToken(WETH, 100 * 10**18, 5000 * 10**18),)),
        execution=ExecutionConfig(
            vault_module=numbered(5), vaults=(VaultConfig(safe=numbered(6), keystore=folder / "keys" / "hot.json"),)
        ),
        relays=(RelayConfig(name="flashbots", url="http://127.0.0.1:8545/relay"),),
        desk=DeskConfig(port=0),
    )


def network_in(folder: Path) -> NetworkConfig:
    """A network for a node whose files are in `folder`."""
    operator, staking, ledger, court, brake, parameters = (Address(bytes([0x61 + place]) * 20) for place in range(6))
    return NetworkConfig(
        operator=operator,
        staking=staking,
        ledger=ledger,
        court=court,
        brake=brake,
        parameters=parameters,
        identity=folder / "identity",
        listen=("/ip4/127.0.0.1/tcp/4711",),
    )
