"""The numbers that the contracts hold for ever, and what settings of the network must keep to. Pure.

They stand in contracts/src as constants; the read-back of a deployment (governance/deploy_readback.py) compares those
that a contract tells, and a test compares the others with the sources. Times are seconds.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

DAY: Final = 86_400

UNBONDING_SECONDS: Final = 21 * DAY
ESCROW_SECONDS: Final = 12 * DAY
EVIDENCE_SECONDS: Final = 14 * DAY
REACTION_SECONDS: Final = 7 * DAY
"""How much longer than evidence counts stake must be held, so that there is time to report."""
LONGEST_BRAKE_SECONDS: Final = 10 * DAY
LOOSENING_SECONDS: Final = 2 * DAY
ENACTMENT_SECONDS: Final = 7 * DAY

TOKEN_CAP: Final = 100_000_000 * 10**18
MAX_LOCK_BLOCKS: Final = 100_800
MAX_SEED_LAG_BLOCKS: Final = 255
QUORUM_PERCENT_BOUNDS: Final = (1, 50)


class Parameter(IntEnum):
    """What governance sets, in the order of the contract's enumeration (INetworkParameters.sol)."""

    MIN_STAKE = 0
    PROTOCOL_FEE_BPS = 1
    ALERT_QUORUM_BPS = 2


PARAMETER_BOUNDS: Final = {
    Parameter.MIN_STAKE: (10**18, 1_000_000 * 10**18),
    Parameter.PROTOCOL_FEE_BPS: (0, 500),
    Parameter.ALERT_QUORUM_BPS: (3_334, 6_667),
}
"""Smallest and largest value, both allowed: smallest units of the token, basis points, basis points."""
