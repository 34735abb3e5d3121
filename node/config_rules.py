"""What no single value can tell: rules over a whole configuration. Each broken one is a key and what was expected."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from node.config import AlertAction, BrakeSupport, Config, Mode, NetworkConfig, WatchedAlert
from node.pipeline.plans import LenderKind
from node.pipeline.pools import AT_BALANCER_V2
from protocol.units import ZERO_ADDRESS, address_to_hex

MAX_SOCKET_PATH_BYTES: Final = 107
"""Of the system, for Unix domain sockets."""
MAX_PORT: Final = 65_535
MAX_BOOTSTRAP: Final = 64
MAX_ANNOUNCED: Final = 4
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_LISTEN: Final = re.compile(r"/ip([46])/([0-9a-fA-F.:]+)/tcp/([0-9]{1,5})\Z")
_PEER: Final = re.compile(r"/(?:ip[46]|dns[46]?)/[^/\s]+/tcp/([0-9]{1,5})/p2p/[1-9A-HJ-NP-Za-km-z]{32,64}\Z")
_ADDRESSED_LENDERS: Final = (LenderKind.BALANCER_V2, LenderKind.AAVE_V3)
_NOT_ON_CHAIN: Final = (WatchedAlert.RELAY_LIES, WatchedAlert.PEER_MISBEHAVES)

Broken = tuple[str, str]


def broken_rules(config: Config) -> Iterator[Broken]:
    """Yield every rule that the configuration breaks."""
    if not _NAME.match(config.name):
        yield "name", "letters, digits, dot, dash and underscore, at most 64"
    if len(str(config.desk_socket).encode()) > MAX_SOCKET_PATH_BYTES:
        yield "data_folder", f"too long: its sockets' paths would pass the system's {MAX_SOCKET_PATH_BYTES} bytes"
    if config.desk.port > MAX_PORT:
        yield "desk.port", "a port, 0 to 65535"
    yield from _chain(config)
    yield from _protocols(config)
    yield from _tokens(config)
    yield from _execution(config)
    yield from _bounds(config)
    yield from _network(config)


def _network(config: Config) -> Iterator[Broken]:
    network = config.network
    if network is None:
        return
    for name in ("operator", "staking", "ledger", "court", "brake", "parameters"):
        if getattr(network, name) == ZERO_ADDRESS:
            yield f"network.{name}", "an address that is not zero"
    yield from _twice("network.policies", (policy.kind for policy in network.policies))
    for place, policy in enumerate(network.policies):
        if policy.kind is WatchedAlert.ORACLE_DEVIATES and policy.action is AlertAction.STOP_SUBJECT:
            yield f"network.policies[{place}].action", "nothing is traded through a price feed: stop_all, notify or log"
        if policy.kind is WatchedAlert.ORACLE_DEVIATES and policy.brake is BrakeSupport.SUBJECT:
            yield f"network.policies[{place}].brake", "nothing is traded through a price feed: all, or none"
        if policy.kind in _NOT_ON_CHAIN and policy.brake is not BrakeSupport.NONE:
            yield f"network.policies[{place}].brake", "the brake pauses contracts, not relays or peers: none"
    yield from _peers(network)


def _peers(network: NetworkConfig) -> Iterator[Broken]:
    if not network.listen:
        yield "network.listen", "at least one multiaddress, such as /ip4/0.0.0.0/tcp/4711"
    for place, text in enumerate(network.listen):
        if not _is_place(text):
            yield f"network.listen[{place}]", "a multiaddress such as /ip4/0.0.0.0/tcp/4711"
    for place, text in enumerate(network.announce):
        if not _is_place(text):
            yield f"network.announce[{place}]", "a multiaddress such as /ip4/203.0.113.7/tcp/4711"
    if len(network.announce) > MAX_ANNOUNCED:
        yield "network.announce", f"at most {MAX_ANNOUNCED}"
    if len(network.bootstrap) > MAX_BOOTSTRAP:
        yield "network.bootstrap", f"at most {MAX_BOOTSTRAP}"
    for place, text in enumerate(network.bootstrap):
        parts = _PEER.match(text)
        if parts is None or int(parts[1]) > MAX_PORT:
            yield f"network.bootstrap[{place}]", "a multiaddress such as /dns4/HOST/tcp/4711/p2p/PEER_ID"


def _is_place(text: str) -> bool:
    """Tell whether it is a multiaddress of an IP address, of the version that it says, and a TCP port."""
    parts = _LISTEN.match(text)
    if parts is None or int(parts[3]) > MAX_PORT:
        return False
    try:
        return ip_address(parts[2]).version == int(parts[1])
    except ValueError:
        return False


def _chain(config: Config) -> Iterator[Broken]:
    if not config.chain.id:
        yield "chain.id", "the chain's id (EIP-155), above 0"
    if not config.chain.rpcs:
        yield "chain.rpcs", "at least one RPC"
    for place, rpc in enumerate(config.chain.rpcs):
        yield from _url(f"chain.rpcs[{place}].http", rpc.http, ("http", "https"))
        yield from _url(f"chain.rpcs[{place}].websocket", rpc.websocket, ("ws", "wss"))
    if config.lockstep is not None:
        yield from _url("lockstep.admin_url", config.lockstep.admin_url, ("http", "https"))


def _protocols(config: Config) -> Iterator[Broken]:
    protocols = config.protocols
    if not protocols.factories:
        yield "protocols.factories", "at least one factory: without pools there is nothing to find"
    for place, factory in enumerate(protocols.factories):
        if factory.fee_pips >= 1_000_000:
            yield f"protocols.factories[{place}].fee_pips", "hundredths of a basis point below 1000000 (3000 is 0.3 %)"
        if factory.pool_factories and factory.family not in AT_BALANCER_V2:
            yield f"protocols.factories[{place}].pool_factories", "only for a family at Balancer's vault"
    for place, lender in enumerate(protocols.lenders):
        if lender.kind in _ADDRESSED_LENDERS and lender.address is None:
            yield f"protocols.lenders[{place}].address", f"is missing: where {lender.kind} lends"
        if lender.kind not in _ADDRESSED_LENDERS and lender.address is not None:
            yield f"protocols.lenders[{place}].address", f"{lender.kind} has none: leave it out"
    yield from _twice("protocols.factories", (f"{f.family} {address_to_hex(f.address)}" for f in protocols.factories))
    yield from _twice("protocols.routers", (f"{r.kind} {address_to_hex(r.address)}" for r in protocols.routers))


def _tokens(config: Config) -> Iterator[Broken]:
    if not config.tokens.profit:
        yield "tokens.profit", "at least one token, the wrapped coin first"
    yield from _twice("tokens.profit", (address_to_hex(token.address) for token in config.tokens.profit))
    for token in sorted(set(config.tokens.trusted) & set(config.tokens.refused)):
        yield "tokens.refused", f"{address_to_hex(token)} is trusted and refused"
    for token in sorted({token.address for token in config.tokens.profit} & set(config.tokens.refused)):
        yield "tokens.refused", f"{address_to_hex(token)} is a profit token"


def _execution(config: Config) -> Iterator[Broken]:
    for place, relay in enumerate(config.relays):
        yield from _url(f"relays[{place}].url", relay.url, ("http", "https"))
    yield from _twice("relays", (relay.name for relay in config.relays))
    yield from _twice("execution.vaults", (address_to_hex(vault.safe) for vault in config.execution.vaults))
    yield from _twice("execution.vaults", (str(vault.keystore) for vault in config.execution.vaults))
    if config.mode is Mode.LIVE:
        if not config.execution.vaults:
            yield "execution.vaults", 'at least one vault, or mode = "shadow"'
        if not config.relays:
            yield "relays", 'at least one relay, or mode = "shadow"'
        if config.execution.vault_module == ZERO_ADDRESS:
            yield "execution.vault_module", 'the address of the vault module, or mode = "shadow"'


def _bounds(config: Config) -> Iterator[Broken]:
    for name in config.bounds.__struct_fields__:
        if getattr(config.bounds, name) < 1:
            yield f"bounds.{name}", "at least 1"
    if config.limits.breaker_window < 1:
        yield "limits.breaker_window", "at least 1"
    if config.limits.breaker_failures > config.limits.breaker_window:
        yield "limits.breaker_failures", "at most breaker_window, or the breaker never opens"


def _url(key: str, url: str, schemes: tuple[str, ...]) -> Iterator[Broken]:
    """The error does not repeat the URL: it may hold a key for the service behind it."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits:
        yield key, f"a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"


def _twice(key: str, names: Iterable[str]) -> Iterator[Broken]:
    for name, count in Counter(names).items():
        if count > 1:
            yield key, f"{name} stands there {count} times"
