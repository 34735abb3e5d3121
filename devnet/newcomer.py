"""`hftnode devnet newcomer`: everything that an operator to be needs on the devnet, in a folder.

Keystores of a staking account, a hot key and three owners of a Safe, one password for all of them, a libp2p identity, a
configuration in shadow mode, the network's description, and `env`, which a shell reads. Ether, WETH and HFT come from
accounts of the world whose keys everybody knows. Raises `NewcomerUnfit`, and what storage and chain raise.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from devnet.accounts import Account, account
from devnet.demo.network_contracts import network_contracts
from devnet.demo.operators import EVERYTHING, node_config
from devnet.errors import ChainFailed, DevnetError
from devnet.manifest import Manifest
from devnet.protocols.network import TREASURY
from devnet.protocols.vaults import BUILDER
from devnet.rpc import RpcClient
from devnet.run_folder import RunRecord
from devnet.storage import storage_errors
from devnet.waiting import wait_until
from governance.actions import NOTHING, Action
from governance.network import transfer_call
from governance.reading import DeployedNetwork, network_to_json
from governance.transactions import Sender
from node.config import Mode
from node.config_template import write_commented
from node.identity import peer_id_text, write_identity
from node.keyfile import Password, new_secret, write_keystore
from protocol.ethereum.abi import encode_call
from protocol.ethereum.keccak import keccak256
from protocol.units import BlockNumber, ChainId, Hash32, TokenAmount, Wei, address_from_hex

HFT: Final = TokenAmount(100_000 * 10**18)
WETH: Final = TokenAmount(5 * 10**18)
ETHER: Final = Wei(10 * 10**18)
OWNERS: Final = 3
THRESHOLD: Final = 2
_CHEAP_SCRYPT: Final = 2**12
_NOBODY: Final = "0x" + "00" * 20
_SETUP: Final = "setup(address[],uint256,address,bytes,address,address,uint256,address)"
_CREATE: Final = "createProxyWithNonce(address,bytes,uint256)"
_PROXY_CREATED: Final = "0x" + keccak256(b"ProxyCreation(address,address)").hex()
_MINED_SECONDS: Final = 60.0


class NewcomerUnfit(DevnetError):
    """The folder is there already."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What was prepared, as the shell reads it."""

    folder: Path
    variables: dict[str, str]


def prepare_newcomer(record: RunRecord, manifest: Manifest, folder: Path) -> Newcomer:
    """Write the files, and let the world's accounts give what a newcomer needs."""
    if folder.exists():
        raise NewcomerUnfit(f"{folder} is there already: nothing was written")
    with storage_errors(folder):
        keys = _write_keys(folder)
        peer = _write_rest(record, manifest, folder)
        safe = asyncio.run(_give(record, manifest, keys))
        variables = {
            "HFTNODE_CONFIG": str(folder / "hftnode.toml"),
            "HFTNODE_NETWORK_FILE": str(folder / "network.json"),
            "HFTNODE_PASSWORD_FILE": str(folder / "password"),
            "ME": keys["account"],
            "HOT": keys["hot"],
            "PEER": peer,
            "SAFE": safe,
            "EXECUTOR": manifest.contracts["arb_executor"],
            "WETH": manifest.contracts["weth"],
        }
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        (folder / "env").write_text("\n".join(lines) + "\n")
    return Newcomer(folder, variables)


async def _give(record: RunRecord, manifest: Manifest, keys: dict[str, str]) -> str:
    async with RpcClient(record.rpc_url) as rpc:
        return await _Giver(rpc, manifest).give(keys)


def _write_keys(folder: Path) -> dict[str, str]:
    """Write password and keystores; return the addresses by the keystores' names."""
    folder.mkdir(mode=0o700, parents=True)
    password = Password(secrets.token_urlsafe(16))
    path = folder / "password"
    path.touch(mode=0o600)
    path.write_text(password.reveal() + "\n", encoding="ascii")
    names = ("account", "hot", *(f"owner-{number}" for number in range(OWNERS)))
    return {name: write_keystore(folder / f"{name}.json", new_secret(), password, _CHEAP_SCRYPT) for name in names}


def _write_rest(record: RunRecord, manifest: Manifest, folder: Path) -> str:
    """Write identity, configuration and the network's description; return the peer id."""
    seed = secrets.token_bytes(32)
    write_identity(folder / "identity", seed)
    config = node_config(folder.name, EVERYTHING, record, manifest, folder, ())
    write_commented(msgspec.structs.replace(config, mode=Mode.SHADOW), folder / "hftnode.toml")
    network = DeployedNetwork(
        chain_id=ChainId(record.chain_id),
        since=BlockNumber(0),
        contracts=network_contracts(manifest),
        vault_module=address_from_hex(manifest.contracts["vault_module"]),
    )
    (folder / "network.json").write_bytes(network_to_json(network))
    return peer_id_text(seed)


class _Giver:
    """Lets the world's accounts give."""

    def __init__(self, rpc: RpcClient, manifest: Manifest) -> None:
        self._rpc, self._contracts = rpc, manifest.contracts

    async def give(self, keys: dict[str, str]) -> str:
        """Give ether, WETH and HFT, and create the owners' Safe; return its address."""
        builder, treasury = account(BUILDER), account(TREASURY)
        for address in keys.values():
            await self._send(builder, address, b"", ETHER)
        await self._send(builder, self._contracts["weth"], encode_call("deposit()"), Wei(WETH))
        holder = address_from_hex(keys["account"])
        await self._send(builder, self._contracts["weth"], transfer_call(holder, WETH))
        await self._send(treasury, self._contracts["hft_token"], transfer_call(holder, HFT))
        owners = [keys[f"owner-{number}"] for number in range(OWNERS)]
        handler = self._contracts["safe_fallback_handler"]
        setup = encode_call(_SETUP, owners, THRESHOLD, _NOBODY, b"", handler, _NOBODY, 0, _NOBODY)
        created = encode_call(_CREATE, self._contracts["safe_singleton"], setup, int(holder.hex(), 16))
        receipt = await self._send(builder, self._contracts["safe_proxy_factory"], created)
        return next("0x" + str(log["topics"][1])[-40:] for log in receipt["logs"] if log["topics"][0] == _PROXY_CREATED)

    async def _send(self, who: Account, to: str, data: bytes, value: Wei = NOTHING) -> dict[str, Any]:
        """Send a transaction and wait until it is mined; return its receipt."""
        chain_id = ChainId(int(await self._rpc.call("eth_chainId"), 16))
        action = Action(contract="", to=address_from_hex(to), data=data, title="a gift", value=value)
        sender = Sender(self._rpc, chain_id, who.key)
        (simulated,) = await sender.simulate([action])
        sent: Hash32 = await sender.send(simulated)
        found: dict[str, Any] = {}

        async def mined() -> bool:
            found.update(await self._rpc.call("eth_getTransactionReceipt", "0x" + sent.hex()) or {})
            return bool(found)

        if not await wait_until(mined, _MINED_SECONDS):
            raise ChainFailed(f"a gift is in no block after {_MINED_SECONDS:g} s")
        return found
