"""`python -m tests.market.one_kind KIND`: the recorded answers of one kind alone; 1 where our maths differ, else 0."""

from __future__ import annotations

import sys

from tests.vectors.__main__ import as_text, default_folder
from tests.vectors.registry import CHECKERS
from tests.vectors.runner import NoVectors, run


def main(kind: str) -> int:
    """Check one kind; print a line about it."""
    folder = default_folder()
    try:
        report = run(folder, {kind: CHECKERS[kind]})
    except (KeyError, NoVectors) as error:
        sys.stderr.write(f"no vectors of {kind}: {error}\n")
        return 2
    if not report.kinds or not report.kinds[0].total:
        sys.stderr.write(f"no vectors of {kind} in {folder}\n")
        return 2
    sys.stdout.write(as_text(folder, report).partition("not served")[0])
    sys.stdout.write("passed\n" if report.ok else "failed\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
