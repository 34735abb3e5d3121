"""Finds functions, methods, classes and imports that nothing uses, tests included (vulture, with our settings).

Fields and variables are left to ruff and mypy: a frozen message has fields that only its reader on the wire names.
"""

from __future__ import annotations

import sys

from vulture import Vulture

from scripts.tree import ROOT

PLACES = ("protocol", "governance", "node", "devnet", "scripts", "benchmarks", "tests")
KINDS = frozenset({"function", "method", "class", "property", "import", "unreachable_code"})
CONFIDENCE_PERCENT = 60
# Found by their name or their decorator, never called by one of our lines.
# Called by libp2p, whose methods they override.
OVERRIDES = (
    "_auto_tune_and_send_window_update",
    "_measure_rtt_loop",
    "add_protocols",
    "consume_peer_record",
    "handle_incoming",
    "handle_dead_peer_queue",
    "handle_iwant",
    "handle_sending_messages",
    "new_conn",
    "put",
    "stream_handler",
)
NAMES = ("test_*", "pytest_*", "visit_*", "__*__", "_generate_next_value_")
DECORATORS = (
    "@*.command",
    "@*.group",
    "@*.fixture",
    "@fixture",
    "@*.method",
    "@composite",
    "@rule",
    "@invariant",
    "@initialize",
    "@*.rule",
    "@*.invariant",
    "@*.initialize",
    "@*.get",
    "@*.post",
    "@*.register",
)


def main() -> int:
    """Print path:line and what is unused; return 1 when something is."""
    vulture = Vulture(ignore_names=[*NAMES, *OVERRIDES], ignore_decorators=list(DECORATORS))
    vulture.scavenge([str(ROOT / place) for place in PLACES])
    found = [item for item in vulture.get_unused_code(min_confidence=CONFIDENCE_PERCENT) if item.typ in KINDS]
    for item in found:
        print(f"{item.filename.relative_to(ROOT)}:{item.first_lineno}: unused {item.typ} {item.name!r}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
