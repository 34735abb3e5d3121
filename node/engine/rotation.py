"""The hot key of a vault is replaced while the engine runs: its successor lies at hand, and the chain says when.

A keystore beside the configured one, `hot.next.json` beside `hot.json`, is the successor's. It is read as soon as it is
there; from the block on in which the vault names it, it signs in place of the former one: the nonce and the balance are
read with that block, and what is planned on it is planned for the new key. At a start the same holds, so that the files
may be put in order at any time. What is there and cannot be opened is said once, and harms nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from governance.network import vault_query
from node.config import Config, VaultConfig
from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.rpc import Call, RpcError
from node.engine.rpc_types import Data
from node.engine.signer import Signer, SigningLimits
from node.keyfile import KeystoreError, Password, read_keystore
from protocol.errors import ProtocolError
from protocol.units import Address, address_to_hex

READ_SECONDS: Final = 2.0
_LOG: Final = logging.getLogger("hftnode.engine")


def successor_path(keystore: Path) -> Path:
    """Return where the keystore of the next hot key is looked for."""
    return keystore.with_name(f"{keystore.stem}.next{keystore.suffix}")


class Rotation:
    """See the module. `on_replaced` takes the former hot key, the new signer and the Safe; `on_secret` the secret of a
    successor that was found. `counts`: `found`, `unusable`, `replaced`, `unread`.
    """

    def __init__(
        self, config: Config, password: Password | None, endpoints: Endpoints, signers: Mapping[Address, Signer]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.on_replaced: Callable[[Address, Signer, Address], None] = lambda _former, _present, _safe: None
        self.on_secret: Callable[[bytes], None] = lambda _: None
        execution = config.execution
        self._module, self._endpoints, self._password = execution.vault_module, endpoints, password
        self._limits = SigningLimits(config.chain.id, execution.vault_module, config.limits.max_daily_spend)
        self._vaults: dict[Address, VaultConfig] = dict(zip(signers, execution.vaults, strict=False))
        """By the hot key that signs for it now."""
        self._seen: dict[Path, tuple[int, int]] = {}
        self._waiting: dict[Address, Signer] = {}
        """By the hot key that it is to replace."""

    async def look(self) -> None:
        """Read the successors' keystores that are new."""
        for present, vault in list(self._vaults.items()):
            path = successor_path(vault.keystore)
            try:
                status = path.stat()
            except OSError:
                self._seen.pop(path, None)
                self._waiting.pop(present, None)
                continue
            seen = status.st_mtime_ns, status.st_ino
            if self._seen.get(path) == seen or self._password is None:
                continue
            self._seen[path] = seen
            try:
                secret = await asyncio.to_thread(read_keystore, path, self._password)
            except KeystoreError as error:
                self.counts["unusable"] += 1
                _LOG.error("a successor of the hot key cannot be used: %s", error)
                continue
            self._found(present, vault, secret)

    async def follow(self, header: Header) -> None:
        """Let those successors sign whom their vaults name after a block."""
        if not self._waiting:
            return
        at = {"blockHash": "0x" + header.hash.hex()}
        pairs = [(present, vault_query(self._module, self._vaults[present].safe)) for present in self._waiting]
        calls = [
            Call("eth_call", ({"to": address_to_hex(one.contract), "data": "0x" + one.data.hex()}, at), Data)
            for _, one in pairs
        ]
        try:
            answers = await self._endpoints.batch(calls, seconds=READ_SECONDS)
            named = {
                present: query.read(bytes(answer)).operator
                for (present, query), answer in zip(pairs, answers, strict=True)
                if not isinstance(answer, RpcError)
            }
        except (RpcError, ProtocolError) as error:
            self.counts["unread"] += 1
            _LOG.warning("whom the vaults name at block %d cannot be read: %s", header.number, error)
            return
        for present, operator in named.items():
            if operator == self._waiting[present].address:
                self._replace(present)

    def _found(self, present: Address, vault: VaultConfig, secret: bytes) -> None:
        signer = Signer(secret, self._limits)
        if signer.address in self._vaults:  # the file was put in place of the configured one, and left beside it
            return
        self.counts["found"] += 1
        self._waiting[present] = signer
        _LOG.warning("%s is at hand for the vault of %s", signer, address_to_hex(vault.safe))
        self.on_secret(secret)

    def _replace(self, former: Address) -> None:
        signer, vault = self._waiting.pop(former), self._vaults.pop(former)
        self._vaults[signer.address] = vault
        self.counts["replaced"] += 1
        _LOG.warning("the vault of %s names %s: it signs from now on", address_to_hex(vault.safe), signer)
        self.on_replaced(former, signer, vault.safe)
