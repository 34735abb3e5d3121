"""The file that a network is deployed from: read whole, or refused with the place of everything that is unfit."""

from __future__ import annotations

import pytest

from governance.deploy_errors import SettingsRefused
from governance.deploy_file import settings_from_toml
from governance.deploy_settings import EpochCut, Governance
from tests.deploy_scene import CHAIN, SETTINGS, settings_toml


def test_the_file_says_all_that_a_plan_is_made_of() -> None:
    chain_id, settings = settings_from_toml(settings_toml(SETTINGS, CHAIN).encode(), "net.toml")
    assert chain_id == CHAIN
    assert settings == SETTINGS


def test_what_is_left_out_is_as_the_protocol_has_it() -> None:
    kept = ("chain_id", "guardian", "supply_holder", "initial_supply", "fee_token")
    lines = [line for line in settings_toml(SETTINGS, CHAIN).splitlines() if line.startswith(kept)]
    _, settings = settings_from_toml("\n".join(lines).encode(), "net.toml")
    assert settings.cut == EpochCut()
    assert settings.governance == Governance()
    assert settings.bindings is None


@pytest.mark.parametrize(
    ("told", "instead", "complaint"),
    [
        ("guardian = ", "gardian = ", "net.toml: .*gardian"),
        ("chain_id = 31337", "chain_id = 0", "net.toml: chain_id: is not above zero"),
        ("chain_id = 31337", 'chain_id = "one"', "net.toml: Expected `int`"),
        ("chain_id = 31337", "chain_id = ", "net.toml: Invalid value"),
        ('"1,000,000 HFT"', '"1000000"', "net.toml: initial_supply: '1000000' has no unit"),
        ('"1,000,000 HFT"', '"5 ether"', "net.toml: initial_supply: '5 ether' is in ether"),
        (f'guardian = "0x{"02" * 20}"', 'guardian = "0x02"', "net.toml: guardian: "),
        (f'weth = "0x{"04" * 20}"', f'weth = "0x{"00" * 20}"', "net.toml: bindings.weth: is the zero address"),
        (f'init_code_hash = "0x{"32" * 32}"', 'init_code_hash = "0x32"', "uniswap_v2.init_code_hash: no 32 bytes"),
        ("fee_pips = 3000", "fee_pips = 1000000", "uniswap_v2.fee_pips: outside 0 to 999999"),
        (f'["0x{"37" * 20}"', '["0x37"', r"bindings.curve_pools\[0\]: "),
    ],
)
def test_what_is_unfit_is_named_with_its_place(told: str, instead: str, complaint: str) -> None:
    text = settings_toml(SETTINGS, CHAIN)
    assert told in text
    with pytest.raises(SettingsRefused, match=complaint):
        settings_from_toml(text.replace(told, instead, 1).encode(), "net.toml")


def test_everything_that_is_unfit_is_told_at_once() -> None:
    text = settings_toml(SETTINGS, CHAIN).replace("HFT", "USD").replace("chain_id = 31337", "chain_id = -1")
    with pytest.raises(SettingsRefused) as refused:
        settings_from_toml(text.encode(), "net.toml")
    assert len(refused.value.problems) == 4, "chain, supply, threshold, least stake"


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"[" * 10_000, b"a = 1\na = 2"])
def test_what_is_no_toml_is_refused(raw: bytes) -> None:
    with pytest.raises(SettingsRefused, match=r"net\.toml: "):
        settings_from_toml(raw, "net.toml")
