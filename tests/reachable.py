"""Finds every container, reachable from an object, of which something is so."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Any

CONTAINERS = (dict, list, set, frozenset, deque)
NO_STATE = (types.ModuleType, type, types.BuiltinFunctionType, types.CodeType, types.FrameType)


def containers(root: object, is_meant: Callable[[object], bool], beside: Collection[type] = ()) -> set[str]:
    """Return the paths of the containers that are meant, as attributes of `root`; inside an entry stands `[]`.

    What is inside one that is meant is not looked at, nor objects of the types `beside`.
    """
    found: set[str] = set()
    seen: set[int] = set()
    queue: deque[tuple[object, str]] = deque([(root, "")])
    while queue:
        value, path = queue.popleft()
        if id(value) in seen or isinstance(value, (*NO_STATE, *beside)):
            continue
        seen.add(id(value))
        if isinstance(value, CONTAINERS) and is_meant(value):
            found.add(path.lstrip("."))
            continue
        queue += _inside(value, path)
    return found


def _inside(value: Any, path: str) -> Iterator[tuple[object, str]]:
    if isinstance(value, types.FunctionType):
        yield from ((cell.cell_contents, path) for cell in value.__closure__ or ())
        return
    if isinstance(value, types.MethodType):
        yield value.__self__, path
        return
    if isinstance(value, dict):
        yield from ((each, f"{path}[]") for each in list(value.values()))
    elif isinstance(value, (*CONTAINERS, tuple)):
        yield from ((each, f"{path}[]") for each in list(value))
    slots = [name for cls in type(value).__mro__ for name in _slots(cls)]
    names = dict.fromkeys((*getattr(value, "__dict__", ()), *getattr(value, "__struct_fields__", ()), *slots))
    yield from ((getattr(value, name), f"{path}.{name}") for name in names if hasattr(value, name))


def _slots(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
