"""The benchmark of gas: what it compares runs, and the executor keeps what docs/contracts.md says of it."""

from __future__ import annotations

import pytest

from benchmarks import gas
from benchmarks.harness import Row, table
from scripts.tree import ROOT

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(300)]

THIRTY_PERCENT_LESS = 1 / 0.7


async def test_every_cycle_runs_on_every_contract_and_costs_less_than_routers_one_by_one() -> None:
    rows = list(await gas.run())
    beside_plain = {row.name: row for row in rows if row.peer_name == "plain" and row.unit == "gas"}
    vaults = {name: row for name, row in beside_plain.items() if name.startswith("vault, ")}
    assert len(vaults) == 6
    assert all(ratio(row) > 1 for row in beside_plain.values())
    for cycle in ("2 hops: V2, Sushi", "2 hops: V2, V3", "3 hops: V2, V2, Sushi", "3 hops: V2, V3, Sushi"):
        assert ratio(vaults[f"vault, {cycle}"]) > THIRTY_PERCENT_LESS, cycle
    standing = [row for row in rows if row.peer_name == "plain, standing approvals"]
    assert [row.peer for row in standing if row.peer is None] == []
    assert len([row for row in rows if row.name.startswith("network order")]) == 1
    sizes = {(row.name, row.median) for row in rows if row.unit == "bytes"}
    assert {("call data a hop on a pair", 25), ("call data a hop on V4", 31), ("call data a hop on Curve", 46)} <= sizes
    published = [row for row in rows if "V2ArbBot" in row.peer_name and row.unit == "gas"]
    assert len(published) == 4
    assert all((row.peer is None) == row.peer_name.startswith("not measured") for row in published)
    measured = [row for row in rows if not row.peer_name.startswith("not measured")]
    told = set(map(words, (ROOT / "docs" / "contracts.md").read_text().splitlines()))
    assert [line for line in table(measured).splitlines()[2:] if words(line) not in told] == []


def words(line: str) -> tuple[str, ...]:
    """A line of the table, however wide its columns are."""
    return tuple(line.split())


def ratio(row: Row) -> float:
    """How many times as much gas the peer takes."""
    assert row.ratio is not None
    return row.ratio
