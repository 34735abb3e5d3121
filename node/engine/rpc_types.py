"""What a node of the chain writes in JSON, as types that msgspec decodes: hex text becomes a number or bytes.

    Quantity    "0x1f4"                  a number, not negative
    Data        "0x00ff"                 bytes of any length
    AddressHex  "0x" and 40 digits       20 bytes
    HashHex     "0x" and 64 digits       32 bytes

`decoder(shape)` raises msgspec.DecodeError that names the field (`$.result.number`) for anything else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from protocol.units import ADDRESS_BYTES, HASH_BYTES

_MAX_QUANTITY_CHARACTERS: Final = 66


class Quantity(int):
    """A number as JSON-RPC writes it."""


class Data(bytes):
    """Bytes as JSON-RPC writes them."""


class AddressHex(Data):
    """20 bytes."""


class HashHex(Data):
    """32 bytes."""


_LENGTHS: Final[dict[type, int]] = {AddressHex: ADDRESS_BYTES, HashHex: HASH_BYTES}


@lru_cache(maxsize=128)
def decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a shape; kept, because making one takes longer than using it."""
    return msgspec.json.Decoder(shape, dec_hook=_from_hex)


def _from_hex(wanted: type, value: Any) -> Any:
    if not isinstance(value, str) or value[:2] != "0x":
        raise ValueError("expected text that begins with 0x")
    if wanted is Quantity:
        if len(value) > _MAX_QUANTITY_CHARACTERS or not (value.isascii() and value[2:].isalnum()):
            raise ValueError("expected a number of at most 256 bits")
        return Quantity(int(value[2:], 16))
    made = wanted(bytes.fromhex(value[2:]))
    length = _LENGTHS.get(wanted)
    if 2 * len(made) != len(value) - 2 or (length is not None and len(made) != length):
        raise ValueError("expected " + ("whole bytes" if length is None else f"{length} bytes"))
    return made
