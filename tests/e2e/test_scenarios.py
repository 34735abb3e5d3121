"""Every scenario holds, from several seeds, and one that does not hold is told and ends with 1."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from devnet.cli import devnet
from devnet.packages import Packages
from devnet.scenarios import run
from devnet.scenarios.books import Line
from devnet.scenarios.run import SCENARIOS, chosen, run_scenario
from devnet.scenarios.stage import ScenarioFailed, Stage
from devnet.world import World
from governance.actions import stake
from protocol.units import TokenAmount

pytestmark = pytest.mark.anvil


@pytest.mark.timeout(600)  # all but life and brake run nodes in real time
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_holds_and_its_books_balance(name: str, packages: Packages, world: World) -> None:
    told: list[str] = []
    played = await run_scenario(name, 7, packages, world, told.append)

    assert played.blocks > 10
    assert {token for token, *_ in played.books} > {"HFT", "WETH", "USDC", "ether"}
    for token, before, after, supply in played.books:
        assert before + supply == after, token
    assert any(line.endswith("equal") for line in told)


@pytest.mark.timeout(300)
async def test_one_seed_tells_one_story_where_no_node_runs(packages: Packages, world: World) -> None:
    stories: list[list[str]] = [[], [], []]
    for story, seed in zip(stories, (3, 3, 4), strict=True):
        await run_scenario("life", seed, packages, world, story.append)

    assert stories[0] == stories[1] != stories[2]


async def test_what_does_not_hold_ends_the_story(
    packages: Packages, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def impossible(stage: Stage) -> None:
        stage.expect(False, "pigs fly")

    async def forbidden(stage: Stage) -> None:
        from devnet.scenarios.cast import ANYBODY

        await stage.act(ANYBODY, stake(stage.contracts, TokenAmount(1)))

    async def allowed(stage: Stage) -> None:
        from devnet.scenarios.cast import ANYBODY, give

        await give(stage, ANYBODY, TokenAmount(1))
        await stage.refused(ANYBODY, stake(stage.contracts, TokenAmount(1)), "ZeroAmount")

    monkeypatch.setattr(run, "SCENARIOS", {"a": impossible, "b": forbidden, "c": allowed})
    for name, said in (("a", "pigs fly"), ("b", "NotRegistered"), ("c", "was to be refused as ZeroAmount")):
        with pytest.raises(ScenarioFailed, match=said):
            await run_scenario(name, 1, packages, world, lambda _line: None)


def test_books_that_lack_a_unit_do_not_balance() -> None:
    assert Line("HFT", 3, 100, 90, -10).balances
    assert not Line("HFT", 3, 100, 90, -9).balances


def test_an_unknown_scenario_is_answered_with_those_that_there_are() -> None:
    result = CliRunner().invoke(devnet, ["scenario", "lif"])

    assert result.exit_code == 1
    assert "life, governance, slashing, theft, brake, chaos, or all" in result.stderr
    assert chosen("all") == list(SCENARIOS)
