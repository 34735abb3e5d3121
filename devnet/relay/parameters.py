"""Reads parameters of JSON-RPC calls strictly: each function returns the value or raises `InvalidParams`."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from devnet.relay.jsonrpc import Call, InvalidParams

_HEX_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}\Z")
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}\Z")
_TEXT_LIMIT: Final = 128


def at(call: Call, index: int, name: str) -> Any:
    """Return parameter `index`, which must be there."""
    if index >= len(call.params):
        raise InvalidParams(f"missing value for required argument {index}: {name}")
    return call.params[index]


def exactly(call: Call, least: int, most: int) -> None:
    """Check the number of parameters."""
    if not least <= len(call.params) <= most:
        raise InvalidParams(f"{call.method} takes {least} to {most} parameters, not {len(call.params)}")


def data(value: Any, name: str) -> bytes:
    """Read hex data with 0x."""
    if not isinstance(value, str) or not _HEX_DATA.match(value):
        raise InvalidParams(f"{name} must be hex data with 0x")
    return bytes.fromhex(value[2:])


def address(value: Any, name: str = "address") -> str:
    """Read an address; lower-case hex comes back."""
    if not isinstance(value, str) or not _ADDRESS.match(value):
        raise InvalidParams(f"{name} must be 20 bytes of hex with 0x")
    return value.lower()


def hash32(value: Any, name: str = "hash") -> bytes:
    """Read 32 bytes of hex."""
    if not isinstance(value, str) or not _HASH.match(value):
        raise InvalidParams(f"{name} must be 32 bytes of hex with 0x")
    return bytes.fromhex(value[2:])


def integer(value: Any, name: str, least: int = 0, most: int = 2**63 - 1) -> int:
    """Read a JSON integer, or one as 0x hex."""
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]{1,16}", value):
        value = int(value, 16)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidParams(f"{name} must be an integer from {least} to {most}")
    return value


def seconds(value: Any, name: str, most: float) -> float:
    """Read a duration in seconds, 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidParams(f"{name} must be a number of seconds")
    if not 0 <= value <= most:
        raise InvalidParams(f"{name} must be from 0 to {most:g} seconds")
    return float(value)


def text(value: Any, name: str) -> str:
    """Read a short, non-empty text."""
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_LIMIT:
        raise InvalidParams(f"{name} must be a text of 1 to {_TEXT_LIMIT} characters")
    return value
