"""Two runs of the devnet, compared to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from devnet.compare import RecordedBlock, first_difference, read_recording, to_line
from devnet.errors import StateCorrupt


def a_block(number: int, **changes: Any) -> RecordedBlock:
    block = RecordedBlock(
        number=number,
        hash=f"0x{number:064x}",
        timestamp=1_000 + number,
        state_root="0x01",
        transactions=("0xaa", "0xbb"),
    )
    return msgspec.structs.replace(block, **changes)


RUN = [a_block(1), a_block(2), a_block(3)]


def test_equal_runs_have_no_difference() -> None:
    assert first_difference(RUN, list(RUN)) is None


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (a_block(4), "numbers"),
        (a_block(2, timestamp=7), "timestamps"),
        (a_block(2, transactions=("0xaa", "0xcc")), "transaction 1"),
        (a_block(2, transactions=("0xaa",)), "2 and 1 transactions"),
        (a_block(2, state_root="0x02"), "different states"),
        (a_block(2, hash="0xff"), "headers"),
    ],
)
def test_the_first_difference_is_named(changed: RecordedBlock, what: str) -> None:
    difference = first_difference(RUN, [RUN[0], changed, RUN[2]])
    assert difference is not None
    assert difference.number == 2
    assert what in difference.what


def test_a_shorter_run_differs_at_its_end() -> None:
    difference = first_difference(RUN, RUN[:2])
    assert difference is not None
    assert difference.number == 3
    assert "only one recording" in difference.what


def test_a_recording_is_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(map(to_line, RUN)))
    assert read_recording(path) == RUN


@pytest.mark.parametrize(
    ("content", "what"), [(b"", "no block"), (to_line(RUN[0]) + b"{}\n", "line 2"), (b"\xff\n", "line 1")]
)
def test_a_damaged_recording_says_what_and_where(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    with pytest.raises(StateCorrupt, match=what):
        read_recording(path)
