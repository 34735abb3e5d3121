"""Kind router_calldata: what the routers' call data says, and the swaps that we read out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from node.pipeline.decoders import RoutedSwap, decode_swaps
from node.pipeline.router_functions import Described, RouterCall, describe_call
from node.pipeline.settings import RouterKind
from protocol.units import Address, address_to_hex
from tests.vectors.cases import Malformed, differs, number, unhex

_KINDS: Final = {
    "uniswap v2": RouterKind.UNISWAP_V2,
    "sushiswap": RouterKind.SUSHI_V2,
    "uniswap v3": RouterKind.UNISWAP_V3,
}
_KINDS_OF_ABI: Final = {"SwapRouter02": RouterKind.SWAP_ROUTER_02}
_WRAPPED_ETHER: Final = Address(bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"))


def check_router_call(case: Mapping[str, Any]) -> Iterator[str]:
    """The function, its arguments by name, the calls inside, and the swaps against what the chain executed."""
    kind = _KINDS_OF_ABI.get(case["abi"]) or _KINDS[case["router"]]
    data, value, expected = unhex(case["input"]), number(case["value_wei"]), case["expected"]
    call = describe_call(kind, data)
    if call is None:
        yield f"no function known for 0x{data[:4].hex()}"
        return
    yield from _call_differs(call, expected)
    yield from differs("inner calls", len(call.inner), len(expected.get("inner_calls", [])))
    for inner, stated in zip(call.inner, expected.get("inner_calls", []), strict=False):
        yield from _call_differs(inner, stated)
    swaps = decode_swaps(kind, data, value, _WRAPPED_ETHER)
    swapping = [one for one in (call, *call.inner) if one.function.startswith(("swap", "exact"))]
    yield from differs("number of swaps", len(swaps), len(swapping))
    if not expected["transaction_failed"]:
        takes_fee = "SupportingFeeOnTransferTokens" in call.function  # then less than the amount may move
        yield from _swaps_differ(swaps, expected["executed_swaps"], exact=not takes_fee)


def _call_differs(call: RouterCall, expected: Mapping[str, Any]) -> Iterator[str]:
    yield from differs("function", call.function, expected["function"])
    yield from differs("arguments", {name: _written(value) for name, value in call.arguments.items()}, expected["args"])


def _written(value: Described) -> Any:
    """As the vectors write values: integers in decimal text, bytes in hex."""
    if isinstance(value, Mapping):
        return {name: _written(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_written(each) for each in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _swaps_differ(swaps: tuple[RoutedSwap, ...], executed: list[Mapping[str, Any]], *, exact: bool) -> Iterator[str]:
    """Each leg that we read is among the executed swaps, in order; an exact amount is the one that moved."""
    remaining = iter(executed)
    for swap in swaps:
        legs: list[Mapping[str, Any]] = []
        for token_in, token_out in map(_tokens_of, swap.keys):
            pair = (address_to_hex(token_in), address_to_hex(token_out))
            leg = next((one for one in remaining if (one["token_in"], one["token_out"]) == pair), None)
            if leg is None:
                yield f"the chain executed no swap {pair} in this place"
                return
            legs.append(leg)
        yield from differs("token in", address_to_hex(swap.token_in), legs[0]["token_in"])
        yield from differs("token out", address_to_hex(swap.token_out), legs[-1]["token_out"])
        moved = number(legs[0]["amount_in"] if swap.exact_in else legs[-1]["amount_out"])
        if exact:
            yield from differs("exact amount", swap.amount, moved)


def _tokens_of(key: bytes) -> tuple[Address, Address]:
    if len(key) not in (42, 45):
        raise Malformed(f"a leg named by {len(key)} bytes")
    return Address(key[2:22]), Address(key[-20:])
