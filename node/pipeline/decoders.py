"""Call data of routers -> swaps, by byte slices: this runs for every pending transaction to a router.

Read: Uniswap V2 Router02 and Sushi (v2-periphery), SwapRouter (v3-periphery) and SwapRouter02 (`decoders_router02`),
each with its multicalls; the Universal Router (`decoders_universal`), Balancer's V2 Vault (`decoders_vault`), Curve's
routers (`decoders_curve`). Whatever is none of these, or is not laid out as its ABI says, is no swap to us: an empty
tuple. What else the routers' functions are called is in `router_functions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from node.pipeline.decoders_core import (
    MAX_INNER_CALLS,
    WORD,
    Context,
    Malformed,
    PlanReader,
    Reader,
    RoutedSwap,
    Step,
    address_at,
    addresses_at,
    byte_strings_at,
    bytes_at,
    deadline_at,
    number_at,
    packed_path,
    pair_keys,
)
from node.pipeline.decoders_curve import CURVE_READERS
from node.pipeline.decoders_router02 import ROUTER_02_READERS
from node.pipeline.decoders_universal import UNIVERSAL_READERS
from node.pipeline.decoders_vault import VAULT_READERS
from node.pipeline.pools import V3_KEY, PoolFamily
from node.pipeline.settings import RouterKind
from protocol.ethereum.abi import selector
from protocol.units import Address

__all__ = ["RoutedSwap", "Step", "decode_steps", "decode_swaps"]

MAX_DEPTH: Final = 4
"""How deep multicalls are followed into each other."""


def decode_swaps(kind: RouterKind, data: bytes, value: int, wrapped_coin: Address) -> tuple[RoutedSwap, ...]:
    """The swaps that a call of a router makes, in order; empty for anything else. `value` in wei."""
    return tuple([step for step in decode_steps(kind, data, value, wrapped_coin) if isinstance(step, RoutedSwap)])


def decode_steps(
    kind: RouterKind,
    data: bytes,
    value: int,
    wrapped_coin: Address,
    router: Address | None = None,
    sender: Address | None = None,
) -> tuple[Step, ...]:
    """The same swaps, and among them the payments on which they depend; empty where there is no swap.

    `router` and `sender`: the contract that is called and who calls it, as a plan may name them by their addresses.
    """
    reader = _READERS[kind].get(data[:4])
    if reader is None:
        return ()
    family = PoolFamily.SUSHI_V2 if kind is RouterKind.SUSHI_V2 else PoolFamily.UNISWAP_V2
    try:
        steps = reader(data, value, Context(wrapped_coin, family, router, sender))
    except Malformed:
        return ()
    return steps if any(isinstance(step, RoutedSwap) for step in steps) else ()


# Uniswap V2: arguments are words, the path is an array of addresses.


def _v2(words: tuple[int, int, int, int], exact_in: bool) -> Reader:
    """A reader for the words at which amount, limit, path and deadline stand; -1 is the value sent, or no deadline."""
    amount_word, limit_word, path_word, deadline_word = words

    def read(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
        amount = value if amount_word < 0 else number_at(data, 4 + WORD * amount_word)
        limit = value if limit_word < 0 else number_at(data, 4 + WORD * limit_word)
        path = addresses_at(data, 4 + number_at(data, 4 + WORD * path_word))
        deadline = 0 if deadline_word < 0 else deadline_at(data, 4 + WORD * deadline_word)
        keys = pair_keys(path, context.family)
        return (RoutedSwap(keys, path[0], path[-1], exact_in, amount, limit, 0, deadline),)

    return read


# Uniswap V3: one static tuple, or a tuple with a packed path, which runs backwards for an exact output.


def _v3_single(exact_in: bool) -> Reader:
    def read(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
        token_in, token_out = address_at(data, 4), address_at(data, 36)
        fee = number_at(data, 68)
        if fee >> 24:
            raise Malformed
        place = 164
        deadline = deadline_at(data, 132)
        amount, limit, price_limit = number_at(data, place), number_at(data, place + 32), number_at(data, place + 64)
        key = V3_KEY + token_in + fee.to_bytes(3, "big") + token_out
        return (RoutedSwap((key,), token_in, token_out, exact_in, amount, limit, price_limit, deadline),)

    return read


def _v3_path(exact_in: bool) -> Reader:
    def read(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
        start = 4 + number_at(data, 4)
        keys, ends = packed_path(bytes_at(data, start + number_at(data, start)), exact_in)
        place = start + 96
        deadline = deadline_at(data, place - 32)
        amount, limit = number_at(data, place), number_at(data, place + 32)
        return (RoutedSwap(keys, *ends, exact_in, amount, limit, 0, deadline),)

    return read


def _multicall(array_word: int, kind: RouterKind, has_deadline: bool = False) -> PlanReader:
    """`multicall(bytes[])`, with or without a word in front; one inside another counts, up to a depth and in all."""

    def read(data: bytes, value: int, context: Context) -> tuple[Step, ...]:
        return tuple(_inner_swaps(data, value, context, (array_word, has_deadline), kind, [MAX_INNER_CALLS], 1))

    return read


def _inner_swaps(
    data: bytes, value: int, context: Context, layout: tuple[int, bool], kind: RouterKind, left: list[int], depth: int
) -> list[Step]:
    """The swaps inside a multicall; `left` counts down the calls that may still be looked at."""
    array_word, has_deadline = layout
    deadline = deadline_at(data, 4) if has_deadline else 0
    swaps: list[Step] = []
    for call in byte_strings_at(data, 4 + number_at(data, 4 + WORD * array_word), left[0]):
        left[0] -= 1
        reader = _INNER[kind].get(call[:4])
        if reader is not None:
            swaps += reader(call, value, context)
        elif call[:4] in _MULTICALLS[kind]:
            if depth == MAX_DEPTH:
                raise Malformed
            swaps += _inner_swaps(call, value, context, _MULTICALLS[kind][call[:4]], kind, left, depth + 1)
    if deadline:
        swaps = [msgspec.structs.replace(swap, deadline=min(deadline, swap.deadline or deadline)) for swap in swaps]
    return swaps


_TOKENS_IN, _ETHER_IN = (0, 1, 2, 4), (-1, 0, 1, 3)
_FEE_ON_TRANSFER: Final = "SupportingFeeOnTransferTokens"
_V2_READERS: Final[dict[bytes, Reader]] = {
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
_V3_READERS: Final[dict[bytes, Reader]] = {
    selector("exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"): _v3_single(True),
    selector("exactOutputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"): _v3_single(False),
    selector("exactInput((bytes,address,uint256,uint256,uint256))"): _v3_path(True),
    selector("exactOutput((bytes,address,uint256,uint256,uint256))"): _v3_path(False),
}
_INNER: Final[dict[RouterKind, Mapping[bytes, PlanReader]]] = {
    RouterKind.UNISWAP_V3: _V3_READERS,
    RouterKind.SWAP_ROUTER_02: ROUTER_02_READERS,
}
_MULTICALLS: Final[dict[RouterKind, dict[bytes, tuple[int, bool]]]] = {
    RouterKind.UNISWAP_V3: {selector("multicall(bytes[])"): (0, False)},
    RouterKind.SWAP_ROUTER_02: {
        selector("multicall(bytes[])"): (0, False),
        selector("multicall(uint256,bytes[])"): (1, True),
        selector("multicall(bytes32,bytes[])"): (1, False),
    },
}
_READERS: Final[dict[RouterKind, Mapping[bytes, PlanReader]]] = {
    RouterKind.UNISWAP_V2: _V2_READERS,
    RouterKind.SUSHI_V2: _V2_READERS,
    RouterKind.BALANCER_V2: VAULT_READERS,
    RouterKind.UNIVERSAL: UNIVERSAL_READERS,
    RouterKind.CURVE: CURVE_READERS,
    **{
        kind: {**readers, **{one: _multicall(word, kind, timed) for one, (word, timed) in _MULTICALLS[kind].items()}}
        for kind, readers in _INNER.items()
    },
}
