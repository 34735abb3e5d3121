"""Exact swaps through the families that `pools` does not ask first: one line a family, the same questions of each.

What a contract cannot be asked for is searched for or refused: the least input for an output, where only outputs are
quoted, by bisection over exact quotes; the state after a swap, where the contract moves prices of its own, not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from node.pipeline.amm import (
    balancer_stable,
    balancer_v3,
    camelot,
    curve_crypto,
    curve_crypto_ng,
    curve_lending,
    curve_meta,
    curve_stableswap,
    erc4626,
    solidly,
    uniswap_v4,
)
from node.pipeline.amm.balancer_stable import BalancerStablePool
from node.pipeline.amm.balancer_v3 import V3Pool
from node.pipeline.amm.camelot import CamelotStablePool
from node.pipeline.amm.curve_crypto import CryptoPool
from node.pipeline.amm.curve_lending import CurveLendingPool
from node.pipeline.amm.curve_meta import CurveMetaPool
from node.pipeline.amm.curve_stableswap import CurvePool
from node.pipeline.amm.erc4626 import ShareVault
from node.pipeline.amm.errors import (
    AmmError,
    InsufficientInput,
    InsufficientLiquidity,
    InsufficientOutput,
    StateUnpredictable,
    TokenInvalid,
)
from node.pipeline.amm.solidly import SolidlyPool
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.units import UINT256_MAX, TokenAmount

OtherState: TypeAlias = (
    V4Pool
    | SolidlyPool
    | CamelotStablePool
    | CurvePool
    | CurveLendingPool
    | CurveMetaPool
    | CryptoPool
    | BalancerStablePool
    | V3Pool
    | ShareVault
)
_Maths = TypeVar("_Maths")
_Quote: TypeAlias = Callable[[Any, int, int, TokenAmount], TokenAmount]
_Swap: TypeAlias = Callable[[Any, int, int, TokenAmount], tuple[Any, TokenAmount]]


def quote_exact_in(state: OtherState, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """What comes out for an input that is taken whole. Raises PoolRevert."""
    if amount_in <= 0:
        raise InsufficientInput("", "nothing is put in")
    return _known(_QUOTES, state)(state, *_pair(state, index_in, index_out), amount_in)


def quote_exact_out(state: OtherState, index_in: int, index_out: int, amount_out: TokenAmount) -> TokenAmount:
    """The least input that buys `amount_out`. Raises PoolRevert."""
    _pair(state, index_in, index_out)
    if amount_out <= 0:
        raise InsufficientOutput("", "nothing is asked for")
    if isinstance(state, V4Pool):
        return uniswap_v4.quote_exact_out(state, index_in == 0, amount_out)
    if isinstance(state, BalancerStablePool):
        return balancer_stable.quote_exact_out(state, index_in, index_out, amount_out)
    if isinstance(state, V3Pool):
        return balancer_v3.quote_exact_out(state, index_in, index_out, amount_out)
    if isinstance(state, ShareVault):
        exact = erc4626.preview_mint if index_in == 0 else erc4626.preview_withdraw
        return exact(state, amount_out)
    return _least_input(state, index_in, index_out, amount_out)


def swap_exact_in(
    state: OtherState, index_in: int, index_out: int, amount_in: TokenAmount
) -> tuple[OtherState, TokenAmount]:
    """(pool afterwards, amount out). Raises PoolRevert, StateUnpredictable."""
    if amount_in <= 0:
        raise InsufficientInput("", "nothing is put in")
    after: OtherState
    after, amount_out = _known(_SWAPS, state)(state, *_pair(state, index_in, index_out), amount_in)
    return after, amount_out


def swap_exact_out(
    state: OtherState, index_in: int, index_out: int, amount_out: TokenAmount
) -> tuple[OtherState, TokenAmount]:
    """(pool afterwards, amount in). Raises PoolRevert, StateUnpredictable."""
    if isinstance(state, V4Pool):
        done = uniswap_v4.swap(state, index_in == 0, amount_out, exact_in=False)
        if done.amount_out != amount_out:
            raise InsufficientLiquidity("", f"the pool gives {done.amount_out} of {amount_out}")
        return done.after, done.amount_in
    amount_in = quote_exact_out(state, index_in, index_out, amount_out)
    if isinstance(state, BalancerStablePool):
        return _balances_moved(state, index_in, index_out, amount_in, amount_out), amount_in
    after, given = swap_exact_in(state, index_in, index_out, amount_in)
    if given != amount_out:
        raise StateUnpredictable(f"an input of {amount_in} gives {given}, not {amount_out}")
    return after, amount_in


def _least_input(state: OtherState, index_in: int, index_out: int, amount_out: TokenAmount) -> TokenAmount:
    """By doubling and bisection: outputs never fall while inputs rise. Raises InsufficientLiquidity."""

    def is_enough(amount_in: TokenAmount) -> bool:
        try:
            return quote_exact_in(state, index_in, index_out, amount_in) >= amount_out
        except StateUnpredictable:
            raise
        except AmmError:
            return False

    high = 1
    while not is_enough(high):
        if high > UINT256_MAX:
            raise InsufficientLiquidity("", f"no input buys {amount_out}")
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return high


def token_count(state: OtherState) -> int:
    """How many tokens the pool trades, its own among them where it is registered."""
    if isinstance(state, CurveLendingPool | CurveMetaPool):
        return len(state.pool.balances)
    if isinstance(state, CurvePool | CryptoPool | BalancerStablePool):
        return len(state.balances)
    return len(state.raw) if isinstance(state, V3Pool) else 2


def _known(table: dict[type, _Maths], state: OtherState) -> _Maths:
    maths = table.get(type(state))
    if maths is None:
        raise TypeError(f"no maths for {type(state).__name__}")
    return maths


def _pair(state: OtherState, index_in: int, index_out: int) -> tuple[int, int]:
    count = token_count(state)
    if not (0 <= index_in < count and 0 <= index_out < count) or index_in == index_out:
        raise TokenInvalid("", f"token {index_in} for {index_out} of {count}")
    return index_in, index_out


def _v4_quote(state: V4Pool, index_in: int, _index_out: int, amount_in: TokenAmount) -> TokenAmount:
    taken, amount_out = uniswap_v4.quote_exact_in(state, index_in == 0, amount_in)
    if taken != amount_in:
        raise InsufficientLiquidity("", f"the pool takes {taken} of {amount_in}")
    return amount_out


def _v4_swap(state: V4Pool, index_in: int, _index_out: int, amount_in: TokenAmount) -> tuple[V4Pool, TokenAmount]:
    done = uniswap_v4.swap(state, index_in == 0, amount_in, exact_in=True)
    if done.amount_in != amount_in:
        raise InsufficientLiquidity("", f"the pool takes {done.amount_in} of {amount_in}")
    return done.after, done.amount_out


def _crypto_quote(state: CryptoPool, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    get_dy = curve_crypto_ng.get_dy if state.closed_form else curve_crypto.get_dy
    return get_dy(state, index_in, index_out, amount_in)


def _curve_quote(state: CurvePool, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """What an exchange pays, from which get_dy of the first pools is up to a unit away."""
    if state.fee_after_rate:
        return curve_stableswap.exchange(state, index_in, index_out, amount_in)[1]
    return curve_stableswap.get_dy(state, index_in, index_out, amount_in)


def _stable_swap(
    state: BalancerStablePool, index_in: int, index_out: int, amount_in: TokenAmount
) -> tuple[BalancerStablePool, TokenAmount]:
    amount_out = balancer_stable.quote_exact_in(state, index_in, index_out, amount_in)
    return _balances_moved(state, index_in, index_out, amount_in, amount_out), amount_out


def _balances_moved(
    state: BalancerStablePool, index_in: int, index_out: int, amount_in: TokenAmount, amount_out: TokenAmount
) -> BalancerStablePool:
    balances = list(state.balances)
    balances[index_in] += amount_in
    balances[index_out] -= amount_out
    if balances[index_out] < 0:
        raise InsufficientLiquidity("", f"{amount_out} of {state.balances[index_out]}")
    return msgspec.structs.replace(state, balances=tuple(balances))


def _unpredictable(state: OtherState, *_: int) -> tuple[OtherState, TokenAmount]:
    raise StateUnpredictable(f"what a swap makes of a {type(state).__name__} is read from the chain")


def _vault_quote(state: ShareVault, index_in: int, _index_out: int, amount_in: TokenAmount) -> TokenAmount:
    return erc4626.preview_deposit(state, amount_in) if index_in == 0 else erc4626.preview_redeem(state, amount_in)


def _vault_swap(
    state: ShareVault, index_in: int, _index_out: int, amount_in: TokenAmount
) -> tuple[ShareVault, TokenAmount]:
    if not state.grows:  # a wrapper's rate does not move with what goes through it
        return state, _vault_quote(state, index_in, 1 - index_in, amount_in)
    return erc4626.deposit(state, amount_in) if index_in == 0 else erc4626.redeem(state, amount_in)


_QUOTES: Final[dict[type, _Quote]] = {
    V4Pool: _v4_quote,
    SolidlyPool: lambda pool, index_in, _, amount: solidly.quote_exact_in(pool, index_in == 0, amount),
    CamelotStablePool: lambda pool, index_in, _, amount: camelot.quote_exact_in(pool, index_in == 0, amount),
    CurvePool: _curve_quote,
    CurveLendingPool: lambda pool, i, j, amount: curve_lending.exchange(pool, i, j, amount)[1],
    CurveMetaPool: lambda pool, i, j, amount: curve_meta.get_dy(pool, i, j, amount, pool.asked_at),
    CryptoPool: _crypto_quote,
    BalancerStablePool: balancer_stable.quote_exact_in,
    V3Pool: balancer_v3.quote_exact_in,
    ShareVault: _vault_quote,
}
_SWAPS: Final[dict[type, _Swap]] = {
    V4Pool: _v4_swap,
    SolidlyPool: lambda pool, index_in, _, amount: solidly.swap_exact_in(pool, index_in == 0, amount),
    CamelotStablePool: _unpredictable,
    CurvePool: curve_stableswap.exchange,
    CurveLendingPool: curve_lending.exchange,
    CurveMetaPool: lambda pool, i, j, amount: curve_meta.exchange(pool, i, j, amount, pool.asked_at),
    CryptoPool: _unpredictable,
    BalancerStablePool: _stable_swap,
    V3Pool: balancer_v3.swap_exact_in,
    ShareVault: _vault_swap,
}
