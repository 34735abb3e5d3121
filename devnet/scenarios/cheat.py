"""An operator that signs what it must not: a genuine sentry, and an engine's part in the network without its store.

It checks in, beats and answers as any member, and accepts whatever it is asked, though it executes nothing. Once it is
not loyal any more it accepts two orders for one leg of one block; and of one alert it says both that it is true and
that it is false.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from devnet.demo.operators import PreparedNode
from devnet.errors import ChainFailed
from devnet.scenarios.nodes import LiveDevnet
from node.clock import SystemClock
from node.engine.anti_slashing import SlashableSigner
from node.engine.endpoints import Endpoints
from node.engine.headers import header_from_json
from node.engine.network.keys import NetworkKeys
from node.engine.network.part import NetworkPart
from node.engine.network.wiring import network_part
from node.keyfile import read_password
from node.pipeline.events import AnswerOrder, Event, OrderArrived, OrderVerdict
from protocol.ethereum.keccak import keccak256
from protocol.evidence import Evidence, evidence_of
from protocol.kinds import DeclineReason, Verdict
from protocol.messages import SignedAccept, SignedAttestation
from protocol.signing import sign_accept, sign_attestation
from protocol.slashing import Slot, answer_of
from protocol.statements import Accept, Attestation
from protocol.units import BlockNumber, Hash32, UnixSeconds, Wei

END_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1
_ALERT: Final = Hash32(keccak256(b"an alert that is as one likes"))


class Faithless(SlashableSigner):
    """Signs without a store. `doubled`: two accepts for one leg, once there are."""

    def __init__(self, keys: NetworkKeys) -> None:
        self.doubled: list[SignedAccept] = []
        self._keys = keys
        self._said: dict[Slot, SignedAccept] = {}

    def accept(self, accept: Accept) -> SignedAccept:
        """Sign whatever it is."""
        slot, _ = answer_of(accept)
        signed = sign_accept(self._keys.domain, accept, self._keys.key)
        first = self._said.setdefault(slot, signed)
        if first.accept.order_hash != accept.order_hash:
            self.doubled += [first, signed]
        return signed

    def attest(self, attestation: Attestation) -> SignedAttestation:
        """Sign whatever it is."""
        return sign_attestation(self._keys.domain, attestation, self._keys.key)


class Cheat:
    """See the module."""

    def __init__(self, scene: LiveDevnet, part: NetworkPart) -> None:
        self.scene, self.part = scene, part
        self.signer = Faithless(part.keys)
        self.is_loyal = True
        """Until it is told otherwise it takes one order a leg."""
        self._taken: set[tuple[int, bytes]] = set()
        part.orders.feed = self._take_all
        part.balance = lambda: Wei(10**18)
        part.relays_usable = part.relays_needed = lambda: 1

    async def contradict(self) -> Evidence:
        """Say of one alert in the last block that it is true and that it is not; return what that proves."""
        head = self.part.registry.head
        if head is None:
            raise ChainFailed("the cheat has seen no block yet")
        both = [
            self.signer.attest(
                Attestation(
                    alert_id=_ALERT,
                    block_hash=Hash32(head.hash),
                    verdict=verdict,
                    block_number=BlockNumber(head.number),
                    timestamp=UnixSeconds(head.timestamp),
                )
            )
            for verdict in (Verdict.CONFIRMED, Verdict.REFUTED)
        ]
        for said in both:
            await self.part.publish(said)
        return evidence_of(self.part.keys.account, *both)

    async def follow(self) -> None:
        """Tell its part of each block, until cancelled."""
        told = ""
        while True:
            head = self.scene.head
            if head.hash != told:
                told = head.hash
                block = await self.scene.stage.rpc.call("eth_getBlockByHash", head.hash, False)
                if block is not None:
                    self.part.head_seen(header_from_json(msgspec.json.encode(block)))
            if self.part.keys.slashable is not None:
                self.part.keys.slashable = self.signer
            await asyncio.sleep(_LOOK_SECONDS)

    def _take_all(self, event: Event) -> None:
        if not isinstance(event, OrderArrived):
            return
        leg = event.order.target_block, event.order.primary_key
        verdict, reason = OrderVerdict.ACCEPT, None
        if leg in self._taken and (self.is_loyal or self.signer.doubled):
            verdict, reason = OrderVerdict.DECLINE, DeclineReason.CONFLICT
        self._taken.add(leg)
        self.part.orders.answer(AnswerOrder(event.number, event.order, event.order_hash, verdict, reason))


@contextlib.asynccontextmanager
async def cheating(scene: LiveDevnet, prepared: PreparedNode) -> AsyncIterator[Cheat]:
    """Let it take part; its sentry ends with it."""
    clock = SystemClock()
    endpoints = Endpoints.open(prepared.config.chain.rpcs, clock)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(endpoints.close)
        password = read_password(prepared.password_path)
        part = await stack.enter_async_context(network_part(prepared.config, password, endpoints, clock))
        if part is None:
            raise ChainFailed(f"{prepared.name} belongs to no network")
        await stack.enter_async_context(_sentry(prepared))
        cheat = Cheat(scene, part)
        tasks = [asyncio.create_task(part.run()), asyncio.create_task(cheat.follow())]
        try:
            yield cheat
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _sentry(prepared: PreparedNode) -> AsyncIterator[None]:
    log_path = prepared.config_path.with_name("sentry.log")
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "node.sentry", "--config", str(prepared.config_path)),
            stdin=asyncio.subprocess.PIPE,  # it ends when this does
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            ended = asyncio.ensure_future(process.wait())
            await asyncio.wait({ended}, timeout=END_SECONDS)
            if not ended.done():
                process.kill()
            await ended
