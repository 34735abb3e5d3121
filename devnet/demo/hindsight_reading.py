"""Reads the whole state of the followed pools from the chain, once; from then on logs tell what happens.

Followed are the pools of plain tokens of all families that the demo's nodes trade: Uniswap V2, V3 and V4, Sushi,
Balancer's weighted and stable pools, and those with Curve's interface. Profit may be taken in the tokens that the
operators' vaults pin.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from devnet.demo.hindsight_coins import Coins
from devnet.demo.hindsight_flow import V3_BURN, V3_MINT, V4_MODIFIED, Followed, liquidity_of
from devnet.demo.hindsight_pools import Concentrated, Pair, PoolState, Stable, Weighted
from devnet.demo.hindsight_search import Worth
from devnet.errors import ChainFailed, RpcError
from devnet.manifest import Manifest, Pool
from devnet.protocols.vaults import PINNED
from devnet.rpc import RpcClient
from protocol.ethereum.abi import decode, encode_call

_PAIRS: Final = ("uniswap_v2", "sushi_v2")
_CONCENTRATED: Final = "uniswap_v3"
_WEIGHTED: Final = "balancer_v2_weighted"
_STABLE: Final = "balancer_v2_stable"
_SINGLETON: Final = "uniswap_v4"
_COINS: Final = "curve_stable"
_ETHER: Final = 10**18
TRADED: Final = frozenset({*_PAIRS, _CONCENTRATED, _WEIGHTED, _STABLE, _SINGLETON, _COINS})
"""The families, by the manifest's names, that the demo's nodes trade: all that hindsight can look at."""


@dataclass(frozen=True, slots=True)
class Universe:
    """What the solver looks at: pools by address or pool id, their tokens' symbols, and what tokens are worth."""

    followed: dict[str, Followed]
    tokens: dict[str, tuple[str, ...]]
    worth: dict[str, Worth]


def worth_of(manifest: Manifest, symbol: str) -> Worth:
    """Return what a token's smallest unit is worth in wei, at the prices of the world's set-up."""
    token, ether = manifest.token(symbol), manifest.token("WETH")
    return Worth(token.usd_price_e8 * _ETHER, ether.usd_price_e8 * 10**token.decimals)


def universe(manifest: Manifest, families: Collection[str] = TRADED) -> Universe:
    """Return the pools of these families that are followed, and the tokens in which profit counts."""
    plain = {token.symbol: token.address.lower() for token in manifest.tokens if token.kind == "plain"}
    pools = [
        pool for pool in manifest.pools if pool.family in families and all(symbol in plain for symbol in pool.tokens)
    ]
    followed = {
        (pool.pool_id or pool.address).lower(): Followed(
            pool.name,
            tuple(plain[symbol] for symbol in pool.tokens),
            share=pool.address.lower() if pool.family == _STABLE else "",
        )
        for pool in pools
    }
    return Universe(followed, {pool.name: pool.tokens for pool in pools}, {s: worth_of(manifest, s) for s in PINNED})


async def read_states(
    rpc: RpcClient, manifest: Manifest, number: int, families: Collection[str] = TRADED
) -> dict[str, PoolState]:
    """Return the state of every followed pool after block `number`. Raises `ChainFailed`, `RpcError`."""
    names = universe(manifest, families).tokens
    pools = [pool for pool in manifest.pools if pool.name in names]
    calls = {pool.name: _calls(manifest, pool) for pool in pools}
    requests = [
        ("eth_call", [{"to": to, "data": "0x" + data.hex()}, hex(number)])
        for asked in calls.values()
        for to, data in asked
    ]
    answers = iter([_bytes(answer) for answer in await rpc.batch(requests)])
    liquidity = await _liquidity(rpc, number)
    states: dict[str, PoolState] = {}
    for pool in pools:
        first, second, *rest = [next(answers) for _ in calls[pool.name]]
        if pool.family in _PAIRS:
            reserve0, reserve1, _ = decode(["uint112", "uint112", "uint32"], first)
            states[pool.name] = Pair((reserve0, reserve1), pool.fee_pips)
        elif pool.family in (_CONCENTRATED, _SINGLETON):
            nets = liquidity[(pool.pool_id or pool.address).lower()]
            states[pool.name] = _concentrated(pool, first, second, nets)
        elif pool.family == _COINS:
            states[pool.name] = _coins(manifest, pool, first, second, *rest)
        elif pool.family == _STABLE:
            states[pool.name] = _stable(manifest, pool, first, second, *rest)
        else:
            states[pool.name] = _weighted(manifest, pool, first, second)
    return states


def _calls(manifest: Manifest, pool: Pool) -> list[tuple[str, bytes]]:
    if pool.family in _PAIRS:
        return [(pool.address, encode_call("getReserves()")), (pool.address, encode_call("token0()"))]
    if pool.family == _CONCENTRATED:
        return [(pool.address, encode_call("slot0()")), (pool.address, encode_call("liquidity()"))]
    if pool.family == _SINGLETON:
        view, pool_id = manifest.contracts["uniswap_v4_state_view"], bytes.fromhex(pool.pool_id[2:])
        return [(view, encode_call(f"{name}(bytes32)", pool_id)) for name in ("getSlot0", "getLiquidity")]
    if pool.family == _COINS:
        named = [encode_call(name) for name in ("A_precise()", "fee()", "admin_fee()")]
        held_of = [encode_call("balances(uint256)", place) for place in range(len(pool.tokens))]
        return [(pool.address, data) for data in (*named, *held_of)]
    asked = ["getAmplificationParameter()", "getScalingFactors()"]
    held = encode_call("getPoolTokens(bytes32)", bytes.fromhex(pool.pool_id[2:]))
    return [
        (manifest.contracts["balancer_vault"], held),
        *(
            (pool.address, encode_call(name))
            for name in (asked if pool.family == _STABLE else ["getNormalizedWeights()"])
        ),
    ]


def _concentrated(pool: Pool, slot0: bytes, held: bytes, nets: dict[int, int]) -> Concentrated:
    price, tick = decode(["uint160", "int24"], slot0)
    if pool.family == _SINGLETON and decode(["uint160", "int24", "uint24", "uint24"], slot0)[2:] != (0, pool.fee_pips):
        raise ChainFailed(f"{pool.name} has a protocol fee, or not the fee of its key: hindsight knows neither")
    ordered = sorted((at, net) for at, net in nets.items() if net)
    return Concentrated(
        sqrt_price=price,
        tick=tick,
        liquidity=decode(["uint128"], held)[0],
        ticks=tuple(at for at, _ in ordered),
        nets=tuple(net for _, net in ordered),
        spacing=pool.tick_spacing,
        fee_pips=pool.fee_pips,
    )


def _weighted(manifest: Manifest, pool: Pool, held: bytes, weights: bytes) -> Weighted:
    balances, order = _held(manifest, pool, held)
    listed = decode(["uint256[]"], weights)[0]
    return Weighted(balances, tuple(listed[at] for at in order), pool.fee_pips)


def _stable(manifest: Manifest, pool: Pool, held: bytes, amplification: bytes, scales: bytes) -> Stable:
    balances, order = _held(manifest, pool, held)
    listed = decode(["uint256[]"], scales)[0]
    value, _, _ = decode(["uint256", "bool", "uint256"], amplification)
    return Stable(balances, tuple(listed[at] for at in order), value, pool.fee_pips)


def _coins(manifest: Manifest, pool: Pool, *answers: bytes) -> Coins:
    amplification, fee, admin_fee, *balances = [int.from_bytes(answer, "big") for answer in answers]
    rates = tuple(10 ** (36 - manifest.token(symbol).decimals) for symbol in pool.tokens)
    return Coins(tuple(balances), rates, amplification, fee, admin_fee)


def _held(manifest: Manifest, pool: Pool, held: bytes) -> tuple[tuple[int, ...], list[int]]:
    """Return what the vault holds of the manifest's tokens, and the places of these among those that it registered."""
    addresses, balances, _ = decode(["address[]", "uint256[]", "uint256"], held)
    registered = [address.lower() for address in addresses]
    order = [registered.index(manifest.token(symbol).address.lower()) for symbol in pool.tokens]
    return tuple(balances[at] for at in order), order


async def _liquidity(rpc: RpcClient, number: int) -> dict[str, dict[int, int]]:
    """Return by V3 or V4 pool the liquidity that comes at each tick: all positions there ever were, from their logs."""
    query = {"fromBlock": "0x0", "toBlock": hex(number), "topics": [[V3_MINT, V3_BURN, V4_MODIFIED]]}
    nets: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for log in await rpc.call("eth_getLogs", query):
        lower, upper, delta = liquidity_of(log["topics"], bytes.fromhex(log["data"][2:]))
        key = log["topics"][1] if log["topics"][0] == V4_MODIFIED else log["address"]
        ticks = nets[key.lower()]
        ticks[lower] = ticks.get(lower, 0) + delta
        ticks[upper] = ticks.get(upper, 0) - delta
    return nets


def _bytes(answer: Any) -> bytes:
    if isinstance(answer, RpcError):
        raise answer
    return bytes.fromhex(str(answer)[2:])


def differences(one: dict[str, PoolState], other: dict[str, PoolState]) -> Sequence[str]:
    """Return the names of the pools whose states differ: none, if the logs were read rightly."""
    return [name for name in sorted(one) if one[name] != other[name]]
