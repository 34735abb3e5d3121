"""What a revert of our contracts, or of those they call, says: name, arguments, words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocol.errors import ProtocolError
from protocol.ethereum.abi import SELECTOR_BYTES, argument_types, decode, selector

_ERROR: Final = selector("Error(string)")
_PANIC: Final = selector("Panic(uint256)")
_PANICS: Final = {
    0x01: "an assertion failed",
    0x11: "an integer overflowed",
    0x12: "a division by zero",
    0x21: "a value that its enumeration does not have",
    0x32: "an index beyond its array",
    0x41: "too much memory",
}
_TEXT_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Revert:
    """Why a call reverted. `name` is the error's, or `Error`, `Panic`, `Empty`, `Unknown`."""

    name: str
    arguments: tuple[Any, ...]
    words: str


def explain_revert(data: bytes, meanings: Mapping[str, str]) -> Revert:
    """Say what the data of a revert means; `meanings` has the custom errors, signature to words.

    Never raises: data of which nothing is known is `Unknown`, with its hex in the words.
    """
    if not data:
        return Revert("Empty", (), "reverted without a reason: out of gas, or a call to an account without code")
    known = {selector(signature): signature for signature in meanings}
    signature = known.get(data[:SELECTOR_BYTES])
    try:
        if data[:SELECTOR_BYTES] == _ERROR:
            (text,) = decode(["string"], data[SELECTOR_BYTES:])
            return Revert("Error", (text,), f"refused by a contract that was called: {_printable(text)}")
        if data[:SELECTOR_BYTES] == _PANIC:
            (code,) = decode(["uint256"], data[SELECTOR_BYTES:])
            return Revert("Panic", (code,), f"panicked: {_PANICS.get(code, f'code {code:#x}')}")
        if signature is not None:
            arguments = decode(argument_types(signature), data[SELECTOR_BYTES:])
            said = f" ({', '.join(map(str, arguments))})" if arguments else ""
            return Revert(signature.partition("(")[0], arguments, f"{meanings[signature]}{said}")
    except ProtocolError:
        odd = "does not decode"
    else:
        odd = "is of no error known here"
    return Revert("Unknown", (), f"its data {odd}: 0x{data[:64].hex()}")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:_TEXT_CHARACTERS])
