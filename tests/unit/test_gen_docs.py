"""The generated pages are what the code says, and a page that is not is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.pipeline.reasons import Reason, Stage
from scripts import gen_docs


def test_the_committed_pages_are_what_the_code_says() -> None:
    assert gen_docs.differing() == []


def test_a_page_that_differs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gen_docs.main([], tmp_path) == 0
    assert gen_docs.main(["--check"], tmp_path) == 0
    page = tmp_path / "docs/reference/reasons.md"
    page.write_text(page.read_text().replace("outbid", "outbidden"))
    assert gen_docs.main(["--check"], tmp_path) == 1
    assert "docs/reference/reasons.md" in capsys.readouterr().out


def test_every_error_of_the_contracts_is_told_with_its_meaning() -> None:
    page = gen_docs.contract_errors_page()
    assert "| `LossLimitReached()` | `0x" in page
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    assert len(rows) > 100
    assert all(row.endswith(". |") for row in rows)


def test_every_reason_is_told_with_its_stage_meaning_and_advice() -> None:
    page = gen_docs.reasons_page()
    for reason in Reason:
        assert f"| `{reason}` | {reason.meaning} | {reason.advice} |" in page
        assert reason.meaning.endswith(".")
        assert reason.advice.endswith(".")
    assert {reason.stage for reason in Reason} == set(Stage)
    assert len({reason.value for reason in Reason}) == len(list(Reason))
