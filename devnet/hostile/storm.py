"""Starts a storm: one process that attacks given sentries as given identities, and tells in the end what came of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from devnet.hostile.__main__ import BEGUN, Identity, Settings
from protocol.ethereum.keccak import keccak256
from protocol.signing import Domain
from protocol.units import UnixSeconds

GRACE_SECONDS: Final = 240.0
ALERT_SECONDS: Final = 24 * 3_600
"""Longer than a storm, and no longer than an alert may stand."""
UNSTAKED: Final = 10


class Storm:
    """Hostile operators and UNSTAKED strangers against sentries. `start` it, then end it by `report`.

    `time`: the chain's.
    """

    def __init__(
        self,
        folder: Path,
        domain: Domain,
        targets: Sequence[str],
        staked: Sequence[Identity],
        seed: int,
        time: UnixSeconds,
    ) -> None:
        strangers = [Identity(keccak256(b"stranger %d of %d" % (number, seed)).hex()) for number in range(UNSTAKED)]
        self._folder, self._domain, self._targets, self._seed = folder, domain, list(targets), seed
        self._identities, self._alerts_until = [*staked, *strangers], time + ALERT_SECONDS
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, seconds: float) -> None:
        """Return when it has begun; it ends after `seconds`, or by `report`. Raises TimeoutError or ValueError."""
        registry = "0x" + self._domain.registry.hex()
        settings = Settings(
            int(self._domain.chain_id),
            registry,
            self._targets,
            self._identities,
            seconds,
            self._seed,
            self._alerts_until,
        )
        path = self._folder / "storm.json"
        path.write_bytes(msgspec.json.encode(settings))
        command = (sys.executable, "-m", "devnet.hostile", str(path))
        with (self._folder / "storm.log").open("ab") as log:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=log)
        assert self._process.stdout is not None
        if await asyncio.wait_for(self._process.stdout.readline(), GRACE_SECONDS) != BEGUN:
            raise ValueError(f"the hostile peers did not begin: see {self._folder / 'storm.log'}")

    async def report(self) -> list[dict[str, int]]:
        """End it; return what became of what each identity did, the hostile operators first.

        Raises TimeoutError, or ValueError when the process told nothing.
        """
        if self._process is None:
            raise ValueError("the storm has not begun")
        told, _ = await asyncio.wait_for(self._process.communicate(b""), GRACE_SECONDS)  # and its input ends
        try:
            return msgspec.json.decode(told, type=list[dict[str, int]])
        except msgspec.DecodeError as error:
            raise ValueError(f"the hostile peers ended with {self._process.returncode} and told nothing") from error

    async def end(self) -> None:
        """End the process if it is still there."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
