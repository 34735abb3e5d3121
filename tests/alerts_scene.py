"""One node's alerts over blocks that a test makes up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from node.engine.anti_slashing import AntiSlashingStore, begin_journal
from node.engine.network import alerts as alerts_module
from node.engine.network.alerts import Alerts
from node.engine.network.claims import Claims
from node.engine.network.keys import NetworkKeys
from node.engine.receipts import Receipt
from node.engine.rpc import Call, RpcRefused, RpcUnreachable
from node.engine.rpc_types import Data
from node.engine.signing_journal import Owner
from node.records import AnyRecord, NetworkAlertTold
from protocol.kinds import Verdict
from protocol.messages import Payload, SecurityAlert, SignedAttestation
from protocol.units import (
    Address,
    BlockNumber,
    BootId,
    Hash32,
    PeerIdHash,
    UnixMilliseconds,
    UnixNanoseconds,
    UnixSeconds,
)
from tests.block_alert_samples import header
from tests.protocol_factories import ADDRESSES, DEVNET, SECRETS, hash_of

NOW: Final = UnixMilliseconds(1_790_000_000_000)


class NoOperators:
    """A registry without anybody: nobody is judged by its signatures."""

    def peer_of(self, _account: Address) -> PeerIdHash | None:
        """Return nobody's."""
        return None

    def key_of(self, _account: Address, _block: BlockNumber, _time: UnixSeconds) -> Address | None:
        """Return nobody's."""
        return None


class Scene:
    """One node's alerts over blocks that a test makes up."""

    def __init__(self, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, claims: Claims | None = None) -> None:
        self.blocks: dict[Hash32, list[Receipt]] = {}
        self.said: list[Payload] = []
        self.records: list[AnyRecord] = []
        self.believed: list[SecurityAlert] = []
        self.answers: dict[Address, int] = {}
        """Of feeds, after the parent of each block."""
        peer = PeerIdHash(hash_of(f"peer of {name}"))
        self.keys = NetworkKeys(DEVNET, ADDRESSES[name], peer, SECRETS[name], BootId(1), lambda: NOW)
        owner = Owner(DEVNET.separator, ADDRESSES[name], hash_of("machine"))
        path = folder / f"{name}.journal"
        begin_journal(path, owner, BlockNumber(7))
        self.keys.open(AntiSlashingStore(path, owner, BlockNumber(7)))
        claims = claims or Claims(NoOperators(), DEVNET, ADDRESSES[name])
        self.alerts = Alerts(self, self.keys, lambda: UnixNanoseconds(1), claims)  # type: ignore[arg-type]
        self.alerts.tell = self.records.append

        async def publish(payload: Payload) -> None:
            self.said.append(payload)

        self.alerts.publish = publish

        async def receipts(scene: Scene, block: Hash32, _seconds: float) -> dict[Hash32, Receipt]:
            if block not in scene.blocks:
                raise RpcUnreachable("the chain", "eth_getBlockReceipts", "not there")
            return {receipt.hash: receipt for receipt in scene.blocks[block]}

        self.receipts = receipts
        monkeypatch.setattr(alerts_module, "block_receipts", receipts)
        self.alerts.on_confirmed = lambda alert, _header: self.believed.append(alert)

    async def batch(self, calls: Sequence[Call], *, seconds: float) -> list[Any]:
        """The chain's node: code of what is asked for, and its answer in five words."""
        assert all(call.params[1] == {"blockHash": "0x" + hash_of("block 6").hex()} for call in calls)
        said: list[Any] = []
        for call in calls:
            if call.method == "eth_getCode":
                said.append(Data(b"code"))
                continue
            known = self.answers.get(Address(bytes.fromhex(call.params[0]["to"][2:])))
            words = b"" if known is None else b"".join(word.to_bytes(32, "big") for word in (1, known, 1, 1, 1))
            said.append(Data(words) if known is not None else RpcRefused("the chain", "eth_call", 3, "reverted"))
        return said

    async def sees(self, number: int, receipts: list[Receipt]) -> None:
        """A block is there and can be read."""
        self.blocks[header(number).hash] = receipts
        self.alerts.expect(header(number))
        await self.alerts.work()

    async def hears(self, other: Scene, payload: Payload) -> None:
        """An envelope of another node arrives."""
        self.alerts.heard(other.keys.envelope(payload))
        await asyncio.gather(*self.alerts._tasks)

    async def settled(self) -> None:
        """What is looked at beside the work is done."""
        while (looking := self.alerts._claiming) is not None:
            await asyncio.wait({looking})

    def verdicts(self, by: Address) -> list[str]:
        """What the ledger has of alerts that somebody told."""
        return [one.verdict for one in self.records if isinstance(one, NetworkAlertTold) and one.operator == by]

    def attested(self) -> list[Verdict]:
        """What was signed."""
        return [one.attestation.verdict for one in self.said if isinstance(one, SignedAttestation)]

    def told(self) -> SecurityAlert:
        """The one alert that was told."""
        (alert,) = (one for one in self.said if isinstance(one, SecurityAlert))
        return alert
