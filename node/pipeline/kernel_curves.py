"""The roots of the curves of `kernels`, and how every kernel is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile on the first call, keep the machine code in a cache on disk, hold no interpreter lock meanwhile."""
    return cast(_Function, numba.njit(cache=True, nogil=True, fastmath=False)(function))


@compiled
def stable_balance(x: float, b: float, c: float) -> float:
    """The root y of y² + (x + b) y = c / x, without the difference of two large numbers."""
    half, term = 0.5 * (x + b), c / x
    root = np.sqrt(half * half + term)
    return float(term / (half + root) if half > 0.0 else root - half)


@compiled
def solidly_balance(x: float, k: float) -> float:
    """The root y of x³ y + y³ x = k."""
    half = 0.5 * k / x
    u = np.cbrt(half + np.sqrt(half * half + x**6 / 27.0))
    return float(u - x * x / (3.0 * u))
