"""Call data of Balancer's V2 Vault -> swaps: balancer-v2-monorepo, pkg/interfaces/contracts/vault/IVault.sol (swap,
batchSwap).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from node.pipeline.decoders_core import (
    MAX_HOPS,
    MAX_INNER_CALLS,
    UNLIMITED,
    WORD,
    Context,
    Malformed,
    Reader,
    RoutedSwap,
    address_at,
    deadline_at,
    number_at,
)
from protocol.ethereum.abi import selector
from protocol.units import ZERO_ADDRESS, Address

_FUNDS: Final = "(address,bool,address,bool)"
_MAX_ASSETS: Final = 2 * MAX_INNER_CALLS
_SIGN: Final = 1 << 255


class _Step(NamedTuple):
    """One step of a batch; amount 0 takes what the step before calculated."""

    pool_id: bytes
    index_in: int
    index_out: int
    amount: int


def _single_swap(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
    """swap(SingleSwap, FundManagement, limit, deadline); kind 0 is given in, 1 is given out."""
    start = 4 + number_at(data, 4)
    limit, deadline = number_at(data, 164), deadline_at(data, 196)
    pool_id, kind = data[start : start + WORD], number_at(data, start + 32)
    token_in, token_out = _asset(data, start + 64, context), _asset(data, start + 96, context)
    amount = number_at(data, start + 128)
    if len(pool_id) != WORD or kind > 1:
        raise Malformed
    return (RoutedSwap((pool_id + token_in + token_out,), token_in, token_out, kind == 0, amount, limit, 0, deadline),)


def _batch_swap(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
    """batchSwap(kind, steps, assets, FundManagement, limits, deadline).

    A step with an amount begins a path, steps without one go on with it: forwards for an exact input, backwards for an
    exact output. Limits bind the sums of a batch; they are told where the batch is one path.
    """
    kind, deadline = number_at(data, 4), deadline_at(data, 4 + 8 * WORD)
    if kind > 1:
        raise Malformed
    exact_in = kind == 0
    place = 4 + number_at(data, 68)
    count = number_at(data, place)
    if not 2 <= count <= _MAX_ASSETS:
        raise Malformed
    assets = [_asset(data, place + WORD * number, context) for number in range(1, count + 1)]
    paths = _paths(_steps(data, 4 + number_at(data, 36), count), exact_in)
    limits = 4 + number_at(data, 4 + 7 * WORD)
    if number_at(data, limits) != count:
        raise Malformed
    swaps = []
    for path in paths:
        steps = path if exact_in else path[::-1]
        first, last = steps[0].index_in, steps[-1].index_out
        keys = tuple([step.pool_id + assets[step.index_in] + assets[step.index_out] for step in steps])
        limit = 0 if exact_in else UNLIMITED
        if len(paths) == 1:
            # Positive: the most that the Vault may take; negative: the least that it must give.
            signed = number_at(data, limits + WORD * (1 + (last if exact_in else first)))
            if exact_in == bool(signed & _SIGN):
                limit = (1 << 256) - signed if exact_in else signed
        swaps.append(RoutedSwap(keys, assets[first], assets[last], exact_in, path[0].amount, limit, 0, deadline))
    return tuple(swaps)


def _steps(data: bytes, place: int, assets: int) -> list[_Step]:
    count = number_at(data, place)
    if not 1 <= count <= MAX_INNER_CALLS:
        raise Malformed
    steps = []
    for number in range(count):
        start = place + WORD + number_at(data, place + WORD * (number + 1))
        pool_id = data[start : start + WORD]
        step = _Step(pool_id, *(number_at(data, start + WORD * word) for word in (1, 2, 3)))
        if len(pool_id) != WORD or step.index_in >= assets or step.index_out >= assets:
            raise Malformed
        steps.append(step)
    return steps


def _paths(steps: list[_Step], exact_in: bool) -> list[list[_Step]]:
    paths: list[list[_Step]] = []
    for step in steps:
        if step.amount:
            paths.append([step])
            continue
        if not paths or len(paths[-1]) == MAX_HOPS:
            raise Malformed
        before = paths[-1][-1]
        if (step.index_in != before.index_out) if exact_in else (step.index_out != before.index_in):
            raise Malformed
        paths[-1].append(step)
    return paths


def _asset(data: bytes, place: int, context: Context) -> Address:
    """An asset of the Vault, where the zero address is ether."""
    asset = address_at(data, place)
    return context.wrapped_coin if asset == ZERO_ADDRESS else asset


VAULT_READERS: Final[dict[bytes, Reader]] = {
    selector(f"swap((bytes32,uint8,address,address,uint256,bytes),{_FUNDS},uint256,uint256)"): _single_swap,
    selector(
        f"batchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],{_FUNDS},int256[],uint256)"
    ): _batch_swap,
}
