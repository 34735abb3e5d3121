"""`python -m node.desk --config FILE`, as the supervisor starts it."""

from __future__ import annotations

from node.desk.app import main
from node.process import run_process

if __name__ == "__main__":
    run_process("desk", main)
