"""Kind arb_path: recorded paths through pools, of which the state is the chain's and the predictions are a bot's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from node.pipeline.amm import concentrated, constant_product, uniswap_v4
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.swap_math import FEE_SCALE
from node.pipeline.amm.uniswap_v4 import DYNAMIC_FEE, V4Pool
from protocol.units import Address
from tests.vectors.cases import Case, Malformed, differs, must_be, number, unhex
from tests.vectors.pools import answer_or_code
from tests.vectors.uniswap_v4 import NO_HOOKS, hooks_of, listed_ticks, require_no_altering_hook, tick_differs

_EMPTY_HALT: Final = "EMPTY-HALT"
_K_VIOLATED: Final = "UniswapV2: K"


class _Hop(NamedTuple):
    """One pool of a path: its state, the way through it, what is known of the swap, and whether its ticks are those of
    the block, which the record does not always have.
    """

    place: int
    state: Mapping[str, Any]
    zero_for_one: bool
    amount_in: int
    solved: Mapping[str, Any]
    fresh: bool

    def known(self, family: str, what: str) -> Any:
        """What the record tells of this hop, where it is the one that it tells of."""
        told = self.solved.get(f"{family}_hop_index")
        return self.solved.get(f"{family}_{what}") if told is not None and number(told) == self.place else None


def split_path(content: bytes) -> Iterator[Case]:
    """Split a path into its hops; each is given what the record says went into it."""
    document = json.loads(content)
    pools, solved = document["pools"], must_be("recorded_solve", dict, document["recorded_solve"])
    path, outputs = must_be("path", list, document["path"]), must_be("hop_outputs", list, solved["hop_outputs"])
    if len(outputs) > len(path):
        raise Malformed(f"{len(path)} hops and {len(outputs)} outputs")
    # A solve that stopped on the way tells no more outputs: nothing went into the hops after it.
    amounts = [number(solved["optimal_input"]), *map(number, outputs), *[0] * len(path)]
    for place, step in enumerate(path):
        state = must_be("a pool", dict, pools[step["pool"]])
        zero_for_one = must_be("zero_for_one", bool, step["zero_for_one"])
        fresh = state.get("liquidity_update_block") == document.get("target_block")
        hop = _Hop(place, state, zero_for_one, amounts[place], solved, fresh)
        yield Case(f"hop {place} {state.get('family')}", hop)


def check_hop(hop: _Hop) -> Iterator[str]:
    """The pool's state agrees with itself, and the swap comes out as the chain's where that is recorded."""
    if "reserve0" in hop.state:
        yield from _constant_product_differs(hop)
    elif "pool_manager" in hop.state:
        yield from _v4_differs(hop)
    else:
        yield from _concentrated_differs(hop)


def _constant_product_differs(hop: _Hop) -> Iterator[str]:
    pool = _constant_product(hop.state)
    amount_in = number(hop.known("v2", "input") or hop.amount_in)
    yield from _answer_differs(hop, "v2", amount_in, partial(constant_product.quote_exact_in, pool))
    predicted = hop.known("v2", "predicted")
    if predicted is not None and hop.solved.get("sim_bucket") == _K_VIOLATED:
        out = number(predicted)
        amounts = (amount_in, 0, 0, out) if hop.zero_for_one else (0, amount_in, out, 0)
        yield from differs("the prediction's swap", answer_or_code(constant_product.swap, pool, *amounts), _K_VIOLATED)


def _constant_product(state: Mapping[str, Any]) -> ConstantProductPool:
    if "fee_gamma" in state:
        scale = number(state["fee_denom"])
        fee0 = fee1 = scale - number(state["fee_gamma"])
    else:
        scale = number(state["fee_denominator"])
        fee0, fee1 = (number(state[f"fee_token{place}"]) for place in (0, 1))
    if not (0 <= fee0 < scale and 0 <= fee1 < scale):
        raise Malformed(f"fees {fee0} and {fee1} of {scale}")
    return ConstantProductPool(number(state["reserve0"]), number(state["reserve1"]), fee0, fee1, scale)


def _concentrated_differs(hop: _Hop) -> Iterator[str]:
    state = hop.state
    fee = number(state["fee"] if "fee" in state else state["fee_token0" if hop.zero_for_one else "fee_token1"])
    if number(state.get("fee_denominator", FEE_SCALE)) != FEE_SCALE:
        raise Malformed(f"a fee of {state['fee_denominator']} parts")
    ticks = listed_ticks(number(state["tick_spacing"]), state["tick_data"])
    price, tick, liquidity = (number(state[key]) for key in ("sqrt_price_x96", "tick", "liquidity"))
    pool = ConcentratedPool(fee, price, tick, liquidity, ticks)
    yield from tick_differs(price, tick)
    if hop.fresh:
        yield from differs("liquidity", sum(net for place, net in ticks.net.items() if place <= tick), liquidity)
    amount_in = number(hop.known("v3", "input") or hop.amount_in)
    yield from _answer_differs(
        hop, "v3", amount_in, lambda way, amount: concentrated.quote_exact_in(pool, way, amount)[1]
    )


def _v4_differs(hop: _Hop) -> Iterator[str]:
    state = hop.state
    require_no_altering_hook(state)
    price, tick = number(state["sqrt_price_x96"]), number(state["tick"])
    pool = V4Pool(
        number(state["lp_fee"] if "lp_fee" in state else state["fee_currency0"]),
        price,
        tick,
        number(state["liquidity"]),
        listed_ticks(number(state["tick_spacing"]), state["tick_data"]),
        *uniswap_v4.protocol_fees(number(state.get("protocol_fee", 0))),
    )
    yield from tick_differs(price, tick)
    if hooks_of(state) == NO_HOOKS and pool.lp_fee != DYNAMIC_FEE:
        currency0, currency1 = (Address(unhex(state[f"currency{place}"])) for place in (0, 1))
        named = uniswap_v4.pool_id(currency0, currency1, pool.lp_fee, pool.ticks.spacing, NO_HOOKS)
        yield from differs("pool id", named, unhex(state["pool_id"]))
    amount_in = number(hop.known("v4", "input") or hop.amount_in)
    if hop.known("v4", "onchain") == _EMPTY_HALT:
        done = uniswap_v4.swap(pool, hop.zero_for_one, amount_in, exact_in=True)
        if done.amount_in == amount_in or done.after.liquidity:
            yield f"halt: {done.amount_in} of {amount_in} taken, liquidity {done.after.liquidity} left"
        return
    yield from _answer_differs(
        hop, "v4", amount_in, lambda way, amount: uniswap_v4.quote_exact_in(pool, way, amount)[1]
    )


def _answer_differs(hop: _Hop, family: str, amount_in: int, quote: Callable[[bool, int], int]) -> Iterator[str]:
    """The amount out where the chain's is recorded; otherwise the swap must at least be possible."""
    actual = hop.known(family, "actual")
    quoted = answer_or_code(quote, hop.zero_for_one, amount_in)
    if actual is not None:
        yield from differs("amount out", quoted, number(actual))
    elif not isinstance(quoted, int) and amount_in:
        yield f"the pool refuses {amount_in}: {quoted}"
