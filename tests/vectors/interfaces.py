"""Kind abi: published interfaces. Every entry must be one that our codec reads; and where an interface is that of a
router whose calls we read, what we know of its functions must be what is published.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from node.pipeline.router_functions import published_arguments
from node.pipeline.settings import RouterKind
from protocol.ethereum.abi import decode_call, encode_call, selector
from tests.vectors.cases import Case, Malformed, differs, must_be, number_up_to

_KINDS: Final = ("function", "event", "error", "constructor", "receive", "fallback")
_CALLED: Final = ("function", "error")
_MAX_INDEXED: Final = 3
_MAX_LENGTH: Final = 64


def split_interface(content: bytes) -> Iterator[Case]:
    """Split a JSON list of entries; the first case is the whole, in which no two may be called alike."""
    document = json.loads(content)
    entries = document["abi"] if isinstance(document, dict) else document
    entries = must_be("an interface", list, entries)
    selectors = [
        selector(signature_of(entry)) for entry in entries if must_be("an entry", dict, entry).get("type") == "function"
    ]
    yield Case("selectors", {"selectors": selectors})
    known: dict[bytes, tuple[tuple[str, str], ...]] = {}
    for kind in RouterKind:
        published = published_arguments(kind)
        if 3 * len(published.keys() & set(selectors)) >= 2 * len(published):  # versions have more of them, or fewer
            known |= published
    for place, entry in enumerate(entries):
        yield Case(f"#{place} {entry.get('name', entry.get('type'))}", {"entry": entry, "known": known})


def check_interface(case: dict[str, Any]) -> Iterator[str]:
    """One entry, or that the selectors of all functions differ."""
    if "selectors" in case:
        yield from differs("different selectors", len(set(case["selectors"])), len(case["selectors"]))
        return
    entry = must_be("an entry", dict, case["entry"])
    kind = must_be("type", str, entry["type"])
    if kind not in _KINDS:
        raise Malformed(f"unknown type of entry {kind!r}")
    if kind in _CALLED:
        yield from _call_differs(entry, kind, case["known"])
    elif kind == "event":
        yield from _event_differs(entry)
    elif kind == "constructor":
        signature_of(entry | {"name": "constructor"})


def signature_of(entry: Mapping[str, Any]) -> str:
    """Return the canonical signature of an entry."""
    return f"{must_be('name', str, entry['name'])}({','.join(_type(part) for part in entry['inputs'])})"


def _type(argument: Mapping[str, Any]) -> str:
    """The canonical type of an argument: a tuple by its components."""
    kind: str = must_be("type", str, argument["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type(part) for part in argument['components'])}){kind.removeprefix('tuple')}"


def _call_differs(entry: Mapping[str, Any], kind: str, known: Mapping[bytes, object]) -> Iterator[str]:
    """Arguments go into call data and come out of it; what we know of the function is what it is."""
    signature = signature_of(entry)
    arguments = [_sample(_type(part)) for part in entry["inputs"]]
    data = encode_call(signature, *arguments)
    yield from differs("arguments read back", list(decode_call(signature, data)), arguments)
    for part in entry.get("outputs", []):
        _sample(_type(part))
    if kind == "function" and data[:4] in known:
        published = tuple((part["name"], _type(part)) for part in entry["inputs"])
        yield from differs("arguments by name", known[data[:4]], published)


def _event_differs(entry: Mapping[str, Any]) -> Iterator[str]:
    selector(signature_of(entry))
    indexed = sum(must_be("indexed", bool, part["indexed"]) for part in entry["inputs"])
    if indexed > _MAX_INDEXED + bool(entry.get("anonymous")):
        yield f"{indexed} indexed arguments"


def _sample(kind: str) -> Any:
    """A value of a canonical type that is no default: what is read back must be the same."""
    if kind.endswith("]"):
        inner, _, length = kind[:-1].rpartition("[")
        return tuple(_sample(inner) for _ in range(number_up_to(_MAX_LENGTH, length or 2)))
    if kind.startswith("("):
        return tuple(_sample(part) for part in _parts(kind[1:-1]))
    if kind == "address":
        return "0x" + "ab" * 20
    if kind == "bool":
        return True
    if kind in ("string", "bytes"):
        return "text" if kind == "string" else b"bytes"
    if kind.startswith("bytes"):
        return b"\x01" * number_up_to(32, kind.removeprefix("bytes"))
    if kind.startswith(("uint", "int")):
        bits = number_up_to(256, kind.lstrip("uint"))
        return (1 << bits) - 1 if kind.startswith("u") else -(1 << (bits - 1))
    raise Malformed(f"unknown type {kind!r}")


def _parts(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]] if text else []
