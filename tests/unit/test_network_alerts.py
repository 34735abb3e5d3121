"""Alerts: told of what a block shows, believed only where our own look at the block comes to the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from node.engine.anti_slashing import AntiSlashingStore, begin_journal
from node.engine.network import alerts as alerts_module
from node.engine.network.alerts import (
    BLOCKS_KNOWN,
    GIVEN_UP_AFTER,
    MAX_REFUTED_OF_ONE,
    MAX_WAITING_OF_ONE,
    Alerts,
)
from node.engine.network.block_alerts import EVIDENCE_BYTES
from node.engine.network.keys import NetworkKeys
from node.engine.receipts import Receipt
from node.engine.rpc import Call, RpcError, RpcRefused, RpcUnreachable
from node.engine.rpc_types import Data
from node.engine.signing_journal import Owner
from node.records import AnyRecord, NetworkAlertTold
from protocol.ethereum.keccak import keccak256
from protocol.kinds import AlertKind, Verdict
from protocol.messages import Payload, SecurityAlert, SignedAttestation
from protocol.units import (
    Address,
    BlockNumber,
    BootId,
    Hash32,
    PeerIdHash,
    UnixMilliseconds,
    UnixNanoseconds,
)
from tests import protocol_factories as make
from tests.block_alert_samples import BACK, FEED, FRONT, POOL, VICTIM, answer, header, receipt, sync, v2
from tests.mentioned import where_mentioned
from tests.protocol_factories import ADDRESSES, ALICE, BOB, CAROL, DEVNET, SECRETS, hash_of

NOW = UnixMilliseconds(1_790_000_000_000)
SANDWICH = [FRONT, VICTIM, BACK]
DRAIN = receipt("drain", CAROL, sync(9, 9), v2(1, 0, 0, 9_000))
JUMP = receipt("answer", CAROL, answer(5))


class Scene:
    """One node's alerts over blocks that a test makes up."""

    def __init__(self, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.blocks: dict[Hash32, list[Receipt]] = {}
        self.said: list[Payload] = []
        self.records: list[AnyRecord] = []
        self.believed: list[SecurityAlert] = []
        self.answers: dict[Address, int] = {}
        """Of feeds, after the parent of each block."""
        peer = PeerIdHash(hash_of(f"peer of {name}"))
        self.keys = NetworkKeys(DEVNET, ADDRESSES[name], peer, SECRETS[name], BootId(1), lambda: NOW)
        owner = Owner(DEVNET.separator, ADDRESSES[name], hash_of("machine"))
        path = folder / f"{name}.journal"
        begin_journal(path, owner, BlockNumber(7))
        self.keys.open(AntiSlashingStore(path, owner, BlockNumber(7)))
        self.alerts = Alerts(self, self.keys, lambda: UnixNanoseconds(1))  # type: ignore[arg-type]
        self.alerts.tell = self.records.append

        async def publish(payload: Payload) -> None:
            self.said.append(payload)

        self.alerts.publish = publish

        async def receipts(_endpoints: Any, block: Hash32, _seconds: float) -> dict[Hash32, Receipt]:
            if block not in self.blocks:
                raise RpcUnreachable("the chain", "eth_getBlockReceipts", "not there")
            return {receipt.hash: receipt for receipt in self.blocks[block]}

        self.receipts = receipts
        monkeypatch.setattr(alerts_module, "block_receipts", receipts)
        self.alerts.on_confirmed = lambda alert, _header: self.believed.append(alert)

    async def batch(self, calls: Sequence[Call], *, seconds: float) -> list[Any]:
        """The chain's node: code of what is asked for, and its answer in five words."""
        assert all(call.params[1] == {"blockHash": "0x" + hash_of("block 6").hex()} for call in calls)
        said: list[Any] = []
        for call in calls:
            if call.method == "eth_getCode":
                said.append(Data(b"code"))
                continue
            known = self.answers.get(Address(bytes.fromhex(call.params[0]["to"][2:])))
            words = b"" if known is None else b"".join(word.to_bytes(32, "big") for word in (1, known, 1, 1, 1))
            said.append(Data(words) if known is not None else RpcRefused("the chain", "eth_call", 3, "reverted"))
        return said

    async def sees(self, number: int, receipts: list[Receipt]) -> None:
        """A block is there and can be read."""
        self.blocks[header(number).hash] = receipts
        self.alerts.expect(header(number))
        await self.alerts.work()

    async def hears(self, other: Scene, payload: Payload) -> None:
        """An envelope of another node arrives."""
        self.alerts.heard(other.keys.envelope(payload))
        await asyncio.gather(*self.alerts._tasks)

    def verdicts(self, by: Address) -> list[str]:
        return [one.verdict for one in self.records if isinstance(one, NetworkAlertTold) and one.operator == by]

    def attested(self) -> list[Verdict]:
        return [one.attestation.verdict for one in self.said if isinstance(one, SignedAttestation)]

    def told(self) -> SecurityAlert:
        (alert,) = (one for one in self.said if isinstance(one, SecurityAlert))
        return alert


@pytest.fixture
def alice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene("alice", tmp_path, monkeypatch)


@pytest.fixture
def bob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene("bob", tmp_path, monkeypatch)


async def test_a_sandwich_is_told_with_its_evidence_and_attested(alice: Scene) -> None:
    await alice.sees(7, SANDWICH)

    alert = alice.told()
    assert alert.kind is AlertKind.SANDWICH_SEEN
    assert alert.subject == bytes(12) + POOL
    assert alert.evidence == header(7).hash + hash_of("front") + hash_of("victim") + hash_of("back")
    assert alice.attested() == [Verdict.CONFIRMED]
    assert alice.verdicts(ALICE) == ["confirmed"]


async def test_a_block_without_one_says_nothing(alice: Scene) -> None:
    await alice.sees(7, SANDWICH[:2])

    assert not alice.said


async def test_anothers_alert_is_confirmed_by_our_own_look_once(alice: Scene, bob: Scene) -> None:
    alice.blocks = bob.blocks
    await alice.sees(7, SANDWICH)
    await bob.sees(7, SANDWICH)

    for _ in range(2):
        await bob.hears(alice, alice.told())

    assert bob.verdicts(ALICE) == ["confirmed"]
    assert bob.attested() == [Verdict.CONFIRMED]


async def test_who_said_an_alert_is_forgotten_with_its_block_and_not_before(alice: Scene, bob: Scene) -> None:
    alice.blocks = bob.blocks
    await alice.sees(7, SANDWICH)
    await bob.sees(7, SANDWICH)
    await bob.hears(alice, alice.told())
    await bob.sees(7, SANDWICH)  # it left the chain, and came back
    for number in range(8, 7 + BLOCKS_KNOWN):
        await bob.sees(number, [])
    await bob.hears(alice, alice.told())
    assert (bob.verdicts(BOB), bob.verdicts(ALICE)) == (["confirmed"], ["confirmed"])
    assert where_mentioned(bob.alerts, ALICE, (NetworkKeys, Scene)) == {"_blocks"}

    await bob.sees(7 + BLOCKS_KNOWN, [])
    assert where_mentioned(bob.alerts, ALICE, (NetworkKeys, Scene)) == set()


async def test_of_one_block_only_so_much_is_kept_of_who_said_what(
    alice: Scene, bob: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts_module, "MAX_SAID", 1)
    alice.blocks = bob.blocks
    await alice.sees(7, SANDWICH)
    await bob.sees(7, SANDWICH)
    await bob.hears(alice, alice.told())
    assert [len(block.said) for block in bob.alerts._blocks.values()] == [1]
    assert bob.alerts.counts["said forgotten"] == 1


async def test_a_false_alert_is_refuted_and_never_believed(alice: Scene, bob: Scene) -> None:
    alice.blocks = bob.blocks
    await alice.sees(7, SANDWICH)
    await bob.sees(7, SANDWICH)
    evidence = alice.told().evidence[:96] + hash_of("another back")
    false = replace(alice.told(), evidence=evidence, evidence_hash=Hash32(keccak256(evidence)))

    await bob.hears(alice, false)

    assert bob.verdicts(ALICE) == ["refuted"]
    assert bob.attested() == [Verdict.CONFIRMED, Verdict.REFUTED]


async def test_false_alerts_beyond_the_bounds_cost_neither_a_signature_nor_a_message(
    alice: Scene, bob: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carol = Scene("carol", tmp_path, monkeypatch)
    alice.blocks = bob.blocks = carol.blocks
    await alice.sees(7, SANDWICH)
    true = alice.told()
    await bob.sees(7, SANDWICH[:2])

    async def hears_false(by: Scene, count: int) -> None:
        for number in range(count):
            evidence = true.evidence[:-32] + hash_of(f"{by.keys.account.hex()} {number}")
            await bob.hears(by, replace(true, evidence=evidence, evidence_hash=Hash32(keccak256(evidence))))

    await hears_false(alice, MAX_REFUTED_OF_ONE + 3)
    assert bob.attested() == [Verdict.REFUTED] * MAX_REFUTED_OF_ONE
    assert bob.alerts.counts["not answered"] == 3
    assert len(bob.verdicts(ALICE)) == MAX_REFUTED_OF_ONE
    await hears_false(carol, 1)
    assert len(bob.attested()) == MAX_REFUTED_OF_ONE + 1, "others are heard as before"

    monkeypatch.setattr(alerts_module, "MAX_REFUTED", MAX_REFUTED_OF_ONE + 1)
    await hears_false(carol, 3)
    assert len(bob.attested()) == MAX_REFUTED_OF_ONE + 1, "and all together are bounded too"
    await bob.sees(8, [])
    await hears_false(carol, 3)
    assert len(bob.attested()) == MAX_REFUTED_OF_ONE + 4, "the next block begins anew"


async def test_an_alert_of_a_block_that_is_not_here_yet_waits_for_it(alice: Scene, bob: Scene) -> None:
    alice.blocks = bob.blocks
    await alice.sees(7, SANDWICH)

    await bob.hears(alice, alice.told())
    assert not bob.records
    await bob.sees(7, SANDWICH)

    assert bob.verdicts(ALICE) == ["confirmed"]


async def test_what_cannot_be_recomputed_is_counted_and_not_judged(alice: Scene, bob: Scene) -> None:
    alice.blocks = bob.blocks
    await alice.sees(7, SANDWICH)
    await bob.hears(alice, replace(alice.told(), evidence=b""))
    await bob.hears(alice, replace(alice.told(), kind=AlertKind.CONTRACT_FLAGGED))

    assert not bob.records
    assert (bob.alerts.counts["without evidence"], bob.alerts.counts["not recomputable"]) == (1, 1)


async def test_every_kind_that_a_block_gives_is_told_confirmed_and_believed(alice: Scene, bob: Scene) -> None:
    alice.blocks = bob.blocks
    for one in (alice, bob):
        one.answers[FEED] = 10_000
        await one.sees(7, [*SANDWICH, DRAIN, JUMP])
    told = [one for one in alice.said if isinstance(one, SecurityAlert)]
    assert [one.kind for one in told] == [AlertKind.POOL_DRAINED, AlertKind.ORACLE_DEVIATES, AlertKind.SANDWICH_SEEN]

    for alert in told:
        await bob.hears(alice, alert)

    assert bob.verdicts(ALICE) == ["confirmed"] * 3
    assert bob.believed == told, "each once, by its own look"


@pytest.mark.parametrize("kind", list(EVIDENCE_BYTES))
async def test_a_false_alert_of_any_kind_triggers_nothing_before_its_block_or_after(
    alice: Scene, bob: Scene, kind: AlertKind
) -> None:
    size = EVIDENCE_BYTES[kind] - 32
    false = [
        make.alert(kind=kind, evidence=evidence, evidence_hash=Hash32(keccak256(evidence)))
        for evidence in (header(7).hash + hash_of("a")[:1] * size, header(7).hash + hash_of("b")[:1] * size)
    ]
    await bob.hears(alice, false[0])
    await bob.sees(7, [])
    await bob.hears(alice, false[1])

    assert bob.verdicts(ALICE) == ["refuted"] * 2
    assert not bob.believed


async def test_what_waits_for_blocks_that_never_come_takes_nobody_elses_place(
    alice: Scene, bob: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carol = Scene("carol", tmp_path, monkeypatch)
    alice.blocks = carol.blocks = bob.blocks
    await alice.sees(7, SANDWICH)
    await bob.hears(alice, alice.told())

    async def invents(by: Scene, count: int) -> None:
        for number in range(count):
            evidence = hash_of(f"no block {number}") + bytes(96)
            await bob.hears(by, replace(alice.told(), evidence=evidence, evidence_hash=Hash32(keccak256(evidence))))

    await invents(carol, 256)
    assert len(bob.alerts._waiting) == 1 + MAX_WAITING_OF_ONE
    assert bob.alerts.counts["left waiting"] == 256 - MAX_WAITING_OF_ONE

    monkeypatch.setattr(alerts_module, "MAX_WAITING", MAX_WAITING_OF_ONE)
    await invents(carol, 1)
    await invents(alice, 3)
    assert len(bob.alerts._waiting) <= MAX_WAITING_OF_ONE + 1, "who has most waiting makes room"
    await bob.sees(7, SANDWICH)
    assert bob.verdicts(ALICE) == ["confirmed"]


async def test_a_feed_whose_state_the_chains_node_has_lost_is_no_feed_without_an_answer(
    alice: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(calls: Sequence[Call], *, seconds: float) -> list[Any]:
        return [RpcRefused("the chain", call.method, -32_000, "missing trie node") for call in calls]

    monkeypatch.setattr(alice, "batch", lost)
    await alice.sees(7, [JUMP])

    assert alice.alerts.counts["unread"] == 1
    assert len(alice.alerts._unread) == 1, "and the block is looked at again"


async def test_a_block_that_cannot_be_read_is_tried_again_and_in_the_end_left_out(alice: Scene) -> None:
    alice.alerts.expect(header(7))
    await alice.alerts.work()
    assert alice.alerts.counts["unread"] == 1
    await alice.sees(8, [])
    assert alice.alerts.counts["unread"] == 2
    assert len(alice.alerts._unread) == 2, "in their order"

    await alice.sees(7 + GIVEN_UP_AFTER, [])

    assert not alice.alerts._unread


async def test_what_waits_is_bounded(alice: Scene) -> None:
    for number in range(BLOCKS_KNOWN + 3):
        alice.alerts.expect(header(number))
    assert alice.alerts.counts["left out"] == 3
    alice.blocks = {header(number).hash: [] for number in range(BLOCKS_KNOWN + 3)}
    await alice.alerts.work()
    assert len(alice.alerts._blocks) == BLOCKS_KNOWN
    await alice.alerts.close()
    assert issubclass(RpcUnreachable, RpcError)


async def test_without_a_store_an_alert_is_told_and_not_attested(alice: Scene) -> None:
    alice.keys.slashable = None
    await alice.sees(7, SANDWICH)

    assert alice.told()
    assert not alice.attested()
    assert alice.alerts.counts["not attested"] == 1
