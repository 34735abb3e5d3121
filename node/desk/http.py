"""The desk's HTTP: `/status` (JSON), `/metrics` (Prometheus), `/healthz` (200 or 503). Nothing can be changed here.

PortTaken (NodeError)     something else listens on desk.port, or desk.host is not this machine's
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from node.config import DeskConfig
from node.desk.metrics import metrics_page
from node.desk.status import StatusReader
from node.errors import NodeError


class PortTaken(NodeError):
    """Something else listens there, or the host is not this machine's."""


@contextlib.asynccontextmanager
async def serving(config: DeskConfig, reader: StatusReader) -> AsyncIterator[str]:
    """Serve while the block runs; yields `host:port`. Raises PortTaken."""

    async def status(_request: web.Request) -> web.Response:
        body = msgspec.json.encode(await reader.read())
        return web.Response(body=body, content_type="application/json")

    async def metrics(_request: web.Request) -> web.Response:
        page = metrics_page(await reader.read())
        return web.Response(body=page, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def health(_request: web.Request) -> web.Response:
        now = await reader.read()
        phase = now.engine.phase if now.engine else "no engine"
        return web.Response(text=f"{now.trouble or phase}\n", status=200 if now.healthy else 503)

    app = web.Application()
    app.add_routes([web.get("/status", status), web.get("/metrics", metrics), web.get("/healthz", health)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, config.host, config.port).start()
        except OSError as error:
            where = f"desk.host {config.host}, desk.port {config.port}"
            raise PortTaken(f"{where}: {error.strerror}; choose another port, 0 takes a free one") from None
        host, port = runner.addresses[0][:2]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        await runner.cleanup()
