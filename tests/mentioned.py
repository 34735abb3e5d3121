"""Finds every container, reachable from an object, that mentions an account: as a key, a value, or inside of one."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

_NO_STATE = (types.ModuleType, type, types.BuiltinFunctionType, types.CodeType, types.FrameType)
_CONTAINERS = (dict, list, set, frozenset, deque)


def where_mentioned(root: object, account: bytes, beside: Collection[type] = ()) -> set[str]:
    """Return the paths of the containers, as attributes of `root`, outside objects of the types `beside`."""
    found: set[str] = set()
    seen: set[int] = set()
    queue: deque[tuple[object, str]] = deque([(root, "")])
    while queue:
        value, path = queue.popleft()
        if id(value) in seen or isinstance(value, (*_NO_STATE, *beside)):
            continue
        seen.add(id(value))
        if isinstance(value, _CONTAINERS) and _mentions(value, account):
            found.add(path.lstrip("."))
            continue
        queue += _inside(value, path)
    return found


def _mentions(value: object, account: bytes) -> bool:
    if isinstance(value, bytes):
        return account in value
    if isinstance(value, dict):
        return any(_mentions(each, account) for pair in list(value.items()) for each in pair)
    if isinstance(value, (*_CONTAINERS, tuple)):
        return any(_mentions(each, account) for each in list(value))
    if isinstance(value, msgspec.Struct):
        return any(_mentions(getattr(value, name), account) for name in value.__struct_fields__)
    if hasattr(value, "__dict__") and not isinstance(value, (*_NO_STATE, types.FunctionType, types.MethodType)):
        return any(_mentions(each, account) for each in vars(value).values() if isinstance(each, bytes | tuple))
    return False


def _inside(value: Any, path: str) -> Iterator[tuple[object, str]]:
    if isinstance(value, types.FunctionType):
        yield from ((cell.cell_contents, path) for cell in value.__closure__ or ())
        return
    if isinstance(value, types.MethodType):
        yield value.__self__, path
        return
    if isinstance(value, dict):
        yield from ((each, f"{path}[]") for each in list(value.values()))
    elif isinstance(value, (*_CONTAINERS, tuple)):
        yield from ((each, f"{path}[]") for each in list(value))
    names = (*getattr(value, "__dict__", ()), *getattr(value, "__struct_fields__", ()))
    yield from ((getattr(value, name), f"{path}.{name}") for name in names if hasattr(value, name))
