"""Which expressions are sets? A small type inference over syntax trees, for the purity lint.

It follows annotations (arguments, fields, return types, aliases), assignments in source order, and what builtins and
container methods return. A type is an annotation's syntax tree; `None` means unknown. It never runs the code it reads.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

Type = ast.expr

_SETS = frozenset({"set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"})
_VIEWS = frozenset({"KeysView", "ItemsView"})  # as ordered as their dict, but their operators make sets
_MAPPINGS = frozenset({"dict", "defaultdict", "OrderedDict", "Mapping", "MutableMapping", "Dict", "MappingProxyType"})
_WRAPPERS = frozenset({"Final", "ClassVar", "Annotated", "Optional", "Required", "NotRequired", "ReadOnly"})
_UNIONS = frozenset({"Union"})
_SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference"})
_SET_OPERATORS = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
SET: Type = ast.Name("set")


def name_of(node: ast.expr) -> str:
    """Return the last part of a dotted name, or an empty string."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _alternatives(annotation: Type) -> Iterator[Type]:
    """Yield the parts of a union, unwrapped from strings, Final, Optional and the like."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            parsed = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return
        yield from _alternatives(parsed)
    elif isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        yield from _alternatives(annotation.left)
        yield from _alternatives(annotation.right)
    elif isinstance(annotation, ast.Subscript) and name_of(annotation.value) in _WRAPPERS | _UNIONS:
        arguments = _arguments(annotation)
        for part in arguments if name_of(annotation.value) in _UNIONS else arguments[:1]:
            yield from _alternatives(part)
    else:
        yield annotation


def _arguments(annotation: ast.Subscript) -> list[Type]:
    return list(annotation.slice.elts) if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]


def _head(annotation: Type) -> str:
    return name_of(annotation.value if isinstance(annotation, ast.Subscript) else annotation)


def _is(annotation: Type | None, heads: frozenset[str]) -> bool:
    return annotation is not None and any(_head(part) in heads for part in _alternatives(annotation))


def _element(annotation: Type | None, *, of_key: bool = False) -> Type | None:
    """Return the type of what a container holds: a mapping's value (or key), a sequence's item."""
    for part in _alternatives(annotation) if annotation is not None else ():
        if isinstance(part, ast.Subscript):
            arguments = _arguments(part)
            mapping = _head(part) in _MAPPINGS and len(arguments) == 2
            return arguments[1] if mapping and not of_key else arguments[0]
    return None


@dataclass(slots=True)
class Declarations:
    """What the linted modules declare: the types of fields, functions and aliases, by name."""

    fields: dict[str, Type] = field(default_factory=dict)
    functions: dict[str, Type] = field(default_factory=dict)
    aliases: dict[str, Type] = field(default_factory=dict)

    def collect(self, tree: ast.Module) -> None:
        """Add what a module declares. Where two declarations of a name differ, the one that is a set wins."""
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
                self._add(self.functions, node.name, node.returns)
            elif isinstance(node, ast.ClassDef):
                for statement in node.body:
                    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                        self._add(self.fields, statement.target.id, statement.annotation)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
                self._add(self.fields, node.target.attr, node.annotation)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                found = Scope(self).infer(node.value)
                if found is not None:
                    self._add(self.fields, node.targets[0].attr, found)
        for statement in tree.body:
            self._collect_alias(statement)

    def _collect_alias(self, statement: ast.stmt) -> None:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            return
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        value = statement.value
        if isinstance(value, ast.Call) and name_of(value.func) == "NewType" and len(value.args) == 2:
            value = value.args[1]
        if isinstance(value, ast.Subscript | ast.Name) and _head(value) in _SETS | _MAPPINGS:
            self._add(self.aliases, name_of(target), value)

    @staticmethod
    def _add(table: dict[str, Type], name: str, annotation: Type) -> None:
        if name not in table or _is(annotation, _SETS):
            table[name] = annotation


class Scope:
    """The names bound so far in a function, and what an expression's type is there."""

    def __init__(self, declarations: Declarations, outer: Scope | None = None) -> None:
        self._declarations = declarations
        self._names: dict[str, Type | None] = {} if outer is None else dict(outer._names)  # noqa: SLF001

    def bind(self, target: ast.expr, found: Type | None) -> None:
        """Note the type of a name from here on."""
        if isinstance(target, ast.Name):
            self._names[target.id] = found

    def bind_loop(self, target: ast.expr, iterated: ast.expr) -> None:
        """Note the types of the names that a loop over `iterated` binds."""
        owner = iterated.func if isinstance(iterated, ast.Call) else None
        if isinstance(owner, ast.Attribute) and owner.attr == "items" and isinstance(target, ast.Tuple):
            mapping = self.infer(owner.value)
            self.bind(target.elts[0], _element(mapping, of_key=True))
            self.bind(target.elts[-1], _element(mapping))
        else:
            found = self.infer(iterated)
            self.bind(target, _element(found, of_key=_is(found, _MAPPINGS)))

    def is_set(self, node: ast.expr) -> bool:
        """Tell whether an expression is known to be a set."""
        return _is(self.infer(node), _SETS)

    def infer(self, node: ast.expr) -> Type | None:
        """Return the type of an expression, None where it is not known."""
        found = self._infer(node)
        alias = self._declarations.aliases.get(_head(found)) if found is not None else None
        return found if alias is None else alias

    def _infer(self, node: ast.expr) -> Type | None:
        match node:
            case ast.Set() | ast.SetComp():
                return SET
            case ast.Name(id=name):
                return self._names.get(name)
            case ast.Attribute(attr=name):
                return self._declarations.fields.get(name)
            case ast.NamedExpr(value=value) | ast.Await(value=value):
                return self.infer(value)
            case ast.Subscript(value=value):
                return _element(self.infer(value))
            case ast.IfExp(body=left, orelse=right):
                return self._widest(left, right)
            case ast.BoolOp(values=values):
                return self._widest(*values)
            case ast.BinOp(left=left, right=right, op=op) if isinstance(op, _SET_OPERATORS):
                sets = (self.infer(left), self.infer(right))
                return SET if any(_is(found, _SETS | _VIEWS) for found in sets) else sets[0]
            case ast.Call():
                return self._infer_call(node)
        return None

    def _widest(self, *nodes: ast.expr) -> Type | None:
        found = [self.infer(node) for node in nodes]
        return next((kind for kind in found if _is(kind, _SETS)), found[0])

    def _infer_call(self, node: ast.Call) -> Type | None:
        called = name_of(node.func)
        if isinstance(node.func, ast.Attribute):
            owner = self.infer(node.func.value)
            if called in _SET_METHODS or (called == "copy" and _is(owner, _SETS)):
                return SET
            if called in {"keys", "items"}:
                return ast.Name("KeysView")
            if called == "values":
                element = _element(owner)
                return None if element is None else ast.Subscript(ast.Name("list"), element)
            if called in {"get", "pop", "setdefault"} and _is(owner, _MAPPINGS):
                return _element(owner)
        elif called in {"set", "frozenset"}:
            return SET
        return self._declarations.aliases.get(called) or self._declarations.functions.get(called)
