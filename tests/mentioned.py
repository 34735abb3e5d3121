"""Finds every container, reachable from an object, that mentions an account: as a key, a value, or inside of one."""

from __future__ import annotations

import types
from collections.abc import Collection

import msgspec

from tests.reachable import CONTAINERS, NO_STATE, containers


def where_mentioned(root: object, account: bytes, beside: Collection[type] = ()) -> set[str]:
    """Return the paths of the containers, as attributes of `root`, outside objects of the types `beside`."""
    return containers(root, lambda value: _mentions(value, account), beside)


def _mentions(value: object, account: bytes) -> bool:
    if isinstance(value, bytes):
        return account in value
    if isinstance(value, dict):
        return any(_mentions(each, account) for pair in list(value.items()) for each in pair)
    if isinstance(value, (*CONTAINERS, tuple)):
        return any(_mentions(each, account) for each in list(value))
    if isinstance(value, msgspec.Struct):
        return any(_mentions(getattr(value, name), account) for name in value.__struct_fields__)
    if hasattr(value, "__dict__") and not isinstance(value, (*NO_STATE, types.FunctionType, types.MethodType)):
        return any(_mentions(each, account) for each in vars(value).values() if isinstance(each, bytes | tuple))
    return False
