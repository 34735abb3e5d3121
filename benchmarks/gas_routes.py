"""The cycles of `benchmarks.gas`, each in the words of every contract that is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.gas_scene import ETHER, Scene, raw
from governance.executor import (
    BalancerHop,
    BalancerLoan,
    ConcentratedHop,
    CurveHop,
    Hop,
    PairHop,
    PairVenue,
    Plan,
    SingletonHop,
    encode_plan,
)
from protocol.ethereum.abi import encode, encode_call
from protocol.units import BlockNumber, TokenAmount, Wei

AMOUNT: Final = ETHER
EXECUTE: Final = "execute(address,address,uint256,uint256,bytes)"
EXECUTE_IN_VAULT: Final = "execute(address,address,uint256,bytes)"
_PLAIN_HOP: Final = "(uint8,address,address,uint24,bytes32,int128,int128,uint256)"
_LEAST: Final = TokenAmount(1)
_ROUTERS: Final = {PairVenue.UNISWAP_V2: "uniswap_v2_router", PairVenue.SUSHI_SWAP: "sushi_router"}
_WEIGHTED: Final = "balancer_v2_weighted:WETH/USDC:3000"
_CURVE: Final = "curve_stable:DAI/USDC/USDT:400"


@dataclass(frozen=True, slots=True)
class Route:
    """One cycle of WETH: its name and its hops."""

    name: str
    hops: tuple[Hop, ...]

    @property
    def is_of_pairs(self) -> bool:
        """Whether all hops are on pairs of Uniswap V2's kind, which is all that some executors know."""
        return all(isinstance(hop, PairHop) for hop in self.hops)

    @property
    def is_plain(self) -> bool:
        """Whether there is a router or pool on this chain to call for each hop."""
        return not any(isinstance(hop, SingletonHop) for hop in self.hops)


def routes(scene: Scene) -> list[Route]:
    """Return the measured cycles: WETH is sold on Uniswap V2, where it is dear, and bought back elsewhere."""
    usdc, dai, weth = (raw(scene.token(symbol)) for symbol in ("USDC", "DAI", "WETH"))
    sold = _pair(PairVenue.UNISWAP_V2, usdc)
    in_ether = SingletonHop(token_out=weth, fee_pips=500, tick_spacing=10, in_ether=True, minimum_out=_LEAST)
    plain_v4 = SingletonHop(token_out=weth, fee_pips=3000, tick_spacing=60, in_ether=False, minimum_out=_LEAST)
    balancer = BalancerHop(token_out=weth, pool_id=scene.pool_id(_WEIGHTED), minimum_out=_LEAST)
    curve = CurveHop(
        token_out=dai, pool=raw(scene.pool(_CURVE)), coin_in=1, coin_out=0, is_crypto=False, minimum_out=_LEAST
    )
    back = _pair(PairVenue.SUSHI_SWAP, weth)
    return [
        Route("2 hops: V2, Sushi", (sold, back)),
        Route("2 hops: V2, V3", (sold, ConcentratedHop(token_out=weth, fee_pips=500, minimum_out=_LEAST))),
        Route("2 hops: V2, Balancer", (sold, balancer)),
        Route("2 hops: V2, V4", (sold, plain_v4)),
        Route("2 hops: V2, V4 in ether", (sold, in_ether)),
        Route("3 hops: V2, V2, Sushi", (sold, _pair(PairVenue.UNISWAP_V2, dai), back)),
        Route("3 hops: V2, V3, Sushi", (sold, ConcentratedHop(token_out=dai, fee_pips=100, minimum_out=_LEAST), back)),
        Route("3 hops: V2, Curve, Sushi", (sold, curve, back)),
    ]


def _pair(venue: PairVenue, token_out: Any) -> PairHop:
    return PairHop(venue=venue, token_out=token_out, minimum_out=_LEAST)


def plan_of(route: Route, block: int, *, borrowed: bool) -> Plan:
    """Return the plan of a cycle that may run until `block`."""
    return Plan(
        last_block=BlockNumber(block),
        minimum_profit=TokenAmount(1),
        builder_payment=Wei(0),
        loan=BalancerLoan(TokenAmount(AMOUNT)) if borrowed else None,
        hops=route.hops,
    )


def ours(scene: Scene, hot_key: str, route: Route, block: int, *, borrowed: bool = False) -> bytes:
    """Return the call of `ArbExecutor.execute`, as the module makes it."""
    packed = encode_plan(plan_of(route, block, borrowed=borrowed))
    return encode_call(EXECUTE, hot_key, scene.token("WETH"), 0 if borrowed else AMOUNT, 0, packed)


def plain(scene: Scene, route: Route, *, borrowed: bool = False) -> bytes:
    """Return the call of `PlainArbitrage`."""
    token, hops = scene.token("WETH"), [_plain_hop(scene, hop) for hop in route.hops]
    if not borrowed:
        return encode_call(f"run(address,uint256,uint256,{_PLAIN_HOP}[])", token, AMOUNT, 1, hops)
    signature = f"borrow(address,address,uint256,uint256,{_PLAIN_HOP}[])"
    return encode_call(signature, scene.contract("balancer_vault"), token, AMOUNT, 1, hops)


def plain_plan(scene: Scene, route: Route) -> bytes:
    """Return the plan that `PlainArbitrage` takes from a vault's module."""
    return encode(("uint256", f"{_PLAIN_HOP}[]"), (1, [_plain_hop(scene, hop) for hop in route.hops]))


def _plain_hop(scene: Scene, hop: Hop) -> tuple[Any, ...]:
    token_out, least, none = "0x" + hop.token_out.hex(), hop.minimum_out, bytes(32)
    if isinstance(hop, PairHop):
        return 0, scene.contract(_ROUTERS[hop.venue]), token_out, 0, none, 0, 0, least
    if isinstance(hop, ConcentratedHop):
        return 1, scene.contract("uniswap_v3_router"), token_out, hop.fee_pips, none, 0, 0, least
    if isinstance(hop, BalancerHop):
        return 2, scene.contract("balancer_vault"), token_out, 0, hop.pool_id, 0, 0, least
    if isinstance(hop, CurveHop):
        return 3, "0x" + hop.pool.hex(), token_out, 0, none, hop.coin_in, hop.coin_out, least
    raise TypeError(f"the plain contract knows no {type(hop).__name__}")


def published(scene: Scene, route: Route, *, borrowed: bool = False) -> bytes:
    """Return the call data of the published searcher's `V2ArbBot`: words of amount and lender, then three a hop."""
    lender = scene.contract("balancer_vault") if borrowed else "0x" + "00" * 20
    data, token = encode(("uint256", "uint256", "address"), (AMOUNT, int(borrowed), lender)), scene.token("WETH")
    for hop in route.hops:
        if not isinstance(hop, PairHop):
            raise TypeError("it swaps on pairs only")
        token_out = "0x" + hop.token_out.hex()
        router = scene.contract(_ROUTERS[hop.venue])
        data += encode(("address", "address", "address"), (router, token, token_out))
        token = token_out
    return data
