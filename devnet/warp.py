"""`hftnode devnet warp`: the devnet's clock jumps ahead, and the chain with it: time passes without anybody waiting."""

from __future__ import annotations

import re
from typing import Final

from devnet.errors import ChainFailed, ConfigInvalid
from devnet.rpc import RpcClient
from devnet.run_folder import RunRecord
from devnet.waiting import wait_until

_SPAN: Final = re.compile(r"([0-9]{1,9})\s*(s|min|h|days?|d)\Z")
_SECONDS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "day": 86_400, "days": 86_400}
_BLOCK_SECONDS: Final = 60.0


def span_seconds(text: str) -> int:
    """Return the seconds of text such as "21 days". Raises `ConfigInvalid`."""
    found = _SPAN.match(text.strip())
    if found is None:
        raise ConfigInvalid(f'{text[:40]!r} is no span of time: "30 s", "5 min", "2 h", "21 days"')
    return int(found[1]) * _SECONDS[found[2]]


async def warp(record: RunRecord, seconds: int) -> int:
    """Let so much time pass, and wait for a block in which it has; return that block's second. Raises `ChainFailed`."""
    async with RpcClient(record.admin_url) as admin, RpcClient(record.rpc_url) as rpc:
        # From the last block's time on: blocks that come faster than one a second run ahead of the clock.
        head = await rpc.call("eth_getBlockByNumber", "latest", False)
        wanted, found = int(head["timestamp"], 16) + seconds, [0]
        clock = await admin.call("devnet_time")
        await admin.call("devnet_warp", max(0.0, wanted - clock["now"]))

        async def has_come() -> bool:
            head = await rpc.call("eth_getBlockByNumber", "latest", False)
            found[0] = int(head["timestamp"], 16)
            return found[0] >= wanted

        if not await wait_until(has_come, _BLOCK_SECONDS):
            raise ChainFailed(f"the clock was warped, and no block came within {_BLOCK_SECONDS:g} s")
        return found[0]
