"""A traced execution is told apart by what each kind of contract uses by itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

from benchmarks.gas_steps import collect


def _frame(
    to: str, used: int, selector: str = "0x12345678", *calls: dict[str, Any], kind: str = "CALL"
) -> dict[str, Any]:
    return {"type": kind, "to": to, "gasUsed": hex(used), "input": selector, "calls": list(calls)}


def test_what_a_frame_calls_is_taken_off_and_an_implementation_counts_as_its_proxy() -> None:
    transfer = _frame("0xT", 300, "0xa9059cbb", _frame("0xImplementation", 250, "0xa9059cbb", kind="DELEGATECALL"))
    question = _frame("0xT", 20, "0x70a08231", kind="STATICCALL")
    trace = _frame("0xE", 1_000, "0xf48221a3", _frame("0xP", 600, "0x022c0d9f", transfer, question))
    steps: Counter[str] = Counter()
    collect(trace, "module", {"0xt": "tokens", "0xe": "executor"}, steps)
    assert steps == {"executor": 400, "pools": 280, "tokens: transfers": 300, "tokens: questions": 20}
    assert steps.total() == 1_000


def test_an_implementation_of_a_token_stays_with_what_was_asked_of_the_token() -> None:
    approval = _frame("0xT", 90, "0x095ea7b3", _frame("0xI", 70, "0xa9059cbb", kind="DELEGATECALL"))
    steps: Counter[str] = Counter()
    collect(approval, "executor", {"0xt": "tokens"}, steps)
    assert steps == {"tokens: approvals": 90}
