"""Where the devnet begins and what it takes from whom, for five operators."""

from __future__ import annotations

from typing import Any

from devnet.demo.reach import BEFORE_EPOCH, approach_epoch, websocket_of
from devnet.protocols.network import CUT
from tests.actors_scene import make_manifest


class Admin:
    """Makes blocks."""

    def __init__(self, head: int) -> None:
        self.head = head

    async def call(self, method: str) -> Any:
        assert method == "devnet_mine"
        self.head += 1
        return self.head


async def test_blocks_are_made_until_shortly_before_the_epoch_that_has_leaders() -> None:
    manifest = make_manifest()
    admin: Any = Admin(manifest.block_number)

    await approach_epoch(manifest, admin)

    first = (manifest.block_number // CUT.length + 1) * CUT.length
    assert admin.head == max(first - BEFORE_EPOCH, manifest.block_number + 1)


def test_north_alone_hears_half() -> None:
    assert websocket_of("north", "ws://devnet/") == "ws://devnet/half"
    assert websocket_of("centre", "ws://devnet/") == "ws://devnet/"
