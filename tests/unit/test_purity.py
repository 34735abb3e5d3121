"""The purity lint finds each kind of fault it promises to find, and leaves clean code alone."""

from __future__ import annotations

import textwrap

import pytest

from scripts.lint_purity import lint

FAULTS = {
    "a clock": "import time",
    "a clock by name": "from datetime import datetime",
    "a clock in a submodule": "import concurrent.futures.thread",
    "randomness": "import random",
    "a source of secrets": "from secrets import token_bytes",
    "random identifiers": "import uuid",
    "the environment": "import os",
    "paths": "from pathlib import Path",
    "io": "import io",
    "sockets": "import socket",
    "HTTP": "import aiohttp",
    "tasks": "import asyncio",
    "threads": "import threading",
    "processes": "import subprocess",
    "random numbers of numpy": "import numpy as np\nx = np.random.default_rng()",
    "random numbers of numpy by name": "from numpy import random as r",
    "a new key": "from coincurve import PrivateKey\nk = PrivateKey()",
    "a generated key": "k = Ed25519PrivateKey.generate()",
    "standard output": "import sys\nsys.stdout.write('x')",
    "open": "open('x')",
    "print": "print('x')",
    "input": "input()",
    "eval": "eval('1')",
    "exec": "exec('1')",
    "hidden import": "__import__('time')",
    "hash": "hash('x')",
    "id": "id(x)",
    "float()": "float(1)",
    "a float": "FEE = 0.003",
    "true division": "a / b",
    "the node": "import node.link",
    "the governance client": "from governance.client import Client",
    "the devnet": "from devnet import rpc",
    "for over a literal": "for x in {1, 2}:\n    pass",
    "for over set()": "for x in set(y):\n    pass",
    "for over frozenset()": "for x in frozenset(y):\n    pass",
    "for over a set comprehension": "for x in {a for a in b}:\n    pass",
    "for over a name": "s = {1, 2}\nfor x in s:\n    pass",
    "for over an argument": "def f(s: set[int]):\n    for x in s:\n        pass",
    "for over an optional argument": "def f(s: frozenset[int] | None):\n    for x in s:\n        pass",
    "for over an abstract set": "def f(s: 'AbstractSet[int]'):\n    for x in s:\n        pass",
    "for over Optional": "def f(s: Optional[Set[int]]):\n    for x in s:\n        pass",
    "for over a field": "class A:\n    s: frozenset[int]\n    def f(self):\n        for x in self.s:\n            pass",
    "for over an attribute": "class A:\n  def __init__(self):\n    self.s = set()\ndef f(a):\n  return list(a.s)",
    "for over a result": "def f() -> set[int]:\n    return {1}\nfor x in f():\n    pass",
    "for over an alias": "Peers = frozenset[str]\ndef f(p: Peers):\n    return [x for x in p]",
    "for over a NewType": "Peers = NewType('Peers', frozenset[str])\ndef f(p: Peers):\n    return [x for x in p]",
    "for over a union": "def f(a: set[int], b):\n    return [x for x in a | b]",
    "for over .union": "for x in a.union(b):\n    pass",
    "for over keys minus keys": "for x in a.keys() - b.keys():\n    pass",
    "for over a choice": "for x in (set() if y else ()):\n    pass",
    "for over a value": "def f(d: dict[str, set[int]]):\n    for x in d['a']:\n        pass",
    "for over .get": "def f(d: dict[str, set[int]]):\n    for x in d.get('a', ()):\n        pass",
    "for over values": "def f(d: dict[str, set[int]]):\n    for s in d.values():\n        list(s)",
    "for over items": "def f(d: dict[str, set[int]]):\n    for k, s in d.items():\n        list(s)",
    "for over keys": "def f(d: dict[frozenset[int], str]):\n    for s in d:\n        for x in s:\n            pass",
    "for over items of a list": "def f(d: list[set[int]]):\n    for s in d:\n        for x in s:\n            pass",
    "async for": "async def f(s: set[int]):\n    async for x in s:\n        pass",
    "a list comprehension": "x = [a for a in {1, 2}]",
    "a generator": "x = f(a for a in {1, 2})",
    "a dict comprehension": "x = {a: 1 for a in {1, 2}}",
    "list()": "list({1, 2})",
    "tuple()": "tuple({1, 2})",
    "join": "','.join({'a', 'b'})",
    "enumerate": "enumerate({1, 2})",
    "zip": "zip(a, {1, 2})",
    "next and iter": "next(iter({1, 2}))",
    "a star": "f(*{1, 2})",
    "unpacking": "a, b = {1, 2}",
    "pop": "s = {1, 2}\ns.pop()",
    "yield from": "def f():\n    yield from {1, 2}",
    "str()": "str({1, 2})",
    "a format string": "s = {1, 2}\nx = f'{s}'",
    "ties in sorted": "sorted({1, 2}, key=f)",
    "ties in min": "min({1, 2}, key=f)",
    "ties in a generator": "max((x for x in {1, 2}), key=f)",
    "a walrus": "if (s := {1}):\n    list(s)",
    "an excuse without a reason": "x = hash('a')  # purity:",
    "an excuse for nothing": "x = 1  # purity: it once was impure",
}
CLEAN = {
    "sorted": "for x in sorted({1, 2}):\n    pass",
    "sorted by generator": "x = sorted(a for a in {1, 2})",
    "membership": "x = 1 in {1, 2}",
    "size": "x = len({1, 2})",
    "any": "x = any(a > 1 for a in {1, 2})",
    "sum of integers": "x = sum({1, 2})",
    "min without a key": "x = min({1, 2})",
    "a set from a set": "x = {a + 1 for a in {1, 2}}",
    "a set of stars": "x = {*a, *{1, 2}}",
    "set algebra": "x = {1} | {2}",
    "a list": "for x in [1, 2]:\n    pass",
    "a dict": "def f(d: dict[str, set[int]]):\n    return [k for k in d]",
    "dict union": "def f(a: dict[str, int], b: dict[str, int]):\n    return list(a | b)",
    "keys": "def f(d: dict[str, int]):\n    return list(d.keys())",
    "sorted under the same name": "s = {1, 2}\ns = sorted(s)\nfor x in s:\n    pass",
    "floor division": "x = a // b",
    "hash in __hash__": "class A:\n    def __hash__(self):\n        return hash(self.x)",
    "a key from bytes": "k = PrivateKey(secret)",
    "pop of a list": "def f(l: list[int]):\n    return l.pop()",
    "protocol": "from protocol.errors import RemoteProtocolError",
    "an excuse with a reason": "x = hash(1)  # purity: the hash of a small int is the int",
}


@pytest.mark.parametrize("code", FAULTS.values(), ids=FAULTS.keys())
def test_an_impure_module_is_reported(code: str) -> None:
    assert lint({"protocol/planted.py": code})


@pytest.mark.parametrize("code", CLEAN.values(), ids=CLEAN.keys())
def test_a_pure_module_is_left_alone(code: str) -> None:
    assert lint({"protocol/planted.py": code}) == []


def test_a_fault_names_path_line_column_and_reason() -> None:
    code = textwrap.dedent("""
        def ready(peers: set[str]) -> list[str]:
            return [peer for peer in peers]
    """)

    (fault,) = lint({"node/pipeline/planted.py": code})

    assert str(fault).startswith("node/pipeline/planted.py:3:30 iteration over a set")


def test_floats_may_screen_in_the_pipeline_but_never_reach_the_protocol() -> None:
    code = "SHARE = 0.5\nx = float(1) / 2\n"

    assert lint({"node/pipeline/kernels.py": code}) == []
    assert len(lint({"protocol/kernels.py": code})) == 3


def test_the_pipeline_may_import_its_own_parts_and_the_policy() -> None:
    assert (
        lint({"node/pipeline/step.py": "from node.pipeline import events\nfrom governance.policy import BOUNDS"}) == []
    )


def test_a_set_declared_in_one_module_is_known_in_another() -> None:
    declares = "class Table:\n    peers: frozenset[str]\n"
    iterates = "def f(table):\n    return list(table.peers)\n"

    (fault,) = lint({"protocol/a.py": declares, "protocol/b.py": iterates})

    assert (fault.path, fault.line) == ("protocol/b.py", 2)
