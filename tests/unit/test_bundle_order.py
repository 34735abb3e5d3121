"""Our transactions stand behind the victims': nowhere in the node is there code that could order them otherwise."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from scripts.tree import ROOT

PLANS = Path("node/pipeline/plans.py")
BUILDER = Path("node/pipeline/bundle.py")
SIGNER = Path("node/engine/signer.py")


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / "node").rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text())


def test_one_place_in_the_node_makes_plans() -> None:
    makers = [
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("BundlePlan")
    ]
    assert makers == [BUILDER]


def test_a_plan_has_no_field_and_no_method_that_orders_transactions_but_one() -> None:
    (plan,) = [
        node
        for path, tree in modules()
        if path == PLANS
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "BundlePlan"
    ]
    methods = [node for node in plan.body if isinstance(node, ast.FunctionDef)]
    ordering = [method.name for method in methods if {"victims", "executions"} <= set(_attributes(method))]
    assert ordering == ["in_order"]
    (method,) = [method for method in methods if method.name == "in_order"]
    (answer,) = [node for node in ast.walk(method) if isinstance(node, ast.Return)]
    assert answer.value is not None
    assert ast.unparse(answer.value) == "[*map(theirs, self.victims), *map(ours, self.executions)]"


def test_nobody_changes_a_plan_that_is_made() -> None:
    changed = [
        f"{path}:{node.lineno}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("structs.replace", "structs.force_setattr"))
        and any(keyword.arg in ("victims", "executions") for keyword in node.keywords)
    ]
    assert changed == []


def test_nobody_joins_executions_and_victims_by_hand() -> None:
    joined = [
        f"{path}:{node.lineno}"
        for path, tree in modules()
        if path != PLANS
        for node in ast.walk(tree)
        if isinstance(node, ast.List | ast.Tuple | ast.BinOp)
        and {"victims", "executions"} <= set(_attributes(node))
        and any(isinstance(part, ast.Starred | ast.Add) for part in ast.walk(node))
    ]
    assert joined == []


def test_only_the_signer_makes_signed_bundles_and_only_in_a_plans_order() -> None:
    makers = [
        (path, node)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("SignedBundle")
    ]
    assert [path for path, _ in makers] == [SIGNER]
    signer = ast.parse((ROOT / SIGNER).read_text())
    assignments = {
        ast.unparse(node.targets[0]): ast.unparse(node.value)
        for node in ast.walk(signer)
        if isinstance(node, ast.Assign)
    }
    (transactions,) = [keyword.value for keyword in makers[0][1].keywords if keyword.arg == "transactions"]
    assert ast.unparse(transactions) == "tuple(raws)"
    assert assignments["raws"].startswith("plan.in_order(_raw_of, ")


def test_only_signed_bundles_go_over_the_wire() -> None:
    bodies = [
        ast.unparse(node.args[0])
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("bundle_body")
    ]
    assert all(body.endswith(".transactions") for body in bodies)


def _attributes(node: ast.AST) -> list[str]:
    return [part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)]
