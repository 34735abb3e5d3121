"""Kinds curve_meta_quotes, curve_meta_multiblock_quotes, curve_tricrypto_quotes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from node.pipeline.amm import curve_crypto, curve_meta, curve_stableswap
from node.pipeline.amm.curve_crypto import CryptoPool
from node.pipeline.amm.curve_meta import CurveMetaPool
from tests.vectors.cases import Case, Malformed, differs, must_be, number, number_up_to
from tests.vectors.curve import curve_pool
from tests.vectors.pools import answer_or_refusal, quote_name, stated_answer

_ONE: Final = 10**18
# What the first coin is worth, by the origin's number of the pool's style.
_FIRST_RATES: Final[Mapping[int, Callable[[Mapping[str, Any]], int]]] = {
    1: lambda state: 10 ** (36 - int(number_up_to(36, state["tokens"][0]["decimals"]))),
    2: lambda state: _ONE,
    3: lambda state: number(state["redemption_price"]),
}
# The first tricrypto pools count A in hundredths.
_A_MULTIPLIER: Final = 100
_CRYPTO_STYLE: Final = 4


def split_multiblock(content: bytes) -> Iterator[Case]:
    """Split quotes of one pool at several blocks: each with what never changes and the state of its block."""
    document = json.loads(content)
    constant, states = document["pool"]["immutable"], document["pool"]["states"]
    for place, quote in enumerate(must_be("quotes", list, document["quotes"])):
        name = quote_name(place, quote)
        block = str(quote.get("block"))
        if block not in states:
            raise Malformed(f"{name}: no state of block {block}")
        yield Case(f"{name} at {block}", {"pool": _joined(constant, states[block]), "quote": quote})


def _joined(constant: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """A pool as `curve_meta_quotes` has it; what a state says of the base is named base_…"""
    base = {
        "balances": state["base_balances"],
        "a_coefficient": state["base_a"],
        "lp_token_total_supply": state["base_lp_token_total_supply"],
        "virtual_price": state["base_virtual_price_own"],
    }
    base |= {
        f"{when}_a{time}": state[f"base_{when}_a{time}"] for when in ("initial", "future") for time in ("", "_time")
    }
    return {**constant, **state, "base_pool": {**constant["base_pool"], **base}}


def check_meta_quote(case: dict[str, Any]) -> Iterator[str]:
    """get_dy and get_dy_underlying of a meta pool, and the virtual price of its base."""
    state, quote = case["pool"], case["quote"]
    now = number(state["block_timestamp"])
    meta = _meta_pool(state, now)
    own = answer_or_refusal(curve_stableswap.virtual_price, meta.base, meta.base_supply)
    yield from differs("base virtual price", own, number(state["base_pool"]["virtual_price"]))
    ask, tokens = {
        "get_dy": (curve_meta.get_dy, state["tokens"]),
        "get_dy_underlying": (curve_meta.get_dy_underlying, [*state["tokens"][:-1], *state["base_pool"]["tokens"]]),
    }[quote["fn"]]
    answer = answer_or_refusal(ask, meta, *_places(quote, tokens), number(quote["amount"]), now)
    yield from differs(quote["fn"], answer, stated_answer(quote))


def _meta_pool(state: Mapping[str, Any], now: int) -> CurveMetaPool:
    pool, base = curve_pool(state, now), state["base_pool"]
    first_rate = _FIRST_RATES[number(state["strategies"]["metapool_rate_style"])](state)
    return CurveMetaPool(
        msgspec.structs.replace(pool, rates=(first_rate, *pool.rates[1:])),
        curve_pool(base, now),
        number(base["lp_token_total_supply"]),
        number(state["base_virtual_price"]),
        number(state["base_cache_updated"]),
    )


def check_crypto_quote(case: dict[str, Any]) -> Iterator[str]:
    """get_dy of a crypto pool."""
    state, quote = case["pool"], case["quote"]
    if quote["fn"] != "get_dy" or number(state["strategies"]["swap_style"]) != _CRYPTO_STYLE:
        raise Malformed(f"{quote['fn']!r} of a pool with swap style {state['strategies']['swap_style']}")
    pool = CryptoPool(
        tuple(number(balance) for balance in state["balances"]),
        tuple(10 ** (18 - number_up_to(18, token["decimals"])) for token in state["tokens"]),
        tuple(number(price) for price in state["price_scale"]),
        number(state["d"]),
        number(state["a_coefficient"]) * _A_MULTIPLIER,
        number(state["gamma"]),
        number(state["mid_fee"]),
        number(state["out_fee"]),
        number(state["fee_gamma"]),
        _A_MULTIPLIER,
    )
    answer = answer_or_refusal(curve_crypto.get_dy, pool, *_places(quote, state["tokens"]), number(quote["amount"]))
    yield from differs("get_dy", answer, stated_answer(quote))


def _places(quote: Mapping[str, Any], tokens: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """The two coins of a quote, which names them by symbol."""
    symbols = [token["symbol"] for token in tokens]
    if len(set(symbols)) != len(symbols):
        raise Malformed(f"symbols {symbols}")
    for key in ("token_in", "token_out"):
        if quote[key] not in symbols:
            raise Malformed(f"no coin {quote[key]!r} among {symbols}")
    return symbols.index(quote["token_in"]), symbols.index(quote["token_out"])
