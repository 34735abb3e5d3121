"""The way of a sealed order to its signed Accept between two hosts on loopback, for `benchmarks/gossip.py`.

The leader signs by its anti-slashing store: what it promises is synced to disk first, as in a node. Left out is what a
node does between its sentry and its store: the link to the engine, and the simulation of the order.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio
from libp2p.peer.id import ID

from benchmarks.gossip_nodes import DOMAIN, identity_of, key_of, registry
from node.engine.anti_slashing import AntiSlashingStore, SlashableSigner, begin_journal
from node.engine.signing_journal import Owner
from node.sentry.host import Callbacks, SentryHost, SentrySettings
from node.sentry.peers import PeerBook
from protocol import sealing, signing
from protocol.codec import DirectMessage
from protocol.ethereum.keccak import keccak256
from protocol.messages import OrderHandover, SealedOrder, SignedAccept
from protocol.sealing import SealingSecret
from protocol.statements import SealingKey
from protocol.units import Address, BlockNumber, Hash32, LegKey, address_from_hex
from tests.protocol_factories import accept, order

ORDERS: Final = 150
PAUSE_SECONDS: Final = 0.06
"""Within the questions that a node answers one peer."""
LOOPBACK: Final = "/ip4/127.0.0.1/tcp/0"
JOIN_SECONDS: Final = 20.0
ROUTE: Final = b"r" * 600
FINDER, LEADER = 0, 1
HEAD: Final = BlockNumber(21_000_000)
SECRET: Final = SealingSecret(keccak256(b"gossip benchmark, sealing key"))

Answerer = Callable[[ID, DirectMessage], Awaitable[DirectMessage | None]]


def account_of(number: int) -> Address:
    """Return an operator's account."""
    return address_from_hex(key_of(number).address)


def leader_with(folder: Path) -> Answerer:
    """Return what opens an order, checks who signed it, and signs an Accept once that is on disk in `folder`."""
    path, owner = folder / "signed.journal", Owner(DOMAIN.separator, account_of(LEADER), Hash32(bytes(32)))
    begin_journal(path, owner, HEAD)
    signer = SlashableSigner(DOMAIN, key_of(LEADER), AntiSlashingStore(path, owner, HEAD))

    async def answer(peer: ID, question: DirectMessage) -> DirectMessage | None:
        if not isinstance(question, SealedOrder):
            return None
        opened = sealing.open_sealed(DOMAIN, question, SECRET)
        signing.verify(DOMAIN, opened.order, opened.signature, account_of(FINDER))
        order_hash, offered = signing.digest(DOMAIN, opened.order), opened.order
        return signer.accept(
            accept(order_hash=order_hash, target_block=offered.target_block, primary_key=offered.primary_key)
        )

    return answer


async def answer_nothing(peer: ID, question: DirectMessage) -> DirectMessage | None:
    """Be no leader."""
    return None


def sealed_order(number: int) -> SealedOrder:
    """Return a new order, signed and sealed: each for a leg of its own, as a leg is promised once."""
    target, leg = BlockNumber(HEAD + 1), LegKey(Hash32(keccak256(b"leg %d" % number)))
    commit = Hash32(keccak256(ROUTE))
    offered = order(finder=account_of(FINDER), target_block=target, primary_key=leg, route_commit=commit)
    handover = OrderHandover(order=offered, signature=signing.sign(DOMAIN, offered, key_of(FINDER)), route=ROUTE)
    recipient = SealingKey(
        operator=account_of(LEADER), public_key=SECRET.public_key, from_block=target, until_block=target
    )
    return sealing.seal(DOMAIN, handover, recipient, SealingSecret(os.urandom(32)))


async def order_latencies() -> list[float]:
    """Return the seconds from a plain order to a checked Accept, ORDERS times."""
    samples: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        answer_as_leader = leader_with(Path(folder))
        await _ask(answer_as_leader, samples)
    return samples


async def _ask(answer_as_leader: Answerer, samples: list[float]) -> None:
    async with trio.open_nursery() as nursery:
        hosts: list[SentryHost] = []
        for number, answer in ((LEADER, answer_as_leader), (FINDER, answer_nothing)):
            bootstrap = tuple(address for host in hosts for address in host.addresses)
            callbacks = Callbacks(lambda envelope, data, peer: None, answer)
            settings = SentrySettings(listen=(LOOPBACK,), bootstrap=bootstrap)
            host = SentryHost(settings, DOMAIN, identity_of(number), callbacks, PeerBook())
            host.follow(registry(2))
            await nursery.start(host.run)
            hosts.append(host)
        leader, finder = hosts
        with trio.fail_after(JOIN_SECONDS):
            while leader.id not in finder.connected:  # noqa: ASYNC110 libp2p has no event for it
                await trio.sleep(0.05)
        for number in range(ORDERS):
            begun = time.perf_counter_ns()
            told = await finder.streams.ask(leader.id, sealed_order(number))
            if not isinstance(told, SignedAccept):
                raise RuntimeError(f"the leader answers {type(told).__name__}")  # noqa: TRY004 no wrong argument
            signing.verify(DOMAIN, told.accept, told.signature, account_of(LEADER))
            samples.append((time.perf_counter_ns() - begun) / 1e9)
            await trio.sleep(PAUSE_SECONDS)
        nursery.cancel_scope.cancel()
