"""The desk's way to the chain asks the one address that it was given."""

from __future__ import annotations

import pytest

from node.desk.watch.rpc import WatchFailed, WatchRpc
from tests.pointing_server import pointing_server


async def test_nobody_is_asked_where_the_node_points() -> None:
    async with pointing_server() as (port, asked), WatchRpc(f"http://127.0.0.1:{port}/") as rpc:
        with pytest.raises(WatchFailed, match="eth_chainId: DecodeError"):
            await rpc.call("eth_chainId")
    assert asked == ["/"]
