"""Call data of the Universal Router -> swaps, and the payments between them: Uniswap/universal-router,
contracts/libraries/Commands.sol and contracts/base/Dispatcher.sol (execute), v4-periphery, src/V4Router.sol,
src/libraries/Actions.sol and src/interfaces/IV4Router.sol.

Read is what must happen for the whole not to revert. Permits are passed over. Whatever may fail without the whole (a
plan inside marked so), asks for what is not in the call (a balance), is counted differently by different versions of
the router (limits of single hops) or moves pools in another way (positions, other bridges) leaves the call unread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from node.pipeline.amm.uniswap_v4 import pool_id
from node.pipeline.decoders_core import (
    MANAGER,
    MAX_HOPS,
    OPEN,
    OWED,
    ROUTER,
    ROUTERS_ALL,
    SENDER,
    UNLIMITED,
    WHOLE,
    WORD,
    Context,
    Malformed,
    Payment,
    PlannedSwap,
    PlanReader,
    Step,
    Venue,
    address_at,
    addresses_at,
    byte_strings_at,
    bytes_at,
    deadline_at,
    number_at,
    packed_path,
    pair_keys,
)
from node.pipeline.pools import V4_KEY, PoolFamily
from protocol.ethereum.abi import selector
from protocol.units import ZERO_ADDRESS, Address

MAX_COMMANDS: Final = 32
MAX_DEPTH: Final = 3
_V2, _V3 = Venue.V2, Venue.V3
_MAY_FAIL: Final = 0x80
_MAX_FEE: Final = 1 << 24
_MAX_SPACING: Final = 1 << 15
_UINT128: Final = 1 << 128
_UINT160: Final = 1 << 160

_V3_EXACT_IN, _V3_EXACT_OUT, _V2_EXACT_IN, _V2_EXACT_OUT = 0x00, 0x01, 0x08, 0x09
_V4_SWAP, _SUB_PLAN, _BALANCE_CHECK = 0x10, 0x21, 0x0E
_PERMITS: Final = frozenset((0x03, 0x0A, 0x11))
"""PERMIT2_PERMIT_BATCH, PERMIT2_PERMIT, V3_POSITION_MANAGER_PERMIT."""
_HOOK_DATA: Final = 9 * WORD
"""Where a swap through one V4 pool has its hook's data, if no limit of the hop stands before it."""
_ACTIONS_SINGLE: Final = {0x06: True, 0x08: False}
_ACTIONS_PATH: Final = {0x07: True, 0x09: False}


class _Run:
    """What is carried from command to command: what the call data does not say, and how many commands may follow."""

    __slots__ = ("context", "deadline", "left")

    def __init__(self, context: Context, deadline: int) -> None:
        self.context = context
        self.deadline = deadline
        self.left = MAX_COMMANDS


def _execute(deadline_word: int | None) -> PlanReader:
    """A function that begins with (commands, inputs), and has a deadline as one of its words or none."""

    def read(data: bytes, value: int, context: Context) -> tuple[Step, ...]:
        deadline = 0 if deadline_word is None else deadline_at(data, 4 + WORD * deadline_word)
        steps = tuple(_plan(data, 4, _Run(context, deadline), 1))
        return (Payment(ZERO_ADDRESS, SENDER, ROUTER, value), *steps) if value else steps

    return read


def _plan(data: bytes, start: int, run: _Run, depth: int) -> Iterator[Step]:
    """The steps of (bytes commands, bytes[] inputs), of which the head stands at `start`."""
    commands = bytes_at(data, start + number_at(data, start))
    inputs = tuple(byte_strings_at(data, start + number_at(data, start + WORD), MAX_COMMANDS))
    run.left -= len(commands)
    if len(commands) != len(inputs) or run.left < 0:
        raise Malformed
    for command, given in zip(commands, inputs, strict=True):
        # A failing swap or payment is the router's own failure, whatever the flag says.
        kind = command & ~_MAY_FAIL
        if kind <= _V3_EXACT_OUT:
            yield _v3(given, run, kind == _V3_EXACT_IN)
        elif _V2_EXACT_IN <= kind <= _V2_EXACT_OUT:
            yield _v2(given, run, kind == _V2_EXACT_IN)
        elif kind == _V4_SWAP:
            yield from _v4(given, run)
        elif kind in _PAYMENTS:
            yield from _PAYMENTS[kind](given, run)
        elif command == _SUB_PLAN:
            if depth == MAX_DEPTH:
                raise Malformed
            yield from _plan(given, 0, run, depth + 1)
        elif kind not in _PERMITS and command != _BALANCE_CHECK | _MAY_FAIL:
            raise Malformed


def _v3(given: bytes, run: _Run, exact_in: bool) -> PlannedSwap:
    """(recipient, amount, limit, bytes path, payerIsUser, …)."""
    keys, ends = packed_path(bytes_at(given, number_at(given, 3 * WORD)), exact_in)
    return _planned(keys, *ends, exact_in, _V3, given, run)


def _v2(given: bytes, run: _Run, exact_in: bool) -> PlannedSwap:
    """(recipient, amount, limit, address[] path, payerIsUser, …)."""
    path = addresses_at(given, number_at(given, 3 * WORD))
    keys = pair_keys(path, PoolFamily.UNISWAP_V2)
    return _planned(keys, path[0], path[-1], exact_in, _V2, given, run)


def _planned(
    keys: tuple[bytes, ...],
    token_in: Address,
    token_out: Address,
    exact_in: bool,
    venue: Venue,
    given: bytes,
    run: _Run,
) -> PlannedSwap:
    """The swap with its amounts, who pays for it and who has what it gives; made at once, and by places: it is hot."""
    amount, limit = number_at(given, WORD), number_at(given, 2 * WORD)
    payer = SENDER if number_at(given, 4 * WORD) else ROUTER
    to = run.context.owner_at(given, 0)
    return PlannedSwap(keys, token_in, token_out, exact_in, amount, limit, 0, run.deadline, venue, payer, to)


# Payments: (token, recipient, amount), or of ether and the wrapped coin (recipient, amount).


def _amount(given: bytes, place: int, above: int = _UINT160) -> int:
    """An amount of Permit2, which counts to 2^160; of others none of more is ever held."""
    amount = number_at(given, place)
    if amount >= above:
        raise Malformed
    return amount


def _or_all(given: bytes, place: int) -> int:
    amount = number_at(given, place)
    return amount if amount == ROUTERS_ALL else _amount(given, place)


def _transfer_from(given: bytes, run: _Run) -> Iterator[Payment]:
    yield Payment(address_at(given, 0), SENDER, run.context.owner_at(given, WORD), _amount(given, 2 * WORD))


def _transfers_from(given: bytes, run: _Run) -> Iterator[Payment]:
    """((from, to, amount, token)[]): Permit2 is given these as they are, so both go by their addresses."""
    start = number_at(given, 0)
    for number in range(_amount(given, start, MAX_COMMANDS)):
        place = start + WORD * (1 + 4 * number)
        source, target = address_at(given, place), address_at(given, place + WORD)
        if run.context.sender not in (None, source) or target in (SENDER, ROUTER):
            raise Malformed
        token = address_at(given, place + 3 * WORD)
        yield Payment(token, SENDER, run.context.owner(target), _amount(given, place + 2 * WORD))


def _sweep(given: bytes, run: _Run) -> Iterator[Payment]:
    token, least = address_at(given, 0), _amount(given, 2 * WORD)
    yield Payment(token, ROUTER, run.context.owner_at(given, WORD), ROUTERS_ALL, least)


def _transfer(given: bytes, run: _Run) -> Iterator[Payment]:
    token, amount = address_at(given, 0), _or_all(given, 2 * WORD)
    if token == ZERO_ADDRESS and amount == ROUTERS_ALL:
        raise Malformed
    yield Payment(token, ROUTER, run.context.owner_at(given, WORD), amount)


def _pay_portion(given: bytes, run: _Run) -> Iterator[Payment]:
    portion = _amount(given, 2 * WORD, WHOLE + 1)
    yield Payment(address_at(given, 0), ROUTER, run.context.owner_at(given, WORD), ROUTERS_ALL, portion=portion)


def _wrap(given: bytes, run: _Run) -> Iterator[Payment]:
    amount, coin = _or_all(given, WORD), run.context.wrapped_coin
    yield Payment(ZERO_ADDRESS, ROUTER, run.context.owner_at(given, 0), amount, becomes=coin)


def _unwrap(given: bytes, run: _Run) -> Iterator[Payment]:
    coin, least = run.context.wrapped_coin, number_at(given, WORD)
    yield Payment(coin, ROUTER, run.context.owner_at(given, 0), ROUTERS_ALL, least, becomes=ZERO_ADDRESS)


_Payments: TypeAlias = Callable[[bytes, _Run], Iterator[Payment]]
_PAYMENTS: Final[dict[int, _Payments]] = {
    0x02: _transfer_from,
    0x04: _sweep,
    0x05: _transfer,
    0x06: _pay_portion,
    0x0B: _wrap,
    0x0C: _unwrap,
    0x0D: _transfers_from,
}


# Uniswap V4: swaps and payments by the router's account with the manager, which is even in the end.


def _v4(given: bytes, run: _Run) -> Iterator[Step]:
    """(bytes actions, bytes[] params)."""
    actions = bytes_at(given, number_at(given, 0))
    params = tuple(byte_strings_at(given, number_at(given, WORD)))
    if len(actions) != len(params):
        raise Malformed
    for action, param in zip(actions, params, strict=True):
        if action in _ACTIONS_SINGLE:
            yield _v4_single(param, run, _ACTIONS_SINGLE[action])
        elif action in _ACTIONS_PATH:
            yield _v4_path(param, run, _ACTIONS_PATH[action])
        elif action in _V4_PAYMENTS:
            yield _V4_PAYMENTS[action](param, run)
        else:
            raise Malformed
    yield Payment(ZERO_ADDRESS, MANAGER, MANAGER, 0, settles=True)


def _settle(param: bytes, _run: _Run) -> Payment:
    """(currency, amount, payerIsUser): ether is always the router's."""
    currency, amount = address_at(param, 0), _or_all(param, WORD)
    by_user = number_at(param, 2 * WORD) and currency != ZERO_ADDRESS
    return Payment(currency, SENDER if by_user else ROUTER, MANAGER, amount or OWED)


def _settle_all(param: bytes, _run: _Run) -> Payment:
    """(currency, most)."""
    currency = address_at(param, 0)
    return Payment(currency, SENDER if currency != ZERO_ADDRESS else ROUTER, MANAGER, OWED, 0, number_at(param, WORD))


def _take(param: bytes, run: _Run) -> Payment:
    """(currency, recipient, amount)."""
    amount = _amount(param, 2 * WORD, _UINT128) or OPEN
    return Payment(address_at(param, 0), MANAGER, run.context.owner_at(param, WORD), amount)


def _take_all(param: bytes, _run: _Run) -> Payment:
    """(currency, least)."""
    return Payment(address_at(param, 0), MANAGER, SENDER, OPEN, number_at(param, WORD))


def _take_portion(param: bytes, run: _Run) -> Payment:
    """(currency, recipient, portion)."""
    portion = _amount(param, 2 * WORD, WHOLE + 1)
    return Payment(address_at(param, 0), MANAGER, run.context.owner_at(param, WORD), OPEN, 0, UNLIMITED, portion)


_V4_PAYMENTS: Final[dict[int, Callable[[bytes, _Run], Payment]]] = {
    0x0B: _settle,
    0x0C: _settle_all,
    0x0E: _take,
    0x0F: _take_all,
    0x10: _take_portion,
}


def _v4_single(param: bytes, run: _Run, exact_in: bool) -> PlannedSwap:
    """(PoolKey, zeroForOne, amount, limit, hookData); newer routers have a limit of the hop before the last."""
    start = number_at(param, 0)
    if number_at(param, start + 8 * WORD) not in (_HOOK_DATA, 0):
        raise Malformed
    currencies = address_at(param, start), address_at(param, start + WORD)
    pool = pool_id(*currencies, *_fee_and_spacing(param, start + 2 * WORD), address_at(param, start + 4 * WORD))
    token_in, token_out = currencies if number_at(param, start + 5 * WORD) else currencies[::-1]
    amounts = _amounts(param, start + 6 * WORD)
    key = V4_KEY + pool + token_in + token_out
    return _at_manager((key,), (token_in, token_out), exact_in, amounts, run)


def _v4_path(param: bytes, run: _Run, exact_in: bool) -> PlannedSwap:
    """(currency, PathKey[] path, amount, limit); newer routers have limits of each hop before the amounts."""
    start = number_at(param, 0)
    currency, offset = address_at(param, start), number_at(param, start + WORD)
    amounts = _amounts(param, start + offset - 2 * WORD)
    place = start + offset
    count = number_at(param, place)
    if offset not in (4 * WORD, 5 * WORD) or not 1 <= count <= MAX_HOPS:
        raise Malformed
    if offset == 5 * WORD and number_at(param, start + number_at(param, start + 2 * WORD)):
        raise Malformed
    tokens, pools = [currency] if exact_in else [], []
    for number in range(count):
        step = place + WORD + number_at(param, place + WORD * (number + 1))
        tokens.append(address_at(param, step))
        pools.append((*_fee_and_spacing(param, step + WORD), address_at(param, step + 3 * WORD)))
    if not exact_in:
        tokens.append(currency)
    keys = tuple([_v4_key(tokens[i], tokens[i + 1], *pool) for i, pool in enumerate(pools)])
    return _at_manager(keys, (tokens[0], tokens[-1]), exact_in, amounts, run)


def _at_manager(
    keys: tuple[bytes, ...], ends: tuple[Address, Address], exact_in: bool, amounts: tuple[int, int], run: _Run
) -> PlannedSwap:
    """The swap by the router's account there."""
    return PlannedSwap(keys, *ends, exact_in, *amounts, 0, run.deadline, Venue.V4, MANAGER, MANAGER)


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
    return amount or OPEN, limit


_SIGNED: Final = "executeSigned(bytes,bytes[],bytes32,bytes32,bool,bytes32,bytes,uint256)"
UNIVERSAL_READERS: Final[dict[bytes, PlanReader]] = {
    selector("execute(bytes,bytes[],uint256)"): _execute(deadline_word=2),
    selector("execute(bytes,bytes[])"): _execute(deadline_word=None),
    selector(_SIGNED): _execute(deadline_word=7),
}
