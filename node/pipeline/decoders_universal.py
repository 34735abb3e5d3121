"""Call data of the Universal Router -> swaps: Uniswap/universal-router, contracts/libraries/Commands.sol and
contracts/base/Dispatcher.sol (execute), v4-periphery, src/libraries/Actions.sol and src/interfaces/IV4Router.sol.

Commands that move no pool (permits, transfers, payments) are passed over; wrapped ether is counted, because swaps may
ask for all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from node.pipeline.amm.uniswap_v4 import pool_id
from node.pipeline.decoders_core import (
    MAX_HOPS,
    WORD,
    Context,
    Malformed,
    Reader,
    RoutedSwap,
    address_at,
    addresses_at,
    byte_strings_at,
    bytes_at,
    number_at,
    v3_swap,
)
from node.pipeline.pools import V2_KEYS, V4_KEY, PoolFamily
from protocol.ethereum.abi import selector
from protocol.units import Address

MAX_COMMANDS: Final = 32
MAX_DEPTH: Final = 3
_COMMAND_MASK: Final = 0x3F
_CONTRACT_BALANCE: Final = 1 << 255
_MAX_FEE: Final = 1 << 24
_MAX_SPACING: Final = 1 << 15
_UINT128: Final = 1 << 128

_V3_EXACT_IN, _V3_EXACT_OUT, _V2_EXACT_IN, _V2_EXACT_OUT = 0x00, 0x01, 0x08, 0x09
_WRAP_ETHER, _V4_SWAP, _SUB_PLAN = 0x0B, 0x10, 0x21
_ACTIONS_SINGLE: Final = {0x06: True, 0x08: False}
_ACTIONS_PATH: Final = {0x07: True, 0x09: False}


class _Run:
    """What is carried from command to command: how much wrapped ether the router holds, and how many may follow."""

    __slots__ = ("context", "left", "value", "wrapped")

    def __init__(self, value: int, context: Context) -> None:
        self.value = value
        self.context = context
        self.wrapped = 0
        self.left = MAX_COMMANDS


def _execute(has_deadline: bool) -> Reader:
    """execute(commands, inputs) with or without a deadline."""

    def read(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
        deadline = number_at(data, 68) if has_deadline else 0
        swaps = list(_plan(data, 4, _Run(value, context), 1))
        if deadline:
            return tuple([msgspec.structs.replace(swap, deadline=deadline) for swap in swaps])
        return tuple(swaps)

    return read


def _plan(data: bytes, start: int, run: _Run, depth: int) -> Iterator[RoutedSwap]:
    """The swaps of (bytes commands, bytes[] inputs), of which the head stands at `start`."""
    commands = bytes_at(data, start + number_at(data, start))
    inputs = tuple(byte_strings_at(data, start + number_at(data, start + WORD), MAX_COMMANDS))
    run.left -= len(commands)
    if len(commands) != len(inputs) or run.left < 0:
        raise Malformed
    for command, given in zip(commands, inputs, strict=True):
        kind = command & _COMMAND_MASK
        if kind in (_V3_EXACT_IN, _V3_EXACT_OUT):
            yield _v3(given, run, kind == _V3_EXACT_IN)
        elif kind in (_V2_EXACT_IN, _V2_EXACT_OUT):
            yield _v2(given, run, kind == _V2_EXACT_IN)
        elif kind == _V4_SWAP:
            yield from _v4(given)
        elif kind == _WRAP_ETHER:
            amount = number_at(given, WORD)
            run.wrapped += run.value if amount == _CONTRACT_BALANCE else amount
        elif kind == _SUB_PLAN:
            if depth == MAX_DEPTH:
                raise Malformed
            yield from _plan(given, 0, run, depth + 1)


def _v3(given: bytes, run: _Run, exact_in: bool) -> RoutedSwap:
    """(recipient, amount, limit, bytes path, payerIsUser, …)."""
    packed = bytes_at(given, number_at(given, 3 * WORD))
    swap = v3_swap(packed, exact_in, number_at(given, WORD), number_at(given, 2 * WORD), 0)
    return _funded(swap, run)


def _v2(given: bytes, run: _Run, exact_in: bool) -> RoutedSwap:
    """(recipient, amount, limit, address[] path, payerIsUser, …)."""
    path = addresses_at(given, number_at(given, 3 * WORD))
    tag = V2_KEYS[PoolFamily.UNISWAP_V2]
    keys = tuple([tag + path[i] + path[i + 1] for i in range(len(path) - 1)])
    amounts = number_at(given, WORD), number_at(given, 2 * WORD)
    return _funded(RoutedSwap(keys, path[0], path[-1], exact_in, *amounts), run)


def _funded(swap: RoutedSwap, run: _Run) -> RoutedSwap:
    """The swap with what all of the router's balance stands for: the wrapped ether, or 0 for what came before."""
    if not swap.exact_in or swap.amount != _CONTRACT_BALANCE:
        return swap
    amount = run.wrapped if swap.token_in == run.context.wrapped_coin else 0
    run.wrapped -= amount
    return msgspec.structs.replace(swap, amount=amount)


def _v4(given: bytes) -> Iterator[RoutedSwap]:
    """(bytes actions, bytes[] params): the swaps among them."""
    actions = bytes_at(given, number_at(given, 0))
    params = tuple(byte_strings_at(given, number_at(given, WORD)))
    if len(actions) != len(params):
        raise Malformed
    for action, param in zip(actions, params, strict=True):
        if action in _ACTIONS_SINGLE:
            yield _v4_single(param, _ACTIONS_SINGLE[action])
        elif action in _ACTIONS_PATH:
            yield _v4_path(param, _ACTIONS_PATH[action])


def _v4_single(param: bytes, exact_in: bool) -> RoutedSwap:
    """(PoolKey, zeroForOne, amount, limit, …, hookData)."""
    start = number_at(param, 0)
    currencies = address_at(param, start), address_at(param, start + WORD)
    pool = pool_id(*currencies, *_fee_and_spacing(param, start + 2 * WORD), address_at(param, start + 4 * WORD))
    token_in, token_out = currencies if number_at(param, start + 5 * WORD) else currencies[::-1]
    amounts = _amounts(param, start + 6 * WORD)
    return RoutedSwap((V4_KEY + pool + token_in + token_out,), token_in, token_out, exact_in, *amounts)


def _v4_path(param: bytes, exact_in: bool) -> RoutedSwap:
    """(currency, PathKey[] path, …, amount, limit); newer routers have one more word before the amounts."""
    start = number_at(param, 0)
    currency, offset = address_at(param, start), number_at(param, start + WORD)
    amounts = _amounts(param, start + offset - 2 * WORD)
    place = start + offset
    count = number_at(param, place)
    if offset not in (4 * WORD, 5 * WORD) or not 1 <= count <= MAX_HOPS:
        raise Malformed
    tokens, pools = [currency] if exact_in else [], []
    for number in range(count):
        step = place + WORD + number_at(param, place + WORD * (number + 1))
        tokens.append(address_at(param, step))
        pools.append((*_fee_and_spacing(param, step + WORD), address_at(param, step + 3 * WORD)))
    if not exact_in:
        tokens.append(currency)
    keys = tuple([_v4_key(tokens[i], tokens[i + 1], *pool) for i, pool in enumerate(pools)])
    return RoutedSwap(keys, tokens[0], tokens[-1], exact_in, *amounts)


def _v4_key(token_in: Address, token_out: Address, fee: int, spacing: int, hooks: Address) -> bytes:
    pool = pool_id(min(token_in, token_out), max(token_in, token_out), fee, spacing, hooks)
    return V4_KEY + pool + token_in + token_out


def _fee_and_spacing(param: bytes, place: int) -> tuple[int, int]:
    fee, spacing = number_at(param, place), number_at(param, place + WORD)
    if fee >= _MAX_FEE or not 0 < spacing < _MAX_SPACING:
        raise Malformed
    return fee, spacing


def _amounts(param: bytes, place: int) -> tuple[int, int]:
    amount, limit = number_at(param, place), number_at(param, place + WORD)
    if amount >= _UINT128 or limit >= _UINT128:
        raise Malformed
    return amount, limit


UNIVERSAL_READERS: Final[dict[bytes, Reader]] = {
    selector("execute(bytes,bytes[],uint256)"): _execute(has_deadline=True),
    selector("execute(bytes,bytes[])"): _execute(has_deadline=False),
}
