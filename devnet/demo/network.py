"""The devnet as a network for `hftnode init --devnet`: a node for its first operator, who follows everything.

DevnetNotRunning    there is no devnet to configure a node for
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from devnet.accounts import account
from devnet.demo.network_contracts import network_config
from devnet.demo.operators import EVERYTHING, node_config
from devnet.home import Home
from devnet.manifest import Manifest
from devnet.run_folder import RunFolder
from node.cli.networks import Network
from node.config import VaultConfig
from node.errors import NodeError
from protocol.units import Address

PORT: Final = 4711


class DevnetNotRunning(NodeError):
    """There is no devnet to configure a node for."""


def offer(folder: Path) -> Network:
    """Return the configuration of a node in `folder` on the devnet that runs in this home. Raises DevnetNotRunning."""
    record = RunFolder(Home.from_environment().run).read()
    if record is None:
        raise DevnetNotRunning("no devnet is running: `hftnode devnet up` starts one")
    manifest = msgspec.json.decode(Path(record.manifest_path).read_bytes(), type=Manifest)
    operator = manifest.operators[0]
    vaults = tuple(
        VaultConfig(
            safe=Address(bytes.fromhex(vault.safe[2:])), keystore=folder / "keystores" / f"{vault.hot_key}.json"
        )
        for vault in operator.vaults
    )
    config = node_config(operator.name, EVERYTHING, record, manifest, folder, vaults)
    listen = f"/ip4/127.0.0.1/tcp/{PORT}"
    config = replace(config, network=network_config(operator, manifest, folder, listen))
    return Network(
        config=config,
        secrets=tuple(account(vault.hot_key).secret for vault in operator.vaults),
        identity=account(operator.peer).secret,
    )
