"""The hops of a plan for `ArbExecutor`: swaps on its venues, and liquidations, as typed values and as packed bytes.

Pure. InvalidField for a value outside its field; MalformedMessage for bytes that are no hop.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, TypeAlias

import msgspec

from governance.plan_fields import FieldReader, address_field, fee_field, minimum_field, uint_field
from protocol.errors import InvalidField, UnknownKind
from protocol.units import HASH_BYTES, Address, TokenAmount

_MAX_TICK_SPACING: Final = 2**15 - 1
_MAX_COIN: Final = 15


class PairVenue(IntEnum):
    """Venues of Uniswap V2's kind."""

    UNISWAP_V2 = 0
    SUSHI_SWAP = 1


class _Venue(IntEnum):
    UNISWAP_V3 = 2
    BALANCER_V2 = 3
    UNISWAP_V4 = 4
    UNISWAP_V4_IN_ETHER = 5
    CURVE = 6
    CURVE_CRYPTO = 7
    AAVE_V3_LIQUIDATION = 8
    MORPHO_LIQUIDATION = 9


class PairHop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A swap on the pair of the token held and `token_out`."""

    venue: PairVenue
    token_out: Address
    minimum_out: TokenAmount


class ConcentratedHop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A swap on Uniswap V3's pool of the token held, `token_out` and the fee in hundredths of a basis point."""

    token_out: Address
    fee_pips: int
    minimum_out: TokenAmount


class BalancerHop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A swap on the Balancer V2 pool of a 32-byte id."""

    token_out: Address
    pool_id: bytes
    minimum_out: TokenAmount


class SingletonHop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A swap on Uniswap V4's pool, without hooks, of the token held, `token_out`, a fee in pips and a tick spacing.

    `in_ether`: the pool holds ether itself where the plan says WETH.
    """

    token_out: Address
    fee_pips: int
    tick_spacing: int
    in_ether: bool
    minimum_out: TokenAmount


class CurveHop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An exchange of coin `coin_in` (the token held) for `coin_out` on a pool with Curve's interface.

    The executor's list must have the pool. `is_crypto`: its exchange takes unsigned indices.
    """

    token_out: Address
    pool: Address
    coin_in: int
    coin_out: int
    is_crypto: bool
    minimum_out: TokenAmount


class AaveLiquidation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Liquidates a borrower on Aave V3: the token held covers the debt, `token_out` is the collateral."""

    token_out: Address
    borrower: Address
    minimum_out: TokenAmount


class MorphoLiquidation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Liquidates a borrower on the Morpho market of the token held (debt), `token_out` (collateral) and the rest.

    `repaid_shares` of the debt are repaid; they must cost no more than what the route holds there.
    """

    token_out: Address
    borrower: Address
    oracle: Address
    irm: Address
    lltv: int
    repaid_shares: int
    minimum_out: TokenAmount


Liquidation: TypeAlias = AaveLiquidation | MorphoLiquidation
Hop: TypeAlias = PairHop | ConcentratedHop | BalancerHop | SingletonHop | CurveHop | Liquidation


def encode_hop(hop: Hop) -> bytes:
    """Return the packed hop. Raises InvalidField."""
    venue, fields = _FIELDS[type(hop)](hop)
    return bytes((venue,)) + address_field(hop.token_out, "token_out") + fields + minimum_field(hop.minimum_out)


def _pair_fields(hop: PairHop) -> tuple[int, bytes]:
    return hop.venue, b""


def _concentrated_fields(hop: ConcentratedHop) -> tuple[int, bytes]:
    return _Venue.UNISWAP_V3, fee_field(hop.fee_pips)


def _balancer_fields(hop: BalancerHop) -> tuple[int, bytes]:
    if len(hop.pool_id) != HASH_BYTES:
        raise InvalidField(f"a pool id has {HASH_BYTES} bytes, got {len(hop.pool_id)}", "pool_id")
    return _Venue.BALANCER_V2, hop.pool_id


def _singleton_fields(hop: SingletonHop) -> tuple[int, bytes]:
    if not 1 <= hop.tick_spacing <= _MAX_TICK_SPACING:
        raise InvalidField(f"a tick spacing is from 1 to {_MAX_TICK_SPACING}", "tick_spacing")
    venue = _Venue.UNISWAP_V4_IN_ETHER if hop.in_ether else _Venue.UNISWAP_V4
    return venue, fee_field(hop.fee_pips) + uint_field(hop.tick_spacing, 3, "tick_spacing")


def _curve_fields(hop: CurveHop) -> tuple[int, bytes]:
    if not (0 <= hop.coin_in <= _MAX_COIN and 0 <= hop.coin_out <= _MAX_COIN) or hop.coin_in == hop.coin_out:
        raise InvalidField(f"coins are two different ones from 0 to {_MAX_COIN}", "coin_in")
    venue = _Venue.CURVE_CRYPTO if hop.is_crypto else _Venue.CURVE
    return venue, address_field(hop.pool, "pool") + bytes((hop.coin_in << 4 | hop.coin_out,))


def _aave_fields(hop: AaveLiquidation) -> tuple[int, bytes]:
    return _Venue.AAVE_V3_LIQUIDATION, address_field(hop.borrower, "borrower")


def _morpho_fields(hop: MorphoLiquidation) -> tuple[int, bytes]:
    if hop.repaid_shares == 0:
        raise InvalidField("a liquidation repays something", "repaid_shares")
    fields = (
        address_field(hop.borrower, "borrower"),
        address_field(hop.oracle, "oracle"),
        address_field(hop.irm, "irm"),
        uint_field(hop.lltv, 8, "lltv"),
        uint_field(hop.repaid_shares, 16, "repaid_shares"),
    )
    return _Venue.MORPHO_LIQUIDATION, b"".join(fields)


_FIELDS: Final[dict[type, Callable[[Any], tuple[int, bytes]]]] = {
    PairHop: _pair_fields,
    ConcentratedHop: _concentrated_fields,
    BalancerHop: _balancer_fields,
    SingletonHop: _singleton_fields,
    CurveHop: _curve_fields,
    AaveLiquidation: _aave_fields,
    MorphoLiquidation: _morpho_fields,
}


def decode_hop(reader: FieldReader) -> Hop:
    """Take a hop off the front of a plan. Raises MalformedMessage."""
    venue, token_out = reader.uint(1), reader.address()
    if venue in tuple(PairVenue):
        return PairHop(venue=PairVenue(venue), token_out=token_out, minimum_out=reader.minimum())
    if venue == _Venue.UNISWAP_V3:
        return ConcentratedHop(token_out=token_out, fee_pips=reader.uint(3), minimum_out=reader.minimum())
    if venue == _Venue.BALANCER_V2:
        return BalancerHop(token_out=token_out, pool_id=reader.take(HASH_BYTES), minimum_out=reader.minimum())
    if venue in (_Venue.UNISWAP_V4, _Venue.UNISWAP_V4_IN_ETHER):
        return SingletonHop(
            token_out=token_out,
            fee_pips=reader.uint(3),
            tick_spacing=reader.uint(3),
            in_ether=venue == _Venue.UNISWAP_V4_IN_ETHER,
            minimum_out=reader.minimum(),
        )
    if venue in (_Venue.CURVE, _Venue.CURVE_CRYPTO):
        pool, coins = reader.address(), reader.uint(1)
        return CurveHop(
            token_out=token_out,
            pool=pool,
            coin_in=coins >> 4,
            coin_out=coins & _MAX_COIN,
            is_crypto=venue == _Venue.CURVE_CRYPTO,
            minimum_out=reader.minimum(),
        )
    return _decode_liquidation(venue, token_out, reader)


def _decode_liquidation(venue: int, token_out: Address, reader: FieldReader) -> Liquidation:
    if venue == _Venue.AAVE_V3_LIQUIDATION:
        return AaveLiquidation(token_out=token_out, borrower=reader.address(), minimum_out=reader.minimum())
    if venue == _Venue.MORPHO_LIQUIDATION:
        return MorphoLiquidation(
            token_out=token_out,
            borrower=reader.address(),
            oracle=reader.address(),
            irm=reader.address(),
            lltv=reader.uint(8),
            repaid_shares=reader.uint(16),
            minimum_out=reader.minimum(),
        )
    raise UnknownKind(f"{venue} is no venue", "venue")
