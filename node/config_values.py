"""Single values of the configuration: text and numbers of TOML or of an environment variable to the types of `Config`.

Every parser takes the raw value and returns the typed one, or raises `Unfit` with what was expected. Which parser a
field has follows from its type, and for times from its name (`…_ns`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from node.config_errors import nearest
from protocol.errors import ProtocolError
from protocol.ethereum.keys import checksum_address
from protocol.units import Address, BasisPoints, BlockNumber, ChainId, Wei, address_from_hex

AMOUNTS: Final = frozenset({"max_input", "max_daily_turnover"})
"""Fields that are amounts of a token, whose type is a plain int."""
MAX_AMOUNT: Final = 2**256 - 1
_AMOUNT_UNITS: Final = {"wei": 1, "gwei": 10**9, "ether": 10**18}
_TIME_UNITS: Final = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_QUANTITY: Final = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?(?:e[0-9]{1,2})?)\s*([a-z]*)\Z")


class Unfit(Exception):
    """A value that its field cannot take. Its text says what was expected; `nearest` what may have been meant."""

    def __init__(self, expected: str, meant: str = "") -> None:
        super().__init__(expected)
        self.nearest = meant


class FromEnvironment(str):
    """The text of an environment variable: what TOML would have typed is read out of it where a type is needed."""

    __slots__ = ()


def typed(raw: Any) -> Any:
    """Return the TOML value that an environment variable's text is, or the text itself; other values as they are."""
    if not isinstance(raw, FromEnvironment):
        return raw
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return str(raw)


def amount(raw: Any) -> int:
    """Smallest units: a whole number, or text such as "0.5 ether", "30 gwei", "5000e6"."""
    return _quantity(raw, _AMOUNT_UNITS, 'a whole number, or text with a unit: "0.5 ether", "30 gwei", "5000e6"')


def nanoseconds(raw: Any) -> int:
    """A time: nanoseconds as a whole number, or text such as "30 s", "250 ms", "1 min"."""
    return _quantity(raw, _TIME_UNITS, 'a time: "30 s", "250 ms", "1 min"; a bare number is nanoseconds')


def whole_number(raw: Any) -> int:
    """A whole number from 0 up that a database and a frame can hold."""
    value = typed(raw)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise Unfit(f"expected a whole number from 0 up, got {_shown(value)}")
    return value


def basis_points(raw: Any) -> int:
    """A share in 1/10,000."""
    value = typed(raw)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 10_000:
        raise Unfit(f"expected basis points, 0 to 10000 (8000 is 80 %), got {_shown(value)}")
    return value


def decimal_number(raw: Any) -> float:
    """A number above 0."""
    value = typed(raw)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 10**9:
        raise Unfit(f"expected a number above 0, got {_shown(value)}")
    return float(value)


def truth(raw: Any) -> bool:
    """`true` or `false`."""
    value = typed(raw)
    if not isinstance(value, bool):
        raise Unfit(f"expected true or false, got {_shown(value)}")
    return value


def text(raw: Any) -> str:
    """One line of text, not empty."""
    if not isinstance(raw, str) or not raw.strip() or not raw.isprintable():
        raise Unfit(f"expected a line of text, got {_shown(raw)}")
    return str(raw)


def address(raw: Any) -> Address:
    """0x and 40 hex digits; in mixed case the checksum of EIP-55 must be right."""
    if not isinstance(raw, str):
        raise Unfit(f"expected an address, 0x and 40 hex digits, got {_shown(raw)}")
    try:
        found = address_from_hex(raw)
        told = checksum_address(raw)
    except ProtocolError:
        raise Unfit(f"expected an address, 0x and 40 hex digits, got {_shown(raw)}") from None
    if raw[2:] not in (raw[2:].lower(), raw[2:].upper()) and raw != told:
        raise Unfit(f"the checksum of this address is wrong (EIP-55): a letter may be mistyped in {_shown(raw)}")
    return found


def one_of(kind: type[StrEnum], raw: Any) -> StrEnum:
    """A value of an enumeration."""
    try:
        return kind(raw)
    except ValueError:
        words = [member.value for member in kind]
        raise Unfit(f"expected one of {', '.join(words)}, got {_shown(raw)}", nearest(str(raw), words)) from None


def path_beside(folder: Path, raw: Any) -> Path:
    """A path; a relative one counts from `folder`, `~` is the user's home."""
    value = Path(text(raw)).expanduser()
    return value if value.is_absolute() else folder / value


PARSERS: Final[Mapping[Any, Callable[[Any], Any]]] = {
    Address: address,
    Wei: amount,
    BasisPoints: basis_points,
    ChainId: whole_number,
    BlockNumber: whole_number,
    int: whole_number,
    float: decimal_number,
    bool: truth,
    str: text,
}


def _quantity(raw: Any, units: Mapping[str, int], expected: str) -> int:
    value = typed(raw)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_AMOUNT:
        return value
    found = _QUANTITY.match(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise Unfit(f"expected {expected}, got {_shown(value)}")
    number, unit = found.groups()
    if unit and unit not in units:
        raise Unfit(f"expected {expected}, got the unit {unit!r}", nearest(unit, units))
    scaled, rest = divmod(Fraction(number.replace("_", "")) * units.get(unit, 1), 1)
    if rest or scaled > MAX_AMOUNT:
        raise Unfit(f"expected {expected}; {_shown(value)} is no whole number of the smallest unit below 2^256")
    return scaled


def _shown(value: Any) -> str:
    """Return a value as an error shows it, cut: a whole file may have slipped in."""
    shown = repr(str(value) if isinstance(value, str) else value)
    return shown if len(shown) <= 60 else shown[:57] + "…"
