"""An operator at its command line on a real chain: keystores, a network, and blocks that come when one is awaited."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner, Result

from devnet.accounts import Account
from devnet.anvil import CHAIN_ID
from governance.reading import DeployedNetwork, network_to_json
from node.cli.main import main
from node.keyfile import Password, write_keystore
from protocol.units import Address, ChainId
from tests.network_scene import ETHER, NetworkScene

PEER_ID: Final = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
PASSWORD: Final = "an operator's password"
_CHEAP: Final = 2**4
_LOOK_SECONDS: Final = 0.01


@dataclass(frozen=True)
class Shell:
    """Runs `hftnode` in this process against one network; a block is mined whenever something waits for one."""

    scene: NetworkScene
    folder: Path

    def keystore(self, who: Account) -> str:
        """Where an account's keystore is; it is written when it is first asked for."""
        path = self.folder / f"{who.name}.json"
        if not path.exists():
            write_keystore(path, who.secret, Password(PASSWORD), _CHEAP)
        return str(path)

    @property
    def network_path(self) -> Path:
        """The description of the network."""
        return self.folder / "network.json"

    async def run(self, *words: str, mine: bool = True) -> Result:
        """Run one command to its end."""
        line = (*words, "--rpc", self.scene.chain.rpc.url)
        running = asyncio.create_task(self.run_offline(*line))
        while not (await asyncio.wait({running}, timeout=_LOOK_SECONDS))[0]:
            if mine and int((await self.scene.chain.rpc.call("txpool_status"))["pending"], 16):
                await self.scene.chain.mine()
        return await running

    async def run_offline(self, *words: str) -> Result:
        """Run one command that asks no chain."""
        environ = {
            "COLUMNS": "200",
            "HFTNODE_CONFIG": None,
            "HFTNODE_NETWORK_FILE": str(self.network_path),
            "HFTNODE_PASSWORD_FILE": str(self.folder / "password"),
        }
        return await asyncio.to_thread(CliRunner(env=environ).invoke, main, list(words))

    async def act(self, who: Account, *words: str) -> dict[str, Any]:
        """Run a command that changes the chain as an account; return its JSON answer after it went well."""
        result = await self.run(*words, "--keystore", self.keystore(who), "--yes", "--json")
        assert result.exit_code == 0, result.output
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    async def read(self, *words: str) -> dict[str, Any]:
        """Run a command that reads; return its JSON answer."""
        result = await self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    async def pass_time(self, seconds: int) -> None:
        """Mine a block so much later."""
        await self.scene.chain.rpc.call("evm_increaseTime", seconds)
        await self.scene.chain.rpc.call("evm_mine")


async def shell_for(scene: NetworkScene, folder: Path, vault_module: Address | None = None) -> Shell:
    """Write what the commands read."""
    network = DeployedNetwork(
        chain_id=ChainId(CHAIN_ID), since=scene.since, contracts=scene.contracts, vault_module=vault_module
    )
    shell = Shell(scene, folder)
    shell.network_path.write_bytes(network_to_json(network))
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD + "\n")
    return shell


async def give_ether(scene: NetworkScene, *accounts: Account) -> None:
    """Let accounts pay for gas."""
    for each in accounts:
        await scene.chain.rpc.call("anvil_setBalance", each.address, hex(10 * ETHER))
