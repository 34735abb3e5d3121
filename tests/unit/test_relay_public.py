"""What the public endpoint asks of Anvil once, whoever asks it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from devnet.clock import DevnetClock
from devnet.errors import ChainFailed
from devnet.relay.faults import Faults
from devnet.relay.gate import HeadGate
from devnet.relay.jsonrpc import Call
from devnet.relay.public_rpc import MAX_SHARED, PublicRpc


class Chain:
    """Anvil, slow: it answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.gate = asyncio.Event()
        self.fails = False

    async def call_unread(self, method: str, *params: Any) -> bytes:
        self.asked.append((method, *params))
        await self.gate.wait()
        if self.fails:
            raise ChainFailed("not now")
        return orjson.dumps(len(self.asked))


def public(chain: Any) -> PublicRpc:
    nothing: Any = None
    return PublicRpc(
        rpc=chain,
        chain=nothing,
        mempool=nothing,
        intake=nothing,
        gate=HeadGate(),
        faults=Faults([]),
        clock=DevnetClock(0.0),
        blocks_kept=9,
    )


def trace(block: int, *, tracer: str = "prestateTracer") -> Call:
    return Call("debug_traceBlockByHash", [f"0x{block:064x}", {"tracer": tracer}], 1, False)


async def told(rpc: PublicRpc, call: Call) -> Any:
    return orjson.loads(orjson.dumps(await rpc.handle(call)))


async def test_a_blocks_trace_is_asked_for_once_for_all_nodes() -> None:
    chain = Chain()
    rpc = public(chain)
    several = [asyncio.create_task(told(rpc, trace(1))) for _ in range(5)]
    await asyncio.sleep(0)
    several[0].cancel()  # who asked first goes away, and the others still hear
    chain.gate.set()

    assert await asyncio.gather(*several[1:]) == [1] * 4
    assert await told(rpc, trace(1)) == 1
    assert len(chain.asked) == 1
    assert await told(rpc, trace(1, tracer="callTracer")) == 2, "another question"


async def test_a_failure_is_not_remembered() -> None:
    chain = Chain()
    rpc, chain.fails = public(chain), True
    chain.gate.set()
    with pytest.raises(ChainFailed):
        await told(rpc, trace(1))
    chain.fails = False

    assert await told(rpc, trace(1)) == 2


async def test_what_is_remembered_is_bounded() -> None:
    chain = Chain()
    rpc = public(chain)
    chain.gate.set()
    for block in range(MAX_SHARED + 1):
        await told(rpc, trace(block))
    assert await told(rpc, trace(MAX_SHARED)) == MAX_SHARED + 1
    assert await told(rpc, trace(0)) == MAX_SHARED + 2, "the oldest left"


async def test_what_changes_is_asked_for_each_time() -> None:
    chain = Chain()
    rpc = public(chain)
    chain.gate.set()
    call = Call("eth_gasPrice", [], 1, False)
    assert [await told(rpc, call), await told(rpc, call)] == [1, 2]
