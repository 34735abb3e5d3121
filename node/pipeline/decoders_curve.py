"""Call data of Curve's routers -> swaps: curvefi/curve-router-ng, contracts/Router.vy (exchange), and the registry's
older router (exchange_multiple). A route is token, pool, token, …, in words; ether is 0xeeee….
"""

from __future__ import annotations

from typing import Final

from node.pipeline.decoders_core import WORD, Context, Malformed, Reader, RoutedSwap, address_at, number_at
from node.pipeline.pools import CURVE_KEY
from protocol.ethereum.abi import selector
from protocol.units import ZERO_ADDRESS


def _exchange(route_words: int, amount_word: int) -> Reader:
    """A reader for a route of so many words; amount and least output stand at `amount_word` and after it."""

    def read(data: bytes, value: int, context: Context) -> tuple[RoutedSwap, ...]:
        route = [address_at(data, 4 + WORD * word) for word in range(route_words)]
        end = next((place for place in range(1, route_words, 2) if route[place] == ZERO_ADDRESS), route_words)
        tokens, pools = route[:end:2], route[1:end:2]
        if not pools or ZERO_ADDRESS in tokens:
            raise Malformed
        keys = tuple([CURVE_KEY + pools[i] + tokens[i] + tokens[i + 1] for i in range(len(pools))])
        place = 4 + WORD * amount_word
        amount, limit = number_at(data, place), number_at(data, place + WORD)
        return (RoutedSwap(keys, tokens[0], tokens[-1], True, amount, limit),)

    return read


_ROUTE: Final = "address[11],uint256[5][5],uint256,uint256"
_OLD_ROUTE: Final = "address[9],uint256[3][4],uint256,uint256"
CURVE_READERS: Final[dict[bytes, Reader]] = {
    selector(f"exchange({_ROUTE})"): _exchange(11, 36),
    selector(f"exchange({_ROUTE},address[5])"): _exchange(11, 36),
    selector(f"exchange({_ROUTE},address[5],address)"): _exchange(11, 36),
    selector(f"exchange_multiple({_OLD_ROUTE})"): _exchange(9, 21),
    selector(f"exchange_multiple({_OLD_ROUTE},address[4])"): _exchange(9, 21),
    selector(f"exchange_multiple({_OLD_ROUTE},address[4],address)"): _exchange(9, 21),
}
