"""One node with what no block says by itself: claims of its own, of others, and what its pools say of tokens."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from node.engine.network.claims import Claims
from node.pipeline.events import TokenVerdict
from protocol.evidence import Evidence
from protocol.messages import SecurityAlert
from protocol.units import Address, BlockNumber, Hash32, PeerIdHash, UnixSeconds, address_from_hex
from tests.alerts_scene import Scene
from tests.block_alert_samples import POOL
from tests.claim_samples import PEER_OF_BOB, RELAY, TOKEN
from tests.protocol_factories import ADDRESSES, BOB, DEVNET, KEYS

HONEYPOT = (POOL, TokenVerdict.HONEYPOT)


class Operators:
    """A registry in which bob signs by his key, in force up to a block."""

    def __init__(self) -> None:
        self.until = BlockNumber(1_000)

    def peer_of(self, account: Address) -> PeerIdHash | None:
        return PeerIdHash(PEER_OF_BOB) if account == BOB else None

    def key_of(self, account: Address, block: BlockNumber, _time: UnixSeconds) -> Address | None:
        return address_from_hex(KEYS["bob"].address) if account == BOB and block < self.until else None


class Node(Scene):
    """One node with claims: what its pools say of tokens stands in `tokens`, an error is raised."""

    def __init__(self, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.operators = Operators()
        self.claims = Claims(self.operators, DEVNET, ADDRESSES[name], [RELAY])
        super().__init__(name, folder, monkeypatch, self.claims)
        self.tokens: dict[Address, tuple[Address, TokenVerdict] | Exception] = {}
        self.screened: list[tuple[Address, Hash32]] = []
        self.proven: list[Evidence] = []
        self.claims.screen, self.claims.on_proven = self.screen, self.proven.append

    async def screen(self, token: Address, block: Hash32) -> tuple[Address, TokenVerdict] | None:
        self.screened.append((token, block))
        found = self.tokens.get(token)
        if isinstance(found, Exception):
            raise found
        return found

    async def block(self, number: int) -> None:
        await self.sees(number, [])

    async def judges(self, other: Node, alert: SecurityAlert, number: int) -> None:
        """Another's alert arrives, and a block after it."""
        await self.hears(other, alert)
        await self.block(number)

    async def sees_two_blocks_while_it_screens(self) -> None:
        """Blocks 7 and 8 come while the screen of a token waits that we flagged, and which is plain in the end."""
        self.alerts._in_order = False
        gate = asyncio.Event()

        async def slowly(_token: Address, _block: Hash32) -> tuple[Address, TokenVerdict] | None:
            await gate.wait()
            return POOL, TokenVerdict.PLAIN

        self.claims.screen = slowly
        self.claims.flagged(TOKEN, TokenVerdict.HONEYPOT)
        for number in (7, 8):
            await self.block(number)
            await asyncio.sleep(0)
        gate.set()
        await self.settled()

    def alerts_told(self) -> list[SecurityAlert]:
        return [one for one in self.said if isinstance(one, SecurityAlert)]


@pytest.fixture
def alice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node("alice", tmp_path, monkeypatch)


@pytest.fixture
def carol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node("carol", tmp_path, monkeypatch)


async def told_by(node: Node, number: int = 7) -> SecurityAlert:
    """Let a node tell what waits, at a block."""
    await node.block(number)
    return node.told()
