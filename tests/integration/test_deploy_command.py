"""`hftnode deploy` on a real chain: with a keystore, cut and resumed, read back by anybody."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.world import World
from governance.reading import network_from_json
from node.cli.main import main
from node.keyfile import Password, write_keystore
from protocol.units import ChainId, address_from_hex
from tests.chain import Chain
from tests.deploy_scene import ETHER, settings_on, settings_toml

pytestmark = pytest.mark.anvil

DEPLOYER, HOLDER, GUARDIAN = (account(f"operator-{index}") for index in range(3))
PASSWORD = "a founder's password"
CHEAP = 2**4


@dataclass(frozen=True)
class Founder:
    """Runs `hftnode deploy`; a block is mined whenever something waits for one."""

    chain: Chain
    folder: Path

    async def run(self, *words: str, key: bool = True, stop_after_blocks: int | None = None) -> Result:
        """Run it to its end; nothing more is mined after so many blocks."""
        command = ["deploy", str(self.folder / "net.toml"), "--rpc", self.chain.rpc.url, *words]
        command += ["--journal", str(self.folder / "journal.json"), "--out", str(self.folder / "network.json")]
        command += ["--keystore", str(self.folder / "deployer.json")] if key else []
        environ = {"COLUMNS": "200", "HFTNODE_PASSWORD_FILE": str(self.folder / "password")}
        running = asyncio.create_task(asyncio.to_thread(CliRunner(env=environ).invoke, main, command))
        mined = 0
        while not (await asyncio.wait({running}, timeout=0.01))[0]:
            if stop_after_blocks is not None and mined >= stop_after_blocks:
                continue
            if int((await self.chain.rpc.call("txpool_status"))["pending"], 16):
                await self.chain.mine()
                mined += 1
        return await running

    async def nonce(self) -> int:
        return int(await self.chain.rpc.call("eth_getTransactionCount", DEPLOYER.address, "latest"), 16)


@pytest.fixture
async def founder(chain: Chain, world: World, tmp_path: Path) -> Founder:
    await chain.rpc.call("anvil_setBalance", DEPLOYER.address, hex(10 * ETHER))
    settings = settings_on(world.manifest.contracts, GUARDIAN, HOLDER)
    (tmp_path / "net.toml").write_text(settings_toml(settings, ChainId(CHAIN_ID)))
    write_keystore(tmp_path / "deployer.json", DEPLOYER.secret, Password(PASSWORD), CHEAP)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return Founder(chain, tmp_path)


async def test_a_network_is_deployed_by_one_command_and_read_back_by_anybody(founder: Founder) -> None:
    before = await founder.nonce()
    dry = await founder.run("--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "create TimelockController at 0x" in dry.stdout
    assert "At most" in dry.stdout
    assert await founder.nonce() == before
    assert not (founder.folder / "network.json").exists()

    done = await founder.run("--yes", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["done"]
    assert len(told["addresses"]) == 12
    network = network_from_json((founder.folder / "network.json").read_bytes(), "network.json")
    assert network.chain_id == CHAIN_ID
    assert network.contracts.token == address_from_hex(told["addresses"]["HftToken"])
    assert network.vault_module == address_from_hex(told["addresses"]["VaultModule"])
    held = await founder.chain.read(told["addresses"]["HftToken"], "balanceOf(address)", ["uint256"], HOLDER.address)
    assert held == (1_000_000 * ETHER,)
    stands = await founder.run("--verify", "--yes", key=False)
    assert stands.exit_code == 0, stands.output
    assert "All of it was read back as planned" in stands.stdout


async def test_what_was_changed_since_is_found_when_it_is_read_back(founder: Founder) -> None:
    told = json.loads((await founder.run("--yes", "--json")).stdout)
    token = told["addresses"]["HftToken"]
    await founder.chain.rpc.call("anvil_setBalance", HOLDER.address, hex(ETHER))
    await founder.chain.send(HOLDER, token, "transfer(address,uint256)", GUARDIAN.address, ETHER)
    stands = await founder.run("--verify", key=False)
    assert stands.exit_code == 1
    assert "HftToken" in stands.stderr


async def test_a_deployment_whose_chain_stops_is_told_and_goes_on_where_it_was(founder: Founder) -> None:
    before = await founder.nonce()
    cut = await founder.run("--yes", "--deadline", "1", stop_after_blocks=3)
    assert cut.exit_code == 6, cut.output
    assert "is not mined after 4 looks: begin again later, nothing is done twice" in cut.stderr
    assert await founder.nonce() == before + 3
    done = await founder.run("--yes")
    assert done.exit_code == 0, done.output
    assert "done: 4 of 12" in done.stdout, "what waited was waited for"
    assert await founder.nonce() == before + 12, "nothing was done twice"


async def test_what_the_founder_can_mend_is_said_in_a_line(founder: Founder, tmp_path: Path) -> None:
    no_journal = await founder.run("--verify", key=False)
    assert (no_journal.exit_code, "nothing to read back" in no_journal.stderr) == (1, True)
    keyless = await founder.run("--yes", key=False)
    assert (keyless.exit_code, "say whose key signs" in keyless.stderr) == (2, True)
    unasked = await founder.run()
    assert (unasked.exit_code, "nobody is here to agree" in unasked.stderr) == (5, True)
    await founder.chain.rpc.call("anvil_setBalance", DEPLOYER.address, "0x0")
    broke = await founder.run("--yes", "--json")
    assert broke.exit_code == 1
    assert "the deployer has 0 wei and needs up to" in json.loads(broke.stdout)["error"]
    text = (tmp_path / "net.toml").read_text()
    (tmp_path / "net.toml").write_text(text.replace("lag = 6", "lag = 20"))
    unfit = await founder.run("--yes")
    assert (unfit.exit_code, "lag < cut_off < length does not hold" in unfit.stderr) == (1, True)
    (tmp_path / "net.toml").write_text("#" * 100_000)
    long = await founder.run("--yes")
    assert (long.exit_code, "more than 65536 bytes" in long.stderr) == (1, True)
    (tmp_path / "net.toml").unlink()
    gone = await founder.run("--yes")
    assert (gone.exit_code, "No such file" in gone.stderr) == (1, True)
