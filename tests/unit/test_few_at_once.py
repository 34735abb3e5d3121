"""A few at once, the urgent before the others, and nothing lost where somebody gives up."""

from __future__ import annotations

import asyncio

from node.engine.few_at_once import FewAtOnce


class Crowd:
    """Tasks that take a turn and keep it until they are told to go."""

    def __init__(self, most: int) -> None:
        self.few, self.inside = FewAtOnce(most), list[str]()
        self._gates: dict[str, asyncio.Event] = {}

    async def come(self, name: str, *, is_urgent: bool = False) -> asyncio.Task[None]:
        self._gates[name] = asyncio.Event()
        task = asyncio.create_task(self._stay(name, is_urgent=is_urgent))
        await asyncio.sleep(0)
        return task

    async def go(self, name: str) -> None:
        self._gates[name].set()
        for _ in range(3):
            await asyncio.sleep(0)

    async def _stay(self, name: str, *, is_urgent: bool) -> None:
        async with self.few.turn(is_urgent=is_urgent):
            self.inside.append(name)
            await self._gates[name].wait()
            self.inside.remove(name)


async def test_as_many_as_may_go_in_and_the_others_as_they_came() -> None:
    crowd = Crowd(2)
    tasks = [await crowd.come(name) for name in ("alice", "bob", "carol", "dave")]
    assert (crowd.inside, len(crowd.few)) == (["alice", "bob"], 2)

    await crowd.go("bob")
    assert crowd.inside == ["alice", "carol"]
    for name in ("alice", "carol", "dave"):
        await crowd.go(name)
    await asyncio.gather(*tasks)
    assert not len(crowd.few)

    await crowd.come("erin")
    await crowd.come("frank")
    assert crowd.inside == ["erin", "frank"], "all turns are free again"
    for name in ("erin", "frank"):
        await crowd.go(name)


async def test_the_urgent_does_not_wait_for_those_who_wait() -> None:
    crowd = Crowd(1)
    tasks = [await crowd.come(name) for name in ("alice", "bob")]
    tasks.append(await crowd.come("an order", is_urgent=True))

    await crowd.go("alice")
    assert crowd.inside == ["an order"]
    await crowd.go("an order")
    assert crowd.inside == ["bob"]
    await crowd.go("bob")
    await asyncio.gather(*tasks)


async def test_who_gives_up_keeps_no_turn() -> None:
    crowd = Crowd(1)
    tasks = [await crowd.come(name) for name in ("alice", "bob", "carol")]
    tasks[1].cancel()
    await asyncio.sleep(0)
    await crowd.go("alice")
    assert crowd.inside == ["carol"]

    late = await crowd.come("dave")
    crowd._gates["carol"].set()
    await asyncio.sleep(0)
    late.cancel()  # at the moment at which its turn comes
    await asyncio.gather(*tasks, late, return_exceptions=True)
    again = await crowd.come("erin")
    assert crowd.inside == ["erin"]
    await crowd.go("erin")
    await again
