"""The engine's process: everything is made and connected in `wire`, and runs until it is told to stop.

endpoints -> feed -> core -> pipeline -> core -> signer -> relays
                       \\-> spool -> desk link -> desk
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from node.config import Config, Mode
from node.engine import collector, warming
from node.engine.before_block import SHADOW_SENDER, BeforeBlock
from node.engine.call_data import VaultCallData
from node.engine.core import EngineCore
from node.engine.day_limits import DayLimits, with_open
from node.engine.desk_link import DeskLink
from node.engine.endpoints import Endpoints
from node.engine.errors import EngineFault
from node.engine.event_log import EventLog
from node.engine.feed import ChainFeed, FeedHooks
from node.engine.headers import Header
from node.engine.keys import signers_of
from node.engine.lending import own_vaults, read_lenders
from node.engine.lockstep import PATIENCE_SECONDS, ChainTime, Lockstep
from node.engine.multicall import Multicall
from node.engine.network.claims import relay_subject
from node.engine.network.part import NetworkPart
from node.engine.network.wiring import network_part
from node.engine.operator_stop import OperatorStop
from node.engine.outcomes import Outcomes
from node.engine.own_evm import OwnEvm
from node.engine.pending_simulator import PendingSimulator
from node.engine.pipeline_settings import pipeline_settings
from node.engine.relays import ANSWER_SECONDS, Relays
from node.engine.resume import records_of, resume, retracted_since
from node.engine.rotation import Rotation
from node.engine.rpc import HttpTransport, Rpc, RpcError
from node.engine.signer import Signer
from node.engine.simulator import BundleSimulator
from node.engine.spool import Spool
from node.engine.status import StatusTeller
from node.engine.strays import Strays
from node.engine.treasury import Treasury
from node.engine.vault_limits import VaultLimits
from node.pipeline.events import BlockRetracted, Event, LimitsResumed, TimePassed, TokenScreened
from node.pipeline.reasons import Reason
from node.pipeline.state import PipelineState
from node.process import Process
from node.records import AnyRecord, OpportunityDropped, OutcomeRetracted
from node.stop_file import StopFile
from protocol.units import Address, BlockNumber, UnixMilliseconds, UnixNanoseconds, Wei

CLOCK_SECONDS: Final = 1.0
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Engine:
    """The wired parts that the process runs."""

    core: EngineCore
    feed: ChainFeed
    desk: DeskLink
    status: StatusTeller
    signers: dict[Address, Signer]
    relays: Relays
    lockstep: Lockstep | None
    network: NetworkPart | None
    stop: OperatorStop
    rotation: Rotation


async def main(process: Process) -> None:
    """Run the engine until it is told to stop. Raises NodeError."""
    async with wire(process) as engine:
        parts = {
            asyncio.create_task(engine.feed.run(), name="feed"),
            asyncio.create_task(engine.desk.run(), name="desk link"),
            asyncio.create_task(_tick(engine, process), name="clock"),
            asyncio.create_task(process.stop.wait(), name="stop"),
        }
        if engine.network is not None and engine.lockstep is None:
            parts.add(asyncio.create_task(engine.network.run(), name="network"))
        opening = asyncio.create_task(_open(engine, process), name="opening")
        try:
            done, _ = await asyncio.wait({*parts, opening}, return_when=asyncio.FIRST_COMPLETED)
            if done == {opening} and opening.exception() is None:
                done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
                if part.get_name() != "stop":
                    raise EngineFault(f"{part.get_name()} has ended")
        finally:
            for part in (*parts, opening):
                part.cancel()
            await asyncio.gather(*parts, opening, return_exceptions=True)


@contextlib.asynccontextmanager
async def wire(process: Process) -> AsyncIterator[Engine]:
    """Make the parts and connect them; nothing but wiring. Raises NodeError."""
    config, clock = process.config, process.clock
    async with contextlib.AsyncExitStack() as stack:
        patience = 0.0 if config.lockstep is None else PATIENCE_SECONDS
        endpoints = Endpoints.open(config.chain.rpcs, clock, patience)
        stack.push_async_callback(endpoints.close)
        signers = signers_of(config, process.password) if config.mode is Mode.LIVE else {}
        senders = tuple(signers) or (SHADOW_SENDER,)
        tokens, module = [token.address for token in config.tokens.profit], config.execution.vault_module
        lenders = await read_lenders(endpoints, config.protocols.lenders, tokens)
        vaults = own_vaults(config.protocols.lenders, module, tokens)
        safes = {sender: vault.safe for sender, vault in zip(signers, config.execution.vaults, strict=False)}
        settings = pipeline_settings(config, [*vaults, *(lender for lender, _ in lenders)], senders)
        call_data = VaultCallData(safes or {SHADOW_SENDER: SHADOW_SENDER})
        state = PipelineState(settings, call_data)

        spool = Spool(config.spool_folder)
        spool.open()
        stack.callback(spool.close)
        lockstep = await _lockstep(config, process, stack)
        relays = Relays(config.relays, clock, lockstep, max(ANSWER_SECONDS, patience))
        await stack.enter_async_context(relays)
        routers = [router.address for router in config.protocols.routers]
        outcomes = Outcomes(endpoints, config.execution.vault_module, senders, routers)
        strays = Strays(endpoints, config.execution.vault_module, tuple(signers), outcomes.__contains__)
        told = records_of(spool.after(0, len(spool)))
        retracted = await retracted_since(endpoints, told)
        left_open = resume(outcomes, [*told, *retracted])
        for one in told:
            strays.hear(one)
        limits = DayLimits(config.data_folder if config.lockstep is None else None)
        treasury = Treasury(endpoints, tuple(signers), lenders)
        multicall = Multicall(endpoints, config.protocols.multicall3)
        limits_of = VaultLimits(multicall, module, safes, tokens, is_drawn_on=bool(vaults))
        log = None if config.event_log is None else EventLog(config.event_log)
        if log is not None:
            stack.callback(log.close)

        def record(made: AnyRecord) -> None:
            spool.append(made, UnixMilliseconds(time.time_ns() // _NS_PER_MS))  # not the feed's: asking it moves it
            strays.hear(made)
            desk.wake()

        def core_now() -> UnixNanoseconds:
            return feed.now()

        # What our own EVM has learnt depends on the machine's speed: a run in lockstep must not.
        own_evm = OwnEvm(endpoints, config.chain.id, is_used=lockstep is None)
        stack.push_async_callback(own_evm.close)
        pending = PendingSimulator(endpoints, own_evm, lambda: feed.logs, core_now)
        chain_time = None if lockstep is None else ChainTime()
        network = await stack.enter_async_context(network_part(config, process.password, endpoints, clock, chain_time))
        core = EngineCore(
            state,
            signers,
            relays,
            outcomes,
            record,
            core_now,
            simulator=BundleSimulator(endpoints, own_evm, core_now),
            pending=pending,
            in_order=lockstep is not None,
            log=log,
        )
        stack.push_async_callback(core.close)
        if (used := limits.load()) is not None:
            core.feed(LimitsResumed(with_open(used, left_open.sent)))

        attend = BeforeBlock(core, own_evm, treasury, limits_of, strays, network, limits, clock, lockstep is not None)

        async def before_block(header: Header) -> None:
            collector.tidy()  # what was planned is void, and a block's time is left for what will be
            relays.block_came(header.number)
            await rotation.follow(header)
            await attend(header)

        hooks = FeedHooks(
            emit=lambda event: _emit(core, event, strays, network),
            state_of=state.market.state_of,
            book=lambda: state.loans.book,
            morpho_book=lambda: state.morpho.book,
            before_block=before_block,
            on_stage=None if lockstep is None else partial(_play, lockstep, core, network),
        )
        feed = ChainFeed(config, endpoints, clock, hooks)
        if chain_time is not None:
            chain_time.read = lambda: feed.chain_time
        core.resync = feed.resync
        rotation = Rotation(config, process.password, endpoints, signers)
        rotation.on_replaced = partial(_replace, core, relays, call_data, treasury, limits_of, strays)
        stop = OperatorStop(core, StopFile(config.data_folder if config.lockstep is None else None))
        if network is not None:
            network.alerts.claims.screen = feed.transfers_of
            _connect(network, core, relays, treasury, lockstep)
            network.draws = lambda: bool(vaults) and state.vaults.draws(network.keys.hot_key)
            network.feed = stop.feed
            network.resume(left_open)
            rotation.on_secret = network.expect
        status = StatusTeller(config, core, feed, relays, treasury, spool, network, pending.counts, time.time_ns)
        desk = DeskLink(config.desk_socket, spool, status, clock)
        for gone in retracted:
            core.tell(gone)
        for found in left_open.unsent:
            core.tell(OpportunityDropped(found=found, reason=Reason.ENGINE_ENDED, at=core_now()))
        stop.follow()
        await rotation.look()
        yield Engine(core, feed, desk, status, signers, relays, lockstep, network, stop, rotation)


def _replace(
    core: EngineCore,
    relays: Relays,
    call_data: VaultCallData,
    treasury: Treasury,
    limits_of: VaultLimits,
    strays: Strays,
    former: Address,
    signer: Signer,
    safe: Address,
) -> None:
    """A vault's hot key was rotated: whoever goes by the former one goes by the new one."""
    call_data.let(signer.address, safe)
    treasury.replace(former, signer.address)
    limits_of.replace(former, signer.address)
    strays.replace(former, signer.address)
    core.replace(former, signer)
    core.beside(relays.warm(signer.identity))


def _connect(
    network: NetworkPart, core: EngineCore, relays: Relays, treasury: Treasury, lockstep: Lockstep | None
) -> None:
    orders = network.orders
    network.tell = orders.tell = network.alerts.tell = network.membership.tell = network.brake.tell = core.tell
    network.feed = orders.feed = core.feed
    network.relays_usable, network.relays_needed = lambda: relays.usable, lambda: relays.needed
    relays.is_stopped = lambda url: relay_subject(url) in network.policy.stopped
    relays.on_lie = network.alerts.claims.lied
    network.shown.ours = lambda: treasury.balances
    network.balance = lambda: treasury.balances.get(network.keys.hot_key, Wei(0))
    core.hand_over, core.answer_order = orders.hand_over, orders.answer
    core.is_forbidden = orders.refused.__contains__
    if lockstep is not None:
        network.membership.submit = partial(_submit_later, network, core, lockstep)


async def _submit_later(network: NetworkPart, core: EngineCore, lockstep: Lockstep, raw: bytes) -> None:
    """Send a transaction when our stage is open; what the devnet says to it is only counted."""

    async def send() -> None:
        try:
            await lockstep.send_public(raw)
        except RpcError as error:
            network.membership.refused(error)

    core.beside(send())


async def _play(lockstep: Lockstep, core: EngineCore, network: NetworkPart | None, block: int, stage: int) -> None:
    """Do all that we do in a stage of lockstep, with the other operators if there is a network. Raises EngineFault."""
    exchange = None if network is None else network.exchange
    act = core.settled if exchange is None else partial(exchange.play, BlockNumber(block), core.settled)
    await lockstep.play(block, stage, act)


async def _open(engine: Engine, process: Process) -> None:
    """Warm everything up, then say that the engine is ready."""
    warming.warm()
    if engine.lockstep is None:
        for signer in engine.signers.values():
            await engine.relays.warm(signer.identity)
    await engine.feed.ready.wait()
    collector.settle()
    engine.status.is_warm = True
    if engine.lockstep is not None:
        if engine.network is not None and engine.network.exchange is not None:
            await engine.network.exchange.link.linked()
        await engine.lockstep.join()
    process.ready()


def _emit(core: EngineCore, event: Event, strays: Strays, network: NetworkPart | None) -> None:
    if isinstance(event, BlockRetracted):
        retracted = core.outcomes.retract(event.hash)
        has_strays = strays.retract(event.hash)
        if network is not None:  # a member's block may also hold payments
            network.retract(event.hash)
        if has_strays or network is not None:
            retracted = retracted or OutcomeRetracted(block_hash=event.hash)
        if retracted is not None:
            core.tell(retracted)
    if isinstance(event, TokenScreened) and network is not None:
        network.alerts.claims.flagged(event.token, event.verdict)
    core.feed(event)


async def _tick(engine: Engine, process: Process) -> None:
    """Move the pipeline's clock, follow the operator's stop and new keystores.

    Not in lockstep, where time comes with the blocks.
    """
    while True:
        await process.clock.sleep(CLOCK_SECONDS)
        if engine.lockstep is None:
            engine.core.feed(TimePassed(engine.feed.now()))
            engine.stop.follow()
            await engine.rotation.look()


async def _lockstep(config: Config, process: Process, stack: contextlib.AsyncExitStack) -> Lockstep | None:
    if config.lockstep is None:
        return None
    admin = Rpc("the devnet", HttpTransport(config.lockstep.admin_url), process.clock)
    stack.push_async_callback(admin.close)
    return Lockstep(config.lockstep, admin, config.chain.rpcs[0].http, process.clock)
