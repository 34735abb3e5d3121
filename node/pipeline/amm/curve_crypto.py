"""Crypto pools, whose coins do not have one price: Curve, curvefi/curve-crypto-contract,
contracts/tricrypto/CurveCryptoMath3.vy and CurveCryptoViews3.vy (newton_y, reduction_coefficient, get_dy) for three
coins, contracts/two/CurveCryptoSwap2.vy (newton_y, _fee, get_dy) for two.

An exchange pays what get_dy answers and then moves the pool's own prices, which is read from the chain, not computed.
Pools that solve for the balance in closed form (tricrypto-ng) are `curve_crypto_ng`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.pipeline.amm.curve_stableswap import FEE_SCALE, MAX_ROUNDS, PRECISION, checked_difference, divisor, word
from node.pipeline.amm.errors import InsufficientInput, NotConverged, OutsideDomain, PoolStateInvalid, TokenInvalid
from node.pipeline.amm.units import TokenAmount

MIN_GAMMA, MAX_GAMMA = 10**10, 2 * 10**16
MIN_D, MAX_D = 10**17, 10**33
MIN_SHARE, MAX_SHARE = 10**16, 10**20


class CryptoPool(msgspec.Struct, frozen=True, gc=False):
    """Balances (smallest units), what lifts each coin to 18 decimals, and the pool's prices (times 10**18) of all coins
    but the first, in the first; the invariant D, and the parameters.

    `amplification` is A * n**n times `a_multiplier`, which is 100 in the first pools and 10,000 since; fees of 10**10.
    `closed_form`: the pool's own code is that of `curve_crypto_ng`.
    """

    balances: tuple[TokenAmount, ...]
    precisions: tuple[int, ...]
    price_scale: tuple[int, ...]
    d: int
    amplification: int
    gamma: int
    mid_fee: int
    out_fee: int
    fee_gamma: int
    a_multiplier: int = 10_000
    closed_form: bool = False


def get_dy(pool: CryptoPool, index_in: int, index_out: int, amount_in: TokenAmount) -> TokenAmount:
    """What get_dy answers, fee included. Raises TokenInvalid, InsufficientInput, OutsideDomain, NotConverged,
    ArithmeticRevert.
    """
    xp = lifted_after_input(pool, index_in, index_out, amount_in)
    balance = newton_y(pool.amplification, pool.gamma, xp, pool.d, index_out, pool.a_multiplier)
    received = checked_difference(xp[index_out], balance + 1)
    xp[index_out] = balance
    amount_out = lowered(pool, index_out, received)
    return amount_out - swap_fee(pool, xp) * amount_out // FEE_SCALE


def lifted_after_input(pool: CryptoPool, index_in: int, index_out: int, amount_in: TokenAmount) -> list[int]:
    """All balances in 18 decimals of the first coin, with the input among them. Raises TokenInvalid, InsufficientInput,
    PoolStateInvalid.
    """
    count = len(pool.balances)
    if not 2 <= count == len(pool.precisions) == len(pool.price_scale) + 1 <= 3:
        raise PoolStateInvalid(f"{count} balances, {len(pool.precisions)} precisions, {len(pool.price_scale)} prices")
    if not (0 <= index_in < count and 0 <= index_out < count) or index_in == index_out:
        raise TokenInvalid("coin index out of range", f"{index_in} for {index_out} of {count}")
    if amount_in <= 0:
        raise InsufficientInput("do not exchange 0 coins")
    balances = list(pool.balances)
    balances[index_in] += amount_in
    prices = (PRECISION, *pool.price_scale)
    return [
        word(balance * price * precision) // PRECISION
        for balance, price, precision in zip(balances, prices, pool.precisions, strict=True)
    ]


def swap_fee(pool: CryptoPool, xp: Sequence[int]) -> int:
    """The fee (of 10**10) for a pool of these balances in 18 decimals: between `mid_fee` and `out_fee` (_fee)."""
    if len(xp) == 2:
        total = divisor(sum(xp))
        product = 4 * PRECISION * xp[0] // total * xp[1] // total
        reduction = pool.fee_gamma * PRECISION // divisor(pool.fee_gamma + PRECISION - product)
    else:
        reduction = reduction_coefficient(xp, pool.fee_gamma)
    return (pool.mid_fee * reduction + pool.out_fee * (PRECISION - reduction)) // PRECISION


def reduction_coefficient(xp: Sequence[int], fee_gamma: int) -> int:
    """How near to balance these amounts are, 10**18 in balance; without a `fee_gamma` the product over its greatest
    (reduction_coefficient of three coins).
    """
    total, product = divisor(sum(xp)), PRECISION
    for balance in xp:
        product = word(product * len(xp) * balance) // total
    if not fee_gamma:
        return product
    return fee_gamma * PRECISION // divisor(fee_gamma + PRECISION - product)


def newton_y(
    amplification: int,
    gamma: int,
    xp: Sequence[int],
    d: int,
    index: int,
    a_multiplier: int,
    max_gamma: int = MAX_GAMMA,
) -> int:
    """The balance of one coin at which the others hold D, by Newton's method (newton_y).

    Raises OutsideDomain where the contract calls a value unsafe, NotConverged, ArithmeticRevert.
    """
    count = len(xp)
    bound = count**count * a_multiplier
    if not bound // 100 <= amplification <= 10_000 * bound or not MIN_GAMMA <= gamma <= max_gamma:
        raise OutsideDomain("", f"unsafe A {amplification} or gamma {gamma}")
    if not MIN_D <= d <= MAX_D:
        raise OutsideDomain("", f"unsafe D {d}")
    others = sorted((balance for place, balance in enumerate(xp) if place != index), reverse=True)
    for balance in others:
        require_share(balance * PRECISION // d)
    limit = max(others[0] // 10**14, d // 10**14, 100)
    if count == 2:
        y, k0_others = d * d // (others[0] * 4), 2 * PRECISION * others[0] // d
    else:
        y, k0_others = d // count, PRECISION
        for balance in reversed(others):
            y = y * d // (balance * count)
        for balance in others:
            k0_others = k0_others * balance * count // d
    for _ in range(MAX_ROUNDS):
        before = y
        y, halved = _newton_step((amplification, gamma, d, a_multiplier), count, k0_others, sum(others) + y, y)
        if not halved and abs(y - before) < max(limit, y // 10**14):
            require_share(y * PRECISION // d)
            return y
    raise NotConverged("Did not converge", "the balance")


def _newton_step(
    parameters: tuple[int, int, int, int], count: int, k0_others: int, total: int, y: int
) -> tuple[int, bool]:
    """(the next guess, whether it was only halved because the slope was negative there)."""
    amplification, gamma, d, a_multiplier = parameters
    k0 = k0_others * y * count // d
    distance = abs(gamma + PRECISION - k0) + 1
    curvature = word(word(PRECISION * d // gamma * distance) // gamma * distance * a_multiplier)
    mul1 = curvature // amplification
    # The contract for two coins divides the whole sum; it was deployed like that.
    mul2 = (PRECISION + 2 * PRECISION * k0) // distance if count == 2 else PRECISION + 2 * PRECISION * k0 // distance
    slope = word(PRECISION * y + total * mul2 + mul1)
    negative = word(d * mul2)
    if slope < negative:
        return y // 2, True
    slope -= negative
    derivative = divisor(slope // divisor(y))
    minus = mul1 // derivative
    plus = (slope + PRECISION * d) // derivative + minus * PRECISION // divisor(k0)
    minus += PRECISION * total // derivative
    return (y // 2 if plus < minus else plus - minus), False


def lowered(pool: CryptoPool, index: int, amount: int) -> TokenAmount:
    """An amount in 18 decimals of the first coin, in smallest units of a coin, as its contract divides."""
    if index == 0:
        return amount // pool.precisions[0]
    price = pool.price_scale[index - 1]
    if len(pool.balances) == 2:
        return amount * PRECISION // divisor(price * pool.precisions[1])
    return amount * PRECISION // divisor(price) // pool.precisions[index]


def require_share(share: int) -> None:
    """Raises OutsideDomain for a balance whose share of D, times 10**18, the contract calls unsafe."""
    if not MIN_SHARE <= share <= MAX_SHARE:
        raise OutsideDomain("", f"a balance of {share} of 10**18 of D is unsafe")
