"""`hftnode init --devnet`: a configuration for the devnet that runs in this home."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from devnet.demo.network import DevnetNotRunning, offer
from devnet.run_folder import RunFolder, RunRecord
from node.cli.main import main
from node.config_file import load_config
from node.keyfile import read_keystore, read_password
from protocol.ethereum.keys import SigningKey
from tests.unit.test_demo_summary import manifest


def record(folder: Path) -> RunRecord:
    written = folder / "manifest.json"
    written.write_bytes(msgspec.json.encode(manifest()))
    url = "http://127.0.0.1:9/"
    return RunRecord(
        pid=os.getpid(),
        chain_id=31_337,
        seed=1,
        block_time_seconds=2.0,
        lockstep=False,
        rpc_url=url,
        ws_url="ws://127.0.0.1:9/",
        admin_url=url + "admin",
        builder_urls={"swift": url + "builder/swift"},
        manifest_path=str(written),
        log_folder=str(folder),
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HFTNODE_HOME", str(tmp_path))
    return tmp_path


def test_without_a_devnet_there_is_nothing_to_offer(home: Path) -> None:
    with pytest.raises(DevnetNotRunning, match="no devnet is running"):
        offer(home / "node")


def test_a_running_devnet_configures_a_node_with_the_hot_keys_of_its_first_operator(home: Path) -> None:
    folder = RunFolder(home / "run")
    password = home / "password"
    password.touch(mode=0o600)
    password.write_text("correct horse\n")
    with folder.locked():
        folder.write(record(home))
        words = ["init", str(home / "node"), "--devnet", "--password-file", str(password)]
        done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    config = load_config(home / "node" / "hftnode.toml", {})
    assert config.chain.id == 31_337
    assert config.lockstep is None
    for vault in config.execution.vaults:
        secret = read_keystore(vault.keystore, read_password(password))
        assert SigningKey(secret).address in done.output.lower()
