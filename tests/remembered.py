"""Finds every container, reachable from an object, in which a peer stands: by its id, text, bytes or hash."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterator
from typing import Any

from libp2p.peer.id import ID

from node.sentry.host import hash_of_peer

_NO_STATE = (types.ModuleType, type, types.BuiltinFunctionType, types.CodeType, types.FrameType)


def where_remembered(root: object, peer: ID) -> set[str]:
    """Return the paths of the containers, as attributes and keys of `root`; what is inside an entry has `[]`."""
    found: set[str] = set()
    seen: set[int] = set()
    queue: deque[tuple[object, str]] = deque([(root, "")])
    while queue:
        value, path = queue.popleft()
        if id(value) in seen or isinstance(value, _NO_STATE):
            continue
        seen.add(id(value))
        if _holds(value, peer):
            found.add(path.lstrip("."))
            continue  # the entry itself may say it again
        queue += _inside(value, path)
    return found


def _holds(value: object, peer: ID) -> bool:
    return isinstance(value, dict | list | set | frozenset | deque) and any(_is(each, peer) for each in list(value))


def _is(value: object, peer: ID) -> bool:
    if isinstance(value, str):
        return str(peer) in value
    if isinstance(value, bytes):
        return value == hash_of_peer(peer) or value.startswith(peer.to_bytes())  # an id of a message begins with it
    return isinstance(value, ID) and value == peer


def _inside(value: Any, path: str) -> Iterator[tuple[object, str]]:
    if isinstance(value, types.FunctionType):
        yield from ((cell.cell_contents, path) for cell in value.__closure__ or () if cell is not None)
        return
    if isinstance(value, types.MethodType):
        yield value.__self__, path
        return
    if isinstance(value, dict):
        yield from ((each, f"{path}[]") for each in list(value.values()))
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from ((each, f"{path}[]") for each in list(value))
    names = [*getattr(value, "__dict__", ()), *(name for cls in type(value).__mro__ for name in _slots(cls))]
    yield from ((getattr(value, name), f"{path}.{name}") for name in names if hasattr(value, name))


def _slots(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
