"""The hot key of a vault and of the network is replaced while the engine runs, at the block that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.config import VaultConfig
from node.engine.network.keys import NetworkKeys
from node.engine.network.successor import Successor
from node.engine.rotation import Rotation, successor_path
from node.engine.signer import Signer, SigningLimits
from node.engine.signing_journal import Owner
from node.keyfile import Password, write_keystore
from node.pipeline.events import CancelBundle, SenderReplaced, SignAndSubmit, TreasuryRead
from node.pipeline.step import step
from protocol.ethereum.abi import encode
from protocol.signing import verify_envelope
from protocol.slashing import HORIZON
from protocol.units import Address, BlockNumber, BootId, ChainId, PeerIdHash, UnixMilliseconds, Wei, address_from_hex
from tests import pipeline_scene as scene
from tests.config_factories import config_in
from tests.fake_chain_node import FakeNode, Refuse, endpoints_to
from tests.protocol_factories import ALICE, DEVNET, KEYS, SECRETS, hash_of, heartbeat
from tests.unit.test_engine_simulator import header
from tests.unit.test_pipeline_orders import swap

PASSWORD = Password("open")
SAFE = Address(b"\x5a" * 20)
FORMER, NEXT = SECRETS["alice"], SECRETS["bob"]
LIMITS = SigningLimits(ChainId(1), Address(b"\x07" * 20), Wei(10**18))


def keystore(folder: Path, name: str, secret: bytes) -> Path:
    path = folder / name
    path.unlink(missing_ok=True)
    write_keystore(path, secret, PASSWORD, 2**12)
    return path


class Vault:
    """A chain with one vault, which names somebody."""

    def __init__(self) -> None:
        self.operator, self.is_cut = Signer(FORMER, LIMITS).address, False
        self.node = FakeNode(eth_call=self._call)

    def _call(self, _request: dict[str, Any], _block: object) -> str:
        if self.is_cut:
            raise Refuse(-32000, "no such block")
        fields = ["0x" + self.operator.hex(), 1, False, "0x" + "11" * 20, True, 0]
        types = ["(address,uint88,bool,address,bool,uint64)"]
        return "0x" + encode(types, [fields]).hex()


def rotation(folder: Path, vault: Vault) -> tuple[Rotation, list[tuple[Address, Address]], list[bytes]]:
    path = keystore(folder, "hot.json", FORMER)
    base = config_in(folder)
    execution = msgspec.structs.replace(base.execution, vaults=(VaultConfig(safe=SAFE, keystore=path),))
    signer = Signer(FORMER, LIMITS)
    made = Rotation(
        msgspec.structs.replace(base, execution=execution),
        PASSWORD,
        endpoints_to([vault.node]),
        {signer.address: signer},
    )
    replaced: list[tuple[Address, Address]] = []
    secrets: list[bytes] = []
    made.on_replaced = lambda former, present, safe: replaced.append((former, present.address))
    made.on_secret = secrets.append
    return made, replaced, secrets


async def test_the_successor_signs_from_the_block_on_in_which_the_vault_names_it(tmp_path: Path) -> None:
    vault = Vault()
    made, replaced, secrets = rotation(tmp_path, vault)
    await made.look()
    await made.follow(header(10))
    assert vault.node.asked == [], "without a successor nothing is asked"

    keystore(tmp_path, "hot.next.json", NEXT)
    await made.look()
    await made.follow(header(11))
    assert secrets == [NEXT]
    assert replaced == []

    former, present = vault.operator, Signer(NEXT, LIMITS).address
    vault.operator = present
    await made.follow(header(12))
    await made.follow(header(13))

    assert replaced == [(former, present)]


async def test_a_block_that_cannot_be_read_only_delays_it(tmp_path: Path) -> None:
    vault = Vault()
    made, replaced, _ = rotation(tmp_path, vault)
    keystore(tmp_path, "hot.next.json", NEXT)
    await made.look()
    vault.operator, vault.is_cut = Signer(NEXT, LIMITS).address, True
    await made.follow(header(12))
    assert replaced == []
    vault.is_cut = False
    await made.follow(header(13))
    assert len(replaced) == 1


async def test_a_successor_that_cannot_be_opened_is_said_once_and_tried_again_when_it_is_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, _, secrets = rotation(tmp_path, Vault())
    path = successor_path(tmp_path / "hot.json")
    write_keystore(path, NEXT, Password("another"), 2**12)
    for _ in range(3):
        await made.look()
    assert made.counts["unusable"] == 1
    assert sum("wrong password" in record.getMessage() for record in caplog.records) == 1
    assert NEXT.hex() not in caplog.text

    keystore(tmp_path, path.name, NEXT)
    await made.look()
    assert secrets == [NEXT]


async def test_a_successor_that_is_taken_away_before_its_time_does_not_sign(tmp_path: Path) -> None:
    vault = Vault()
    made, replaced, _ = rotation(tmp_path, vault)
    path = keystore(tmp_path, "hot.next.json", NEXT)
    await made.look()
    path.unlink()
    await made.look()
    vault.operator = Signer(NEXT, LIMITS).address
    await made.follow(header(12))
    assert replaced == []


def test_the_pipeline_plans_for_the_new_key_from_the_coming_block_on() -> None:
    market = scene.small_market()
    state = scene.pipeline(market)
    bob = Address(b"\xbb" * 20)
    assert {plan.executions[0].sender for plan in scene.plans(step(state, swap(market)))} == {scene.ALICE}

    effects = step(state, SenderReplaced(scene.ALICE, bob))
    assert any(isinstance(effect, CancelBundle) for effect in effects)
    assert not scene.plans(step(state, swap(market, part=0.06, trader="dave"))), "its nonce is not known"
    step(state, TreasuryRead(scene.ALICE, Wei(10**20), 9))
    step(state, TreasuryRead(bob, Wei(10**20), 0))
    sent = step(state, scene.block())
    plans = [effect.plan for effect in sent if isinstance(effect, SignAndSubmit)]

    assert plans
    assert {plan.executions[0].sender for plan in plans} == {bob}


def test_envelopes_follow_a_block_later_and_boxes_of_the_former_key_are_opened_still() -> None:
    now = UnixMilliseconds(1)
    keys = NetworkKeys(DEVNET, ALICE, PeerIdHash(hash_of("peer")), FORMER, BootId(1), lambda: now)
    before = keys.sealing_secret(BlockNumber(30)).public_key

    keys.replace(NEXT)

    assert keys.key.address == KEYS["bob"].address
    assert keys.slashable is None
    opening = [secret.public_key for secret in keys.opening_secrets(BlockNumber(30))]
    assert opening == [keys.sealing_secret(BlockNumber(30)).public_key, before]
    verify_envelope(DEVNET, keys.envelope(heartbeat()), address_from_hex(KEYS["alice"].address))
    keys.speak()
    verify_envelope(DEVNET, keys.envelope(heartbeat()), address_from_hex(KEYS["bob"].address))


def test_a_key_that_was_at_hand_for_long_enough_accepts_from_its_first_block_on(tmp_path: Path) -> None:
    owner = Owner(DEVNET.separator, ALICE, hash_of("machine"))
    successor = Successor(NEXT, tmp_path / "signed.journal", owner)
    successor.follow(BlockNumber(100))
    store = successor.store
    assert store is not None
    assert store.history.floor == 100 + HORIZON
    successor.follow(BlockNumber(100 + HORIZON))
    assert successor.store is store
    successor.close()
    successor.close()
