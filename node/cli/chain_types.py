"""What these commands take: amounts with a unit, addresses, 32 bytes. A wrong one is answered with a right one."""

from __future__ import annotations

from typing import Any

import click

from governance.amounts import AmountUnfit, Unit, parse_ether
from node.config_values import Unfit
from node.config_values import address as parse_address
from protocol.units import HASH_BYTES, Address, Hash32

LATEST = 0
"""In place of a proposal's number: the one that was made last."""


class Amount(click.ParamType[int]):
    """An amount of one unit, such as "100 HFT"; comes as smallest units."""

    name = "amount"

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return smallest units."""
        try:
            return value if isinstance(value, int) else self._unit.parse(value)
        except AmountUnfit as error:
            self.fail(str(error), param, ctx)


class EtherAmount(click.ParamType[int]):
    """An amount such as "0.5 ether" or "30 gwei"; comes as wei."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return wei."""
        try:
            return value if isinstance(value, int) else parse_ether(value)
        except AmountUnfit as error:
            self.fail(str(error), param, ctx)


class AddressType(click.ParamType[Address]):
    """An address; a checksum that is there must be right."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """Return the 20 bytes."""
        if isinstance(value, bytes):
            return Address(value)
        try:
            found = parse_address(value)
        except Unfit as error:
            self.fail(str(error), param, ctx)
        return Address(bytes(found))


class Word(click.ParamType[Hash32]):
    """32 bytes in hex, or an address, which is padded on the left."""

    name = "bytes32"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Hash32:
        """Return the 32 bytes."""
        if isinstance(value, bytes):
            return Hash32(value)
        text = str(value).removeprefix("0x")
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            raw = b""
        if not str(value).startswith("0x") or len(raw) not in (20, HASH_BYTES) or not any(raw):
            self.fail(f"{str(value)[:70]!r} is neither an address (0x and 40 hex digits) nor 0x and 64", param, ctx)
        return Hash32(raw.rjust(HASH_BYTES, b"\0"))


class ProposalNumber(click.ParamType[int]):
    """A proposal's number, as `hftnode gov list` shows it: decimal or 0x and hex digits; `latest` comes as LATEST."""

    name = "proposal"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        if value == "latest":
            return LATEST
        try:
            number = int(value, 16) if value.startswith("0x") else int(value)
        except ValueError:
            number = -1
        if not 0 < number < 2**256:
            self.fail(
                f"{value[:70]!r} is no proposal's number, nor `latest`: `hftnode gov list` shows them", param, ctx
            )
        return number


ADDRESS = AddressType()
WORD = Word()
ETHER_AMOUNT = EtherAmount()
PROPOSAL = ProposalNumber()
