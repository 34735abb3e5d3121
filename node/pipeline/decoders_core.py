"""What all decoders of call data share: the swap that they read, and readers of words, paths, keys and arrays.

A reader raises `Malformed` where the bytes are not laid out as their function's ABI says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Final, TypeAlias

import msgspec

from node.pipeline.pools import V2_KEYS, V3_KEY, PoolFamily
from protocol.units import Address

MAX_HOPS: Final = 8
MAX_INNER_CALLS: Final = 16
WORD: Final = 32
PATH_STEP: Final = 23

SENDER: Final = Address(bytes(19) + b"\x01")
ROUTER: Final = Address(bytes(19) + b"\x02")
"""How both name whoever calls them, and themselves (v4-periphery, ActionConstants; SwapRouter02, Constants)."""
MANAGER: Final = Address(b"v4")
"""The router's account with Uniswap V4's manager. No address has this form."""
ROUTERS_ALL: Final = 1 << 255
"""As an amount: all that the router holds of the token (CONTRACT_BALANCE)."""
OPEN: Final = -1
"""As an amount: all that is due to the router from Uniswap V4's manager, or that it owes there (OPEN_DELTA)."""
OWED: Final = -2
"""As a payment's amount: what the router owes to Uniswap V4's manager."""
UNLIMITED: Final = (1 << 256) - 1
WHOLE: Final = 10_000


class RoutedSwap(msgspec.Struct, frozen=True, gc=False):
    """One swap along a path. `keys` name its legs in the order of the path, as `pools.edge_key` does.

    `amount`: the input (`exact_in`) or the output wanted; `limit`: the least output or the most input.
    `price_limit_x96` 0: none; `deadline` (Unix seconds) 0: none.
    """

    keys: tuple[bytes, ...]
    token_in: Address
    token_out: Address
    exact_in: bool
    amount: int
    limit: int
    price_limit_x96: int = 0
    deadline: int = 0


class Venue(IntEnum):
    """By whose rules a planned swap is paid for, and what comes out is handed on."""

    V2 = 2
    V3 = 3
    V4 = 4


class PlannedSwap(RoutedSwap, frozen=True, gc=False):
    """A swap in a plan of the Universal Router or a call of SwapRouter02, which keep
    accounts from step to step (`router_accounts`).

    `amount` may be one of the amounts that those tell. `payer` and `recipient`: whose accounts.
    """

    venue: Venue = Venue.V3
    payer: Address = SENDER
    recipient: Address = SENDER


class Payment(msgspec.Struct, frozen=True, gc=False):
    """What such a plan or call moves from one account to another, between swaps.

    `amount` in the token's smallest unit, or one of those that the accounts tell; outside `least` … `most` the whole
    reverts. `portion`, in hundredths of a per cent, of it moves. `becomes`: what the token is afterwards, where ether
    is wrapped or unwrapped. `settles`: nothing may be owed to Uniswap V4's manager then, or be due from it.
    """

    token: Address
    source: Address
    target: Address
    amount: int
    least: int = 0
    most: int = UNLIMITED
    portion: int = WHOLE
    becomes: Address | None = None
    settles: bool = False
    keys: tuple[bytes, ...] = ()
    deadline: int = 0


class Context(msgspec.Struct, frozen=True, gc=False):
    """What call data does not say: the wrapped coin for ether, the family of a V2 router's pairs, and where it is known
    which router is called, and by whom.
    """

    wrapped_coin: Address
    family: PoolFamily
    router: Address | None = None
    sender: Address | None = None

    def owner(self, address: Address) -> Address:
        """Whose account it is: the router and the sender by the names that a plan has for them."""
        if address == self.router:
            return ROUTER
        return SENDER if address == self.sender else address

    def owner_at(self, data: bytes, place: int) -> Address:
        """The same, of the address in the word at a place. Raises Malformed."""
        return self.owner(address_at(data, place))


Step: TypeAlias = RoutedSwap | Payment
Reader: TypeAlias = Callable[[bytes, int, Context], tuple[RoutedSwap, ...]]
PlanReader: TypeAlias = Callable[[bytes, int, Context], tuple[Step, ...]]


class Malformed(Exception):
    """The bytes are not laid out as their function's ABI says."""


def number_at(data: bytes, place: int) -> int:
    """The word at a place."""
    word = data[place : place + WORD]
    if len(word) != WORD:
        raise Malformed
    return int.from_bytes(word, "big")


def deadline_at(data: bytes, place: int) -> int:
    """The deadline in the word at a place. One of 0 has passed, as one of 1 has; 0 is none to us."""
    return number_at(data, place) or 1


def address_at(data: bytes, place: int) -> Address:
    """The address in the word at a place."""
    word = data[place + 12 : place + WORD]
    if len(word) != 20:
        raise Malformed
    return Address(word)


def bytes_at(data: bytes, place: int) -> bytes:
    """The bytes of which the length stands at a place."""
    length = number_at(data, place)
    value = data[place + WORD : place + WORD + length]
    if len(value) != length:
        raise Malformed
    return value


def byte_strings_at(data: bytes, place: int, limit: int = MAX_INNER_CALLS) -> Iterator[bytes]:
    """The members of a `bytes[]` at a place."""
    count = number_at(data, place)
    if count > limit:
        raise Malformed
    start = place + WORD
    for number in range(count):
        yield bytes_at(data, start + number_at(data, start + WORD * number))


def addresses_at(data: bytes, place: int) -> list[Address]:
    """The path of an `address[]` at a place."""
    length = number_at(data, place)
    if not 2 <= length <= MAX_HOPS + 1:
        raise Malformed
    return [address_at(data, place + WORD * number) for number in range(1, length + 1)]


def pair_keys(path: Sequence[Address], family: PoolFamily) -> tuple[bytes, ...]:
    """The legs of a path through a family's pairs."""
    tag = V2_KEYS[family]
    return tuple([tag + path[i] + path[i + 1] for i in range(len(path) - 1)])


def packed_path(packed: bytes, exact_in: bool) -> tuple[tuple[bytes, ...], tuple[Address, Address]]:
    """The legs of a packed V3 path, and the tokens at its ends: it runs backwards for an exact output."""
    hops, rest = divmod(len(packed) - 20, PATH_STEP)
    if rest or not 1 <= hops <= MAX_HOPS:
        raise Malformed
    legs = [packed[PATH_STEP * i : PATH_STEP * i + 43] for i in range(hops)]
    if not exact_in:
        legs = [leg[23:] + leg[20:23] + leg[:20] for leg in reversed(legs)]
    return tuple([V3_KEY + leg for leg in legs]), (Address(legs[0][:20]), Address(legs[-1][23:]))
