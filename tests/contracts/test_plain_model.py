"""A slow plain model of stake, leaders, fees and rewards, made of docs/protocol.md alone, agrees with the chain."""

from __future__ import annotations

import ast
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import tests.plain_model
from devnet.anvil import Anvil
from devnet.rpc import RpcClient
from tests.plain_chain import Twins, prepared
from tests.plain_model import PlainModel

HISTORIES = int(os.environ.get("PLAIN_HISTORIES", "1000"))


def test_the_plain_model_imports_nothing_of_ours() -> None:
    tree = ast.parse(Path(tests.plain_model.__file__).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert imported == {"__future__", "dataclasses", "sha3"}


@pytest.fixture
async def twins(anvil: Anvil, tmp_path: Path) -> AsyncIterator[Twins]:
    async with RpcClient(anvil.url) as rpc:
        yield await prepared(rpc, tmp_path / "deployment.json")
        await rpc.call("evm_setAutomine", False)
        await rpc.call("anvil_removeBlockTimestampInterval")
        await rpc.call("anvil_autoImpersonateAccount", False)


async def play_all(twins: Twins, count: int, model_type: type[PlainModel]) -> Counter[tuple[str, bool]]:
    """Play so many histories; raises AssertionError at the first step in which chain and model differ."""
    outcomes: Counter[tuple[str, bool]] = Counter()
    for seed in range(count):
        outcomes += await twins.play(seed, model_type)
    return outcomes


@pytest.mark.anvil
@pytest.mark.timeout(900)
async def test_the_chain_agrees_with_the_plain_model_to_the_unit(twins: Twins) -> None:
    outcomes = await play_all(twins, HISTORIES, PlainModel)

    for move in ("stake", "request", "complete", "check_in", "roll_epoch", "slash", "settle", "cancel", "roll_stream"):
        assert outcomes[move, True] >= HISTORIES // 50, f"{move} was hardly ever taken: {outcomes}"
        assert outcomes[move, False] >= HISTORIES // 50, f"{move} was hardly ever refused: {outcomes}"
    assert outcomes["claim", True] > HISTORIES // 2
    assert outcomes["fund", True] > HISTORIES // 2
    assert outcomes["leader", True] >= HISTORIES // 20, "leaders were hardly ever compared"


class ForgetsCancelledPenalties(PlainModel):
    """What was given back does not count against the limit."""

    def cancel(self, offence: str, block: int, now: int) -> bool:
        done = super().cancel(offence, block, now)
        if done:
            found = self.offences[offence]
            self.operators[found.operator].penalties.remove((found.reported_at, found.penalty))
        return done


class KeepsNothingLocked(PlainModel):
    """A check-in does not keep stake from leaving."""

    def check_in(self, who: str, epoch: int, block: int, now: int) -> bool:
        before = self.operators.get(who)
        locked = before.locked if before else 0
        done = super().check_in(who, epoch, block, now)
        self.operators[who].locked = locked
        return done


class RoundsPotsOnceMore(PlainModel):
    """A pot is a unit smaller than it should be."""

    def roll_stream(self, block: int, now: int) -> bool:
        done = super().roll_stream(block, now)
        if self.pots:
            self.pots[-1].amount -= 1
        return done


@pytest.mark.anvil
@pytest.mark.timeout(300)
@pytest.mark.parametrize("wrong", [ForgetsCancelledPenalties, KeepsNothingLocked, RoundsPotsOnceMore])
async def test_a_model_that_is_wrong_in_one_rule_is_found(twins: Twins, wrong: type[PlainModel]) -> None:
    with pytest.raises(AssertionError):
        await play_all(twins, 300, wrong)
