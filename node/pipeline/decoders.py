"""Call data of routers -> swaps, by byte slices: this runs for every pending transaction to a router.

Read: Uniswap V2 Router02 and Sushi (v2-periphery), SwapRouter (v3-periphery), SwapRouter02 (swap-router-contracts),
each with its multicalls, and the single swap of Balancer's V2 Vault. Whatever is none of these, or is not laid out as
its ABI says, is no swap to us: an empty tuple. What else the routers' functions are called is in `router_functions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from node.pipeline.pools import V2_KEYS, V3_KEY, PoolFamily
from node.pipeline.settings import RouterKind
from protocol.ethereum.abi import selector
from protocol.units import ZERO_ADDRESS, Address

MAX_HOPS: Final = 8
MAX_INNER_CALLS: Final = 16
_WORD: Final = 32
_PATH_STEP: Final = 23


class RoutedSwap(msgspec.Struct, frozen=True, gc=False):
    """One swap along a path. `keys` name its legs in the order of the path, as `pools.edge_key` does.

    `amount`: the input (`exact_in`) or the output wanted; `limit`: the least output or the most input. 0 as an input
    means whatever the router holds by then (SwapRouter02's CONTRACT_BALANCE). `price_limit_x96` 0: none; `deadline`
    (Unix seconds) 0: none.
    """

    keys: tuple[bytes, ...]
    token_in: Address
    token_out: Address
    exact_in: bool
    amount: int
    limit: int
    price_limit_x96: int = 0
    deadline: int = 0


_Reader: TypeAlias = Callable[[bytes, int, "Context"], tuple[RoutedSwap, ...]]


class Context(msgspec.Struct, frozen=True, gc=False):
    """What call data does not say: the wrapped coin for ether, and the family of a V2 router's pairs."""

    wrapped_coin: Address
    family: PoolFamily


class _Malformed(Exception):
    """The bytes are not laid out as their function's ABI says."""


def decode_swaps(kind: RouterKind, data: bytes, value: int, wrapped_coin: Address) -> tuple[RoutedSwap, ...]:
    """The swaps that a call of a router makes, in order; empty for anything else. `value` in wei."""
    reader = _READERS[kind].get(data[:4])
    if reader is None:
        return ()
    family = PoolFamily.SUSHI_V2 if kind is RouterKind.SUSHI_V2 else PoolFamily.UNISWAP_V2
    try:
        return reader(data, value, Context(wrapped_coin, family))
    except _Malformed:
        return ()


def _number(data: bytes, place: int) -> int:
    word = data[place : place + _WORD]
    if len(word) != _WORD:
        raise _Malformed
    return int.from_bytes(word, "big")


def _address(data: bytes, place: int) -> Address:
    word = data[place + 12 : place + _WORD]
    if len(word) != 20:
        raise _Malformed
    return Address(word)


# Uniswap V2: arguments are words, the path is an array of addresses.


def _v2(words: tuple[int, int, int, int], exact_in: bool) -> _Reader:
    """A reader for the words at which amount, limit, path and deadline stand; -1 is the value sent, or no deadline."""
    amount_word, limit_word, path_word, deadline_word = words

    def read(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
        amount = value if amount_word < 0 else _number(data, 4 + _WORD * amount_word)
        limit = value if limit_word < 0 else _number(data, 4 + _WORD * limit_word)
        place = 4 + _number(data, 4 + _WORD * path_word)
        length = _number(data, place)
        if not 2 <= length <= MAX_HOPS + 1:
            raise _Malformed
        path = [_address(data, place + _WORD * number) for number in range(1, length + 1)]
        deadline = 0 if deadline_word < 0 else _number(data, 4 + _WORD * deadline_word)
        tag = V2_KEYS[context.family]
        keys = tuple([tag + path[i] + path[i + 1] for i in range(length - 1)])
        return (RoutedSwap(keys, path[0], path[-1], exact_in, amount, limit, 0, deadline),)

    return read


# Uniswap V3: one static tuple, or a tuple with a packed path, which runs backwards for an exact output.


def _v3_single(exact_in: bool, has_deadline: bool) -> _Reader:
    def read(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
        token_in, token_out = _address(data, 4), _address(data, 36)
        fee = _number(data, 68)
        if fee >> 24:
            raise _Malformed
        place = 164 if has_deadline else 132
        deadline = _number(data, 132) if has_deadline else 0
        amount, limit, price_limit = _number(data, place), _number(data, place + 32), _number(data, place + 64)
        key = V3_KEY + token_in + fee.to_bytes(3, "big") + token_out
        return (RoutedSwap((key,), token_in, token_out, exact_in, amount, limit, price_limit, deadline),)

    return read


def _v3_path(exact_in: bool, has_deadline: bool) -> _Reader:
    def read(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
        start = 4 + _number(data, 4)
        path_place = start + _number(data, start)
        length = _number(data, path_place)
        packed = data[path_place + _WORD : path_place + _WORD + length]
        hops, rest = divmod(length - 20, _PATH_STEP)
        if len(packed) != length or rest or not 1 <= hops <= MAX_HOPS:
            raise _Malformed
        legs = [packed[_PATH_STEP * i : _PATH_STEP * i + 43] for i in range(hops)]
        if not exact_in:
            legs = [leg[23:] + leg[20:23] + leg[:20] for leg in reversed(legs)]
        place = start + (96 if has_deadline else 64)
        deadline = _number(data, place - 32) if has_deadline else 0
        amount, limit = _number(data, place), _number(data, place + 32)
        keys = tuple([V3_KEY + leg for leg in legs])
        ends = Address(legs[0][:20]), Address(legs[-1][23:])
        return (RoutedSwap(keys, *ends, exact_in, amount, limit, 0, deadline),)

    return read


def _multicall(array_word: int, kind: RouterKind, has_deadline: bool = False) -> _Reader:
    """`multicall(bytes[])`, with or without a word in front; a multicall inside another is no swap to us."""

    def read(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
        start = 4 + _number(data, 4 + _WORD * array_word)
        count = _number(data, start)
        if count > MAX_INNER_CALLS:
            raise _Malformed
        deadline = _number(data, 4) if has_deadline else 0
        swaps: list[RoutedSwap] = []
        for number in range(count):
            place = start + _WORD + _number(data, start + _WORD * (number + 1))
            length = _number(data, place)
            call = data[place + _WORD : place + _WORD + length]
            if len(call) != length:
                raise _Malformed
            reader = _INNER[kind].get(call[:4])
            if reader is not None:
                swaps += reader(call, value, context)
        if deadline:
            swaps = [msgspec.structs.replace(swap, deadline=deadline) for swap in swaps]
        return tuple(swaps)

    return read


def _vault_swap(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
    """Balancer V2 Vault: swap(SingleSwap, FundManagement, limit, deadline); kind 0 is given in, 1 is given out."""
    start = 4 + _number(data, 4)
    limit, deadline = _number(data, 164), _number(data, 196)
    pool_id, kind = data[start : start + _WORD], _number(data, start + 32)
    token_in, token_out = _address(data, start + 64), _address(data, start + 96)
    amount = _number(data, start + 128)
    if len(pool_id) != _WORD or kind > 1:
        raise _Malformed
    if token_in == ZERO_ADDRESS:
        token_in = context.wrapped_coin
    if token_out == ZERO_ADDRESS:
        token_out = context.wrapped_coin
    return (RoutedSwap((pool_id + token_in + token_out,), token_in, token_out, kind == 0, amount, limit, 0, deadline),)


_TOKENS_IN, _ETHER_IN = (0, 1, 2, 4), (-1, 0, 1, 3)
_FEE_ON_TRANSFER: Final = "SupportingFeeOnTransferTokens"
_V2_READERS: Final[dict[bytes, _Reader]] = {
    selector(f"{name}({types})"): _v2(words, exact_in)
    for name, types, words, exact_in in (
        ("swapExactTokensForTokens", "uint256,uint256,address[],address,uint256", _TOKENS_IN, True),
        ("swapExactTokensForETH", "uint256,uint256,address[],address,uint256", _TOKENS_IN, True),
        ("swapExactETHForTokens", "uint256,address[],address,uint256", _ETHER_IN, True),
        (f"swapExactTokensForTokens{_FEE_ON_TRANSFER}", "uint256,uint256,address[],address,uint256", _TOKENS_IN, True),
        (f"swapExactTokensForETH{_FEE_ON_TRANSFER}", "uint256,uint256,address[],address,uint256", _TOKENS_IN, True),
        (f"swapExactETHForTokens{_FEE_ON_TRANSFER}", "uint256,address[],address,uint256", _ETHER_IN, True),
        ("swapTokensForExactTokens", "uint256,uint256,address[],address,uint256", _TOKENS_IN, False),
        ("swapTokensForExactETH", "uint256,uint256,address[],address,uint256", _TOKENS_IN, False),
        ("swapETHForExactTokens", "uint256,address[],address,uint256", (0, -1, 1, 3), False),
    )
}
_V3_READERS: Final[dict[bytes, _Reader]] = {
    selector("exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"): _v3_single(
        True, True
    ),
    selector("exactOutputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"): _v3_single(
        False, True
    ),
    selector("exactInput((bytes,address,uint256,uint256,uint256))"): _v3_path(True, True),
    selector("exactOutput((bytes,address,uint256,uint256,uint256))"): _v3_path(False, True),
}
_ROUTER_02_READERS: Final[dict[bytes, _Reader]] = {
    selector("exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"): _v3_single(True, False),
    selector("exactOutputSingle((address,address,uint24,address,uint256,uint256,uint160))"): _v3_single(False, False),
    selector("exactInput((bytes,address,uint256,uint256))"): _v3_path(True, False),
    selector("exactOutput((bytes,address,uint256,uint256))"): _v3_path(False, False),
    selector("swapExactTokensForTokens(uint256,uint256,address[],address)"): _v2((0, 1, 2, -1), True),
    selector("swapTokensForExactTokens(uint256,uint256,address[],address)"): _v2((0, 1, 2, -1), False),
}
_INNER: Final[dict[RouterKind, dict[bytes, _Reader]]] = {
    RouterKind.UNISWAP_V3: _V3_READERS,
    RouterKind.SWAP_ROUTER_02: _ROUTER_02_READERS,
}
_READERS: Final[dict[RouterKind, dict[bytes, _Reader]]] = {
    RouterKind.UNISWAP_V2: _V2_READERS,
    RouterKind.SUSHI_V2: _V2_READERS,
    RouterKind.UNISWAP_V3: {
        **_V3_READERS,
        selector("multicall(bytes[])"): _multicall(0, RouterKind.UNISWAP_V3),
    },
    RouterKind.SWAP_ROUTER_02: {
        **_ROUTER_02_READERS,
        selector("multicall(bytes[])"): _multicall(0, RouterKind.SWAP_ROUTER_02),
        selector("multicall(uint256,bytes[])"): _multicall(1, RouterKind.SWAP_ROUTER_02, has_deadline=True),
        selector("multicall(bytes32,bytes[])"): _multicall(1, RouterKind.SWAP_ROUTER_02),
    },
    RouterKind.BALANCER_V2: {
        selector(
            "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)"
        ): _vault_swap,
    },
}
