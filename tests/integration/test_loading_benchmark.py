"""What `scripts/bench detect` loads: a second time out of the files of the first, with fewer requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.market_loading import Loader
from devnet.anvil import Anvil
from devnet.world import World

pytestmark = pytest.mark.anvil


async def test_a_market_that_was_kept_is_loaded_with_fewer_requests_to_the_same_states(
    world_anvil: Anvil, world: World, tmp_path: Path
) -> None:
    loader = Loader(world_anvil.url, world.manifest, tmp_path)
    try:
        head = await loader.head()
        first = await loader.load(head)
        asked = loader.transport.requests
        again = await loader.load(head)
        asked_again = loader.transport.requests - asked
    finally:
        await loader.endpoints.close()
    assert again == first
    assert len(first) >= 40
    assert asked_again < asked
