"""The way to a head, and whom to believe about it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from node.engine.block_reader import BlockReader, HeadNotConnected
from node.engine.headers import Header, header_from_json
from node.engine.heads import LAG_BLOCKS, STANDS_STILL, Heads, ProbeFailed, WrongChain, probe
from node.engine.rpc import RpcGarbage, RpcRefused
from tests.fake_blocks import Json, chain_of, header_json
from tests.fake_chain_node import FakeNode, Refuse, endpoints_to, node_with, says


def read_header(body: Json) -> Header:
    return header_from_json(orjson.dumps(body))


def log_json(body: Json, index: int, block_hash: str = "") -> Json:
    return {
        "address": "0x" + "01" * 20,
        "topics": [],
        "data": "0x",
        "blockHash": block_hash or body["hash"],
        "logIndex": hex(index),
    }


def reader(node: FakeNode, told: list[Json] | None = None, depth: int = 8) -> BlockReader:
    blocks = BlockReader(endpoints_to([node]), ["0x" + "05" * 32], depth)
    for body in told or []:
        blocks.tell(read_header(body))
    return blocks


def numbers(headers: Any) -> list[int]:
    return [header.number for header in headers]


async def test_the_first_head_has_no_way() -> None:
    (only,) = chain_of(9, 9)
    way = await reader(node_with(only)).way_to(read_header(only))
    assert (numbers(way.retracted), numbers(way.arrived), way.is_anew) == ([], [9], False)


async def test_a_gap_is_filled_from_the_oldest_on() -> None:
    chain = chain_of(1, 6)
    way = await reader(node_with(*chain), chain[:2]).way_to(read_header(chain[5]))
    assert (numbers(way.retracted), numbers(way.arrived)) == ([], [3, 4, 5, 6])


async def test_a_head_that_was_told_leads_nowhere() -> None:
    chain = chain_of(1, 3)
    way = await reader(node_with(*chain), chain).way_to(read_header(chain[1]))
    assert (way.retracted, way.arrived) == ((), ())


async def test_a_reorg_goes_back_to_the_common_ancestor_newest_first() -> None:
    ours = chain_of(1, 5)
    theirs = chain_of(3, 6, parent=ours[1]["hash"], salt="other")
    blocks = reader(node_with(*ours, *theirs), ours)
    way = await blocks.way_to(read_header(theirs[-1]))
    assert (numbers(way.retracted), numbers(way.arrived)) == ([5, 4, 3], [3, 4, 5, 6])
    for header in way.retracted:
        blocks.retract(header)
    for header in way.arrived:
        blocks.tell(header)
    assert numbers(blocks.told) == [1, 2, 3, 4, 5, 6]
    assert blocks.is_told(read_header(theirs[-1]).hash)
    assert not blocks.is_told(read_header(ours[-1]).hash)
    with pytest.raises(ValueError, match="newest"):
        blocks.retract(read_header(ours[-1]))


async def test_a_reorg_past_what_can_be_undone_begins_anew() -> None:
    ours = chain_of(1, 5)
    theirs = chain_of(1, 6, salt="other")
    blocks = reader(node_with(*ours, *theirs), ours)
    way = await blocks.way_to(read_header(theirs[-1]))
    assert (numbers(way.arrived), way.is_anew) == ([6], True)
    blocks.tell(way.arrived[0])
    assert numbers(blocks.told) == [6]


async def test_a_gap_that_is_too_long_begins_anew() -> None:
    chain = chain_of(1, 30)
    way = await reader(node_with(*chain), chain[:2], depth=8).way_to(read_header(chain[-1]))
    assert (numbers(way.arrived), way.is_anew) == ([30], True)


async def test_a_head_without_ancestors_is_not_followed() -> None:
    chain = chain_of(1, 2)
    (orphan,) = chain_of(5, 5, parent="0x" + "66" * 32)
    with pytest.raises(HeadNotConnected, match="the parent of block 5: not a header"):
        await reader(node_with(*chain, orphan), chain).way_to(read_header(orphan))


async def test_an_ancestor_that_is_another_block_is_not_followed() -> None:
    chain = chain_of(1, 5)
    node = node_with(*chain)
    node.methods["eth_getBlockByHash"] = lambda _hash, _whole: chain[2]
    with pytest.raises(HeadNotConnected, match="is not the block that was asked for"):
        await reader(node, chain[:2]).way_to(read_header(chain[4]))


async def test_a_block_is_read_with_its_logs_in_order_and_its_transactions() -> None:
    (body,) = chain_of(9, 9)
    node = node_with(body, logs=[log_json(body, 10), log_json(body, 2)])
    block = await reader(node).read(read_header(body))
    assert [log.log_index for log in block.logs] == ["0x2", "0xa"]
    assert [(t.hash, t.sender, t.nonce) for t in block.transactions] == [(b"\x77" * 32, b"\x88" * 20, 3)]


async def test_a_log_that_a_node_gives_twice_counts_once_and_two_for_one_place_are_refused() -> None:
    (body,) = chain_of(9, 9)
    twice = [log_json(body, 3), log_json(body, 1), log_json(body, 3)]
    block = await reader(node_with(body, logs=twice)).read(read_header(body))
    assert [log.log_index for log in block.logs] == ["0x1", "0x3"]
    other = {**log_json(body, 3), "data": "0x" + "ff" * 64}
    with pytest.raises(RpcGarbage, match="two logs at one place of block 9"):
        await reader(node_with(body, logs=[log_json(body, 3), other])).read(read_header(body))


async def test_a_block_that_a_node_does_not_know_or_mixes_up_is_not_read() -> None:
    (body, other) = chain_of(8, 9)
    with pytest.raises(RpcGarbage, match="does not know block 8"):
        await reader(node_with(other)).read(read_header(body))
    with pytest.raises(RpcGarbage, match="logs of another block"):
        await reader(node_with(body, logs=[log_json(body, 1, other["hash"])])).read(read_header(body))
    node = node_with(body)

    def refuse(_filter: Any) -> Any:
        raise Refuse(-32000, "unknown block")

    node.methods["eth_getLogs"] = refuse
    with pytest.raises(RpcRefused, match="unknown block"):
        await reader(node).read(read_header(body))


# Heads


def heads_of(count: int) -> tuple[Heads, Any]:
    endpoints = endpoints_to([FakeNode() for _ in range(count)])
    return Heads(endpoints.all), endpoints.all


def test_the_first_to_announce_wins_and_the_others_confirm() -> None:
    heads, (alice, bob) = heads_of(2)
    one, two = map(read_header, chain_of(1, 2))
    assert heads.announced(alice, one)
    assert not heads.announced(bob, one)
    assert heads.announced(bob, two)
    assert heads.best == two
    assert heads.source() is bob
    assert heads.counts["confirmed"] == 1


def test_a_sibling_is_followed_only_if_it_comes_from_where_the_head_came_from() -> None:
    heads, (alice, bob) = heads_of(2)
    head, sibling = read_header(header_json(5)), read_header(header_json(5, salt="b"))
    lower = read_header(header_json(4, salt="c"))
    assert heads.announced(alice, head)
    assert not heads.announced(bob, sibling)
    assert heads.announced(alice, lower)
    assert heads.best == lower


def test_a_node_that_stays_behind_is_benched_until_it_catches_up() -> None:
    heads, (alice, bob) = heads_of(2)
    chain = [read_header(body) for body in chain_of(1, 1 + LAG_BLOCKS)]
    heads.announced(bob, chain[0])
    for header in chain:
        heads.announced(alice, header)
    assert bob.benched == f"{LAG_BLOCKS} blocks behind the others"
    heads.announced(bob, chain[-1])
    assert bob.status == "ok"


def told_by(heads: Heads, number: int, *nodes: Any, salt: str = "") -> list[bool]:
    return [heads.announced(node, read_header(header_json(number, salt=salt))) for node in nodes]


def test_a_node_far_ahead_of_the_others_is_not_followed_and_silences_nobody() -> None:
    heads, (alice, bob, liar) = heads_of(3)
    assert told_by(heads, 100, alice, bob, liar) == [True, False, False]
    for number in (10_000, 10_001, 10_002):
        assert told_by(heads, number, liar, salt="forged") == [False]
    assert (alice.status, bob.status) == ("ok", "ok")
    assert liar.status == "says block 10002, 9902 above what most others have reached: not followed"
    assert told_by(heads, 101, alice) == [True]
    assert told_by(heads, 101, liar) == [False]
    assert liar.status == "ok"


def test_most_nodes_are_followed_although_a_chain_grows_block_by_block_at_one_of_them() -> None:
    heads, (alice, bob, liar) = heads_of(3)
    forged = [read_header(body) for body in chain_of(5, 5 + LAG_BLOCKS)]
    heads.announced(alice, forged[0])
    heads.announced(bob, forged[0])
    assert [heads.announced(liar, header) for header in forged[1:]] == [*[True] * (LAG_BLOCKS - 1), False]
    assert (alice.status, bob.status) == ("ok", "ok")


def test_a_head_far_ahead_is_followed_once_another_node_comes_near() -> None:
    heads, (alice, bob, carol) = heads_of(3)
    told_by(heads, 100, alice, bob, carol)
    assert told_by(heads, 200, alice, bob, alice) == [False, True, False]
    assert heads.best is not None
    assert heads.best.number == 200
    assert carol.status == "100 blocks behind the others"


def test_who_speaks_first_and_far_ahead_is_left_when_the_others_have_spoken() -> None:
    heads, (alice, bob, liar) = heads_of(3)
    assert told_by(heads, 10_000, liar) == [True]
    assert told_by(heads, 10_001, liar) == [True], "nobody else is there"
    assert told_by(heads, 100, alice, bob) == [True, False]
    assert (alice.status, bob.status) == ("ok", "ok")
    assert heads.source() is alice


def test_of_two_nodes_a_jump_is_not_followed_until_the_other_is_near_or_stands_still() -> None:
    heads, (alice, bob) = heads_of(2)
    told_by(heads, 5, alice, bob)
    assert told_by(heads, 50, alice, alice) == [False, False]
    assert told_by(heads, 50, bob) == [True]
    assert alice.status == "ok"
    assert told_by(heads, 90, alice) == [False]
    told_by(heads, 50, *[bob] * (STANDS_STILL - 1))
    assert told_by(heads, 90, alice) == [True]
    assert bob.status == "40 blocks behind the others"


def test_a_node_that_is_benched_is_no_witness() -> None:
    heads, (alice, bob) = heads_of(2)
    told_by(heads, 5, alice, bob)
    heads.bench(bob, "it does not answer")
    assert told_by(heads, 50, alice) == [True]


def test_a_benched_node_cannot_win_and_its_head_may_be_replaced_by_another_ones() -> None:
    heads, (alice, bob) = heads_of(2)
    head, sibling = read_header(header_json(5)), read_header(header_json(5, salt="b"))
    heads.announced(alice, head)
    heads.bench(alice, "it lies")
    assert not heads.announced(alice, read_header(header_json(6)))
    assert heads.announced(bob, sibling)
    heads.bench(bob, "it lies too")
    heads.bench(bob, "it still lies")
    assert (heads.has_trusted, heads.counts["benched"]) == (False, 2)
    heads.cleared(alice)
    assert (heads.has_trusted, alice.status) == (True, "ok")
    assert heads.announced(alice, read_header(header_json(6)))


def test_a_head_that_was_given_up_makes_room() -> None:
    heads, (alice,) = heads_of(1)
    heads.announced(alice, read_header(header_json(50)))
    heads.give_up(read_header(header_json(49)))
    assert heads.best is not None
    heads.give_up(heads.best)
    assert heads.announced(alice, read_header(header_json(9)))


async def test_a_probe_returns_the_head() -> None:
    (body,) = chain_of(9, 9)
    endpoints = endpoints_to([node_with(body)])
    assert (await probe(endpoints.all[0], 1, 2.0)).number == 9


@pytest.mark.parametrize(
    ("method", "answer", "why"),
    [
        ("eth_chainId", "0x2", "on chain 2, not 1"),
        ("eth_blockNumber", "0xc", "says block 12 and shows block 9"),
        ("eth_blockNumber", None, "eth_blockNumber"),
        ("eth_getBlockByNumber", None, "not a header"),
        ("eth_getBlockByNumber", {**header_json(9), "gasUsed": "0x9"}, "does not hash"),
    ],
)
async def test_a_node_that_contradicts_itself_fails_its_probe(method: str, answer: Any, why: str) -> None:
    (body,) = chain_of(9, 9)
    node = node_with(body)
    node.methods[method] = lambda *_: answer
    with pytest.raises(ProbeFailed, match=why) as caught:
        await probe(endpoints_to([node]).all[0], 1, 2.0)
    assert isinstance(caught.value, WrongChain) == (method == "eth_chainId")


async def test_a_node_that_refuses_or_talks_garbage_fails_its_probe() -> None:
    node = FakeNode()
    with pytest.raises(ProbeFailed, match="does not exist"):
        await probe(endpoints_to([node]).all[0], 1, 2.0)
    node.misbehaviour = says(b"<html>")
    with pytest.raises(ProbeFailed, match="not JSON-RPC"):
        await probe(endpoints_to([node]).all[0], 1, 2.0)
