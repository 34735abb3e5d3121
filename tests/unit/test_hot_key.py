"""The registered hot key, its store and its successor: which signs at which block, also where the disk fails."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path

import pytest

from node.engine.anti_slashing import AntiSlashingStore, LeaseTaken, begin_journal
from node.engine.network.hot_key import JOURNAL, HotKey
from node.engine.network.keys import NetworkKeys
from node.engine.network.membership import Membership
from node.engine.signing_journal import Owner, place_of
from protocol.ethereum.keys import SigningKey
from protocol.units import Address, BlockNumber, BootId, PeerIdHash, UnixMilliseconds, UnixSeconds, address_from_hex
from tests.block_alert_samples import header
from tests.protocol_factories import ADDRESSES, DEVNET, KEYS, NOW, SECRETS, hash_of, heartbeat

NEXT = hash_of("alice's next hot key")
NEXT_ADDRESS = address_from_hex(SigningKey(NEXT).address)


class Registered:
    """A registry in which one hot key is in force, whatever the block."""

    def __init__(self) -> None:
        self.in_force = ADDRESSES["alice"]

    def key_of(self, _account: Address, _block: BlockNumber, _time: UnixSeconds) -> Address:
        return self.in_force


class Scene:
    """Alice's hot key, whose journal was begun, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.registry, self.counts = Registered(), Counter[str]()
        peer = PeerIdHash(hash_of("peer of alice"))
        self.keys = NetworkKeys(DEVNET, ADDRESSES["alice"], peer, SECRETS["alice"], BootId(1), lambda: NOW)
        self.owner = Owner(DEVNET.separator, ADDRESSES["alice"], hash_of("machine"))
        self.journal = folder / JOURNAL
        begin_journal(self.journal, self.owner, BlockNumber(7))
        self.membership = Membership(None, self.registry, KEYS["alice"], DEVNET.chain_id)  # type: ignore[arg-type]
        self.hot_key = HotKey(self.keys, self.registry, self.membership, self.journal, self.owner, self.counts)  # type: ignore[arg-type]

    def rotates(self) -> None:
        """The next key is in force from the next block on."""
        self.registry.in_force = NEXT_ADDRESS

    def hold(self, owner: Owner) -> None:
        """Take a key's lease, as another process would. Raises LeaseTaken."""
        AntiSlashingStore(place_of(self.journal, owner), owner, BlockNumber(9)).close()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.hot_key.follow(header(7))
    made.hot_key.expect(NEXT)
    made.hot_key.follow(header(8))
    return made


def failing(_file: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_the_next_hot_key_signs_by_its_own_store_from_the_block_on_in_which_it_is_in_force(scene: Scene) -> None:
    assert (scene.keys.hot_key, scene.keys.slashable is None) == (ADDRESSES["alice"], False)
    with pytest.raises(LeaseTaken):
        scene.hold(scene.owner)
    scene.rotates()
    scene.hot_key.follow(header(9))
    assert (scene.keys.hot_key, scene.keys.slashable is None) == (NEXT_ADDRESS, False)
    assert scene.counts == {"keys replaced": 1}
    scene.hold(scene.owner)
    scene.hot_key.close()


def test_it_signs_too_where_the_disk_takes_no_last_word_of_the_former(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.rotates()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        scene.hot_key.follow(header(9))
    assert (scene.keys.hot_key, scene.keys.slashable is None) == (NEXT_ADDRESS, False)
    assert scene.counts == {"keys replaced": 1, "no last word": 1}
    scene.hold(scene.owner)
    scene.hot_key.close()


def test_both_stores_are_let_go_of_where_the_disk_takes_no_last_word(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        scene.hot_key.close()
    assert scene.counts == {"no last word": 2}
    scene.hold(scene.owner)
    scene.hold(scene.owner._replace(hot_key=NEXT_ADDRESS))


def test_where_the_file_of_a_lease_cannot_be_opened_nothing_slashable_is_signed_and_nothing_else_ends(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    for lease in (scene.journal, place_of(scene.journal, scene.owner._replace(hot_key=NEXT_ADDRESS))):
        lease.with_name(lease.name + ".lease").mkdir()
    scene.hot_key.expect(NEXT)
    scene.hot_key.follow(header(8))
    assert (scene.keys.slashable, scene.counts) == (None, {"no store": 1})


def test_a_twin_is_heard_also_where_the_disk_fails(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = PeerIdHash(hash_of("peer of alice"))
    later = UnixMilliseconds(NOW + 60_000)
    twin = NetworkKeys(DEVNET, ADDRESSES["alice"], peer, SECRETS["alice"], BootId(2), lambda: later)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        scene.hot_key.hear(twin.envelope(heartbeat()))
    assert (scene.keys.slashable, scene.counts) == (None, {"no store": 1})
    scene.hot_key.follow(header(9))
    assert scene.keys.slashable is None
    scene.hot_key.close()
