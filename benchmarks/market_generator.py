"""The market of the `hotpath` benchmark: 2,000 pools over 600 tokens, always the same for the same numbers.

Six tokens are hubs; every other token has a pool with one of them, and the remaining pools choose both tokens in
proportion to the pools that they have already. A quarter of the pools are Uniswap V3 with 20 to 400 initialised ticks,
the rest are Uniswap V2 and Sushi. Four of the hubs are profit tokens. Prices are off by less than the fees can pay for,
so that nothing stands open until somebody trades.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.tick_math import tick_at_sqrt_ratio
from node.pipeline.amm.ticks import tick_table
from node.pipeline.events import (
    BlockArrived,
    Event,
    PoolDiscovered,
    PoolSynced,
    TokenScreened,
    TokenVerdict,
    TreasuryRead,
)
from node.pipeline.plans import FlashLender, LenderKind
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState
from node.pipeline.settings import PipelineSettings, ProfitToken, RiskLimits, RouterKind
from protocol.ethereum.keccak import keccak256
from protocol.units import Address, BlockNumber, ChainId, Gas, Hash32, UnixNanoseconds, UnixSeconds, Wei

SEED: Final = 20_261_100
SPACING_OF_FEE: Final = {500: 10, 3000: 60, 10000: 200}
V2_ROUTER: Final = Address(b"\x02" * 20)
SUSHI_ROUTER: Final = Address(b"\x03" * 20)
V3_ROUTER: Final = Address(b"\x04" * 20)
VAULT_MODULE: Final = Address(b"\x05" * 20)
LENDER: Final = Address(b"\x06" * 20)
_ROUTER_OF: Final = {
    PoolFamily.UNISWAP_V2: V2_ROUTER,
    PoolFamily.SUSHI_V2: SUSHI_ROUTER,
    PoolFamily.UNISWAP_V3: V3_ROUTER,
}
CHAIN_ID: Final = ChainId(31337)
GWEI: Final = 10**9
HEAD: Final = BlockNumber(1_000)
NOW: Final = UnixNanoseconds(1_800_000_000 * 10**9)
_ETHER: Final = 10**18
_V2_NOISE: Final = 0.0008
_Q96: Final = 1 << 96


@dataclass(frozen=True, slots=True)
class GeneratedMarket:
    """Pools with their states, and the hubs; the first `profit_tokens` of them are profit tokens."""

    pools: tuple[tuple[PoolSpec, PoolState], ...]
    tokens: tuple[Address, ...]
    profit_tokens: tuple[Address, ...]


def generate(
    *, pools: int = 2_000, tokens: int = 600, hubs: int = 6, profit_tokens: int = 4, seed: int = SEED
) -> GeneratedMarket:
    """Generate a market; the same arguments give the same one, on every machine."""
    random = Random(seed)
    addresses = tuple(Address(keccak256(b"token %d of %d" % (number, seed))[12:]) for number in range(tokens))
    # What one smallest unit is worth in wei; the second and third hub have six decimals, as stablecoins do.
    worth = [1.0, 3e8, 3e8] + [math.exp(random.uniform(-6.0, 3.0)) for _ in range(tokens - 3)]
    taken: dict[tuple[int, int, PoolFamily, int], int] = {}
    weight = list(range(hubs)) * 8
    made: list[tuple[PoolSpec, PoolState]] = []
    while len(made) < pools:
        newcomer = hubs + len(made)
        one = newcomer if newcomer < tokens else random.choice(weight)
        other = random.choice(weight if newcomer >= tokens else range(hubs))
        concentrated = len(made) % 4 == 3
        family = PoolFamily.UNISWAP_V3 if concentrated else random.choice(list(_ROUTER_OF)[:2])
        fee = random.choice(list(SPACING_OF_FEE)) if concentrated else 3000
        pair = (min(one, other), max(one, other))
        if one == other or (*pair, family, fee) in taken:
            if newcomer >= tokens:
                continue
            other = (other + 1) % hubs
            pair = (min(one, other), max(one, other))
        taken[(*pair, family, fee)] = len(made)
        weight += [one, other]
        made.append(_pool(random, family, fee, [(addresses[token], worth[token]) for token in pair]))
    return GeneratedMarket(tuple(made), addresses, addresses[:profit_tokens])


def _pool(
    random: Random, family: PoolFamily, fee: int, pair: list[tuple[Address, float]]
) -> tuple[PoolSpec, PoolState]:
    (token0, worth0), (token1, worth1) = sorted(pair)
    address = Address(keccak256(family.encode() + token0 + token1 + fee.to_bytes(3, "big"))[12:])
    spacing = SPACING_OF_FEE[fee] if family is PoolFamily.UNISWAP_V3 else 0
    spec = PoolSpec(address, family, address, (token0, token1), fee, spacing)
    size = math.exp(random.uniform(math.log(20.0), math.log(4_000.0))) * _ETHER  # of each token, in wei
    if family is not PoolFamily.UNISWAP_V3:
        off = 1.0 + random.uniform(-_V2_NOISE, _V2_NOISE)
        return spec, ConstantProductPool(int(size / worth0), int(size / worth1 * off))
    off = 1.0 + random.uniform(-1.0, 1.0) * fee * 1e-6 / 4.0
    price = worth0 / worth1 * off
    return spec, _concentrated(random, fee, spacing, price, size / math.sqrt(worth0 * worth1))


def _concentrated(random: Random, fee: int, spacing: int, price: float, depth: float) -> ConcentratedPool:
    """Positions around the price until 20 to 400 ticks are initialised; the first spans them all."""
    sqrt_price_x96 = int(math.sqrt(price) * _Q96)
    tick = tick_at_sqrt_ratio(sqrt_price_x96)
    centre, wanted = tick // spacing, random.randint(20, 400)
    liquidity: dict[int, tuple[int, int]] = {}
    reach = 2 * wanted
    _add_position(liquidity, (centre - reach) * spacing, (centre + reach) * spacing, int(depth))
    while len(liquidity) < wanted:
        lower = centre + random.randint(-reach, reach - 1)
        upper = min(centre + reach, lower + random.randint(1, max(2, wanted // 4)))
        _add_position(liquidity, lower * spacing, upper * spacing, int(depth * random.uniform(0.2, 3.0)))
    in_range = sum(net for at, (_, net) in liquidity.items() if at <= tick)
    return ConcentratedPool(fee, sqrt_price_x96, tick, in_range, tick_table(spacing, liquidity))


def _add_position(liquidity: dict[int, tuple[int, int]], lower: int, upper: int, amount: int) -> None:
    for tick, net in ((lower, amount), (upper, -amount)):
        gross_before, net_before = liquidity.get(tick, (0, 0))
        liquidity[tick] = gross_before + amount, net_before + net


def settings_of(
    market: GeneratedMarket, senders: Sequence[Address], limits: RiskLimits | None = None
) -> PipelineSettings:
    """Settings under which everything in the market may trade; one free lender has everything."""
    return PipelineSettings(
        chain_id=CHAIN_ID,
        entry_point=VAULT_MODULE,
        profit_tokens=tuple(ProfitToken(token, 10**30, 10**33) for token in market.profit_tokens),
        lenders=tuple(FlashLender(LenderKind.BALANCER_V2, LENDER, token, 0) for token in market.profit_tokens),
        routers={
            V2_ROUTER: RouterKind.UNISWAP_V2,
            SUSHI_ROUTER: RouterKind.SUSHI_V2,
            V3_ROUTER: RouterKind.UNISWAP_V3,
        },
        senders=tuple(senders),
        limits=limits or RiskLimits(max_bid=Wei(10**24), max_daily_spend=Wei(10**24)),
    )


def router_of(spec: PoolSpec) -> Address:
    """The router through which a pool's swaps go."""
    return _ROUTER_OF[spec.family]


def first_block(number: BlockNumber = HEAD) -> BlockArrived:
    """A head at a base fee of one gwei, half full, that changes nothing."""
    return BlockArrived(
        number=number,
        hash=Hash32(keccak256(b"block %d" % number)),
        parent_hash=Hash32(keccak256(b"block %d" % (number - 1))),
        timestamp=UnixSeconds(NOW // 10**9),
        base_fee=Wei(GWEI),
        gas_limit=Gas(30_000_000),
        gas_used=Gas(15_000_000),
        pool_changes=(),
        included=(),
        now=NOW,
    )


def opening(market: GeneratedMarket, senders: Sequence[Address]) -> list[Event]:
    """The events after which a fresh pipeline knows the market, its head and its own funds."""
    events: list[Event] = [TokenScreened(token, TokenVerdict.PLAIN, trusted=True) for token in market.tokens]
    for spec, state in market.pools:
        events += [PoolDiscovered(spec), PoolSynced(spec.id, state, HEAD)]
    events += [TreasuryRead(sender, Wei(10**24), 7) for sender in senders]
    return [*events, first_block()]
