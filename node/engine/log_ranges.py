"""Logs of a long stretch of the chain, range by range, from the engine's endpoints (`governance.log_ranges`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, TypeVar

from governance.log_ranges import by_range
from node.engine.endpoints import Endpoints
from protocol.units import BlockNumber

LOGS_SECONDS: Final = 15.0
_Log = TypeVar("_Log")


def logs_by_range(
    endpoints: Endpoints, wanted: Mapping[str, Any], first: BlockNumber, last: BlockNumber, shape: type[list[_Log]]
) -> AsyncIterator[tuple[BlockNumber, list[_Log]]]:
    """Yield the logs from `first` to `last`, range by range, each with its last block. `wanted`: addresses, topics.

    Each request has a deadline. Raises RpcError; RpcRefused only where not even one block's logs are given.
    """

    async def ask(start: BlockNumber, end: BlockNumber) -> list[_Log]:
        asked = {"fromBlock": hex(start), "toBlock": hex(end), **wanted}
        logs: list[_Log] = await endpoints.call("eth_getLogs", asked, shape=shape, seconds=LOGS_SECONDS)
        return logs

    return by_range(ask, first, last)
