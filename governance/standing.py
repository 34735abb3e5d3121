"""How an operator, the network and its rewards stand, read off the chain. Reads only, through a `Reader`.

Amounts are smallest units, times Unix seconds, as the contracts have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from governance.network import (
    OperatorRecord,
    balance_query,
    epoch_rules_query,
    operator_query,
    parameter_query,
    paused_query,
)
from governance.policy import Parameter
from governance.reading import Reader
from protocol.ethereum.abi import decode
from protocol.ethereum.keccak import keccak256
from protocol.leaders import EpochRules
from protocol.units import (
    Address,
    BlockNumber,
    EpochNumber,
    Hash32,
    StakeUnits,
    TokenAmount,
    UnixSeconds,
    Wei,
    address_from_hex,
    address_to_hex,
)

SHARES: Final = 7
"""A day's pot is this part of what the stream has not promised."""
DAY: Final = 86_400
WEEK: Final = 7 * DAY
POTS_READ: Final = 400
"""More than a year of pots in one look, and in one claim: what is older is read and claimed first."""
_CREDITED: Final = Hash32(keccak256(b"Credited(bytes32,address,uint256,uint256)"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The block at which everything was read."""

    number: BlockNumber
    timestamp: UnixSeconds
    base_fee: Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorStanding:
    """One account: what the registry has of it, and what it holds."""

    record: OperatorRecord
    tokens: TokenAmount
    wei: Wei

    def free(self, head: BlockNumber) -> StakeUnits:
        """How much of the active stake can begin to leave in the next block."""
        kept = 0 if head + 1 > self.record.locked_through else self.record.locked
        return StakeUnits(max(0, self.record.active - kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStanding:
    """The epochs in the block after a head: which runs, whether the next can be checked in for, whether it was."""

    rules: EpochRules
    current: EpochNumber
    open_for: EpochNumber | None
    closes_at: BlockNumber
    """The first block in which the check-in for `current` + 1 is closed."""
    checked_in: bool
    """Whether the operator is in for `current` + 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One pot of the stream and an operator's part in it."""

    pot: int
    snapshot: UnixSeconds
    pot_amount: TokenAmount
    stake: StakeUnits
    all_stake: StakeUnits

    @property
    def amount(self) -> TokenAmount:
        """What the contract pays: rounded down."""
        return TokenAmount(self.pot_amount * self.stake // self.all_stake)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekCredit:
    """One week's credit for alerts, not yet claimed."""

    week: int
    credit: StakeUnits
    total_credit: StakeUnits
    pot: TokenAmount
    is_over: bool

    @property
    def amount(self) -> TokenAmount:
        """What the contract pays once the week is over, as it stands: rounded down."""
        return TokenAmount(self.pot * self.credit // self.total_credit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewards:
    """All that an operator has earned and not claimed, and where more comes from."""

    token: Address
    shares: tuple[Share, ...]
    """The stream's pots from the operator's next one on, also those in which it had no stake."""
    pool: TokenAmount
    is_pot_due: bool
    """Whether today's pot can be made."""
    weeks: tuple[WeekCredit, ...]

    @property
    def from_stream(self) -> TokenAmount:
        """What a claim of all pots pays."""
        return TokenAmount(sum(share.amount for share in self.shares))


async def read_head(reader: Reader) -> Head:
    """Return the block that the reader reads at."""
    block = await reader.rpc.call("eth_getBlockByNumber", reader.block, False)
    return Head(
        number=BlockNumber(int(block["number"], 16)),
        timestamp=UnixSeconds(int(block["timestamp"], 16)),
        base_fee=Wei(int(block["baseFeePerGas"], 16)),
    )


async def read_operator(reader: Reader, account: Address) -> OperatorStanding:
    """Return how an account stands."""
    return OperatorStanding(
        record=await reader.ask(operator_query(reader.contracts, account)),
        tokens=await reader.ask(balance_query(reader.contracts.token, account)),
        wei=Wei(int(await reader.rpc.call("eth_getBalance", address_to_hex(account), reader.block), 16)),
    )


async def read_epochs(reader: Reader, head: Head, operator: OperatorRecord) -> EpochStanding:
    """Return how the epochs stand for an operator. What locks through the end of an epoch is its check-in for it."""
    rules = (await reader.ask(epoch_rules_query(reader.contracts))).checked()
    # A transaction sent now is in the next block at the earliest.
    current = rules.epoch_of(BlockNumber(head.number + 1))
    upcoming = EpochNumber(current + 1)
    ends = rules.first_block(EpochNumber(upcoming + 1)) - 1
    return EpochStanding(
        rules=rules,
        current=current,
        open_for=rules.check_in_epoch(BlockNumber(head.number + 1)),
        closes_at=BlockNumber(rules.first_block(upcoming) - rules.cut_off),
        checked_in=operator.locked_through == ends,
    )


async def read_parameters(reader: Reader) -> dict[Parameter, int]:
    """Return the values of the parameters that governance sets."""
    return {each: await reader.ask(parameter_query(reader.contracts, each)) for each in Parameter}


async def read_rewards(reader: Reader, operator: Address, head: Head) -> Rewards:
    """Return all that an operator has earned and not claimed."""
    at = address_to_hex(operator)
    first, count = (
        await reader.number(reader.contracts.stream, "nextPot(address)", at),
        await reader.number(reader.contracts.stream, "potCount()"),
    )
    shares = []
    for pot in range(first, min(count, first + POTS_READ)):
        ((snapshot, amount, all_stake),) = await reader.view(
            reader.contracts.stream, "potAt(uint256)", ["(uint48,uint208,uint256)"], pot
        )
        votes = await reader.number(reader.contracts.staking, "getPastVotes(address,uint256)", at, snapshot)
        shares.append(
            Share(
                pot=pot,
                snapshot=UnixSeconds(snapshot),
                pot_amount=TokenAmount(amount),
                stake=StakeUnits(votes),
                all_stake=StakeUnits(all_stake),
            )
        )
    (token,) = await reader.view(reader.contracts.stream, "TOKEN()", ["address"])
    return Rewards(
        token=address_from_hex(token),
        shares=tuple(shares),
        pool=TokenAmount(await reader.number(reader.contracts.stream, "pool()")),
        is_pot_due=await _is_pot_due(reader, count, head),
        weeks=await _weeks(reader, operator, head),
    )


async def read_symbol(reader: Reader, token: Address) -> tuple[str, int]:
    """Return a token's symbol and decimals. Raises `ContractMissing` if it is no token that tells them."""
    (symbol,) = await reader.view(token, "symbol()", ["string"])
    (decimals,) = await reader.view(token, "decimals()", ["uint8"])
    return symbol, decimals


async def read_brake(reader: Reader) -> tuple[bool, int, UnixSeconds | None]:
    """Return whether everything is paused, the seconds used of the last 30 days, and when the last pause ends."""
    paused = await reader.ask(paused_query(reader.contracts))
    used, count = (
        await reader.number(reader.contracts.brake, "usedSeconds()"),
        await reader.number(reader.contracts.brake, "pauseCount()"),
    )
    if not count:
        return paused, used, None
    ((_start, end),) = await reader.view(reader.contracts.brake, "pauseAt(uint256)", ["(uint48,uint48)"], count - 1)
    return paused, used, UnixSeconds(end)


async def _is_pot_due(reader: Reader, count: int, head: Head) -> bool:
    """Whether there is none of today. A day that ended without a pot looks the same, and rolling it is refused."""
    if count == 0:
        return True
    ((snapshot, _amount, _stake),) = await reader.view(
        reader.contracts.stream, "potAt(uint256)", ["(uint48,uint208,uint256)"], count - 1
    )
    return bool((snapshot + 1) // DAY < head.timestamp // DAY)


async def _weeks(reader: Reader, operator: Address, head: Head) -> tuple[WeekCredit, ...]:
    topic = Hash32(operator.rjust(32, b"\0"))
    told = await reader.events(reader.contracts.work, _CREDITED, None, topic)
    weeks = sorted({int(decode(["uint256", "uint256"], event.data)[0]) for event in told})
    found = []
    for week in weeks:
        credit = await reader.number(reader.contracts.work, "creditOf(uint256,address)", week, address_to_hex(operator))
        if credit:
            found.append(
                WeekCredit(
                    week=week,
                    credit=StakeUnits(credit),
                    total_credit=StakeUnits(await reader.number(reader.contracts.work, "totalCreditOf(uint256)", week)),
                    pot=TokenAmount(await reader.number(reader.contracts.work, "potOf(uint256)", week)),
                    is_over=week < head.timestamp // WEEK,
                )
            )
    return tuple(found)
