"""The fields of a packed plan, one by one: big-endian, without padding.

InvalidField        a value outside its field
TruncatedMessage    bytes that end inside a field
"""

from __future__ import annotations

from typing import Final

from protocol.errors import InvalidField, TruncatedMessage
from protocol.units import ADDRESS_BYTES, Address, TokenAmount

MINIMUM_BITS: Final = 24
"""Significant bits of a leg's minimum: it is rounded down to a multiple of a power of two, by less than 1 in 2^23."""
PIPS_ONE: Final = 1_000_000

_MAX_EXPONENT: Final = 256 - MINIMUM_BITS


class FieldReader:
    """Takes fields off the front of a plan."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._offset = 0

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left."""
        return self._offset == len(self._packed)

    def take(self, size: int) -> bytes:
        """Return the next bytes. Raises TruncatedMessage."""
        field = self._packed[self._offset : self._offset + size]
        if len(field) != size:
            raise TruncatedMessage(f"ends after {len(self._packed)} bytes, inside a field", "plan")
        self._offset += size
        return field

    def uint(self, size: int) -> int:
        """Return the next number of so many bytes. Raises TruncatedMessage."""
        return int.from_bytes(self.take(size), "big")

    def address(self) -> Address:
        """Return the next address. Raises TruncatedMessage."""
        return Address(self.take(ADDRESS_BYTES))

    def minimum(self) -> TokenAmount:
        """Return the next leg's minimum, as it is on the chain. Raises TruncatedMessage."""
        packed = self.uint(4)
        exponent, mantissa = packed >> MINIMUM_BITS, packed & ((1 << MINIMUM_BITS) - 1)
        return TokenAmount((mantissa << exponent) % (1 << 256))


def minimum_rounded_down(amount: int) -> int:
    """Return the minimum that the chain will enforce for a leg that should give at least `amount`."""
    exponent = max(0, amount.bit_length() - MINIMUM_BITS)
    return amount >> exponent << exponent


def minimum_field(amount: int) -> bytes:
    """Return a leg's minimum, packed. Raises InvalidField."""
    if amount < 0:
        raise InvalidField("a minimum is not negative", "minimum_out")
    exponent = max(0, amount.bit_length() - MINIMUM_BITS)
    if exponent > _MAX_EXPONENT:
        raise InvalidField("a minimum is below 2^256", "minimum_out")
    return bytes((exponent,)) + (amount >> exponent).to_bytes(3, "big")


def uint_field(value: int, size: int, where: str) -> bytes:
    """Return a number, packed. Raises InvalidField."""
    try:
        return value.to_bytes(size, "big")
    except OverflowError as error:
        raise InvalidField(f"must be from 0 to 2^{8 * size} - 1", where) from error


def address_field(address: Address, where: str = "address") -> bytes:
    """Return an address, packed. Raises InvalidField."""
    if len(address) != ADDRESS_BYTES:
        raise InvalidField(f"an address has {ADDRESS_BYTES} bytes, got {len(address)}", where)
    return address


def fee_field(fee_pips: int) -> bytes:
    """Return a fee in hundredths of a basis point, packed. Raises InvalidField."""
    if not 0 <= fee_pips < PIPS_ONE:
        raise InvalidField("a fee is from 0 to below 1,000,000 pips", "fee_pips")
    return uint_field(fee_pips, 3, "fee_pips")
