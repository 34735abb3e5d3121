"""The engine's start: what is set up wrongly is told with the exit code that no supervisor answers by a new start."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from node.config import VaultConfig
from node.config_template import write_commented
from node.keyfile import Password, write_keystore
from node.process import EXIT_SETUP
from tests.config_factories import config_in, numbered

SECONDS = 30.0


async def test_a_wrong_password_ends_the_engine_for_good(tmp_path: Path) -> None:
    keystore, config_path = tmp_path / "hot.json", tmp_path / "hftnode.toml"
    write_keystore(keystore, b"\x07" * 32, Password("right"), work_factor=2)
    config = config_in(tmp_path)
    vaults = (VaultConfig(safe=numbered(1), keystore=keystore),)
    execution = msgspec.structs.replace(config.execution, vaults=vaults)
    write_commented(msgspec.structs.replace(config, execution=execution), config_path)
    pipe = asyncio.subprocess.PIPE
    engine = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "node.engine", "--config", str(config_path)), stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert engine.stdin is not None
    assert engine.stderr is not None
    engine.stdin.write(b"wrong\n")
    log = await asyncio.wait_for(engine.stderr.read(), SECONDS)
    assert await asyncio.wait_for(engine.wait(), SECONDS) == EXIT_SETUP
    assert b"hot.json" in log
    assert b"Traceback" not in log
