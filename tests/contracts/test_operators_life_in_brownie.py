"""An operator's life, from staking to slashing, rewards and exit, with brownie as the client (brownie_life.py).

It runs in brownie's own locked environment, whose web3 and eth-abi are others than the node's, and which
`scripts/setup-env` makes at need; so the deployment code runs there too.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from devnet.accounts import account
from devnet.anvil import Anvil, AnvilOptions
from devnet.packages import Packages
from devnet.protocols.venue_bindings import executor_bindings
from devnet.rpc import RpcClient
from devnet.world import World
from tests.chain import Chain
from tests.contracts.brownie_terms import Given, Told
from tests.programs import run, set_up

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(420)]

LIFE_SECONDS = 150
ETHER = 10**18
PARTS = {
    "deployer": "finder-0",
    "holder": "finder-1",
    "guardian": "finder-2",
    "alice": "operator-0",
    "alice-hot": "operator-1",
    "bob": "operator-2",
    "bob-hot": "operator-3",
    "whale": "whale-0",
    "owner-0": "north-owner-0",
    "owner-1": "north-owner-1",
}
STEPS = (
    "alice is given tokens",
    "alice registers",
    "alice stakes",
    "bob is given tokens",
    "bob registers",
    "bob stakes",
    "governance names the executor",
    "the Safe opens its vault",
    "the hot keys check in",
    "a header rolls the epoch",
    "a whale makes WETH dear on one venue",
    "the order is executed and its finder paid",
    "the double accept is reported",
    "the escrow ends: a tenth to the reporter, the rest burned",
    "the stream is funded",
    "a day's pot is rolled",
    "alice is paid its rewards",
    "alice is not paid twice",
    "bob is paid its rewards",
    "bob is not paid twice",
    "alice asks for all her stake",
    "alice is paid out",
    "the Safe pays out its profit",
)


async def test_an_operator_joins_executes_is_slashed_is_rewarded_and_leaves(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    python = await set_up("contracts")
    manifest = world.manifest
    async with Anvil(packages.anvil, AnvilOptions(load_state=world.state_path), tmp_path / "anvil.log") as anvil:
        given = Given(
            url=anvil.url,
            folder=str(tmp_path),
            contracts=manifest.contracts,
            usdc=manifest.token("USDC").address,
            safe=manifest.operators[0].vaults[0].safe,
            secrets={part: account(name).secret.hex() for part, name in PARTS.items()},
            bindings=executor_bindings(manifest.contracts),
        )
        said = await run(
            python,
            "-m",
            "tests.contracts.brownie_life",
            deadline=LIFE_SECONDS,
            environment={"HOME": str(tmp_path)},
            given=msgspec.json.encode(given),
        )
        told = msgspec.json.decode(said, type=Told)
        async with RpcClient(anvil.url) as rpc:
            token = told.deployed["HftToken"]
            seen = {part: await Chain(rpc).balance(token, account(PARTS[part]).address) for part in told.left}

    assert told.web3.startswith("7.")
    assert told.steps == STEPS
    assert len(told.deployed) == 13
    assert seen == told.left == {"alice": 49_500 * ETHER, "bob": 50 * ETHER, "holder": 920_000 * ETHER}
