"""Reads back how long everything may be paused: a constant of `EmergencyBrake` that none of its views tells.

The brake refuses a pause once so many seconds of the last 30 days were paused (P21). So it is asked for one as by its
guardian, in a call that changes nothing, over a storage in which one pause has used up all but a second of what is
planned, and then that second too: the first must be granted, the second refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from governance.caller import ContractCaller
from governance.deploy_errors import CallReverted
from governance.deploy_plan import BRAKE, STAKING, Plan
from governance.policy import DAY, LONGEST_BRAKE_SECONDS
from protocol.errors import ProtocolError
from protocol.ethereum.abi import decode, encode_call, selector
from protocol.ethereum.keccak import keccak256

_SPENT: Final = selector("PauseBudgetSpent()")
_PAUSES: Final = bytes(32)
"""The slot of how many pauses there were; their start and end (48 bits each, seconds) lie from its hash on."""
_LAST_PAUSES: Final = bytes(31) + b"\x01"
"""The slot of when the guardian last paused, and through which block a subject was."""


async def brake_findings(caller: ContractCaller, plan: Plan) -> AsyncIterator[str]:
    """Yield how the longest pause in 30 days differs from the planned one, or that it cannot be found out."""
    try:
        (now,) = decode(["uint48"], await caller.call(plan.addresses[STAKING], encode_call("clock()")))
        is_granted = await _may_pause(caller, plan, now, used=LONGEST_BRAKE_SECONDS - 1)
        is_granted_more = await _may_pause(caller, plan, now, used=LONGEST_BRAKE_SECONDS)
    except (CallReverted, ProtocolError):
        yield f"{BRAKE}: how long everything may be paused is not readable"
        return
    if not is_granted:
        yield f"{BRAKE}: everything may be paused for less than {LONGEST_BRAKE_SECONDS} s in 30 days"
    if is_granted_more:
        yield f"{BRAKE}: everything may be paused for more than {LONGEST_BRAKE_SECONDS} s in 30 days"


async def _may_pause(caller: ContractCaller, plan: Plan, now: int, used: int) -> bool:
    """Whether the guardian could pause if one pause, ended a day ago, had lasted `used` seconds.

    Raises `CallReverted` for any other refusal.
    """
    storage = paused_before(end=now - DAY, seconds=used)
    try:
        await caller.call_over(
            plan.addresses[BRAKE], encode_call("pause()"), sender=plan.settings.guardian, storage=storage
        )
    except CallReverted as error:
        if error.data != _SPENT:
            raise
        return False
    return True


def paused_before(end: int, seconds: int) -> Mapping[bytes, bytes]:
    """Return the brake's storage, by slot, after one pause that ended at `end` (seconds of the chain)."""
    pause = (end << 48 | end - seconds).to_bytes(32, "big")
    return {_PAUSES: (1).to_bytes(32, "big"), keccak256(_PAUSES): pause, _LAST_PAUSES: bytes(32)}
