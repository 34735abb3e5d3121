"""Programs that a test runs in the checkout, and the environments of their own in which some of them run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.tree import ROOT

SETUP_SECONDS = 240.0
_SHOWN = 4_000


async def run(
    *command: str | Path, deadline: float, given: bytes = b"", environment: Mapping[str, str] | None = None
) -> bytes:
    """Return what a program prints, `environment` added to ours; fail with what it said if it fails or is late."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, complained = await asyncio.wait_for(process.communicate(given), deadline)
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.fail(f"{command[-1]} took longer than {deadline:g} s")
    if process.returncode:
        pytest.fail(f"{command[-1]} ended with {process.returncode}:\n{complained.decode(errors='replace')[-_SHOWN:]}")
    return said


async def set_up(environment: str) -> Path:
    """Make one of the project's further environments at need; return its interpreter."""
    await run(ROOT / "scripts" / "setup-env", environment, deadline=SETUP_SECONDS)
    return ROOT / f".venv-{environment}" / "bin" / "python"
