"""Kinds v4_quotes, and V4's pools as the data writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from node.pipeline.amm import uniswap_v4
from node.pipeline.amm.tick_math import MAX_TICK, MIN_TICK, sqrt_ratio_at_tick, tick_at_sqrt_ratio
from node.pipeline.amm.ticks import TickTable, tick_table
from node.pipeline.amm.uniswap_v4 import V4Pool
from protocol.units import Address
from tests.vectors.cases import Malformed, Unsupported, differs, must_be, number, unhex
from tests.vectors.pools import answer_or_refusal, stated_answer

NO_HOOKS: Final = Address(bytes(20))


def check_v4_quote(case: dict[str, Any]) -> Iterator[str]:
    """The answer of the V4 quoter, which fills an exact input partly and refuses an output that it cannot fill."""
    scalars, quote = must_be("scalars", dict, case["pool"]["scalars"]), case["quote"]
    fees = [number(scalars.get(f"protocol_fee_{way}", 0)) for way in ("zero_for_one", "one_for_zero")]
    require_no_altering_hook(case["pool"])
    pool = V4Pool(
        number(scalars["lp_fee"] if "lp_fee" in scalars else scalars["fee"]),
        number(scalars["sqrt_price_x96"]),
        number(scalars["tick"]),
        number(scalars["liquidity"]),
        listed_ticks(number(scalars["tick_spacing"]), case["pool"]["tick_data"]),
        *fees,
    )
    ask = {"quoteExactInputSingle": _quoted_out, "quoteExactOutputSingle": uniswap_v4.quote_exact_out}[quote["fn"]]
    zero_for_one = must_be("zero_for_one", bool, quote["zero_for_one"])
    answer = answer_or_refusal(ask, pool, zero_for_one, number(quote["amount"]))
    yield from differs(quote["fn"], answer, stated_answer(quote))


def _quoted_out(pool: V4Pool, zero_for_one: bool, amount_in: int) -> int:
    return uniswap_v4.quote_exact_in(pool, zero_for_one, amount_in)[1]


def require_no_altering_hook(state: Mapping[str, Any]) -> None:
    """Raise Unsupported for a pool whose hook may change amounts."""
    hooks = hooks_of(state)
    if uniswap_v4.alters_amounts(hooks):
        raise Unsupported(f"Uniswap V4 hook 0x{hooks.hex()}")


def hooks_of(state: Mapping[str, Any]) -> Address:
    """Return the address of a pool's hook; no hook where none is told."""
    stated = state.get("hooks") or state.get("hook_address")
    hooks = NO_HOOKS if stated is None else Address(unhex(stated))
    if len(hooks) != len(NO_HOOKS):
        raise Malformed(f"a hook's address of {len(hooks)} bytes")
    return hooks


def tick_differs(price: int, tick: int) -> Iterator[str]:
    """Yield a line if a tick is not that of a price: the one at or below it, or the one below a tick just reached."""
    if not MIN_TICK <= tick <= MAX_TICK or price != sqrt_ratio_at_tick(min(tick + 1, MAX_TICK)):
        yield from differs("tick of the price", tick_at_sqrt_ratio(price), tick)


def listed_ticks(spacing: int, ticks: Mapping[str, Any]) -> TickTable:
    """Return a tick table of tick -> [gross, net, …] or tick -> {liquidity_gross, liquidity_net}."""
    liquidity: dict[int, tuple[int, int]] = {}
    for tick, entry in must_be("ticks", dict, ticks).items():
        gross, net = (
            (entry["liquidity_gross"], entry["liquidity_net"]) if isinstance(entry, Mapping) else (entry[0], entry[1])
        )
        liquidity[number(tick)] = number(gross), number(net)
    return tick_table(spacing, liquidity)
