"""What a network is deployed with, and every reason for which it must not be. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from governance.contracts import ExecutorBindings
from governance.deploy_errors import SettingsRefused
from governance.policy import (
    ESCROW_SECONDS,
    LONGEST_BRAKE_SECONDS,
    MAX_LOCK_BLOCKS,
    MAX_SEED_LAG_BLOCKS,
    PARAMETER_BOUNDS,
    QUORUM_PERCENT_BOUNDS,
    TOKEN_CAP,
    Parameter,
)
from protocol.units import ADDRESS_BYTES, Address, BasisPoints, TokenAmount, max_uint


class EpochCut(msgspec.Struct, frozen=True, kw_only=True):
    """How epochs are cut, in blocks: their length, when check-in ends and where the seed lies, before the epoch."""

    length: int = 7_200
    cut_off: int = 200
    lag: int = 64


class Governance(msgspec.Struct, frozen=True, kw_only=True):
    """How proposals go. Seconds; the threshold in smallest units of the token; the quorum in percent of all stake."""

    voting_delay: int = 86_400
    voting_period: int = 5 * 86_400
    timelock_delay: int = 2 * 86_400
    proposal_threshold: TokenAmount = TokenAmount(10_000 * 10**18)
    quorum_percent: int = 10

    @property
    def seconds_to_execution(self) -> int:
        """From a proposal to the earliest moment at which it can be executed."""
        return self.voting_delay + self.voting_period + self.timelock_delay


class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one deployment chooses.

    `supply_holder` gets the initial supply (smallest units) and gives it out; `guardian` is the Safe that may pause;
    `fee_token` is what the reward stream pays out. With `bindings` vault module and executor are deployed too; their
    `module` and `ledger` are put in then.
    """

    guardian: Address
    supply_holder: Address
    initial_supply: TokenAmount
    fee_token: Address
    cut: EpochCut = EpochCut()
    governance: Governance = Governance()
    min_stake: TokenAmount = TokenAmount(1_000 * 10**18)
    protocol_fee_bps: BasisPoints = BasisPoints(100)
    alert_quorum_bps: BasisPoints = BasisPoints(5_000)
    bindings: ExecutorBindings | None = None

    @property
    def parameters(self) -> dict[Parameter, int]:
        """The values of the parameters that governance may change later."""
        return {
            Parameter.MIN_STAKE: self.min_stake,
            Parameter.PROTOCOL_FEE_BPS: self.protocol_fee_bps,
            Parameter.ALERT_QUORUM_BPS: self.alert_quorum_bps,
        }


def require_sound(settings: NetworkSettings, deployer: Address) -> None:
    """Raise `SettingsRefused`, naming every problem, unless a network with these settings can be lived in."""
    problems = (*_accounts(settings, deployer), *_times(settings.governance), *_votes(settings), *_epochs(settings.cut))
    problems += tuple(_parameters(settings))
    if problems:
        raise SettingsRefused(problems)


def _accounts(settings: NetworkSettings, deployer: Address) -> Iterator[str]:
    for name in ("guardian", "supply_holder", "fee_token"):
        account: Address = getattr(settings, name)
        if len(account) != ADDRESS_BYTES or not any(account):
            yield f"{name}: not {ADDRESS_BYTES} bytes, or zero"
        elif account == deployer:
            yield f"{name}: is the deployer, which must be left with nothing"


def _times(governance: Governance) -> Iterator[str]:
    for name, bits in (("voting_delay", 48), ("voting_period", 32), ("timelock_delay", 48)):
        least = 0 if name == "voting_delay" else 1
        if not least <= getattr(governance, name) <= max_uint(bits):
            yield f"governance.{name}: outside {least} to 2^{bits} - 1 seconds"
    needed = governance.seconds_to_execution
    for what, lasts in (("the escrow", ESCROW_SECONDS), ("the longest brake", LONGEST_BRAKE_SECONDS)):
        if lasts <= needed:
            yield f"governance: takes {needed} s from proposal to execution, {what} is over in {lasts} s"


def _votes(settings: NetworkSettings) -> Iterator[str]:
    least, most = QUORUM_PERCENT_BOUNDS
    if not least <= settings.governance.quorum_percent <= most:
        yield f"governance.quorum_percent: outside {least} to {most}"
    if not 0 < settings.initial_supply <= TOKEN_CAP:
        yield f"initial_supply: outside 1 to {TOKEN_CAP}"
    for name, amount in (
        ("governance.proposal_threshold", settings.governance.proposal_threshold),
        ("min_stake", settings.min_stake),
    ):
        if not 0 < amount <= settings.initial_supply:
            yield f"{name}: outside 1 to the initial supply, so nobody could ever have it"


def _epochs(cut: EpochCut) -> Iterator[str]:
    if not 0 < cut.lag <= MAX_SEED_LAG_BLOCKS:
        yield f"cut.lag: outside 1 to {MAX_SEED_LAG_BLOCKS} blocks"
    if not cut.lag < cut.cut_off < cut.length:
        yield "cut: lag < cut_off < length does not hold, so the seed would be known while operators check in"
    if cut.length * 2 > MAX_LOCK_BLOCKS:
        yield f"cut.length: two epochs are longer than a lock may be, {MAX_LOCK_BLOCKS} blocks"


def _parameters(settings: NetworkSettings) -> Iterator[str]:
    for parameter, value in settings.parameters.items():
        least, most = PARAMETER_BOUNDS[parameter]
        if not least <= value <= most:
            yield f"{parameter.name.lower()}: outside {least} to {most}"
