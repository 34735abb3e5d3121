"""Amounts with a unit: exact both ways, and never a silent one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.amounts import ETHER, HFT, AmountUnfit, Unit, parse_ether

USDC = Unit("USDC", 6)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("100 HFT", 100 * 10**18), ("0.5hft", 5 * 10**17), ("1,234.000000000000000001 HFT", 1234 * 10**18 + 1)],
)
def test_an_amount_is_read_to_the_smallest_unit(text: str, amount: int) -> None:
    assert HFT.parse(text) == amount


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("100", '"100 HFT"'),
        ("100 ETH", "wanted is HFT"),
        ("-1 HFT", "is no amount"),
        ("1e3 HFT", "is no amount"),
        ("0.0000000000000000001 HFT", "more than the 18 decimals"),
        ("", "is no amount"),
        ("9" * 80 + " HFT", "more than any contract can hold"),
    ],
)
def test_what_is_no_amount_is_told_with_one_that_is(text: str, wanted: str) -> None:
    with pytest.raises(AmountUnfit, match=wanted):
        HFT.parse(text)


def test_ether_has_three_units() -> None:
    assert parse_ether("0.5 ether") == 5 * 10**17
    assert parse_ether("30 gwei") == 30 * 10**9
    assert parse_ether("7 wei") == 7
    with pytest.raises(AmountUnfit, match="ether, gwei or wei"):
        parse_ether("1 HFT")


@given(st.integers(0, 2**256 - 1), st.sampled_from([HFT, ETHER, USDC, Unit("ODD", 0)]))
def test_what_is_shown_is_read_back_exactly(amount: int, unit: Unit) -> None:
    assert unit.parse(unit.shown(amount)) == amount


def test_a_debt_is_shown_with_its_sign() -> None:
    assert USDC.shown(-1_500_000) == "-1.5 USDC"
