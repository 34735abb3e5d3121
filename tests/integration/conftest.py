"""What speaks with a test's `relay`: its public endpoint, the devnet's controls, its WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from devnet.relay.app import Relay
from devnet.rpc import RpcClient
from tests.relay_factories import Socket, open_socket


@pytest.fixture
async def rpc(relay: Relay) -> AsyncIterator[RpcClient]:
    """The public endpoint."""
    async with RpcClient(relay.public_url) as client:
        yield client


@pytest.fixture
async def admin(relay: Relay) -> AsyncIterator[RpcClient]:
    """The devnet's controls."""
    async with RpcClient(relay.admin_url) as client:
        yield client


@pytest.fixture
async def socket(relay: Relay) -> AsyncIterator[Socket]:
    """A WebSocket to the public endpoint."""
    async with open_socket(relay.ws_url) as opened:
        yield opened
