"""Makes the engine's part in the network out of a configuration, and connects it; nothing but wiring."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from governance.network import NetworkContracts, OperatorRecord, operator_query
from node.clock import Clock
from node.config import Config, Mode, NetworkConfig
from node.engine.endpoints import Endpoints
from node.engine.lockstep import PATIENCE_SECONDS
from node.engine.multicall import Multicall
from node.engine.network.alerts import Alerts
from node.engine.network.claims import Claims
from node.engine.network.directory import PeerDirectory
from node.engine.network.exchange import Exchange, SteppedLink
from node.engine.network.hot_key import JOURNAL
from node.engine.network.keys import NetworkKeys, Repeated
from node.engine.network.membership import Membership
from node.engine.network.orders import DECIDE_SECONDS, OrderDesk
from node.engine.network.part import NetworkPart
from node.engine.network.registry import Registry
from node.engine.network.sentry_link import SentryLink
from node.engine.network.terms import Terms
from node.engine.network.trust_file import TrustFile
from node.engine.rotation import successor_path
from node.engine.rpc_types import Data
from node.engine.signing_journal import Owner, place_of
from node.errors import NodeError, SetupError
from node.identity import SEED_BYTES, peer_id_hash
from node.keyfile import Password, read_keystore
from node.link_errors import SocketUnusable
from node.link_server import LinkServer
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.signing import Domain
from protocol.units import (
    ZERO_ADDRESS,
    Address,
    BootId,
    Hash32,
    UnixMilliseconds,
    UnixNanoseconds,
    address_from_hex,
    address_to_hex,
)

_MACHINE_ID: Final = Path("/etc/machine-id")
_BOOT_ID_BYTES: Final = 8
_NS_PER_MS: Final = 1_000_000


@contextlib.asynccontextmanager
async def network_part(
    config: Config,
    password: Password | None,
    endpoints: Endpoints,
    clock: Clock,
    chain_time: Callable[[], UnixNanoseconds] | None = None,
) -> AsyncIterator[NetworkPart | None]:
    """Return the part, listening for the sentry; None for a node without a network. Raises SetupError, RpcError.

    `chain_time`: of a devnet in lockstep. Then the part goes by it, draws what follows from its key, and takes turns
    with the other operators' (`exchange`).
    """
    network = config.network
    if network is None or password is None or config.mode is not Mode.LIVE:
        yield None
        return
    contracts = contracts_of(network)
    record = await _registered(endpoints, contracts, network)
    identity = _identity(network.identity)
    if peer_id_hash(identity) != record.peer_id_hash:
        raise SetupError(f"network.identity: {network.identity} is not the peer that is registered: `hftnode join`")
    domain = Domain(config.chain.id, network.staking)
    secret, safe = _hot_key(config, password, record)
    now_ns = _now_ns if chain_time is None else chain_time

    def now_ms() -> UnixMilliseconds:
        return UnixMilliseconds(now_ns() // _NS_PER_MS)

    draw = os.urandom if chain_time is None else Repeated(secret)
    boot_id = BootId(int.from_bytes(draw(_BOOT_ID_BYTES), "big"))
    keys = NetworkKeys(domain, record.account, peer_id_hash(identity), secret, boot_id, now_ms)
    registry = Registry(endpoints, Multicall(endpoints, config.protocols.multicall3), contracts, network.from_block)
    sentry, decide = (
        (SentryLink(clock), DECIDE_SECONDS) if chain_time is None else (SteppedLink(clock), PATIENCE_SECONDS)
    )
    orders = OrderDesk(keys, registry, sentry, clock, now_ns, draw=draw, decide_seconds=decide)
    claims = Claims(registry, domain, record.account, [relay.url for relay in config.relays])
    alerts = Alerts(endpoints, keys, now_ns, claims, in_order=chain_time is not None)
    owner = Owner(domain.separator, keys.hot_key, machine_name())
    part = NetworkPart(
        registry,
        keys,
        Membership(endpoints, registry, keys.key, config.chain.id),
        PeerDirectory(registry),
        sentry,
        orders,
        alerts,
        _terms(config, network, safe),
        place_of(config.data_folder / JOURNAL, owner),
        owner,
        now_ms,
        draw,
        TrustFile(config.data_folder if config.lockstep is None else None),
    )
    if isinstance(sentry, SteppedLink):
        part.exchange = Exchange(sentry, orders, alerts)
    sentry.heard, sentry.asked = part.heard, part.asked
    config.run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        async with contextlib.AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(LinkServer(config.engine_socket, "engine", sentry.handle, clock))
            except SocketUnusable as error:
                raise NodeError(str(error)) from error
            yield part
    finally:
        await orders.close()
        await alerts.close()
        await sentry.close()
        part.close()


def contracts_of(network: NetworkConfig) -> NetworkContracts:
    """Return where the contracts stand that a node uses; the others are nobody's."""
    return NetworkContracts(
        token=ZERO_ADDRESS,
        staking=network.staking,
        court=network.court,
        parameters=network.parameters,
        brake=network.brake,
        stream=ZERO_ADDRESS,
        ledger=network.ledger,
        work=ZERO_ADDRESS,
        governor=ZERO_ADDRESS,
        timelock=ZERO_ADDRESS,
    )


async def _registered(endpoints: Endpoints, contracts: NetworkContracts, network: NetworkConfig) -> OperatorRecord:
    query = operator_query(contracts, network.operator)
    request = {"to": address_to_hex(query.contract), "data": "0x" + query.data.hex()}
    answer = await endpoints.call("eth_call", request, "latest", shape=Data)
    record = query.read(answer)
    if not record.is_registered:
        raise SetupError(f"network.operator: {address_to_hex(network.operator)} is not registered: `hftnode join`")
    return record


def _hot_key(config: Config, password: Password, record: OperatorRecord) -> tuple[bytes, Address]:
    """Return the registered hot key out of the keystores, and its Safe. Raises SetupError if it is not there."""
    keystores = [
        (path, vault.safe)
        for vault in config.execution.vaults
        for path in (vault.keystore, successor_path(vault.keystore))
        if path == vault.keystore or path.exists()
    ]
    for path, safe in keystores:
        secret = read_keystore(path, password)
        if address_from_hex(SigningKey(secret).address) == record.hot_key:
            return secret, safe
    raise SetupError(
        f"the registered hot key {address_to_hex(Address(record.hot_key))} is in no keystore of [[execution.vaults]]"
    )


def _identity(path: Path) -> bytes:
    try:
        seed = path.read_bytes()
    except OSError as error:
        raise SetupError(f"network.identity: {path}: {error.strerror}") from None
    if len(seed) != SEED_BYTES:
        raise SetupError(f"network.identity: {path} has {len(seed)} bytes, an identity has {SEED_BYTES}")
    return seed


def _terms(config: Config, network: NetworkConfig, safe: Address) -> Terms:
    return Terms(
        vault_module=config.execution.vault_module,
        safe=safe,
        finder_bps=network.finder_share,
        finder_floor_bps=network.finder_floor,
        takes_orders=network.takes_orders,
        venues={
            address: factory.family
            for factory in config.protocols.factories
            for address in (factory.address, *factory.pool_factories)
        },
        policies={policy.kind.value: policy.action for policy in network.policies},
        trusted=frozenset(config.tokens.trusted),
        routers=frozenset(router.address for router in config.protocols.routers),
        supports={policy.kind.value: policy.brake for policy in network.policies},
    )


def machine_name() -> Hash32:
    """Name this machine: a signing journal that was carried to another one is not believed."""
    try:
        name = _MACHINE_ID.read_bytes()
    except OSError:
        name = socket.gethostname().encode()
    return Hash32(keccak256(name))


def _now_ns() -> UnixNanoseconds:
    return UnixNanoseconds(time.time_ns())
