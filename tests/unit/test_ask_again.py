"""What the chain did not tell is asked for again, within bounds."""

from __future__ import annotations

from node.engine.ask_again import MAX_REPEATED, PAUSE_SECONDS, ask_again
from node.engine.rpc import RpcError


class Chain:
    """Fails so many times, then tells how often it was asked."""

    def __init__(self, failures: int) -> None:
        self.failures, self.asked, self.pauses = failures, 0, list[float]()

    async def ask(self) -> int:
        self.asked += 1
        if self.asked <= self.failures:
            raise RpcError("the chain", "eth_getBalance", "not now")
        return self.asked

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_it_asks_until_it_is_told_enough() -> None:
    chain, taken = Chain(2), list[int]()

    def take(answer: int) -> bool:
        taken.append(answer)
        return answer == 4

    await ask_again(chain.ask, take, lambda: True, chain.sleep)

    assert taken == [3, 4]
    assert chain.pauses == [PAUSE_SECONDS] * 4, "a pause before each question"


async def test_it_ends_with_the_next_block_and_after_so_many_questions() -> None:
    chain = Chain(1_000)
    await ask_again(chain.ask, lambda _: True, lambda: chain.asked < 3, chain.sleep)
    assert chain.asked == 3

    chain = Chain(1_000)
    await ask_again(chain.ask, lambda _: True, lambda: True, chain.sleep)
    assert chain.asked == MAX_REPEATED
