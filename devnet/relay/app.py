"""The relay as a whole: what is wired to what, and in which order it starts and stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from devnet.clock import DevnetClock
from devnet.errors import ChainFailed
from devnet.relay.builder_endpoints import BuilderEndpoints
from devnet.relay.builder_side import BuilderSide
from devnet.relay.chain import Chain
from devnet.relay.config import RelayConfig
from devnet.relay.control_rpc import ControlRpc
from devnet.relay.faults import Faults
from devnet.relay.gate import HeadGate
from devnet.relay.intake import Intake
from devnet.relay.jsonrpc import Call, MethodNotFound
from devnet.relay.lockstep import Lockstep
from devnet.relay.lockstep_driver import LockstepDriver
from devnet.relay.mempool import Mempool
from devnet.relay.producer import Producer
from devnet.relay.public_rpc import PublicRpc
from devnet.relay.server import Server
from devnet.relay.stats import RelayStats
from devnet.relay.subscriptions import Listener, Subscriptions
from devnet.rpc import RpcClient


@dataclass(frozen=True, slots=True)
class _Parts:
    """What `wire` has put together and `Relay` starts, runs and stops."""

    clock: DevnetClock
    producer: Producer
    server: Server
    lockstep: LockstepDriver | None


def wire(config: RelayConfig, chain: Chain, building: RpcClient, reading: RpcClient) -> _Parts:
    """Put the relay together on a chain that has been read; nothing but wiring."""
    stats = RelayStats()
    gate = HeadGate()
    faults = Faults([builder.name for builder in config.builders])
    subscriptions = Subscriptions(config.server.subscriptions_per_websocket)
    mempool = Mempool(config.mempool)
    clock = _clock(config, chain.head.timestamp)
    lockstep = None
    if config.lockstep:
        machine = Lockstep(chain.head.number + 1, config.lockstep_participants)
        lockstep = LockstepDriver(machine, subscriptions, config.lockstep_seconds)
    intake = Intake(
        config=config, chain=chain, mempool=mempool, subscriptions=subscriptions, stats=stats, lockstep=lockstep
    )
    builder_side = BuilderSide(config, chain, clock, intake, building)
    endpoints = BuilderEndpoints(builder_side.api, intake=intake, faults=faults, clock=clock, lockstep=lockstep)
