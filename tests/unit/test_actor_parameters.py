"""The file of parameters: what is refused, and that every fault is named at once."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from devnet.actors.parameters import DEFAULT_PARAMETERS, ParametersInvalid, load_parameters, parse_parameters

DEFAULTS = DEFAULT_PARAMETERS.read_text()


def changed(old: str, new: str) -> str:
    assert DEFAULTS.count(old) == 1
    return DEFAULTS.replace(old, new)


def test_the_defaults_are_valid_and_exact() -> None:
    parameters = load_parameters()
    assert parameters.oracle.stable_volatility == Decimal("0.00008")
    assert parameters.traders.slippage[0] == (Decimal("0.001"), 10)
    assert parameters.rival.backruns is True


def test_every_parameter_of_the_file_has_a_comment_above_it_or_above_its_group() -> None:
    lines = DEFAULTS.splitlines()
    assert sum(line.startswith("#") for line in lines) > len(tomllib.loads(DEFAULTS)) * 3
    for number, line in enumerate(lines):
        if line.startswith("["):
            assert any(following.startswith("#") for following in lines[number : number + 3]), line


def test_all_faults_are_named_at_once() -> None:
    text = changed("knows = 0.45", "knows = 7").replace("jump_chance = 0.01", "jump_chance = 'often'")
    text = text.replace("heartbeat_blocks = 150", "heartbeat_blocks = 1.5\nsurprise = 1") + "\n[dragons]\n"
    with pytest.raises(ParametersInvalid) as caught:
        parse_parameters(text, "mine.toml")
    faults = str(caught.value).splitlines()
    assert sorted(faults) == [
        "mine.toml: oracle.heartbeat_blocks must be a whole number",
        "mine.toml: oracle.jump_chance must be a number",
        "mine.toml: oracle.surprise is unknown",
        "mine.toml: rival.knows = 7 is outside 0 to 1",
        "mine.toml: unknown section [dragons]",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("uniswap_v2_share = 0.34", "uniswap_v2_share = 0.35", "sum to 1.01, not to 1"),
        ("minimum_usd = 15", "minimum_usd = 70000", "traders.minimum_usd = 70000 is above traders.maximum_usd"),
        ("minimum_spacings = 4", "minimum_spacings = 400", "providers.minimum_spacings = 400 is above"),
        ("backruns = true", "backruns = 1", "rival.backruns must be true or false"),
        ("bid = [[0.5, 20], [0.7, 40], [0.9, 40]]", "bid = []", "rival.bid must be a list"),
        ("bid = [[0.5, 20], [0.7, 40], [0.9, 40]]", "bid = [[0.5, 0]]", "rival.bid must be a list"),
        ("bid = [[0.5, 20], [0.7, 40], [0.9, 40]]", "bid = [[1.5, 1]]", "rival.bid = 1.5 is outside 0 to 1"),
        ("bid = [[0.5, 20], [0.7, 40], [0.9, 40]]", "", "rival.bid is missing"),
        ("maximum_victims = 3", "maximum_victims = true", "sandwicher.maximum_victims must be a whole number"),
        ("volatile_volatility = 0.0016", "volatile_volatility = nan", "oracle.volatile_volatility must be a number"),
        ("[whales]", "[[whales]]", "section [whales] is missing"),
    ],
)
def test_a_wrong_value_is_refused_by_name(old: str, new: str, fault: str) -> None:
    with pytest.raises(ParametersInvalid) as caught:
        parse_parameters(changed(old, new))
    assert fault in str(caught.value)


def test_a_file_that_is_not_toml_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParametersInvalid, match="not TOML"):
        parse_parameters("this is not = = toml")
    with pytest.raises(ParametersInvalid, match="cannot be read"):
        load_parameters(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ParametersInvalid, match="cannot be read"):
        load_parameters(tmp_path / "binary.toml")
