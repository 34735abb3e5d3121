"""A leader that promises one leg twice is found, proven and slashed on the devnet, with nobody's help; a node that was
restored from yesterday's backup does not get there."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from devnet.anvil import Anvil
from devnet.demo.network_contracts import network_contracts
from devnet.protocols.network import STAKE, Member
from devnet.world import World
from governance.network import offence_query
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.anti_slashing import AntiSlashingStore, SlashableRefused, SlashableSigner, begin_journal
from node.engine.endpoints import Endpoints
from node.engine.headers import Header, header_from_json
from node.engine.multicall import Multicall
from node.engine.network.claims import Claims
from node.engine.network.keys import NetworkKeys
from node.engine.network.membership import Membership
from node.engine.network.registry import Registry
from node.engine.network.watcher import Promised, Watcher
from node.engine.signing_journal import Owner
from node.identity import peer_id_hash
from protocol.ethereum.keccak import keccak256
from protocol.evidence import evidence_of
from protocol.kinds import AlertKind, OpportunityKind, Verdict
from protocol.messages import Envelope, Opportunity, Payload, SignedAccept
from protocol.signing import Domain, sign_accept
from protocol.slashing import HORIZON, offence_id
from protocol.statements import Accept
from protocol.units import (
    BlockNumber,
    BootId,
    ChainId,
    Hash32,
    LegKey,
    ProfitBucket,
    UnixMilliseconds,
    UnixSeconds,
    Wei,
    address_from_hex,
)
from tests.chain import Chain
from tests.protocol_factories import hash_of

pytestmark = pytest.mark.anvil

CHEAT, EAST, SOUTH = (Member.of(name) for name in ("north", "east", "south"))
CHEAT_ACCOUNT = address_from_hex(CHEAT.owner.address)


@dataclass
class Node:
    """One operator that watches, and what it said to the others."""

    watcher: Watcher
    registry: Registry
    keys: NetworkKeys
    said: list[Payload]

    async def follow(self, header: Header) -> None:
        await self.registry.follow(header)
        await self.watcher.follow(header)

    def envelopes(self) -> list[Envelope]:
        return [self.keys.envelope(payload) for payload in self.said]


def node_of(member: Member, endpoints: Endpoints, world: World) -> Node:
    contracts = network_contracts(world.manifest)
    multicall = Multicall(endpoints, address_from_hex(world.manifest.contracts["multicall3"]))
    registry = Registry(endpoints, multicall, contracts, BlockNumber(0))
    domain, now = Domain(ChainId(31337), contracts.staking), UnixMilliseconds(1_790_000_000_000)
    peer, account = peer_id_hash(member.peer.secret), address_from_hex(member.owner.address)
    keys = NetworkKeys(domain, account, peer, member.hot_key.secret, BootId(1), lambda: now)
    watcher = Watcher(keys, registry, Membership(endpoints, registry, keys.key, ChainId(31337)))
    node = Node(watcher, registry, keys, [])

    async def publish(payload: Payload) -> None:
        node.said.append(payload)

    watcher.publish = publish
    return node


async def head_of(chain: Chain) -> Header:
    return header_from_json(msgspec.json.encode(await chain.rpc.call("eth_getBlockByNumber", "latest", False)))


def accept_of(order: str, head: Header) -> Accept:
    return Accept(
        order_hash=hash_of(order),
        primary_key=LegKey(hash_of("leg")),
        target_block=BlockNumber(head.number + 1),
        block_number=head.number,
        timestamp=UnixSeconds(head.timestamp),
    )


def promised(node: Node, order: str, head: Header) -> Promised:
    """What the cheat promised to one finder, past its own store."""
    signed = sign_accept(node.keys.domain, accept_of(order, head), CHEAT.hot_key.key)
    return Promised(CHEAT_ACCOUNT, signed, OpportunityKind.BACKRUN, Wei(10**15))


@pytest.fixture
async def nodes(world_anvil: Anvil, world: World) -> AsyncIterator[tuple[Node, Node]]:
    url = RpcConfig(http=world_anvil.url, websocket=world_anvil.url.replace("http", "ws"))
    endpoints = Endpoints.open([url], SystemClock())
    yield node_of(EAST, endpoints, world), node_of(SOUTH, endpoints, world)
    await endpoints.close()


async def test_a_double_accept_is_found_proven_and_slashed(nodes: tuple[Node, Node], chain: Chain) -> None:
    east, south = nodes
    head = await head_of(chain)
    for node, order in ((east, "one"), (south, "another")):
        await node.follow(head)
        node.watcher.got(promised(node, order, head))
    assert not east.said, "nothing is revealed before its block is there"
    await chain.mine()
    head = await head_of(chain)
    for node in nodes:
        await node.follow(head)
    (revealed,) = south.envelopes()
    assert isinstance(revealed.payload, Opportunity)

    east.watcher.heard(revealed)
    assert east.watcher.counts["found"] == 1
    east.watcher.heard(revealed)
    assert east.watcher.counts["found"] == 1, "one offence is one"
    await east.follow(head)
    await chain.mine()
    head = await head_of(chain)
    await east.follow(head)

    evidence = evidence_of(
        CHEAT_ACCOUNT, promised(east, "one", head_before := await header_at(chain, 96)).signed,
        promised(east, "another", head_before).signed,
    )  # fmt: skip
    (offence,) = await east.registry.ask([offence_query(east.registry.contracts, offence_id(evidence))], head)
    assert (offence.operator, offence.state) == (CHEAT_ACCOUNT, 1)
    assert offence.reporter == address_from_hex(EAST.hot_key.address)
    assert int(east.registry.operators[CHEAT_ACCOUNT].active) == STAKE - STAKE // 100
    assert east.watcher.counts["settled"] == 1
    await east.follow(await head_of(chain))
    assert east.watcher.counts["reported"] == 1, "what the court has is not reported again"


async def header_at(chain: Chain, number: int) -> Header:
    told = await chain.rpc.call("eth_getBlockByNumber", hex(number), False)
    return header_from_json(msgspec.json.encode(told))


async def test_what_reveals_nothing_or_binds_nobody_is_no_evidence(nodes: tuple[Node, Node], chain: Chain) -> None:
    east, south = nodes
    head = await head_of(chain)
    await east.follow(head)
    await south.follow(head)
    forged = promised(south, "one", head)
    by_another = sign_accept(south.keys.domain, forged.signed.accept, SOUTH.hot_key.key)
    south.watcher._promised = [msgspec.structs.replace(forged, signed=by_another)]
    east.watcher.got(promised(east, "another", head))
    await chain.mine()
    await south.follow(await head_of(chain))
    (envelope,) = south.envelopes()
    east.watcher.heard(envelope)
    bare = Opportunity(
        kind=OpportunityKind.BACKRUN,
        target_block=head.number,
        profit_bucket=ProfitBucket(1),
        commitment=hash_of("nothing"),
    )
    east.watcher.heard(south.keys.envelope(bare))

    assert east.watcher.counts["refused"] == 1
    assert not east.watcher.counts["found"]


async def test_a_node_restored_from_yesterdays_backup_signs_no_second_answer(
    nodes: tuple[Node, Node], chain: Chain, tmp_path: Path
) -> None:
    east, _ = nodes
    head = await head_of(chain)
    owner = Owner(east.keys.domain.separator, east.keys.hot_key, hash_of("machine"))
    journal, backup = tmp_path / "signed.journal", tmp_path / "backup"
    begin_journal(journal, owner, head.number)
    shutil.copy2(journal, backup)
    os.link(journal, tmp_path / "held")  # or the copy that is put back may get the very inode that it names
    with AntiSlashingStore(journal, owner, head.number) as store:
        signer = SlashableSigner(east.keys.domain, east.keys.key, store)
        assert isinstance(signer.accept(accept_of("one", head)), SignedAccept)
    journal.rename(tmp_path / "broken")
    shutil.copy2(backup, journal)

    with AntiSlashingStore(journal, owner, head.number) as store:
        signer = SlashableSigner(east.keys.domain, east.keys.key, store)
        assert store.doubt == "moved"
        with pytest.raises(SlashableRefused, match="not known what was signed"):
            signer.accept(accept_of("another", head))
        assert store.history.floor == head.number + HORIZON


async def test_who_saw_one_half_believes_the_alert_that_proves_both_and_goes_to_the_court_too(
    nodes: tuple[Node, Node], chain: Chain
) -> None:
    east, south = nodes
    head = await head_of(chain)
    claims = [Claims(node.registry, node.keys.domain, node.keys.account) for node in nodes]
    east.watcher.on_contradicted = claims[0].contradicted
    claims[1].on_proven = south.watcher.proven
    for node in nodes:
        await node.follow(head)
    for order in ("one", "another"):
        east.watcher.got(promised(east, order, head))
    await chain.mine()
    head = await head_of(chain)
    for node in nodes:
        await node.registry.follow(head)

    (alert,) = await claims[0].begin(head, [head])
    assert (alert.kind, alert.subject) == (AlertKind.PEER_MISBEHAVES, peer_id_hash(CHEAT.peer.secret))
    assert await claims[1].judge(alert, head, east.keys.account) is Verdict.CONFIRMED
    assert south.watcher.counts["found"] == 1
    forged = bytearray(alert.evidence)
    forged[-1] ^= 27 ^ 28  # the other of the two keys that can have signed
    false = msgspec.structs.replace(alert, evidence=bytes(forged), evidence_hash=Hash32(keccak256(bytes(forged))))
    assert await claims[1].judge(false, head, east.keys.account) is Verdict.REFUTED
