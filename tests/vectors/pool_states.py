"""Kind pool_state: the state of a pool at a block, without any quotes; it must agree with itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from node.pipeline.amm import concentrated, constant_product
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.units import UINT112_MAX
from protocol.ethereum.abi import encode
from protocol.ethereum.create2 import create2_address
from protocol.ethereum.keccak import keccak256
from tests.vectors.cases import Case, Malformed, differs, must_be, number, unhex
from tests.vectors.uniswap_v4 import listed_ticks, tick_differs

# Uniswap's V3 factory and the hash of the code that it deploys (v3-periphery, PoolAddress.sol).
_V3_FACTORY: Final = "0x1f98431c8ad98523631ae4a59f267346ea31f984"
_V3_CODE_HASH: Final = "0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54"


def split_state(content: bytes) -> Iterator[Case]:
    """A file is one case."""
    state = must_be("a pool", dict, json.loads(content))
    yield Case(str(state.get("address")), state)


def check_state(state: Mapping[str, Any]) -> Iterator[str]:
    """The address is the factory's; reserves, price, tick and bitmap agree with each other; the pool can be swapped."""
    family, tokens = must_be("family", str, state["family"]), [token["address"] for token in state["tokens"]]
    if len(tokens) != 2 or unhex(tokens[0]) >= unhex(tokens[1]):
        raise Malformed(f"tokens {tokens}")
    if family == "v2":
        yield from _pair_differs(state, tokens)
    elif family == "v3":
        yield from _concentrated_differs(state, tokens)
    else:
        raise Malformed(f"unknown family {family!r}")


def _pair_differs(state: Mapping[str, Any], tokens: list[str]) -> Iterator[str]:
    salt = keccak256(unhex(tokens[0]) + unhex(tokens[1]))
    yield from _address_differs(state, salt, state["init_hash"])
    fees = [Fraction(must_be("a fee", str, state[f"fee_token{place}"])) for place in (0, 1)]
    scale = max(fee.denominator for fee in fees)
    parts = [fee * scale for fee in fees]
    if any(part.denominator != 1 or not 0 <= part < scale for part in parts):
        raise Malformed(f"fees {fees}")
    reserves = [number(state[f"reserves_token{place}"]) for place in (0, 1)]
    if not all(0 < reserve <= UINT112_MAX for reserve in reserves):
        yield f"reserves {reserves} of a pair are not between 1 and 2**112 - 1"
        return
    pool = ConstantProductPool(reserves[0], reserves[1], parts[0].numerator, parts[1].numerator, scale)
    for zero_for_one in (True, False):
        amount_in = reserves[0 if zero_for_one else 1] // 1000 + 1000
        after, amount_out = constant_product.swap_exact_in(pool, zero_for_one, amount_in)
        if constant_product.quote_exact_in(after, not zero_for_one, max(amount_out, 1)) > amount_in:
            yield f"a trade there and back of {amount_in} profits"


def _concentrated_differs(state: Mapping[str, Any], tokens: list[str]) -> Iterator[str]:
    fee, spacing = number(state["fee"]), number(state["tick_spacing"])
    code_hash = state.get("init_hash") or (
        _V3_CODE_HASH if must_be("factory", str, state["factory"]).lower() == _V3_FACTORY else None
    )
    if code_hash is not None:
        salt = keccak256(
            encode(
                ("address", "address", "uint24"), (*(must_be("a token", str, token).lower() for token in tokens), fee)
            )
        )
        yield from _address_differs(state, salt, code_hash)
    price, tick = number(state["sqrt_price_x96"]), number(state["tick"])
    yield from tick_differs(price, tick)
    ticks = listed_ticks(spacing, state["tick_data"])
    bitmap = must_be("a bitmap", dict, state["tick_bitmap"])
    words = {int(number(word)): number(entry["bitmap"]) for word, entry in bitmap.items()}
    known = {word: bits for word, bits in ticks.bitmap.items() if word in words}
    yield from differs("words", known, {word: bits for word, bits in words.items() if bits})
    pool = ConcentratedPool(fee, price, tick, number(state["liquidity"]), ticks)
    for zero_for_one in (True, False):
        if tick // spacing >> 8 in words and not sum(concentrated.quote_exact_in(pool, zero_for_one, 10**6)):
            yield "nothing can be swapped"


def _address_differs(state: Mapping[str, Any], salt: bytes, code_hash: object) -> Iterator[str]:
    address = create2_address(must_be("factory", str, state["factory"]).lower(), salt, unhex(code_hash))
    yield from differs("address", address, must_be("address", str, state["address"]).lower())
