"""The other side of `scripts/bench detect`: degenbot on the same pools and quotes, 0.3.0 or 0.5.0.

Speaks JSON lines with the benchmark. First the pools; then each line asks for one kind of work, and is answered with
what it took (nanoseconds, all of it together) and what came out. Pools are made without a chain: their constructors
read one, so that only what a calculation needs is set here.

Imports nothing of this repository: neither of its environments has any of our packages.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from threading import Lock
from typing import Any

logging.disable(logging.CRITICAL)

from degenbot.aerodrome.functions import calc_exact_in_stable  # noqa: E402 - nothing is logged to the answers' stream
from degenbot.arbitrage.uniswap_lp_cycle import UniswapLpCycle  # noqa: E402
from degenbot.exceptions import DegenbotError  # noqa: E402
from degenbot.uniswap.v2_liquidity_pool import UniswapV2Pool  # noqa: E402
from degenbot.uniswap.v3_liquidity_pool import UniswapV3Pool  # noqa: E402

try:
    from degenbot.erc20_token import Erc20Token
    from degenbot.uniswap.types import (
        UniswapV2PoolState,
        UniswapV3BitmapAtWord,
        UniswapV3LiquidityAtTick,
        UniswapV3PoolState,
    )

    NAME_OF_PLACE, PLACE = "pool", {}
except ImportError:  # 0.5.0 has them elsewhere
    from degenbot.erc20 import Erc20Token
    from degenbot.uniswap.v2_types import UniswapV2PoolState
    from degenbot.uniswap.v3_types import UniswapV3BitmapAtWord, UniswapV3LiquidityAtTick, UniswapV3PoolState

    NAME_OF_PLACE, PLACE = "address", {"block": 1}


def token(address: str) -> Any:
    """A token without its contract."""
    made = object.__new__(Erc20Token)
    made.address, made.symbol, made.name, made.decimals = address, address[:6], address, 18
    return made


def pool(told: dict[str, Any], tokens: dict[str, Any]) -> Any:
    """A pool as the benchmark tells it."""
    token0, token1 = (tokens.setdefault(name, token(name)) for name in told["tokens"])
    place = {NAME_OF_PLACE: told["address"], **PLACE}
    if "reserves" in told:
        made = object.__new__(UniswapV2Pool)
        made.fee_token0 = made.fee_token1 = Fraction(3, 1000)
        reserve0, reserve1 = map(int, told["reserves"])
        state = UniswapV2PoolState(**place, reserves_token0=reserve0, reserves_token1=reserve1)
    else:
        made = object.__new__(UniswapV3Pool)
        made.fee, made.tick_spacing, made.sparse_liquidity_map = told["fee"], told["spacing"], False
        made._swap_step_cache, made._swap_step_cache_lock = {}, Lock()  # 0.5.0 keeps the steps of earlier quotes
        bitmap = {int(word): UniswapV3BitmapAtWord(bitmap=int(bits)) for word, bits in told["bitmap"].items()}
        ticks = {
            int(tick): UniswapV3LiquidityAtTick(liquidity_net=int(net), liquidity_gross=int(gross))
            for tick, (net, gross) in told["ticks"].items()
        }
        state = UniswapV3PoolState(
            **place,
            liquidity=int(told["liquidity"]),
            sqrt_price_x96=int(told["price"]),
            tick=told["tick"],
            tick_bitmap=bitmap,
            tick_data=ticks,
        )
    made.address, made.name, made.token0, made.token1 = told["address"], told["address"], token0, token1
    made._state, made._subscribers = state, set()
    return made


def timed(work: Callable[[list[Any]], list[str]], asked: list[Any]) -> dict[str, Any]:
    """Do it once."""
    begun = time.perf_counter_ns()
    answers = work(asked)
    return {"ns": time.perf_counter_ns() - begun, "answers": answers}


class Peer:
    """The pools, and the work."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self.tokens: dict[str, Any] = {}
        self.pools = [pool(one, self.tokens) for one in told]

    def quotes(self, asked: list[list[Any]]) -> list[str]:
        """Outputs for (pool, token in, amount)."""
        made = [(self.pools[number], self.tokens[name], int(amount)) for number, name, amount in asked]
        return [str(p.calculate_tokens_out_from_tokens_in(t, amount)) for p, t, amount in made]

    def stable(self, asked: list[Any]) -> list[str]:
        """Outputs of one of Aerodrome's stable pairs."""
        reserve0, reserve1, unit0, unit1, fee, amounts = asked
        pair = (int(reserve0), int(reserve1), int(unit0), int(unit1), Fraction(*fee))
        return [str(calc_exact_in_stable(int(amount), 0, *pair)) for amount in amounts]

    def cycles(self, asked: list[list[Any]]) -> list[str]:
        """Profits of (token, pools) by its own optimiser, "" where it finds none."""
        found: list[str] = []
        for name, numbers, most in asked:
            cycle = UniswapLpCycle(self.tokens[name], [self.pools[number] for number in numbers], "", int(most))
            try:
                found.append(str(cycle.calculate().profit_amount))
            except DegenbotError:
                found.append("")
        return found


def main() -> None:
    """Answer until the stream ends."""
    peer = Peer(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        kind, asked = json.loads(line)
        answer = timed(getattr(peer, kind), asked)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
