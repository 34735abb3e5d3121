"""degenbot beside us: a process of its own environment that gets our pools and is asked in turn with us."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.pools import PoolSpec, PoolState
from protocol.units import address_to_hex

ROOT: Final = Path(__file__).resolve().parents[1]
NAME: Final = "degenbot 0.3.0"
_SECONDS: Final = 60


class PeerFailed(RuntimeError):
    """It ended, or answered what is no answer."""


class Peer:
    """A context manager over the process; the environment is made where it is not there."""

    def __init__(self, pools: Sequence[tuple[PoolSpec, PoolState]]) -> None:
        subprocess.run([ROOT / "scripts" / "setup-env", "degenbot"], check=True)
        self._process = subprocess.Popen(
            [ROOT / ".venv-degenbot" / "bin" / "python", "-P", ROOT / "benchmarks" / "degenbot_peer.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._write([_told(spec, state) for spec, state in pools])

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, kind: str, asked: Sequence[Any]) -> tuple[float, list[str]]:
        """Seconds for everything that was asked, and the answers. Raises PeerFailed."""
        self._write([kind, asked])
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise PeerFailed(f"degenbot's process ended with {self._process.poll()}")
        answer = json.loads(line)
        return answer["ns"] * 1e-9, answer["answers"]

    def _write(self, what: Any) -> None:
        if self._process.stdin is None:
            raise PeerFailed("degenbot's process takes nothing")
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerFailed(f"degenbot's process ended with {self._process.wait()}") from None


def _told(spec: PoolSpec, state: PoolState) -> dict[str, Any]:
    """A pool in the words of `degenbot_peer`."""
    told: dict[str, Any] = {"address": address_to_hex(spec.address), "tokens": list(map(address_to_hex, spec.tokens))}
    if isinstance(state, ConstantProductPool):
        return told | {"reserves": [str(state.reserve0), str(state.reserve1)]}
    if not isinstance(state, ConcentratedPool):
        raise TypeError(f"degenbot has no {type(state).__name__}")
    ticks = state.ticks
    return told | {
        "fee": state.fee_pips,
        "spacing": ticks.spacing,
        "price": str(state.sqrt_price_x96),
        "tick": state.tick,
        "liquidity": str(state.liquidity),
        "bitmap": {str(word): str(bits) for word, bits in ticks.bitmap.items()},
        "ticks": {str(tick): [str(ticks.net[tick]), str(ticks.gross[tick])] for tick in ticks.net},
    }
