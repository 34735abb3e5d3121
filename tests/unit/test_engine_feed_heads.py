"""The chain's feed and the head: who announces it, what a probe of a node says, and blocks that leave the chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from node.pipeline.events import BlockArrived, BlockRetracted, ResyncPools
from tests.fake_blocks import chain_of, header_json
from tests.fake_chain_node import FakeNode
from tests.feed_scene import PAIR, Announcer, Held, Running, World, numbers, running


@asynccontextmanager
async def probed(node: FakeNode, announcer: Announcer) -> AsyncIterator[tuple[Running, Held]]:
    """A feed that runs, and whose probe of the node is held."""
    async with running([node], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        held = Held(node, b"eth_blockNumber")
        await held.asked.wait()
        yield subject, held


async def test_a_head_without_ancestors_benches_who_announced_it_and_the_other_is_followed() -> None:
    world, announcer = World(), Announcer()
    alice, bob = world.node(), world.node()
    async with running([alice, bob], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        forged = header_json(9, parent="0x" + "66" * 32)
        alice.methods["eth_getBlockByNumber"] = lambda _tag, _whole: forged
        alice.methods["eth_blockNumber"] = lambda: forged["number"]
        await subject.until(lambda: "the parent of block 9" in subject.feed.status.rpcs["http://alice:8545"])
        world.extend()
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived))[-1] == 4)
        assert subject.feed.status.rpcs["http://bob:8545"] == "ok"
        assert 9 not in numbers(subject.of_kind(BlockArrived))


async def test_a_header_that_was_tampered_with_is_not_followed() -> None:
    world, announcer = World(), Announcer()
    async with running([world.node()], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        announcer.tell("newHeads", {**header_json(4, parent=world.chain[-1]["hash"]), "gasUsed": "0x5"})
        await subject.until(lambda: subject.feed.status.counts.get("heads benched"))
        announcer.tell("newHeads", world.extend())
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived))[-1] == 4)


async def test_a_reorg_retracts_newest_first_and_one_too_deep_begins_anew() -> None:
    world, announcer = World(), Announcer()
    async with running([world.node()], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        for _ in range(2):
            announcer.tell("newHeads", world.extend())
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived)) == [3, 4, 5])
        told = {event.hash: event.number for event in subject.of_kind(BlockArrived)}
        world.chain[3:] = chain_of(4, 5, parent=world.chain[2]["hash"], salt="other")
        announcer.tell("newHeads", world.chain[-1])
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived)) == [3, 4, 5, 4, 5])
        assert [told[event.hash] for event in subject.of_kind(BlockRetracted)] == [5, 4]
        world.chain[:] = chain_of(1, 6, salt="third")
        announcer.tell("newHeads", world.chain[-1])
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived))[-1] == 6)
        assert subject.feed.status.counts["begun_anew"] == 1


async def test_an_answer_to_a_probe_that_an_announcement_overtook_does_not_lead_back() -> None:
    world, announcer = World(), Announcer()
    async with probed(world.node(), announcer) as (subject, held):
        world.chain[:] = chain_of(1, 6, salt="other")
        announcer.tell("newHeads", world.chain[-1])
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived)) == [3, 6])
        held.release()
        announcer.tell("newHeads", world.extend())
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived)) == [3, 6, 7])
        counts = subject.feed.status.counts
        assert (counts["begun_anew"], counts.get("blocks_read_again", 0), counts.get("heads benched", 0)) == (1, 0, 0)


async def test_what_a_benched_node_announces_while_it_is_probed_is_followed_once_the_probe_is_right() -> None:
    world, announcer = World(), Announcer()
    node = world.node()
    async with probed(node, announcer) as (subject, held):
        following = Held(node, b"eth_blockNumber")
        announcer.tell("newHeads", {"number": "none"})
        announcer.tell("newHeads", world.extend())
        await subject.until(lambda: subject.feed.status.counts.get("heads benched"))
        held.release()
        await following.asked.wait()
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived)) == [3, 4])
        assert subject.feed.status.counts["heads benched"] == 1  # no probe came after that one
        following.release()


async def test_states_read_at_a_block_that_left_the_chain_are_read_again() -> None:
    world, announcer = World(), Announcer()
    node = world.node()
    async with running([node], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        announcer.tell("newHeads", world.extend())
        await subject.until(lambda: len(subject.of_kind(BlockArrived)) == 2)
        await subject.feed.settled()
        inner, held = node.methods["eth_call"], asyncio.Event()
        post = node.post

        async def slowly(body: bytes) -> tuple[int, bytes]:
            if b"eth_call" in body and not held.is_set():
                answer = await post(body)
                await held.wait()
                return answer
            return await post(body)

        node.post = slowly  # type: ignore[method-assign]
        subject.feed.resync(ResyncPools((PAIR,), "doubt"))
        world.chain[3:] = chain_of(4, 4, parent=world.chain[2]["hash"], salt="other")
        announcer.tell("newHeads", world.chain[-1])
        await subject.until(lambda: subject.of_kind(BlockRetracted))
        await subject.until(lambda: len(subject.of_kind(BlockArrived)) == 3)
        held.set()
        await subject.feed.settled()
        assert subject.feed.status.counts["upkeep read_again"] > 0
        assert inner is node.methods["eth_call"]


async def test_a_lost_websocket_is_told_and_heads_are_followed_by_probes() -> None:
    world, announcer = World(), Announcer()
    async with running([world.node()], announcer) as subject:
        await subject.until(subject.feed.ready.is_set)
        announcer.hang_up()
        await subject.until(lambda: subject.feed.status.counts["blocks"] == 1)
        world.extend()
        await subject.until(lambda: numbers(subject.of_kind(BlockArrived))[-1] == 4)
