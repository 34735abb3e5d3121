"""The purity lint: protocol/ and node/pipeline/ must give the same bytes for the same input, in every run, everywhere.

Forbidden there, each with a reason in the message: clocks, randomness, input and output, threads and tasks (by import
or builtin), hash() and id(), iteration over unordered sets, and in protocol/ floats. A line that needs an exception
carries `# purity: <reason>`; such a comment that excuses nothing is a fault itself.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.set_types import Declarations, Scope, name_of
from scripts.tree import ROOT

PURE = ("protocol", "node/pipeline", "governance/policy.py")

_IMPORTS = {
    "a clock": "time datetime sched calendar zoneinfo",
    "randomness": "random secrets uuid",
    "input or output": "os io pathlib shutil tempfile glob fileinput socket select selectors ssl subprocess sqlite3 "
    "mmap logging http urllib ftplib smtplib requests aiohttp httpx websockets aiosqlite web3 signal platform locale "
    "getpass importlib ctypes pickle shelve dbm",
    "concurrency": "asyncio threading multiprocessing concurrent queue contextvars trio anyio uvloop gc weakref",
}
_FORBIDDEN_IMPORTS = {module: kind for kind, modules in _IMPORTS.items() for module in modules.split()}
_FORBIDDEN_CALLS = {
    "open": "input or output",
    "print": "input or output",
    "input": "input or output",
    "breakpoint": "input or output",
    "__import__": "an import that no check sees",
    "eval": "code that no check sees",
    "exec": "code that no check sees",
    "id": "id() is an address in memory: it differs from run to run",
}
_FORBIDDEN_ATTRIBUTES = {
    ("sys", "stdin"): "input or output",
    ("sys", "stdout"): "input or output",
    ("sys", "stderr"): "input or output",
    ("sys", "argv"): "input or output",
    ("np", "random"): "randomness",
    ("numpy", "random"): "randomness",
}
# Functions that show the order of what they are given, and those of which the result does not depend on it.
_ORDERED = frozenset(
    {"list", "tuple", "iter", "next", "enumerate", "zip", "map", "filter", "reversed", "dict", "bytes", "bytearray"}
    | {
        "array",
        "deque",
        "Counter",
        "OrderedDict",
        "chain",
        "from_iterable",
        "islice",
        "accumulate",
        "reduce",
        "starmap",
    }
    | {"join", "extend", "extendleft", "fromkeys", "str", "repr", "format"}
)
_UNORDERED = frozenset({"sorted", "set", "frozenset", "any", "all", "sum", "len", "min", "max"})
_BY_KEY = frozenset({"sorted", "min", "max"})
_EXCUSE = re.compile(r"#\s*purity:\s*(.*)")
_TIES = "members of a set with equal keys keep its order: compare by a key that is unique"
_SET_ORDER = "iteration over a set, whose order differs from run to run: sort it first"


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One violation; `str()` gives `path:line:column reason`."""

    path: str
    line: int
    column: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column} {self.reason}"


class _Linter(ast.NodeVisitor):
    """Walks one module in source order."""

    def __init__(self, path: str, declarations: Declarations) -> None:
        self.found: list[Fault] = []
        self._path = path
        self._declarations = declarations
        self._scope = Scope(declarations)
        self._floats_allowed = not path.startswith("protocol/")
        self._functions: list[str] = []
        self._excused: set[ast.expr] = set()

    def _fault(self, node: ast.stmt | ast.expr, reason: str) -> None:
        self.found.append(Fault(self._path, node.lineno, node.col_offset + 1, reason))

    # Imports and layers

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._check_import(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0:
            self._check_import(node, node.module or "")
        for alias in node.names:
            self._check_attribute(node, (node.module or "").split(".")[0], alias.name)

    def _check_import(self, node: ast.stmt, module: str) -> None:
        root = module.split(".")[0]
        if root in _FORBIDDEN_IMPORTS:
            self._fault(node, f"{_FORBIDDEN_IMPORTS[root]}: import of {module}")
        elif root in {"node", "governance", "devnet"} and not module.startswith(("node.pipeline", "governance.policy")):
            self._fault(node, f"import of {module}, which is not pure")

    def _check_attribute(self, node: ast.stmt | ast.expr, owner: str, name: str) -> None:
        if reason := _FORBIDDEN_ATTRIBUTES.get((owner, name)):
            self._fault(node, f"{reason}: {owner}.{name}")

    # Scopes and bindings

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        outer, self._scope = self._scope, Scope(self._declarations, self._scope)
        self._functions.append("" if isinstance(node, ast.Lambda) else node.name)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            self._scope.bind(ast.Name(argument.arg), argument.annotation)
        self.generic_visit(node)
        self._functions.pop()
        self._scope = outer

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function  # noqa: N815

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            if isinstance(target, ast.Tuple | ast.List) and self._scope.is_set(node.value):
                self._fault(node.value, _SET_ORDER)
            self._scope.bind(target, self._scope.infer(node.value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        self._scope.bind(node.target, node.annotation)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.generic_visit(node)
        self._scope.bind(node.target, self._scope.infer(node.value))

    # Where the order of a set would show

    def _check_ordered(self, node: ast.expr) -> None:
        if self._scope.is_set(node):
            self._fault(node, _SET_ORDER)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._check_ordered(node.iter)
        self._scope.bind_loop(node.target, node.iter)
        self.generic_visit(node)

    visit_AsyncFor = visit_For  # noqa: N815

    def _visit_comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp) -> None:
        outer, self._scope = self._scope, Scope(self._declarations, self._scope)
        for generator in node.generators:
            if not isinstance(node, ast.SetComp) and node not in self._excused:
                self._check_ordered(generator.iter)
            self._scope.bind_loop(generator.target, generator.iter)
        self.generic_visit(node)
        self._scope = outer

    visit_ListComp = visit_GeneratorExp = visit_DictComp = visit_SetComp = _visit_comprehension  # noqa: N815

    def visit_Starred(self, node: ast.Starred) -> None:
        self._check_ordered(node.value)
        self.generic_visit(node)

    def visit_Set(self, node: ast.Set) -> None:
        for element in node.elts:  # {*a, *b}: a set of sets' members shows no order
            self.visit(element.value if isinstance(element, ast.Starred) else element)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self._check_ordered(node.value)
        self.generic_visit(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> None:
        self._check_ordered(node.value)
        self.generic_visit(node)

    # Calls, attributes, floats

    def visit_Call(self, node: ast.Call) -> None:
        called = name_of(node.func)
        if isinstance(node.func, ast.Name):
            self._check_builtin(node, called)
        if called in _ORDERED:
            for argument in node.args:
                self._check_ordered(argument)
        if called == "pop" and not node.args and isinstance(node.func, ast.Attribute):
            self._check_ordered(node.func.value)
        if called in _UNORDERED and isinstance(node.func, ast.Name):
            keyed = called in _BY_KEY and any(keyword.arg == "key" for keyword in node.keywords)
            self._check_unordered(node, keyed=keyed)
        if called == "generate" or (called == "PrivateKey" and not node.args and not node.keywords):
            self._fault(node, f"randomness: {called}() draws a new key")
        self.generic_visit(node)

    def _check_builtin(self, node: ast.Call, called: str) -> None:
        if called in _FORBIDDEN_CALLS:
            self._fault(node, f"{_FORBIDDEN_CALLS[called]}: {called}()")
        elif called == "hash" and self._functions[-1:] != ["__hash__"]:
            self._fault(node, "hash() of text and bytes differs from run to run")
        elif called == "float" and not self._floats_allowed:
            self._fault(node, "a float in protocol/: only integers reach a signature")

    def _check_unordered(self, node: ast.Call, *, keyed: bool) -> None:
        for argument in node.args:
            if isinstance(argument, ast.GeneratorExp | ast.ListComp):
                if keyed and any(self._scope.is_set(generator.iter) for generator in argument.generators):
                    self._fault(argument, _TIES)
                self._excused.add(argument)
            elif keyed and self._scope.is_set(argument):
                self._fault(argument, _TIES)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name):
            self._check_attribute(node, node.value.id, node.attr)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, float) and not self._floats_allowed:
            self._fault(node, "a float in protocol/: only integers reach a signature")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Div) and not self._floats_allowed:
            self._fault(node, "true division makes a float: use // or a rounding with its direction in the name")
        self.generic_visit(node)


def lint(sources: dict[str, str]) -> list[Fault]:
    """Lint modules given as {path relative to the repository: text}; return the faults in order."""
    trees = {path: ast.parse(text, filename=path) for path, text in sources.items()}
    declarations = Declarations()
    for tree in trees.values():
        declarations.collect(tree)
    faults: list[Fault] = []
    for path, tree in trees.items():
        linter = _Linter(path, declarations)
        linter.visit(tree)
        faults += _without_excused(path, sources[path], linter.found)
    return sorted(faults)


def _without_excused(path: str, text: str, found: Iterable[Fault]) -> Iterator[Fault]:
    excuses = {n: match[1].strip() for n, line in enumerate(text.splitlines(), 1) if (match := _EXCUSE.search(line))}
    used: set[int] = set()
    for fault in found:
        if excuses.get(fault.line):
            used.add(fault.line)
        else:
            yield fault
    for number, reason in excuses.items():
        if not reason:
            yield Fault(path, number, 1, "`# purity:` without a reason")
        elif number not in used:
            yield Fault(path, number, 1, "`# purity:` excuses nothing on this line: remove it")


def main(root: Path = ROOT) -> int:
    """Lint the pure folders; print `path:line:column reason` for each fault and return 1 when there is one."""
    paths = [
        path
        for place in PURE
        for path in ([root / place] if (root / place).is_file() else (root / place).rglob("*.py"))
    ]
    faults = lint({path.relative_to(root).as_posix(): path.read_text() for path in sorted(paths)})
    for fault in faults:
        print(fault)
    print(f"{len(paths)} pure modules, {len(faults)} faults")
    return 1 if faults or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
