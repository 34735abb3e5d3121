"""Call data of SwapRouter02 -> swaps, and the payments between them: Uniswap/swap-router-contracts,
contracts/V2SwapRouter.sol, V3SwapRouter.sol and base/PeripheryPaymentsExtended.sol.

An input of 0 is all that the router holds, and is paid by it. Ether sent along pays for the wrapped coin where the
sender would, which changes no pool. Calls that move nothing (permits, refunds) are passed over;
what changes positions leaves all unread.
"""

from __future__ import annotations

from typing import Final

from node.pipeline.decoders_core import (
    ROUTER,
    ROUTERS_ALL,
    SENDER,
    WORD,
    Context,
    Malformed,
    Payment,
    PlannedSwap,
    PlanReader,
    Step,
    Venue,
    address_at,
    addresses_at,
    bytes_at,
    number_at,
    packed_path,
    pair_keys,
)
from node.pipeline.pools import V3_KEY, PoolFamily
from protocol.ethereum.abi import selector
from protocol.units import ZERO_ADDRESS, Address


def _planned(
    keys: tuple[bytes, ...],
    ends: tuple[Address, Address],
    exact_in: bool,
    amounts: tuple[int, int, int],
    venue: Venue,
    recipient: Address,
) -> PlannedSwap:
    """The swap, paid for by the sender, or where it is of all that the router holds by that."""
    amount, limit, price_limit = amounts
    of_all = exact_in and amount == 0
    return PlannedSwap(
        *(keys, *ends, exact_in, ROUTERS_ALL if of_all else amount, limit, price_limit),
        venue=venue,
        payer=ROUTER if of_all else SENDER,
        recipient=recipient,
    )


def _single(exact_in: bool) -> PlanReader:
    """((tokenIn, tokenOut, fee, recipient, amount, limit, sqrtPriceLimitX96))."""

    def read(data: bytes, _value: int, context: Context) -> tuple[Step, ...]:
        ends, fee = (address_at(data, 4), address_at(data, 36)), number_at(data, 68)
        if fee >> 24:
            raise Malformed
        amounts = number_at(data, 132), number_at(data, 164), number_at(data, 196)
        key = V3_KEY + ends[0] + fee.to_bytes(3, "big") + ends[1]
        return (_planned((key,), ends, exact_in, amounts, Venue.V3, context.owner_at(data, 100)),)

    return read


def _path(exact_in: bool) -> PlanReader:
    """((bytes path, recipient, amount, limit))."""

    def read(data: bytes, _value: int, context: Context) -> tuple[Step, ...]:
        start = 4 + number_at(data, 4)
        keys, ends = packed_path(bytes_at(data, start + number_at(data, start)), exact_in)
        amounts = number_at(data, start + 2 * WORD), number_at(data, start + 3 * WORD), 0
        return (_planned(keys, ends, exact_in, amounts, Venue.V3, context.owner_at(data, start + WORD)),)

    return read


def _pairs(exact_in: bool) -> PlanReader:
    """(amount, limit, address[] path, to)."""

    def read(data: bytes, _value: int, context: Context) -> tuple[Step, ...]:
        path = addresses_at(data, 4 + number_at(data, 68))
        keys = pair_keys(path, PoolFamily.UNISWAP_V2)
        amounts, ends = (number_at(data, 4), number_at(data, 36), 0), (path[0], path[-1])
        return (_planned(keys, ends, exact_in, amounts, Venue.V2, context.owner_at(data, 100)),)

    return read


def _taken(token_word: int | None, least_word: int, recipient_word: int | None, becomes: Address | None) -> PlanReader:
    """All that the router holds of a token (the wrapped coin where no word names it), a least amount at that."""

    def read(data: bytes, _value: int, context: Context) -> tuple[Step, ...]:
        token = context.wrapped_coin if token_word is None else address_at(data, 4 + WORD * token_word)
        least = number_at(data, 4 + WORD * least_word)
        target = SENDER if recipient_word is None else context.owner_at(data, 4 + WORD * recipient_word)
        return (Payment(token, ROUTER, target, ROUTERS_ALL, least, becomes=becomes),)

    return read


def _put(data: bytes, _value: int, context: Context) -> tuple[Step, ...]:
    """wrapETH(value): of the ether that was sent along."""
    return (Payment(context.wrapped_coin, SENDER, ROUTER, number_at(data, 4)),)


def _pull(data: bytes, _value: int, _context: Context) -> tuple[Step, ...]:
    """pull(token, value): from the sender to the router."""
    return (Payment(address_at(data, 4), SENDER, ROUTER, number_at(data, 36)),)


def _positions(_data: bytes, _value: int, _context: Context) -> tuple[Step, ...]:
    """What moves pools otherwise than by a swap leaves the whole call unread."""
    raise Malformed


ROUTER_02_READERS: Final[dict[bytes, PlanReader]] = {
    selector("exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"): _single(True),
    selector("exactOutputSingle((address,address,uint24,address,uint256,uint256,uint160))"): _single(False),
    selector("exactInput((bytes,address,uint256,uint256))"): _path(True),
    selector("exactOutput((bytes,address,uint256,uint256))"): _path(False),
    selector("swapExactTokensForTokens(uint256,uint256,address[],address)"): _pairs(True),
    selector("swapTokensForExactTokens(uint256,uint256,address[],address)"): _pairs(False),
    selector("unwrapWETH9(uint256,address)"): _taken(None, 0, 1, ZERO_ADDRESS),
    selector("unwrapWETH9(uint256)"): _taken(None, 0, None, ZERO_ADDRESS),
    selector("unwrapWETH9WithFee(uint256,address,uint256,address)"): _taken(None, 0, 1, ZERO_ADDRESS),
    selector("unwrapWETH9WithFee(uint256,uint256,address)"): _taken(None, 0, None, ZERO_ADDRESS),
    selector("sweepToken(address,uint256,address)"): _taken(0, 1, 2, None),
    selector("sweepToken(address,uint256)"): _taken(0, 1, None, None),
    selector("sweepTokenWithFee(address,uint256,address,uint256,address)"): _taken(0, 1, 2, None),
    selector("sweepTokenWithFee(address,uint256,uint256,address)"): _taken(0, 1, None, None),
    selector("wrapETH(uint256)"): _put,
    selector("pull(address,uint256)"): _pull,
    selector("mint((address,address,uint24,int24,int24,uint256,uint256,address))"): _positions,
    selector("increaseLiquidity((address,address,uint256,uint256,uint256))"): _positions,
    selector("callPositionManager(bytes)"): _positions,
}
"""Of what goes out with a fee, it is as good as nobody's: nothing asks for it again."""
