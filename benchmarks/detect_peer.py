"""degenbot beside us: processes of environments of their own that get our pools and are asked in turn with us.

Two lines of it: 0.3.0, pure Python, on our interpreter; and 0.5.0, which brings compiled code and needs Python 3.12
or 3.13, where one is found. Of 0.5.0, two functions of ticks and the addresses' checksums are compiled; its quotes and
its optimiser are Python and call none of them.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.pools import PoolSpec, PoolState
from protocol.units import address_to_hex

ROOT: Final = Path(__file__).resolve().parents[1]
INTERPRETERS: Final = ("python3.12", "python3.13")
_SECONDS: Final = 60


class PeerFailed(RuntimeError):
    """It ended, or answered what is no answer."""


class Line(NamedTuple):
    """One of degenbot's lines: as rows name it, the environment that holds it, and whether Python 3.11 is too old."""

    name: str
    environment: str
    is_newer: bool


LINES: Final = (Line("degenbot 0.3.0", "degenbot", False), Line("degenbot 0.5.0", "degenbot-compiled", True))


def newer_python() -> Path | None:
    """Return an interpreter that the newer line runs on, of the search path or of pyenv; None where there is none."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for name in INTERPRETERS:
        kept = sorted(versions.glob(f"{name.removeprefix('python')}.*/bin/{name}"))
        for place in filter(None, [shutil.which(name), *map(str, kept)]):
            # a version manager's shim of that name may lead nowhere
            if subprocess.run([place, "-c", ""], capture_output=True, timeout=_SECONDS, check=False).returncode == 0:
                return Path(place)
    return None


@contextmanager
def peers(pools: Sequence[tuple[PoolSpec, PoolState]]) -> Iterator[list[Peer]]:
    """Both lines with these pools, or the older alone (and a word) where no interpreter is new enough."""
    newer = newer_python()
    if newer is None:
        names = " or ".join(INTERPRETERS)
        print(f"{LINES[-1].name} is left out: it needs {names}, and none is found", file=sys.stderr)
    with ExitStack() as stack:
        told = [_told(spec, state) for spec, state in pools]
        lines = [line for line in LINES if newer or not line.is_newer]
        yield [stack.enter_context(Peer(line, told, newer if line.is_newer else None)) for line in lines]


class Peer:
    """A context manager over the process; the environment is made where it is not there."""

    def __init__(self, line: Line, told: Sequence[dict[str, Any]], python: Path | None = None) -> None:
        self.name = line.name
        self._home = TemporaryDirectory()
        environment = dict(os.environ)
        if python is not None:
            environment["PYTHON"] = str(python)
        subprocess.run([ROOT / "scripts" / "setup-env", line.environment], check=True, env=environment)
        if line.is_newer:
            _make_ready(Path(self._home.name))
        self._process = subprocess.Popen(
            [ROOT / f".venv-{line.environment}" / "bin" / "python", "-P", ROOT / "benchmarks" / "degenbot_peer.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOME": self._home.name},
        )
        self._write(told)

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
        self._home.cleanup()

    def ask(self, kind: str, asked: Sequence[Any]) -> tuple[float, list[str]]:
        """Seconds for everything that was asked, and the answers. Raises PeerFailed."""
        self._write([kind, asked])
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise PeerFailed(f"{self.name}: its process ended with {self._process.poll()}")
        answer = json.loads(line)
        return answer["ns"] * 1e-9, answer["answers"]

    def _write(self, what: Any) -> None:
        if self._process.stdin is None:
            raise PeerFailed(f"{self.name}: its process takes nothing")
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerFailed(f"{self.name}: its process ended with {self._process.wait()}") from None


def _make_ready(home: Path) -> None:
    """Make the database that the newer line opens when it is imported: it cannot change a new one's mode itself."""
    folder = home / ".config" / "degenbot"
    folder.mkdir(parents=True)
    database = sqlite3.connect(folder / "degenbot.db")
    database.execute("PRAGMA journal_mode=WAL")
    database.close()


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
