"""What a pool may refuse, and what cannot be true of one.

AmmError
├── PoolRevert                  the contract would revert; `code` is its own revert string ("" where it has none)
│   ├── ArithmeticRevert        a word overflowed or underflowed, or something was divided by zero
│   ├── InsufficientInput       nothing was paid in
│   ├── InsufficientOutput      nothing was asked for
│   ├── InsufficientLiquidity   more was asked for than the pool can give
│   ├── InvariantViolated       the pool would be poorer after the swap than before
│   ├── PriceLimitInvalid       the price limit lies on the wrong side of the price, or outside the possible prices
│   ├── TickInvalid             a tick outside the range, off the spacing, or a pair of ticks in the wrong order
│   ├── SqrtPriceInvalid        a square-root price outside the range that has a tick
│   ├── LiquidityInvalid        liquidity would become negative or exceed what a tick may carry
│   ├── TradeTooLarge           the amount is beyond the share of a balance that the pool lets one swap move
│   ├── OutsideDomain           an argument outside the domain of the logarithm or the exponential
│   ├── TokenInvalid            the pool does not trade this token, or not against itself
│   └── NotConverged            an iteration of the contract ran out of rounds
├── StateUnpredictable          the pool's state after a swap is read from the chain, not computed
└── PoolStateInvalid            our picture of a pool contradicts itself: our fault or a lying source, never the pool's
"""

from __future__ import annotations


class AmmError(Exception):
    """Base of everything this package raises."""


class PoolRevert(AmmError):
    """The contract would revert on these inputs."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if code and detail else code or detail)
        self.code = code


class ArithmeticRevert(PoolRevert):
    """A word overflowed or underflowed, or something was divided by zero."""


class InsufficientInput(PoolRevert):
    """Nothing was paid in."""


class InsufficientOutput(PoolRevert):
    """Nothing was asked for."""


class InsufficientLiquidity(PoolRevert):
    """More was asked for than the pool can give."""


class InvariantViolated(PoolRevert):
    """The pool would be poorer after the swap than before."""


class PriceLimitInvalid(PoolRevert):
    """The price limit lies on the wrong side of the price, or outside the possible prices."""


class TickInvalid(PoolRevert):
    """A tick outside the range, off the spacing, or a pair of ticks in the wrong order."""


class SqrtPriceInvalid(PoolRevert):
    """A square-root price outside the range that has a tick."""


class LiquidityInvalid(PoolRevert):
    """Liquidity would become negative, or exceed what a tick may carry."""


class TradeTooLarge(PoolRevert):
    """The amount is beyond the share of a balance that the pool lets one swap move."""


class OutsideDomain(PoolRevert):
    """An argument outside the domain of the logarithm or the exponential."""


class TokenInvalid(PoolRevert):
    """The pool does not trade this token, or not against itself."""


class NotConverged(PoolRevert):
    """An iteration of the contract ran out of rounds."""


class StateUnpredictable(AmmError):
    """The pool's state after a swap is read from the chain, not computed."""


class PoolStateInvalid(AmmError):
    """Our picture of a pool contradicts itself: our fault or a lying source, never the pool's."""
