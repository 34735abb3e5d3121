"""Alerts: told of what a block shows, believed only where our own look at the block comes to the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from node.engine.network import alerts as alerts_module
from node.engine.network.alerts import (
    BLOCKS_KNOWN,
    GIVEN_UP_AFTER,
    MAX_REFUTED_OF_ONE,
    MAX_WAITING_OF_ONE,
)
from node.engine.network.block_alerts import EVIDENCE_BYTES
from node.engine.network.keys import NetworkKeys
from node.engine.rpc import Call, RpcError, RpcRefused, RpcUnreachable
from protocol.ethereum.keccak import keccak256
from protocol.kinds import AlertKind, Verdict
from protocol.messages import SecurityAlert
from protocol.units import (
    Hash32,
)
from tests import protocol_factories as make
from tests.alerts_scene import Scene
from tests.block_alert_samples import BACK, FEED, FRONT, POOL, VICTIM, answer, header, receipt, sync, v2
from tests.mentioned import where_mentioned
from tests.protocol_factories import ALICE, BOB, CAROL, hash_of

SANDWICH = [FRONT, VICTIM, BACK]
DRAIN = receipt("drain", CAROL, sync(9, 9), v2(1, 0, 0, 9_000))
JUMP = receipt("answer", CAROL, answer(5))


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
    assert bob.alerts.counts["without evidence"] == 2


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
