"""The pool maths against recorded data, where a folder of it is at hand (HFTNODE_DATA, else ../shared/data)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.vectors.kinds import POOL_MATHS

DATA = Path(os.environ.get("HFTNODE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def _files_by_kind() -> dict[str, list[Path]]:
    index = DATA / "kinds.json"
    if not index.is_file():
        return {}
    files: dict[str, list[Path]] = {}
    for name, kind in json.loads(index.read_text()).items():
        files.setdefault(kind, []).append(DATA / name)
    return files


FILES = _files_by_kind()


@pytest.mark.parametrize("kind", sorted(POOL_MATHS))
def test_every_recorded_answer_of_a_kind_is_given_again(kind: str) -> None:
    if kind not in FILES:
        pytest.skip(f"no file of kind {kind} in {DATA}; set HFTNODE_DATA to a folder with a kinds.json")
    for path in FILES[kind]:
        text = path.read_text()
        cases = list(POOL_MATHS[kind](json.loads(text) if path.suffix == ".json" else text))
        assert cases, f"{path.name} has no cases"
        failed = [case for case in cases if not case.passed]
        assert not failed, f"{len(failed)} of {len(cases)} in {path.name}: {failed[:3]}"
