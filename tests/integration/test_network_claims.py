"""Claims between nodes, from what makes them to who believes them: a token on a chain, a relay that answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import orjson
import pytest
from aiohttp import web

from devnet.packages import Packages
from devnet.relay.config import RelayConfig as DevnetRelayConfig
from devnet.world import World
from node.clock import SystemClock
from node.config import Config, RelayConfig
from node.engine.endpoints import Endpoints
from node.engine.headers import header_from_json
from node.engine.network.alerts import UNJUDGED, Alerts
from node.engine.network.claims import Claims, claim_alert
from node.engine.network.keys import NetworkKeys
from node.engine.relays import Relays
from node.engine.rpc_types import Quantity
from node.pipeline.events import TokenScreened
from node.records import AnyRecord, NetworkAlertTold
from protocol.claims import FlaggedContract
from protocol.kinds import AlertKind, ContractFault
from protocol.messages import Payload, SecurityAlert
from protocol.units import (
    BlockNumber,
    BootId,
    Hash32,
    PeerIdHash,
    UnixMilliseconds,
    UnixNanoseconds,
    address_from_hex,
)
from tests.alerts_scene import NoOperators
from tests.devnet_run import devnet
from tests.engine_scene import engine_config
from tests.feed_run import Follower, following
from tests.protocol_factories import ADDRESSES, DEVNET, SECRETS, hash_of
from tests.vault_stand_in import signed, signer

pytestmark = pytest.mark.anvil


class Node:
    """One operator's alerts on a chain, and what it said and wrote down."""

    def __init__(self, name: str, endpoints: Endpoints, relays: tuple[str, ...] = ()) -> None:
        self.said: list[Payload] = []
        self.records: list[AnyRecord] = []
        self.believed: list[SecurityAlert] = []
        peer, now = PeerIdHash(hash_of(f"peer of {name}")), UnixMilliseconds(1_790_000_000_000)
        self.keys = NetworkKeys(DEVNET, ADDRESSES[name], peer, SECRETS[name], BootId(1), lambda: now)
        self.claims = Claims(NoOperators(), DEVNET, ADDRESSES[name], relays)
        self.alerts = Alerts(endpoints, self.keys, lambda: UnixNanoseconds(1), self.claims)
        self.alerts.tell = self.records.append
        self.alerts.on_confirmed = lambda alert, _header: self.believed.append(alert)
        self.endpoints = endpoints

        async def publish(payload: Payload) -> None:
            self.said.append(payload)

        self.alerts.publish = publish

    async def sees_head(self) -> None:
        """Take in the chain's head, which is looked at again where it has not changed."""
        raw = await self.endpoints.call("eth_getBlockByNumber", "latest", False, shape=msgspec.Raw)
        self.alerts.expect(header_from_json(raw))
        await self.alerts.work()

    def told(self) -> list[SecurityAlert]:
        """Its alerts of the kinds that are claims."""
        kinds = (AlertKind.CONTRACT_FLAGGED, AlertKind.RELAY_LIES)
        return [one for one in self.said if isinstance(one, SecurityAlert) and one.kind in kinds]

    def verdicts(self, by: Node) -> list[str]:
        """What it has written down of another's alerts."""
        told = [one for one in self.records if isinstance(one, NetworkAlertTold)]
        return [one.verdict for one in told if one.operator == by.keys.account]


@asynccontextmanager
async def feeding(config: Config, name: str) -> AsyncIterator[tuple[Node, Follower]]:
    """An operator with a feed of its own: its screen is the feed's."""
    async with following(config) as follower:
        node = Node(name, follower.endpoints)
        node.claims.screen = follower.feed.transfers_of
        for event in follower.of_kind(TokenScreened):
            node.claims.flagged(event.token, event.verdict)
        yield node, follower


@pytest.mark.timeout(240)
async def test_a_token_that_takes_a_fee_is_told_and_believed_by_who_comes_to_it_on_the_chain(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    fee, plain = (
        next(address_from_hex(token.address) for token in world.manifest.tokens if token.symbol == symbol)
        for symbol in ("FEE", "USDC")
    )
    async with devnet(packages, world, tmp_path, DevnetRelayConfig()) as relay:
        config = engine_config(world.manifest, tmp_path, relay.public_url, relay.ws_url)
        async with feeding(config, "alice") as (alice, _), feeding(config, "carol") as (carol, _):
            carol.claims._tokens.clear()  # it has to come to it because it is told
            await alice.sees_head()
            (alert,) = alice.told()
            assert (alert.kind, alert.subject) == (AlertKind.CONTRACT_FLAGGED, fee.rjust(32, b"\0"))

            await carol.sees_head()
            header = next(reversed(carol.alerts._blocks.values())).header
            holder = await carol.claims.screen(plain, header.hash)
            assert holder is not None
            false = FlaggedContract(block_hash=header.hash, fault=ContractFault.HONEYPOT, holder=holder[0])
            elsewhere = msgspec.structs.replace(false, holder=fee)
            subject = Hash32(plain.rjust(32, b"\0"))
            for told in (alert, claim_alert(header, false, subject), claim_alert(header, elsewhere, subject)):
                carol.alerts.heard(alice.keys.envelope(told))
            await carol.sees_head()

            assert carol.verdicts(alice) == ["confirmed", "refuted", UNJUDGED]
            assert [one.subject for one in carol.believed if one.kind is AlertKind.CONTRACT_FLAGGED] == [alert.subject]


class LyingRelay:
    """A real HTTP server that answers rightly at first, and then by another bundle's hash."""

    def __init__(self) -> None:
        self.lies = False
        self.right = Hash32(bytes(32))

    async def handle(self, _request: web.Request) -> web.StreamResponse:
        """Answer a bundle."""
        named = hash_of("another bundle") if self.lies else self.right
        result = {"bundleHash": "0x" + named.hex()}
        return web.Response(body=orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": result}))


@asynccontextmanager
async def served(relay: LyingRelay) -> AsyncIterator[str]:
    """The relay's address."""
    application = web.Application()
    application.router.add_post("/{path:.*}", relay.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_a_relay_that_lies_to_two_of_three_is_believed_to_lie_by_these_two(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    relay, bundle = LyingRelay(), signed(11)
    relay.right = bundle.hash
    async with served(relay) as url, devnet(packages, world, tmp_path, DevnetRelayConfig()) as chain:
        config = engine_config(world.manifest, tmp_path, chain.public_url, chain.ws_url)
        endpoints = Endpoints.open(config.chain.rpcs, SystemClock())
        alice, bob, carol = (Node(name, endpoints, (url,)) for name in ("alice", "bob", "carol"))

        async def sends(node: Node) -> None:
            async with Relays([RelayConfig(name="swift", url=url)], SystemClock()) as relays:
                relays.on_lie = lambda told, bundle_hash, _target: node.claims.lied(told, bundle_hash, head)
                for relay.lies in (False, node is not carol):
                    await relays.send(bundle, signer().identity)

        head = BlockNumber(int(await endpoints.call("eth_blockNumber", shape=Quantity)))
        for node in (alice, bob, carol):
            await sends(node)
            await node.sees_head()
        (alert,) = alice.told()
        for node in (bob, carol):
            node.alerts.heard(alice.keys.envelope(alert))
            await node.sees_head()
        await endpoints.close()

    assert alert.kind is AlertKind.RELAY_LIES
    assert (bob.verdicts(alice), carol.verdicts(alice)) == (["confirmed"], [UNJUDGED])
    assert (alert in bob.believed, alert in carol.believed) == (True, False)
