"""What an order hands over: the transactions that come first, and the swaps, byte for byte (docs/protocol.md).

    version 1 ‖ number of transactions ‖ each: length in 3 bytes ‖ its raw bytes
    ‖ number of swaps ‖ each: length of the family's name ‖ name ‖ 20 or 32 ‖ pool id ‖ pool address ‖ token in
      ‖ token out ‖ index in ‖ index out ‖ fee in pips (3 bytes) ‖ amount in (16) ‖ amount out (16)

The order commits to the bytes by its routeCommit. What a name of a family means is the executors' matter.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from protocol.byte_reader import ByteReader
from protocol.conflicts import MAX_LEGS, Leg, direction_of
from protocol.errors import (
    FieldOutOfRange,
    InvalidField,
    MalformedMessage,
    OversizeMessage,
    TooLarge,
    TrailingBytes,
    UnknownKind,
)
from protocol.messages import MAX_ROUTE_BYTES
from protocol.units import ADDRESS_BYTES, HASH_BYTES, Address, TokenAmount

VERSION: Final = 1
MAX_TRANSACTIONS: Final = 8
MAX_NAME_BYTES: Final = 32
_LENGTH_BYTES, _FEE_BYTES, _AMOUNT_BYTES = 3, 3, 16


class RouteSwap(Struct, frozen=True, kw_only=True):
    """One swap with its exact amounts, as the finder computed them."""

    family: str
    pool_id: bytes
    pool: Address
    token_in: Address
    token_out: Address
    index_in: int
    index_out: int
    fee_pips: int
    amount_in: TokenAmount
    amount_out: TokenAmount

    @property
    def leg(self) -> Leg:
        """What conflicts are judged by."""
        return Leg(self.pool_id, direction_of(self.token_in, self.token_out))


class Route(Struct, frozen=True, kw_only=True):
    """What runs first, raw and in this order, and what is swapped then."""

    transactions: tuple[bytes, ...]
    swaps: tuple[RouteSwap, ...]


def encode_route(route: Route) -> bytes:
    """Return the route's bytes. Raises InvalidField, TooLarge."""
    if not 1 <= len(route.swaps) <= MAX_LEGS or len(route.transactions) > MAX_TRANSACTIONS:
        raise InvalidField(f"not 1 to {MAX_LEGS} swaps after at most {MAX_TRANSACTIONS} transactions", "route")
    parts = [_uint(VERSION, 1), _uint(len(route.transactions), 1)]
    for raw in route.transactions:
        parts += [_uint(len(raw), _LENGTH_BYTES), raw]
    parts.append(_uint(len(route.swaps), 1))
    for swap in route.swaps:
        name = swap.family.encode()
        if not 0 < len(name) <= MAX_NAME_BYTES or len(swap.pool_id) not in (ADDRESS_BYTES, HASH_BYTES):
            raise InvalidField("a family without a short name, or a pool id of another length", "route.swaps")
        parts += [_uint(len(name), 1), name, _uint(len(swap.pool_id), 1), swap.pool_id]
        parts += [swap.pool, swap.token_in, swap.token_out, _uint(swap.index_in, 1), _uint(swap.index_out, 1)]
        parts += [_uint(swap.fee_pips, _FEE_BYTES)]
        parts += [_uint(swap.amount_in, _AMOUNT_BYTES), _uint(swap.amount_out, _AMOUNT_BYTES)]
    encoded = b"".join(parts)
    if len(encoded) > MAX_ROUTE_BYTES:
        raise TooLarge(f"{len(encoded)} bytes, more than {MAX_ROUTE_BYTES}", "route")
    return encoded


def decode_route(data: bytes) -> Route:
    """Return the route that the bytes are. Raises RemoteProtocolError."""
    if len(data) > MAX_ROUTE_BYTES:
        raise OversizeMessage(f"more than {MAX_ROUTE_BYTES} bytes", "route")
    reader = ByteReader(data, "route")
    if reader.uint(1) != VERSION:
        raise UnknownKind(f"not of version {VERSION}", "route")
    count = reader.uint(1)
    if count > MAX_TRANSACTIONS:
        raise FieldOutOfRange(f"more than {MAX_TRANSACTIONS} transactions", "route")
    transactions = tuple(reader.take(reader.uint(_LENGTH_BYTES)) for _ in range(count))
    swaps = reader.uint(1)
    if not 1 <= swaps <= MAX_LEGS:
        raise FieldOutOfRange(f"not 1 to {MAX_LEGS} swaps", "route")
    route = Route(transactions=transactions, swaps=tuple(_swap(reader) for _ in range(swaps)))
    if not reader.is_at_end:
        raise TrailingBytes("bytes after the last swap", "route")
    return route


def _swap(reader: ByteReader) -> RouteSwap:
    size = reader.uint(1)
    if not 0 < size <= MAX_NAME_BYTES:
        raise FieldOutOfRange(f"a name of {size} bytes", "route.swaps")
    try:
        family = reader.take(size).decode("ascii")
    except UnicodeDecodeError:
        raise MalformedMessage("a name that is not ASCII", "route.swaps") from None
    size = reader.uint(1)
    if size not in (ADDRESS_BYTES, HASH_BYTES):
        raise FieldOutOfRange(f"a pool id of {size} bytes", "route.swaps")
    pool_id = reader.take(size)
    pool, token_in, token_out = (Address(reader.take(ADDRESS_BYTES)) for _ in range(3))
    if token_in == token_out:
        raise FieldOutOfRange("one token on both sides", "route.swaps")
    index_in, index_out, fee_pips = reader.uint(1), reader.uint(1), reader.uint(_FEE_BYTES)
    amount_in, amount_out = (TokenAmount(reader.uint(_AMOUNT_BYTES)) for _ in range(2))
    return RouteSwap(
        family=family,
        pool_id=pool_id,
        pool=pool,
        token_in=token_in,
        token_out=token_out,
        index_in=index_in,
        index_out=index_out,
        fee_pips=fee_pips,
        amount_in=amount_in,
        amount_out=amount_out,
    )


def _uint(value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise InvalidField(f"does not fit {size} bytes", "route") from None
