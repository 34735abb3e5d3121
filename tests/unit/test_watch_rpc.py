"""The desk's way to the chain asks the one address that it was given."""

from __future__ import annotations

import pytest
from aiohttp import web

from node.desk.watch.rpc import WatchFailed, WatchRpc


async def test_nobody_is_asked_where_the_node_points() -> None:
    asked: list[str] = []

    async def point(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_post("/{path:.*}", point)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with WatchRpc(f"http://127.0.0.1:{runner.addresses[0][1]}/") as rpc:
            with pytest.raises(WatchFailed, match="eth_chainId: DecodeError"):
                await rpc.call("eth_chainId")
    finally:
        await runner.cleanup()
    assert asked == ["/"]
