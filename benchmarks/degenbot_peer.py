"""The other side of `scripts/bench detect`: degenbot 0.3.0 on the same pools and quotes, in its own environment.

Speaks JSON lines with the benchmark. First the pools; then each line asks for one kind of work, and is answered with
what it took (nanoseconds, all of it together) and what came out. Pools are made without a chain: their constructors
read one, so that only what a calculation needs is set here.

Imports nothing of this repository: `.venv-degenbot` has none of its packages.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

logging.disable(logging.CRITICAL)

from degenbot.aerodrome.functions import calc_exact_in_stable  # noqa: E402 - nothing is logged to the answers' stream
from degenbot.arbitrage.uniswap_lp_cycle import UniswapLpCycle  # noqa: E402
from degenbot.erc20_token import Erc20Token  # noqa: E402
from degenbot.exceptions import DegenbotError  # noqa: E402
from degenbot.uniswap.types import UniswapV3BitmapAtWord, UniswapV3LiquidityAtTick  # noqa: E402
from degenbot.uniswap.v2_liquidity_pool import UniswapV2Pool  # noqa: E402
from degenbot.uniswap.v3_liquidity_pool import UniswapV3Pool  # noqa: E402


def token(address: str) -> Any:
    """A token without its contract."""
    made = object.__new__(Erc20Token)
    made.address, made.symbol, made.name, made.decimals = address, address[:6], address, 18
    return made


def pool(told: dict[str, Any], tokens: dict[str, Any]) -> Any:
    """A pool as the benchmark tells it."""
    token0, token1 = (tokens.setdefault(name, token(name)) for name in told["tokens"])
    if "reserves" in told:
        made = object.__new__(UniswapV2Pool)
        made.fee_token0 = made.fee_token1 = Fraction(3, 1000)
        state = made.PoolState(told["address"], *map(int, told["reserves"]))
    else:
        made = object.__new__(UniswapV3Pool)
        made.fee, made.tick_spacing, made.sparse_liquidity_map = told["fee"], told["spacing"], False
        bitmap = {int(word): UniswapV3BitmapAtWord(bitmap=int(bits)) for word, bits in told["bitmap"].items()}
        ticks = {
            int(tick): UniswapV3LiquidityAtTick(liquidity_net=int(net), liquidity_gross=int(gross))
            for tick, (net, gross) in told["ticks"].items()
        }
        place = (int(told["liquidity"]), int(told["price"]), told["tick"])
        state = made.PoolState(told["address"], *place, tick_bitmap=bitmap, tick_data=ticks)
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
