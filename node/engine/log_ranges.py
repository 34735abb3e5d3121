"""Logs of a long stretch of the chain, in ranges that halve where the node refuses and grow again where it does not.

Hosted nodes bound the blocks or the results of one `eth_getLogs`, each by a number of its own, which is found out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, TypeVar

from node.engine.endpoints import Endpoints
from node.engine.rpc import RpcRefused
from protocol.units import BlockNumber

MAX_RANGE_BLOCKS: Final = 50_000
LOGS_SECONDS: Final = 15.0
_Log = TypeVar("_Log")


async def logs_by_range(
    endpoints: Endpoints, wanted: Mapping[str, Any], first: BlockNumber, last: BlockNumber, shape: type[list[_Log]]
) -> AsyncIterator[tuple[BlockNumber, list[_Log]]]:
    """Yield the logs from `first` to `last`, range by range, each with its last block. `wanted`: addresses, topics.

    Each request has a deadline. Raises RpcError; RpcRefused only where not even one block's logs are given.
    """
    start, span = first, MAX_RANGE_BLOCKS
    while start <= last:
        end = BlockNumber(min(start + span - 1, last))
        asked = {"fromBlock": hex(start), "toBlock": hex(end), **wanted}
        try:
            logs: list[_Log] = await endpoints.call("eth_getLogs", asked, shape=shape, seconds=LOGS_SECONDS)
        except RpcRefused:
            if end == start:
                raise
            span = (end - start + 1) // 2
            continue
        yield end, logs
        start, span = BlockNumber(end + 1), min(2 * span, MAX_RANGE_BLOCKS)
