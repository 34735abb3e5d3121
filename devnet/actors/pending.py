"""What the searchers understand of pending transactions: exact-in swaps through the routers, and their raw bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from devnet.actors import calls
from devnet.actors.intents import Foreign
from devnet.actors.market import V2_FAMILIES, V3_FAMILY, Market
from devnet.manifest import Pool
from protocol.errors import RemoteProtocolError
from protocol.ethereum.abi import decode_call, selector
from protocol.ethereum.transaction_json import transaction_from_rpc

_PATH_STEP: Final = 23
_V2: Final = {selector(s): s for s in (calls.V2_EXACT_IN, calls.V2_EXACT_ETHER_IN)}
_V3: Final = {selector(s): s for s in (calls.V3_EXACT_IN_SINGLE, calls.V3_EXACT_IN)}


@dataclass(frozen=True, slots=True)
class PendingSwap:
    """An announced swap that spends an exact amount along followed pools."""

    transaction: Foreign
    sender: str
    nonce: int
    path: tuple[Pool, ...]
    token_in: str
    amount_in: int
    minimum_out: int


class PendingReader:
    """Turns transaction objects of `eth_subscribe` into the swaps that a searcher can follow."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._routers = {
            market.contract("uniswap_v2_router"): "uniswap_v2",
            market.contract("sushi_router"): "sushi_v2",
            market.contract("uniswap_v3_router"): V3_FAMILY,
        }
        followed = [pool for pool in market.pools.values() if market.is_followed(pool)]
        self._v2 = {(p.family, frozenset(p.tokens)): p for p in followed if p.family in V2_FAMILIES}
        self._v3 = {(p.fee_pips, frozenset(p.tokens)): p for p in followed if p.family == V3_FAMILY}

    def swaps(self, bodies: Sequence[Mapping[str, Any]]) -> list[PendingSwap]:
        """Return the swaps among the transactions, in their order; a sender's first transaction only.

        Later ones of a sender wait for a nonce that a bundle at the top of the block does not bring.
        """
        first: dict[str, int] = {}
        for body in bodies:
            nonce = int(body["nonce"], 16)
            first[body["from"]] = min(nonce, first.get(body["from"], nonce))
        heads = (body for body in bodies if int(body["nonce"], 16) == first[body["from"]])
        return [swap for body in heads if (swap := self._swap(body)) is not None]

    def _swap(self, body: Mapping[str, Any]) -> PendingSwap | None:
        family = self._routers.get((body.get("to") or "").lower())
        if family is None:
            return None
        try:
            transaction = transaction_from_rpc(body, recover=False)
            data, value = transaction.data, transaction.value
            route = self._v3_route(data) if family == V3_FAMILY else self._v2_route(family, data, value)
        except RemoteProtocolError:
            return None  # call data is what anybody likes to send
        if route is None:
            return None
        return PendingSwap(Foreign(transaction.raw, body["hash"]), body["from"].lower(), transaction.nonce, *route)

    def _v2_route(self, family: str, data: bytes, value: int) -> tuple[tuple[Pool, ...], str, int, int] | None:
        signature = _V2.get(data[:4])
        if signature is None:
            return None
        arguments = decode_call(signature, data)
        amount, least, path = (value, *arguments[:2]) if signature == calls.V2_EXACT_ETHER_IN else arguments[:3]
        symbols = [self._market.symbols.get(address.lower(), "") for address in path]
        pools = [self._v2.get((family, frozenset(pair))) for pair in pairwise(symbols)]
        return _route(pools, symbols, amount, least)

    def _v3_route(self, data: bytes) -> tuple[tuple[Pool, ...], str, int, int] | None:
        signature = _V3.get(data[:4])
        if signature is None:
            return None
        (order,) = decode_call(signature, data)
        if signature == calls.V3_EXACT_IN_SINGLE:
            path = bytes.fromhex(order[0][2:]) + order[2].to_bytes(3, "big") + bytes.fromhex(order[1][2:])
            amount, least = order[5], order[6]
        else:
            path, amount, least = order[0], order[3], order[4]
        ends = [path[i : i + 20] for i in range(0, len(path), _PATH_STEP)]
        symbols = [self._market.symbols.get("0x" + token.hex(), "") for token in ends]
        fees = [int.from_bytes(path[i - 3 : i], "big") for i in range(_PATH_STEP, len(path), _PATH_STEP)]
        pairs = zip(fees, symbols, symbols[1:], strict=False)
        return _route([self._v3.get((fee, frozenset(pair))) for fee, *pair in pairs], symbols, amount, least)


def _route(
    pools: Sequence[Pool | None], symbols: Sequence[str], amount: int, least: int
) -> tuple[tuple[Pool, ...], str, int, int] | None:
    known = tuple(pool for pool in pools if pool is not None)
    if not known or len(known) != len(pools) or amount <= 0:
        return None
    return known, symbols[0], amount, least
