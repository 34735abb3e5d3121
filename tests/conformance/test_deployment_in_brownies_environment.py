"""The deployment runs in brownie's environment, whose web3 and eth-abi are others than the node's.

`scripts/setup-env` makes that environment at need.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from devnet.accounts import account
from devnet.world import World
from scripts.tree import ROOT
from tests.chain import Chain

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(300)]

CLIENT = "tests.conformance.deployment_client"
SETUP_SECONDS = 240
CLIENT_SECONDS = 60
DEPLOYER, HOLDER, GUARDIAN = (account(f"operator-{index}") for index in range(3))


async def run(*command: str | Path, given: bytes = b"", deadline: float) -> bytes:
    """Run a program in the clone and return what it prints; fail with what it said."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        said, complained = await asyncio.wait_for(process.communicate(given), deadline)
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.fail(f"{command[-1]} took longer than {deadline:g} s")
    assert process.returncode == 0, complained.decode(errors="replace")[-4_000:]
    return said


async def test_the_network_is_deployed_and_read_back(chain: Chain, world: World, tmp_path: Path) -> None:
    await run(ROOT / "scripts" / "setup-env", "contracts", deadline=SETUP_SECONDS)
    given = {
        "url": chain.rpc.url,
        "secret": DEPLOYER.secret.hex(),
        "journal": str(tmp_path / "deployment.json"),
        "holder": HOLDER.address,
        "guardian": GUARDIAN.address,
        "fee_token": world.manifest.contracts["weth"],
    }
    python = ROOT / ".venv-contracts" / "bin" / "python"
    said = json.loads(await run(python, "-m", CLIENT, given=json.dumps(given).encode(), deadline=CLIENT_SECONDS))
    assert said["web3"].startswith("7.")
    assert len(said["addresses"]) == 10
    (supply,) = await chain.read(said["addresses"]["HftToken"], "totalSupply()", ["uint256"])
    assert supply == 10**24
