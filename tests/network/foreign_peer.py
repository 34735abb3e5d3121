"""js-libp2p as a process: a peer that nobody here wrote. Its program is `js/foreign_peer.mjs`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import trio

from devnet.home import Home
from devnet.packages import ensure_packages, find_node
from tests.sentry_scene import LOOPBACK, until

FOLDER: Final = Path(__file__).parent / "js"
PROGRAM: Final = "foreign_peer.mjs"
MINIMUM_NODE: Final = 20
START_SECONDS: Final = 30.0
ORDER_SECONDS: Final = 10.0


class Refused(Exception):
    """What the foreign peer was told to do failed; the message is its own."""


def laid_out(home: Home, folder: Path, program: Path = FOLDER / PROGRAM) -> list[str]:
    """Lay a program beside the locked packages in `folder`; return the words that start it."""
    packages = ensure_packages(home, _quiet, FOLDER)
    shutil.copyfile(program, folder / program.name)
    (folder / "node_modules").symlink_to(packages.root, target_is_directory=True)
    return [str(find_node(home, _quiet, MINIMUM_NODE).program), str(folder / program.name)]


class ForeignPeer:
    """Gives orders to the process, and keeps what it tells."""

    def __init__(self, process: trio.Process) -> None:
        self.events: list[dict[str, Any]] = []
        self._process = process
        self._numbers = count(1)

    async def listen(self) -> None:
        """Take what the process tells until it ends."""
        buffer = bytearray()
        assert self._process.stdout is not None
        async for data in self._process.stdout:
            buffer += data
            *lines, rest = buffer.split(b"\n")
            buffer = bytearray(rest)
            self.events += [json.loads(line) for line in lines]

    def told(self, event: str) -> list[dict[str, Any]]:
        """Return all events of a name."""
        return [one for one in self.events if one["event"] == event]

    def heard(self) -> list[bytes]:
        """Return the data of the messages that gossip brought."""
        return [bytes.fromhex(one["data"]) for one in self.told("heard")]

    @property
    def address(self) -> str:
        """Where it listens, with its peer id."""
        return str(self.told("ready")[0]["addresses"][0])

    async def order(self, what: str, **words: Any) -> dict[str, Any]:
        """Have something done, and return what came of it. Raises Refused, or TooSlowError."""
        number = next(self._numbers)
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps({"do": what, "number": number, **words}).encode() + b"\n")
        await until(lambda: any(one["number"] == number for one in self.told("done")), ORDER_SECONDS)
        answer = next(one for one in self.told("done") if one["number"] == number)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer


@asynccontextmanager
async def foreign_peer(command: Sequence[str], seed: bytes, topics: Sequence[str]) -> AsyncIterator[ForeignPeer]:
    """Run js-libp2p with an Ed25519 seed, subscribed to topics."""
    settings = json.dumps({"seed": seed.hex(), "listen": LOOPBACK, "topics": list(topics)})
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(_run, [*command, settings])
        peer = ForeignPeer(process)
        nursery.start_soon(peer.listen)
        try:
            await until(lambda: bool(peer.told("ready")), START_SECONDS)
            yield peer
        finally:
            nursery.cancel_scope.cancel()


async def _run(command: list[str], *, task_status: Any) -> None:
    pipe = subprocess.PIPE
    await trio.run_process(command, task_status=task_status, stdin=pipe, stdout=pipe, check=False)


def _quiet(_line: str) -> None:
    """A `Progress` that says nothing."""
