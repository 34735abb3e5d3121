"""`python -m node.engine --config FILE`: the engine's process, started by the supervisor."""

from node.engine.app import main
from node.process import run_process

if __name__ == "__main__":
    run_process("engine", main)
