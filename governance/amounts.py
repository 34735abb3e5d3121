"""Amounts as people write and read them: a number and a unit, exact, never a silent one. Pure.

"100 HFT", "0.5 ether", "1,000.25 USDC". What has no unit, another unit, or more decimals than its unit is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from protocol.units import max_uint

_AMOUNT: Final = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([A-Za-z][A-Za-z0-9.]*)?\Z")
_WEI: Final[Mapping[str, int]] = {"wei": 0, "gwei": 9, "ether": 18, "eth": 18}


class AmountUnfit(Exception):
    """A text that is no amount of the unit that is wanted; says what would be right."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What amounts are counted in: a symbol, and how many decimals one of it has."""

    symbol: str
    decimals: int

    def shown(self, amount: int) -> str:
        """Return an amount of smallest units in words, exactly, for example `1,234.5 HFT`."""
        whole, rest = divmod(abs(amount), 10**self.decimals)
        decimals = f"{rest:0{self.decimals}d}".rstrip("0") if rest else ""
        return f"{'-' if amount < 0 else ''}{whole:,}{'.' if decimals else ''}{decimals} {self.symbol}"

    def parse(self, text: str) -> int:
        """Return smallest units. Raises `AmountUnfit`."""
        number, unit = _split(text, f"100 {self.symbol}")
        if unit.lower() != self.symbol.lower():
            raise AmountUnfit(f'{text!r} is in {unit}, wanted is {self.symbol}: "100 {self.symbol}"')
        return _whole(text, number, self.decimals, self.symbol)


HFT: Final = Unit("HFT", 18)
ETHER: Final = Unit("ETH", 18)


def parse_ether(text: str) -> int:
    """Return wei of an amount in ether, gwei or wei. Raises `AmountUnfit`."""
    number, unit = _split(text, "0.5 ether")
    if unit.lower() not in _WEI:
        raise AmountUnfit(f'{text!r} is in {unit}, wanted is ether, gwei or wei: "0.5 ether"')
    return _whole(text, number, _WEI[unit.lower()], unit)


def _split(text: str, example: str) -> tuple[str, str]:
    found = _AMOUNT.match(text.strip())
    if found is None:
        raise AmountUnfit(f'{text[:60]!r} is no amount: "{example}"')
    number, unit = found.groups()
    if unit is None:
        raise AmountUnfit(f'{text[:60]!r} has no unit: "{example}"')
    return number.replace("_", "").replace(",", ""), unit


def _whole(text: str, number: str, decimals: int, unit: str) -> int:
    amount, rest = divmod(Fraction(number) * 10**decimals, 1)
    if rest:
        raise AmountUnfit(f"{text!r} has more than the {decimals} decimals of {unit}")
    if amount > max_uint(256):
        raise AmountUnfit(f"{text!r} is more than any contract can hold")
    return int(amount)
