"""What strangers' views take of a request's gas, on a real chain with the genuine Multicall3."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from devnet.anvil import Anvil
from devnet.world import World
from node.clock import SystemClock
from node.config import RpcConfig
from node.engine.endpoints import Endpoints
from node.engine.headers import header_from_json
from node.engine.multicall import Multicall, View
from protocol.units import Address, address_from_hex, address_to_hex

pytestmark = pytest.mark.anvil

TAKES_MOST, TAKES_THE_REST, HEAVY = (Address(bytes([byte]) * 20) for byte in (0xB1, 0xB2, 0xB3))
ROUNDS: Final = 9_000
"""Of the view of somebody else: some 230,000 gas."""


def leaving(gas: int) -> str:
    """Code that uses gas up until so much is left: `while (gas() > left) {}`."""
    return "0x5b62" + gas.to_bytes(3, "big").hex() + "5a1160005700"


def counting(rounds: int) -> str:
    """Code that counts down, and returns a word."""
    return "0x62" + rounds.to_bytes(3, "big").hex() + "5b600190038060045760206000f3"


@pytest.mark.parametrize("left", [50_000, 100_000, 150_000, 200_000, 240_000])
@pytest.mark.parametrize("behind", [0, 3, 60])
async def test_no_view_fails_for_want_of_the_gas_that_strangers_took(
    world_anvil: Anvil, world: World, left: int, behind: int
) -> None:
    endpoints = Endpoints.open([RpcConfig(http=world_anvil.url, websocket="")], SystemClock())
    try:
        codes = {TAKES_MOST: leaving(1_000), TAKES_THE_REST: leaving(left), HEAVY: counting(ROUNDS)}
        for address, code in codes.items():
            await endpoints.call("anvil_setCode", address_to_hex(address), code, shape=msgspec.Raw)
        head = header_from_json(await endpoints.call("eth_getBlockByNumber", "latest", False, shape=msgspec.Raw))
        multicall = Multicall(endpoints, address_from_hex(world.manifest.contracts["multicall3"]))
        views = [View(address, b"") for address in (TAKES_MOST, TAKES_THE_REST, HEAVY, *[TAKES_MOST] * behind)]
        answers = await multicall.read(views, head.hash)
    finally:
        await endpoints.close()
    assert answers[2] == bytes(32)
