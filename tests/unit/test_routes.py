"""Routes of orders: bytes there and back, and everything that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.errors import (
    InvalidField,
    MalformedMessage,
    OversizeMessage,
    ProtocolError,
    RemoteProtocolError,
    TooLarge,
)
from protocol.routes import MAX_TRANSACTIONS, Route, RouteSwap, decode_route, encode_route
from protocol.units import Address, TokenAmount

WETH, USDC, POOL = (Address(bytes([place]) * 20) for place in (1, 2, 3))
addresses = st.binary(min_size=20, max_size=20).map(Address)
amounts = st.integers(0, 2**128 - 1).map(TokenAmount)
swaps = st.builds(
    RouteSwap,
    family=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=32),
    pool_id=st.one_of(st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)),
    pool=addresses,
    token_in=addresses,
    token_out=addresses,
    index_in=st.integers(0, 255),
    index_out=st.integers(0, 255),
    fee_pips=st.integers(0, 2**24 - 1),
    amount_in=amounts,
    amount_out=amounts,
).filter(lambda swap: swap.token_in != swap.token_out)
routes = st.builds(
    Route,
    transactions=st.lists(st.binary(max_size=300), max_size=MAX_TRANSACTIONS).map(tuple),
    swaps=st.lists(swaps, min_size=1, max_size=16).map(tuple),
)
SWAP = RouteSwap(
    family="uniswap_v2",
    pool_id=POOL,
    pool=POOL,
    token_in=WETH,
    token_out=USDC,
    index_in=0,
    index_out=1,
    fee_pips=3_000,
    amount_in=TokenAmount(5),
    amount_out=TokenAmount(7),
)
ROUTE = Route(transactions=(b"raw",), swaps=(SWAP,))


@given(route=routes)
def test_a_route_comes_back_from_its_bytes(route: Route) -> None:
    encoded = encode_route(route)

    assert decode_route(encoded) == route
    assert encode_route(decode_route(encoded)) == encoded


@given(data=st.binary(max_size=400))
def test_other_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    try:
        route = decode_route(data)
    except RemoteProtocolError:
        return
    assert encode_route(route) == data


@given(cut=st.integers(0, 200))
def test_a_cut_route_is_none(cut: int) -> None:
    encoded = encode_route(ROUTE)
    if cut < len(encoded):
        with pytest.raises(RemoteProtocolError):
            decode_route(encoded[:cut])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\2" + encode_route(ROUTE)[1:], MalformedMessage),
        (encode_route(ROUTE) + b"\0", MalformedMessage),
        (b"\1\xff", MalformedMessage),
        (b"\1\0\0", MalformedMessage),
        (b"\1\0\1\0", MalformedMessage),
        (b"\1\0\1\1\xff", MalformedMessage),
        (b"\1\0\1\1a\x07", MalformedMessage),
        (bytes(20_000), OversizeMessage),
    ],
)
def test_what_is_wrong_has_a_name(data: bytes, error: type[ProtocolError]) -> None:
    with pytest.raises(error):
        decode_route(data)


def test_a_route_that_could_not_be_read_is_not_made() -> None:
    for wrong in (
        replace(ROUTE, swaps=()),
        replace(ROUTE, swaps=(SWAP,) * 17),
        replace(ROUTE, transactions=(b"",) * 9),
        replace(ROUTE, swaps=(replace(SWAP, family=""),)),
        replace(ROUTE, swaps=(replace(SWAP, pool_id=b"short"),)),
        replace(ROUTE, swaps=(replace(SWAP, fee_pips=2**24),)),
    ):
        with pytest.raises(InvalidField):
            encode_route(wrong)
    with pytest.raises(TooLarge):
        encode_route(replace(ROUTE, transactions=(bytes(13_000),)))
