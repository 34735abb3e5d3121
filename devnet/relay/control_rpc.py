"""The devnet's own methods: lockstep and time for everybody, faults, warps and reorgs on /admin.

Everywhere:
- `devnet_join(name, stage, participants?)`: `{"block", "lockstep"}`, the block in the making; the first stage opens
  when so many have joined (the highest number given counts); `devnet_leave(name)`: true
- `devnet_barrier(name, block, stage)`: true
- `devnet_awaitStage(block, stage, timeout_seconds)`: `{"block", "stage"}` that is open: this one or a later; an earlier
  one when the time is up (stage -1: none has opened yet)
- `devnet_time()`: `{"now", "warped", "stepped"}`, seconds; `devnet_stats()`: counters and timings

On /admin:
- `devnet_warp(seconds)`: `{"now"}`
- `devnet_mine()`: the number of the block, made at once; not in lockstep
- `devnet_reorg(depth)`: `{"number", "hash"}` of the new head
- `devnet_setFault({"endpoint", "kind", "count", "seconds", "after", "lie", "depth"})`: the fault, see `faults`;
  it begins `after` seconds
- `devnet_faults()`: those in force; `devnet_clearFaults(id?)`: how many ended
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from devnet.clock import DevnetClock
from devnet.relay import parameters
from devnet.relay.chain import Chain
from devnet.relay.config import RelayConfig
from devnet.relay.faults import FaultRefused, Faults
from devnet.relay.jsonrpc import Call, InvalidParams, JsonRpcError, MethodNotFound
from devnet.relay.lockstep_driver import LockstepDriver
from devnet.relay.producer import Producer, ReorgRefused

_MAX_WARP_SECONDS: Final = 10 * 365 * 86_400.0
_FAULT_FIELDS: Final = frozenset(("endpoint", "kind", "count", "seconds", "after", "lie", "depth", "senders"))

Method = Callable[[Call], Awaitable[Any]]


class ControlRpc:
    """Answers `devnet_*`."""

    def __init__(
        self,
        *,
        config: RelayConfig,
        chain: Chain,
        clock: DevnetClock,
        faults: Faults,
        producer: Producer,
        lockstep: LockstepDriver | None,
        report: Callable[[], dict[str, Any]],
    ) -> None:
        self._config = config
        self._chain = chain
        self._clock = clock
        self._faults = faults
        self._producer = producer
        self._lockstep = lockstep
        self._report = report
        self._public: dict[str, Method] = {
            "devnet_awaitStage": self._await_stage,
            "devnet_barrier": self._barrier,
            "devnet_join": self._join,
            "devnet_leave": self._leave,
            "devnet_stats": self._stats,
            "devnet_time": self._time,
        }
        self._admin: dict[str, Method] = {
            **self._public,
            "devnet_clearFaults": self._clear_faults,
            "devnet_faults": self._list_faults,
            "devnet_mine": self._mine,
            "devnet_reorg": self._reorg,
            "devnet_setFault": self._set_fault,
            "devnet_warp": self._warp,
        }

    async def handle(self, call: Call, *, admin: bool) -> Any:
        """Answer one call. Raises `JsonRpcError`, `LockstepError`, `ChainFailed`."""
        method = (self._admin if admin else self._public).get(call.method)
        if method is None and call.method in self._admin:
            raise MethodNotFound(f"{call.method} is on /admin only")
        if method is None:
            raise MethodNotFound(f"the method {call.method} does not exist/is not available")
        return await method(call)

    async def _join(self, call: Call) -> dict[str, Any]:
        name, stage = _name(call), parameters.integer(parameters.at(call, 1, "stage"), "stage")
        at_least = parameters.integer(call.params[2], "participants") if len(call.params) > 2 else 1
        if self._lockstep is None:
            return {"block": self._chain.head.number + 1, "lockstep": False}
        self._lockstep.join(name, stage, at_least)
        return {"block": self._lockstep.machine.block, "lockstep": True}

    async def _leave(self, call: Call) -> bool:
        self._driver().leave(_name(call))
        return True

    async def _barrier(self, call: Call) -> bool:
        name, (block, stage) = _name(call), _position(call, 1)
        self._driver().barrier(name, block, stage)
        return True

    async def _await_stage(self, call: Call) -> dict[str, int]:
        block, stage = _position(call, 0)
        limit = self._config.server.long_poll_seconds
        timeout = parameters.seconds(parameters.at(call, 2, "timeout_seconds"), "timeout_seconds", limit)
        at_block, at_stage = await self._driver().await_stage(block, stage, timeout)
        return {"block": at_block, "stage": at_stage}

    def _driver(self) -> LockstepDriver:
        if self._lockstep is None:
            raise JsonRpcError("this devnet runs in real time: it has no barriers (start it with --lockstep)")
        return self._lockstep

    async def _time(self, call: Call) -> dict[str, Any]:
        parameters.exactly(call, 0, 0)
        clock = self._clock
        return {"now": clock.now(), "warped": clock.warped_seconds, "stepped": clock.is_stepped}

    async def _stats(self, call: Call) -> dict[str, Any]:
        parameters.exactly(call, 0, 0)
        return self._report()

    async def _warp(self, call: Call) -> dict[str, float]:
        seconds = parameters.seconds(parameters.at(call, 0, "seconds"), "seconds", _MAX_WARP_SECONDS)
        return {"now": self._clock.warp(seconds)}

    async def _mine(self, call: Call) -> int:
        parameters.exactly(call, 0, 0)
        if self._lockstep is not None:
            raise JsonRpcError("in lockstep a block is made when every participant has passed its barrier")
        return (await self._producer.produce()).head.number

    async def _reorg(self, call: Call) -> dict[str, Any]:
        depth = parameters.integer(parameters.at(call, 0, "depth"), "depth", least=1)
        try:
            head = await self._producer.reorg(depth)
        except ReorgRefused as error:
            raise InvalidParams(str(error)) from error
        return {"number": head.number, "hash": head.hash}

    async def _set_fault(self, call: Call) -> dict[str, Any]:
        wanted = parameters.at(call, 0, "fault")
        if not isinstance(wanted, dict) or not _FAULT_FIELDS.issuperset(wanted):
            raise InvalidParams(f"a fault is an object of {', '.join(sorted(_FAULT_FIELDS))}")
        count, seconds, lie = wanted.get("count"), wanted.get("seconds"), wanted.get("lie", "")
        try:
            fault = self._faults.set(
                parameters.text(wanted.get("endpoint"), "endpoint"),
                parameters.text(wanted.get("kind"), "kind"),
                now=self._clock.now(),
                block=self._chain.head.number,
                count=None if count is None else parameters.integer(count, "count", least=1),
                seconds=None if seconds is None else parameters.seconds(seconds, "seconds", _MAX_WARP_SECONDS),
                after=parameters.seconds(wanted.get("after", 0), "after", _MAX_WARP_SECONDS),
                lie=lie if lie == "" else parameters.text(lie, "lie"),
                depth=parameters.integer(wanted.get("depth", 0), "depth"),
                senders=[parameters.address(one) for one in wanted.get("senders", [])],
            )
        except FaultRefused as error:
            raise InvalidParams(str(error)) from error
        return fault.as_json()

    async def _clear_faults(self, call: Call) -> int:
        parameters.exactly(call, 0, 1)
        return self._faults.clear(parameters.integer(call.params[0], "id") if call.params else None)

    async def _list_faults(self, call: Call) -> list[dict[str, Any]]:
        parameters.exactly(call, 0, 0)
        return [fault.as_json() for fault in self._faults.active(self._clock.now())]


def _name(call: Call) -> str:
    return parameters.text(parameters.at(call, 0, "name"), "name")


def _position(call: Call, start: int) -> tuple[int, int]:
    block = parameters.integer(parameters.at(call, start, "block"), "block")
    return block, parameters.integer(parameters.at(call, start + 1, "stage"), "stage")
