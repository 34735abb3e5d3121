"""The demo's operators: their vaults are in the world, their settings differ as those of real operators do.

Each follows other protocols and takes profit in other tokens: each pair of protocols is somebody's, so that nothing is
out of reach, and they meet over the same pool often enough to outbid each other. A node that is alone follows all. Of
five (`OF_FIVE`), who follows most lacks the ether to use it, so that there is something to hand over.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from devnet.accounts import account
from devnet.manifest import Manifest, Operator
from devnet.protocols.amounts import raw_amount
from devnet.protocols.catalogue import USD, token
from devnet.protocols.vaults import BID_CAP, PINNED
from devnet.run_folder import RunRecord
from node.config import (
    ChainConfig,
    Config,
    DeskConfig,
    ExecutionConfig,
    FactoryConfig,
    LenderConfig,
    ListedPoolConfig,
    LockstepConfig,
    Mode,
    NetworkConfig,
    ProtocolsConfig,
    RelayConfig,
    RouterConfig,
    RpcConfig,
    TokensConfig,
    VaultConfig,
)
from node.config_template import write_commented
from node.engine.anti_slashing import begin_journal
from node.engine.network.hot_key import JOURNAL
from node.engine.network.wiring import machine_name
from node.engine.signing_journal import Owner
from node.identity import write_identity
from node.keyfile import Password, write_keystore
from node.pipeline.plans import LenderKind
from node.pipeline.pools import AT_BALANCER_V2, PoolFamily
from node.pipeline.settings import ProfitToken, RiskLimits, RouterKind
from protocol.signing import Domain
from protocol.units import Address, BlockNumber, ChainId, TokenAmount, Wei

_CHEAP_SCRYPT: Final = 2**12
"""The keys are public anyway."""
_INPUT_USD: Final = 2_000_000
_DAILY_USD: Final = 100_000_000_000
_FACTORIES: Final = {
    PoolFamily.UNISWAP_V2: "uniswap_v2_factory",
    PoolFamily.SUSHI_V2: "sushi_factory",
    PoolFamily.UNISWAP_V3: "uniswap_v3_factory",
    PoolFamily.BALANCER_V2_WEIGHTED: "balancer_vault",
    PoolFamily.UNISWAP_V4: "uniswap_v4_pool_manager",
}
_LISTED: Final = {PoolFamily.CURVE_PLAIN: "curve_stable_pool"}
"""Pools that no factory announces."""
_BALANCER_FACTORIES: Final = ("balancer_weighted_pool_factory", "balancer_stable_pool_factory")
_ROUTERS: Final = {
    RouterKind.UNISWAP_V2: "uniswap_v2_router",
    RouterKind.SUSHI_V2: "sushi_router",
    RouterKind.UNISWAP_V3: "uniswap_v3_router",
    RouterKind.SWAP_ROUTER_02: "uniswap_v3_router02",
    RouterKind.BALANCER_V2: "balancer_vault",
}


@dataclass(frozen=True, slots=True)
class Style:
    """What one operator does otherwise than the others."""

    families: tuple[PoolFamily, ...]
    profit: tuple[str, ...]
    """Token symbols, WETH first."""
    minimum_net_profit: Wei


EVERYTHING: Final = Style((*_FACTORIES, *_LISTED), tuple(PINNED), Wei(10**14))
_NODES_ALONE: Final = (PoolFamily.UNISWAP_V4, PoolFamily.CURVE_PLAIN)
"""Where nobody but the nodes trades."""
STYLES: Final = {
    "north": Style(
        (PoolFamily.UNISWAP_V2, PoolFamily.UNISWAP_V3, *_NODES_ALONE), ("WETH", "USDC", "USDT", "DAI"), Wei(10**14)
    ),
    "east": Style(
        (PoolFamily.SUSHI_V2, PoolFamily.UNISWAP_V3, PoolFamily.BALANCER_V2_WEIGHTED, *_NODES_ALONE),
        ("WETH", "USDC", "WBTC"),
        Wei(2 * 10**14),
    ),
    "south": Style(
        (PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2, PoolFamily.BALANCER_V2_WEIGHTED),
        ("WETH", "USDC", "USDT"),
        Wei(3 * 10**14),
    ),
    "west": Style(EVERYTHING.families, ("WETH", "USDC", "USDT", "DAI", "WBTC"), Wei(10**14)),
    "centre": Style(EVERYTHING.families, ("WETH", "USDC", "USDT", "DAI", "WBTC"), Wei(10**14)),
}
OF_FIVE: Final = {
    "north": STYLES["north"],
    "east": Style(
        (PoolFamily.SUSHI_V2, PoolFamily.UNISWAP_V3, *_NODES_ALONE), ("WETH", "USDC", "WBTC"), Wei(2 * 10**14)
    ),
    "south": Style((PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2), ("WETH", "USDC", "USDT"), Wei(3 * 10**14)),
    "west": STYLES["west"],
    "centre": Style(
        (PoolFamily.UNISWAP_V2, PoolFamily.SUSHI_V2, PoolFamily.UNISWAP_V3, *_NODES_ALONE),
        ("WETH", "USDC", "USDT", "DAI", "WBTC"),
        Wei(10**14),
    ),
}
"""Balancer is west's alone."""


@dataclass(frozen=True, slots=True)
class PreparedNode:
    """A node that can be started: its operator, its configuration, and where file and password are."""

    operator: Operator
    config: Config
    config_path: Path
    password_path: Path

    @property
    def name(self) -> str:
        """The operator's and the node's name."""
        return self.operator.name


def prepare_node(
    operator: Operator,
    style: Style,
    record: RunRecord,
    manifest: Manifest,
    folder: Path,
    network: NetworkConfig | None = None,
    websocket: str = "",
) -> PreparedNode:
    """Write configuration, keystores, identity and password into a new `folder`. Raises what `node.config_file` raises.

    Without `network` the node acts alone.
    """
    folder.mkdir(parents=True, mode=0o700)
    password_path = folder / "password"
    password = Password(secrets.token_urlsafe(16))
    password_path.touch(mode=0o600)
    password_path.write_text(password.reveal() + "\n", encoding="ascii")
    vaults = []
    for vault in operator.vaults:
        keystore = folder / "keystores" / f"{vault.hot_key}.json"
        write_keystore(keystore, account(vault.hot_key).secret, password, _CHEAP_SCRYPT)
        vaults.append(VaultConfig(safe=_raw(vault.safe), keystore=keystore))
    if network is not None:
        write_identity(network.identity, account(operator.peer).secret)
        _begin_journal(operator, network, manifest, folder / "data")
    config = replace(
        node_config(operator.name, style, record, manifest, folder, tuple(vaults), websocket), network=network
    )
    config_path = folder / "hftnode.toml"
    write_commented(config, config_path)
    return PreparedNode(operator, config, config_path, password_path)


def _begin_journal(operator: Operator, network: NetworkConfig, manifest: Manifest, data_folder: Path) -> None:
    """Say that the operator's key has signed nothing yet, as nobody has since the world was made."""
    data_folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    domain = Domain(ChainId(manifest.chain_id), network.staking)
    hot_key = _raw(account(operator.vaults[0].hot_key).address)
    owner = Owner(domain.separator, hot_key, machine_name())
    begin_journal(data_folder / JOURNAL, owner, BlockNumber(manifest.block_number))


def node_config(
    name: str,
    style: Style,
    record: RunRecord,
    manifest: Manifest,
    folder: Path,
    vaults: tuple[VaultConfig, ...],
    websocket: str = "",
) -> Config:
    """Return the configuration of an operator's node on a running devnet, with its files in `folder`."""
    contracts, websocket = manifest.contracts, websocket or record.ws_url
    return Config(
        name=name,
        mode=Mode.LIVE,
        data_folder=folder / "data",
        chain=ChainConfig(
            id=ChainId(record.chain_id),
            block_seconds=record.block_time_seconds,
            rpcs=(RpcConfig(http=record.rpc_url, websocket=websocket),),
        ),
        protocols=ProtocolsConfig(
            multicall3=_raw(contracts["multicall3"]),
            factories=tuple(_factory(family, contracts) for family in style.families if family in _FACTORIES),
            pools=tuple(
                ListedPoolConfig(family=family, address=_raw(contracts[_LISTED[family]]))
                for family in style.families
                if family in _LISTED
            ),
            routers=tuple(RouterConfig(kind=kind, address=_raw(contracts[key])) for kind, key in _ROUTERS.items()),
            lenders=(
                LenderConfig(kind=LenderKind.BALANCER_V2, address=_raw(contracts["balancer_vault"])),
                LenderConfig(kind=LenderKind.AAVE_V3, address=_raw(contracts["aave_pool"])),
                LenderConfig(kind=LenderKind.UNISWAP_V3),
            ),
            morpho=_raw(contracts["morpho"]),
        ),
        tokens=TokensConfig(profit=tuple(_profit(manifest, symbol) for symbol in style.profit)),
        execution=ExecutionConfig(vault_module=_raw(contracts["vault_module"]), vaults=vaults),
        relays=tuple(RelayConfig(name=builder, url=url) for builder, url in record.builder_urls.items()),
        limits=RiskLimits(
            minimum_net_profit=style.minimum_net_profit, max_bid=BID_CAP, max_daily_spend=Wei(15 * 10**18)
        ),
        desk=DeskConfig(port=0),
        lockstep=LockstepConfig(participant=name, admin_url=record.admin_url) if record.lockstep else None,
    )


def _factory(family: PoolFamily, contracts: Mapping[str, str]) -> FactoryConfig:
    makers = _BALANCER_FACTORIES if family in AT_BALANCER_V2 else ()
    return FactoryConfig(
        family=family,
        address=_raw(contracts[_FACTORIES[family]]),
        pool_factories=tuple(_raw(contracts[name]) for name in makers),
    )


def _profit(manifest: Manifest, symbol: str) -> ProfitToken:
    spec = token(symbol)
    address = _raw(manifest.token(symbol).address)
    most, daily = (TokenAmount(raw_amount(spec, dollars * USD)) for dollars in (_INPUT_USD, _DAILY_USD))
    return ProfitToken(address, most, daily)


def _raw(address: str) -> Address:
    return Address(bytes.fromhex(address[2:]))
