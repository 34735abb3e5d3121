"""Real hosts on loopback: what is said is heard once by all, and by nobody who has no stake."""

from __future__ import annotations

from tests.sentry_scene import in_trio, running, until, until_joined


@in_trio
async def test_everybody_hears_what_one_says_exactly_once() -> None:
    async with running("alice", "bob", "carol") as nodes:
        await until_joined(nodes)
        for node in nodes:
            await node.say(20)
        await until(lambda: all(len(node.heard) >= 40 for node in nodes))
        for node in nodes:
            assert len(node.heard) == len({(one.operator, one.sequence) for one in node.heard}) == 40
