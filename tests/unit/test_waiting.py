"""Patience with a chain that is under load: single refusals are let pass, a chain that only refuses is not."""

from __future__ import annotations

import pytest

from devnet.errors import ChainFailed, RpcError
from devnet.waiting import Patience


class Reads:
    """A read that is refused, or answers its number, as told."""

    def __init__(self, *refused: bool) -> None:
        self._refused = list(refused)
        self.asked = 0

    async def __call__(self) -> int:
        self.asked += 1
        if self._refused.pop(0):
            raise RpcError("eth_call", -32000, "ask for less")
        return self.asked


async def test_a_refused_read_has_no_answer_and_the_next_one_counts_anew() -> None:
    patience, reads = Patience(1), Reads(True, False, True, False)
    assert [await patience.ask(reads) for _ in range(4)] == [None, 2, None, 4]


async def test_too_many_refusals_in_a_row_are_raised() -> None:
    patience, reads = Patience(2), Reads(True, True, True)
    assert [await patience.ask(reads) for _ in range(2)] == [None, None]
    with pytest.raises(RpcError, match="ask for less"):
        await patience.ask(reads)


async def test_a_chain_that_is_gone_is_no_refusal() -> None:
    async def gone() -> None:
        raise ChainFailed("anvil ended")

    with pytest.raises(ChainFailed):
        await Patience(9).ask(gone)
