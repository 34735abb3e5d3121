"""The Universal Router's commands and the actions of Uniswap V4 in them, encoded as its own ABI says, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

from protocol.ethereum.abi import encode, encode_call

SENDER: Final = "0x" + "00" * 19 + "01"
ROUTER: Final = "0x" + "00" * 19 + "02"
"""How a plan names whoever calls the router, and the router itself (v4-periphery, ActionConstants)."""
ETHER: Final = "0x" + "00" * 20
ALL: Final = 1 << 255
OPEN: Final = 0
"""In V4's actions: whatever is owed by then, or due."""
MOST: Final = (1 << 128) - 1
MAY_FAIL: Final = 0x80
_KEY: Final = "(address,address,uint24,int24,address)"
_SINGLE: Final = f"({_KEY},bool,uint128,uint128,bytes)"
_PATH: Final = "(address,(address,uint24,int24,address,bytes)[],uint256[],uint128,uint128)"


class Command(IntEnum):
    """contracts/libraries/Commands.sol."""

    V3_IN = 0x00
    V3_OUT = 0x01
    PERMIT2_TRANSFER = 0x02
    SWEEP = 0x04
    TRANSFER = 0x05
    PAY_PORTION = 0x06
    V2_IN = 0x08
    V2_OUT = 0x09
    WRAP = 0x0B
    UNWRAP = 0x0C
    PERMIT2_TRANSFERS = 0x0D
    BALANCE_CHECK = 0x0E
    V4 = 0x10
    V4_INITIALIZE = 0x13
    SUB_PLAN = 0x21
    ACROSS = 0x40


class Action(IntEnum):
    """v4-periphery, src/libraries/Actions.sol."""

    IN_SINGLE = 0x06
    IN = 0x07
    OUT_SINGLE = 0x08
    OUT = 0x09
    SETTLE = 0x0B
    SETTLE_ALL = 0x0C
    TAKE = 0x0E
    TAKE_ALL = 0x0F
    TAKE_PORTION = 0x10


class Given(NamedTuple):
    """One command or action with its input."""

    kind: int
    data: bytes

    @property
    def may_fail(self) -> Given:
        """The same, marked as one whose failure does not end the plan."""
        return Given(self.kind | MAY_FAIL, self.data)


class PoolKey(NamedTuple):
    """A Uniswap V4 pool by its currencies, lower first, fee in pips and tick spacing, without a hook."""

    first: str
    second: str
    fee: int
    spacing: int
    hooks: str = ETHER


def execute(*commands: Given, deadline: int | None = 1 << 40) -> bytes:
    """A call of the router; without a deadline where that is None."""
    kinds, data = bytes(one.kind for one in commands), [one.data for one in commands]
    if deadline is None:
        return encode_call("execute(bytes,bytes[])", kinds, data)
    return encode_call("execute(bytes,bytes[],uint256)", kinds, data, deadline)


def sub_plan(*commands: Given) -> Given:
    """A plan inside a plan."""
    parts = bytes(one.kind for one in commands), [one.data for one in commands]
    return Given(Command.SUB_PLAN, encode(("bytes", "bytes[]"), parts))


def swap(
    command: Command, amount: int, limit: int, path: bytes | Sequence[str], *, to: str = SENDER, by_user: bool = True
) -> Given:
    """A swap along tokens, or a packed path, which runs backwards for an exact output."""
    packed = isinstance(path, bytes)
    types = ("address", "uint256", "uint256", "bytes" if packed else "address[]", "bool")
    return Given(command, encode(types, (to, amount, limit, path if packed else list(path), by_user)))


def paid(command: Command, token: str, to: str, amount: int) -> Given:
    """PERMIT2_TRANSFER, SWEEP (the least amount), TRANSFER, PAY_PORTION (hundredths of a per cent)."""
    return Given(command, encode(("address", "address", "uint256"), (token, to, amount)))


def ether(command: Command, to: str, amount: int) -> Given:
    """WRAP an amount, or UNWRAP everything, that at least."""
    return Given(command, encode(("address", "uint256"), (to, amount)))


def transfers(*details: tuple[str, str, int, str]) -> Given:
    """PERMIT2_TRANSFERS: (from, to, amount, token) each."""
    return Given(Command.PERMIT2_TRANSFERS, encode(("(address,address,uint160,address)[]",), (list(details),)))


def v4(*actions: Given) -> Given:
    """V4_SWAP: actions one after another."""
    parts = bytes(one.kind for one in actions), [one.data for one in actions]
    return Given(Command.V4, encode(("bytes", "bytes[]"), parts))


def single(action: Action, key: PoolKey, zero_for_one: bool, amount: int, limit: int) -> Given:
    """A swap through one pool."""
    return Given(action, encode((_SINGLE,), ((tuple(key), zero_for_one, amount, limit, b""),)))


def along(
    action: Action, currency: str, path: Sequence[tuple[str, int, int]], amount: int, limit: int, per_hop: Any = ()
) -> Given:
    """A swap along (currency, fee, spacing) steps: away from the currency paid, or towards the one got."""
    steps = [(*step, ETHER, b"") for step in path]
    return Given(action, encode((_PATH,), ((currency, steps, list(per_hop), amount, limit),)))


def settle(currency: str, amount: int, *, by_user: bool = True) -> Given:
    """SETTLE: pay what is given, owed (OPEN), or all that the router holds (ALL)."""
    return Given(Action.SETTLE, encode(("address", "uint256", "bool"), (currency, amount, by_user)))


def settle_all(currency: str, most: int) -> Given:
    """SETTLE_ALL: the sender pays what is owed."""
    return Given(Action.SETTLE_ALL, encode(("address", "uint256"), (currency, most)))


def take(currency: str, to: str, amount: int, *, portion: bool = False) -> Given:
    """TAKE an amount, or what is due (OPEN); TAKE_PORTION that many hundredths of a per cent of what is due."""
    kind = Action.TAKE_PORTION if portion else Action.TAKE
    return Given(kind, encode(("address", "address", "uint256"), (currency, to, amount)))


def take_all(currency: str, least: int) -> Given:
    """TAKE_ALL: what is due goes to the sender."""
    return Given(Action.TAKE_ALL, encode(("address", "uint256"), (currency, least)))
