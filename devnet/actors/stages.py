"""Taking part in lockstep as the actors do: as order flow in the first stage, as each searcher in the second."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from devnet.actors.announcements import StageAnnounced
from devnet.actors.cast import PARTICIPANTS
from devnet.errors import ChainFailed, RpcError
from devnet.rpc import RpcClient

_log = logging.getLogger(__name__)


@asynccontextmanager
async def taking_part(rpc: RpcClient) -> AsyncIterator[None]:
    """Join as all participants, and leave in the end. Raises `ChainFailed`, `RpcError`.

    Who wants to hear of the first stage listens before: it opens with the last participant's joining.
    """
    async with AsyncExitStack() as leaving:
        for name, stage in PARTICIPANTS:
            answer = await rpc.call("devnet_join", name, stage, len(PARTICIPANTS))
            leaving.push_async_callback(_leave, rpc, name)
            if not answer.get("lockstep"):
                raise ChainFailed("the devnet runs in real time: start it in lockstep, or the actors without it")
        yield


async def pass_stage(rpc: RpcClient, name: str, at: StageAnnounced) -> None:
    """Pass a participant's barrier. Raises `ChainFailed`, `RpcError`."""
    await rpc.call("devnet_barrier", name, at.block, at.stage)


async def _leave(rpc: RpcClient, name: str) -> None:
    try:
        await rpc.call("devnet_leave", name)
    except (ChainFailed, RpcError) as error:
        _log.info("%s did not leave: %s", name, error)
