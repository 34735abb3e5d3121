"""What an operator sets, validated: one frozen `Config`, read from TOML and the environment by `node.config_file`.

Addresses are bytes here and 0x-hex in the file; amounts of ether may be written with their unit ("0.5 ether").
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from node.pipeline.amm.curve_stableswap import ProductRule
from node.pipeline.amm.units import FeePips
from node.pipeline.events import TokenVerdict
from node.pipeline.plans import LenderKind
from node.pipeline.pools import PoolFamily
from node.pipeline.settings import Bounds, ProfitToken, RiskLimits, RouterKind
from protocol.units import Address, BasisPoints, BlockNumber, ChainId


class Mode(StrEnum):
    """What the node does with what it finds."""

    LIVE = "live"
    SHADOW = "shadow"
    """Signs and sends nothing, and needs no key; reports what it would have done."""


class RpcConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the chain: HTTP for calls, WebSocket for subscriptions."""

    http: str
    """For calls; a path or query with a key of the provider is never shown."""
    websocket: str
    """For subscriptions."""


class ChainConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The chain, and how it is reached: all RPCs are raced and compared; the first is preferred."""

    id: ChainId
    """Of EIP-155; an RPC on another chain is not used."""
    block_seconds: float
    """Expected time between blocks; a head older than a few of them is stale."""
    rpcs: tuple[RpcConfig, ...]
    """At least one; a second one shows when the first is behind or lies."""


class FactoryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A factory whose pools are followed. For Balancer V2 the address is the vault's, for Uniswap V4 the manager's."""

    family: PoolFamily
    """Whose contracts its pools are."""
    address: Address
    """Of the factory; for Balancer V2 of the vault, for Uniswap V4 of the pool manager."""
    fee_pips: FeePips = FeePips(3000)
    """Of constant-product pairs, whose contract does not tell it."""
    from_block: BlockNumber = BlockNumber(0)
    """Its pools' announcements are read from here on."""
    pool_factories: tuple[Address, ...] = ()
    """Of Balancer V2, at whose vault anybody registers a pool: the factories whose pools are followed. Without any, a
    pool is taken for what its contract says it is; simulation, audit and the minimum profit stand against one that
    lies."""


class ListedPoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A pool that no factory announces: one of Curve's, a vault with shares (ERC-4626), a wrapper."""

    family: PoolFamily
    """One of `curve_plain`, `curve_meta`, `curve_crypto`, `erc4626`, `wrapper`."""
    address: Address
    """Of the pool, the vault or the wrapped token."""
    product_rule: ProductRule = ProductRule.EACH
    """Of a Curve pool: how its code forms D; what is wrong here is found out and the pool not traded."""
    closed_form: bool = False
    """Of a crypto pool: whether it is a tricrypto-ng."""
    base: Address | None = None
    """Of a meta pool: its base pool."""
    base_rule: ProductRule = ProductRule.EACH
    """The base pool's `product_rule`."""


class RouterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A contract whose pending calls are read."""

    kind: RouterKind
    """Which call data it takes."""
    address: Address
    """Of the router."""


class LenderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A flash lender: Balancer's vault or Aave's pool. Two have no address: `uniswap_v3`, whose followed pools lend,
    and `vault`, our own Safes, as far as their owners let executions draw.
    """

    kind: LenderKind
    """Where the capital of an execution comes from."""
    address: Address | None = None
    """Of Balancer's vault or Aave's pool."""


class ProtocolsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The contracts of others that the node reads and uses."""

    multicall3: Address
    """Reads many pools in one call."""
    factories: tuple[FactoryConfig, ...]
    """Whose pools are followed."""
    pools: tuple[ListedPoolConfig, ...] = ()
    """Pools that no factory announces."""
    routers: tuple[RouterConfig, ...] = ()
    """Whose pending calls are read: without them no backruns."""
    lenders: tuple[LenderConfig, ...] = ()
    """Where flash loans come from, in no order: the cheapest is taken."""
    morpho: Address | None = None
    """Morpho Blue, whose loans are followed and liquidated; without it they are not."""


class TokensConfig(msgspec.Struct, frozen=True, kw_only=True):
    """In which tokens profit is taken (the wrapped coin first), and which tokens may be on the way."""

    profit: tuple[ProfitToken, ...]
    """In which profit is taken; the wrapped coin first."""
    accepted: tuple[TokenVerdict, ...] = (TokenVerdict.PLAIN,)
    """Verdicts of the screen with which a token may take part."""
    trusted: tuple[Address, ...] = ()
    """Take part whatever the screen says."""
    refused: tuple[Address, ...] = ()
    """Never take part."""


class VaultConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One vault: the operator's Safe, and the hot key that may trade with it. One vault a strategy, one key a vault."""

    safe: Address
    """The Safe that receives the profit."""
    keystore: Path
    """Of the hot key, encrypted (Web3 Secret Storage, version 3)."""


class ExecutionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Our own contracts and the vaults behind them."""

    vault_module: Address
    """Our contract that the hot keys call; zero in shadow mode."""
    vaults: tuple[VaultConfig, ...] = ()
    """At least one in live mode."""
    simulate: bool = True
    """Whether each bundle is run in an EVM of our own before it is sent."""
    simulate_pending: bool = True
    """Whether pending transactions that no decoder reads are run, to see which followed pools they move."""


class RelayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A Flashbots-style relay or builder."""

    name: str
    """As logs and metrics call it."""
    url: str
    """Takes `eth_sendBundle`; never shown with its path or query."""


class AlertAction(StrEnum):
    """What follows from an alert of the network that our own means confirm."""

    LOG = "log"
    NOTIFY = "notify"
    """It is an alert of this node, too."""
    STOP_SUBJECT = "stop_subject"
    """Nothing goes through the pool or token that it is about while the alert stands, nothing is sent to the relay, no
    order goes to or comes from the peer; a restart forgets it. A price feed is none of these: for `oracle_deviates` it
    is refused.
    """
    STOP_ALL = "stop_all"
    """Nothing is executed until `hftnode resume`, whatever is restarted."""


class BrakeSupport(StrEnum):
    """Whether our stake supports a pause by the network's brake; a transaction of the hot key, which costs gas."""

    NONE = "none"
    SUBJECT = "subject"
    """Of what the alert is about, for 300 blocks, once a third of the stake attests it."""
    ALL = "all"
    """Of everything, for up to ten days, once two thirds of the stake attest it."""


class WatchedAlert(StrEnum):
    """Kinds of alerts that a node recomputes itself: the first three from the block; of the others by its own means."""

    SANDWICH_SEEN = "sandwich_seen"
    POOL_DRAINED = "pool_drained"
    ORACLE_DEVIATES = "oracle_deviates"
    CONTRACT_FLAGGED = "contract_flagged"
    """A token that lies when our own simulation sends it."""
    RELAY_LIES = "relay_lies"
    """A relay that lied to us, too."""
    PEER_MISBEHAVES = "peer_misbehaves"
    """An operator of whom two signed statements contradict each other."""


class PolicyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a confirmed alert of one kind does here. What is not confirmed does nothing, whoever tells it."""

    kind: WatchedAlert
    """Of the alert."""
    action: AlertAction
    """What follows here."""
    brake: BrakeSupport = BrakeSupport.NONE
    """What our stake supports beside it, where enough other stake attests the same: nothing, `subject` or `all`."""


class NetworkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The network of operators that this node belongs to. Without it, and in shadow mode, the node acts alone."""

    operator: Address
    """The account that is registered and has staked; its hot key is that of one of the vaults."""
    staking: Address
    """`NodeStaking`: the registry, and what everything is signed for."""
    ledger: Address
    """`ExecutionLedger`: epochs, leaders, orders."""
    court: Address
    """`SlashingCourt`."""
    brake: Address
    """`EmergencyBrake`."""
    parameters: Address
    """`NetworkParameters`."""
    from_block: BlockNumber = BlockNumber(0)
    """The registry's events are read from here on; the block of its deployment, or an earlier one."""
    identity: Path
    """The secret of the libp2p identity, 32 bytes; `hftnode init` writes it."""
    listen: tuple[str, ...] = ("/ip4/0.0.0.0/tcp/4711",)
    """Where peers reach us, as multiaddresses."""
    governor: Address | None = None
    """`HftGovernor`: its proposals are watched; without it they are not."""
    bootstrap: tuple[str, ...] = ()
    """Peers to dial at first, as multiaddresses that end in /p2p/ and the peer's id; at most 64."""
    announce: tuple[str, ...] = ()
    """Where others are told to dial us, as multiaddresses, at most 4; needed behind a router. Else where we listen."""
    private_peers: bool = False
    """Whether addresses of private networks and of this machine are dialled when a peer names them: for devnets."""
    finder_share: BasisPoints = BasisPoints(5_000)
    """Of the net profit of a find that is handed over, what we ask for."""
    finder_floor: BasisPoints = BasisPoints(2_500)
    """Of the find's gross profit: below that it is not executed for us."""
    takes_orders: bool = True
    """Whether others' orders are executed in our blocks."""
    policies: tuple[PolicyConfig, ...] = ()
    """By kind of alert; without one it is logged."""


class DeskConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where the desk answers: status, metrics. Port 0 takes a free one (told in the run folder)."""

    host: str = "127.0.0.1"
    """Whoever reaches it reads everything that `hftnode status` shows."""
    port: int = 9464
    """0 takes a free one, told in `run/node.json`."""


class LockstepConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Devnets only: take part in lockstep under this name; blocks wait for us."""

    participant: str
    """Our name at the barriers."""
    admin_url: str
    """The admin RPC of the devnet."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """One node. `data_folder` holds ledger, spool, snapshots and the sockets between the processes."""

    name: str
    """As status, metrics and logs call this node."""
    mode: Mode
    """What is done with finds: `live` signs and sends, `shadow` only tells."""
    data_folder: Path
    """Ledger, spool, logs and sockets; one node a folder."""
    chain: ChainConfig
    protocols: ProtocolsConfig
    tokens: TokensConfig
    execution: ExecutionConfig
    relays: tuple[RelayConfig, ...] = ()
    """Each bundle goes to all of them at once; at least one in live mode."""
    limits: RiskLimits = RiskLimits()
    bounds: Bounds = Bounds()
    desk: DeskConfig = DeskConfig()
    network: NetworkConfig | None = None
    lockstep: LockstepConfig | None = None
    event_log: Path | None = None
    """Where to write every event and effect, to compare two runs; a file that only grows, so not for every day."""

    @property
    def run_folder(self) -> Path:
        """Sockets, and what a running node tells others about itself."""
        return self.data_folder / "run"

    @property
    def desk_socket(self) -> Path:
        """Where the desk listens for the engine."""
        return self.run_folder / "desk.sock"

    @property
    def engine_socket(self) -> Path:
        """Where the engine listens for the sentry."""
        return self.run_folder / "engine.sock"

    @property
    def peer_book(self) -> Path:
        """What the sentry remembers of peers."""
        return self.data_folder / "peers.json"

    @property
    def spool_folder(self) -> Path:
        """Where the engine keeps ledger entries until the desk has them."""
        return self.data_folder / "spool"

    @property
    def ledger_path(self) -> Path:
        """The desk's SQLite file."""
        return self.data_folder / "ledger.sqlite"
