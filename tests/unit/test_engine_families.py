"""Pools of further families, read, listed, announced and followed: contracts in memory, lying ones among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from benchmarks.family_pools import STATES
from node.config import FactoryConfig, ListedPoolConfig, ProtocolsConfig
from node.engine.listed_pools import ListedPools
from node.engine.market_memory import is_untold
from node.engine.multicall import Multicall
from node.engine.pool_announcements import AltersAmounts, spec_from_log
from node.engine.pool_logs import PoolLogs
from node.engine.pool_reading import PoolReader, Unreadable, read_contracts
from node.engine.pool_topics import (
    PAIR_CREATED,
    POOL_CREATED,
    SLIPSTREAM_CREATED,
    SOLIDLY_CREATED,
    V4_INITIALIZED,
    LogJson,
)
from node.pipeline.amm.balancer_stable import BalancerStablePool, InvariantVersion
from node.pipeline.amm.camelot import CamelotStablePool
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.curve_crypto import CryptoPool
from node.pipeline.amm.curve_meta import CurveMetaPool
from node.pipeline.amm.curve_stableswap import CurvePool, ProductRule, get_dy
from node.pipeline.amm.erc4626 import ONE_FOR_ONE, ShareVault
from node.pipeline.amm.solidly import SolidlyPool
from node.pipeline.amm.tick_math import sqrt_ratio_at_tick
from node.pipeline.amm.uniswap_v4 import DYNAMIC_FEE, V4Pool, pool_id
from node.pipeline.events import (
    BalancesChanged,
    CoinsChanged,
    CoinsExchanged,
    LiquidityChanged,
    PoolChange,
    PriceMoved,
    ReservesSet,
    StateOutdated,
)
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState, quote_exact_in
from protocol.ethereum.abi import selector
from protocol.ethereum.keccak import keccak256
from protocol.units import ZERO_ADDRESS, Address, Hash32
from tests.fake_chain_node import endpoints_to
from tests.fake_contracts import MULTICALL3, FakeContracts, word

BLOCK = Hash32(b"\x01" * 32)
ONE, TWO, THREE = (Address(bytes([seed]) * 20) for seed in (0xA1, 0xA2, 0xA3))
POOL, FACTORY, VAULT, MANAGER = (Address(bytes([seed]) * 20) for seed in (0x01, 0xF1, 0xBA, 0xF4))
V4_ID = pool_id(ONE, TWO, 3000, 60, ZERO_ADDRESS)
CONTRACTS = {
    PoolFamily.BALANCER_V2_WEIGHTED: VAULT,
    PoolFamily.AERODROME: FACTORY,
}


def spec_of(family: PoolFamily, tokens: tuple[Address, ...] = (ONE, TWO), **traits: Any) -> PoolSpec:
    return PoolSpec(traits.pop("id", POOL), family, traits.pop("address", POOL), tokens, 0, **traits)


async def read(contracts: FakeContracts, spec: PoolSpec, seconds_ahead: int = 0) -> PoolState | Unreadable:
    pools = PoolReader(Multicall(endpoints_to([contracts.node]), MULTICALL3), CONTRACTS, seconds_ahead)
    return (await pools.read([spec], BLOCK))[spec.id]


def chosen(kind: type) -> Any:
    return next(state for _, state in STATES if type(state) is kind)


def decimals(contracts: FakeContracts, *numbers: int) -> None:
    for token, number in zip((ONE, TWO, THREE), numbers, strict=False):
        contracts.view(token, "decimals()", number)


def quoting(contracts: FakeContracts, signature: str, quote: Callable[[list[int]], int]) -> None:
    """Let a pool answer quotes; the arguments as words."""

    def answer(data: bytes) -> bytes:
        return word(quote([int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data), 32)]))

    contracts.answer(POOL, signature, answer)


def forwards(pool: PoolState) -> Callable[[list[int]], int]:
    return lambda asked: quote_exact_in(pool, 0, 1, asked[0])


def listed(numbers: tuple[int, ...]) -> Callable[[bytes], bytes]:
    return lambda index: word(numbers[int.from_bytes(index, "big")])


# Each family, read from contracts that hold a state and answer as it would


def curve(state: CurvePool) -> FakeContracts:
    contracts = FakeContracts()
    contracts.view(POOL, "A_precise()", state.amplification)
    contracts.view(POOL, "fee()", state.fee)
    contracts.view(POOL, "admin_fee()", state.admin_fee)
    contracts.answer(POOL, "balances(uint256)", lambda index: word(state.balances[int.from_bytes(index, "big")]))
    decimals(contracts, 18, 6, 6)
    quoting(contracts, "get_dy(int128,int128,uint256)", lambda asked: quote_exact_in(state, *asked))
    return contracts


TWO_COINS = CurvePool((5 * 10**24, 7 * 10**12), (10**18, 10**30), 20_000, 4_000_000, 5 * 10**9)


async def test_a_curve_pool_is_read_and_its_quotes_compared() -> None:
    assert await read(curve(TWO_COINS), spec_of(PoolFamily.CURVE_PLAIN)) == TWO_COINS
    lying = curve(TWO_COINS)
    quoting(lying, "get_dy(int128,int128,uint256)", lambda asked: quote_exact_in(TWO_COINS, *asked) + 1)
    state = await read(lying, spec_of(PoolFamily.CURVE_PLAIN))
    assert isinstance(state, Unreadable)
    assert "where we compute" in state.why


def first_curve() -> tuple[FakeContracts, CurvePool]:
    """A pool as 3pool: no A_precise, balances by int128, and a get_dy that takes the fee after the conversion."""
    first = msgspec.structs.replace(TWO_COINS, amplification=200, a_precision=1, fee_after_rate=True)
    contracts = curve(first)
    del contracts.views[POOL, selector("A_precise()")]
    contracts.answer(POOL, "balances(int128)", contracts.views.pop((POOL, selector("balances(uint256)"))))
    contracts.view(POOL, "A()", 200)
    quoting(contracts, "get_dy(int128,int128,uint256)", lambda asked: get_dy(first, *asked))
    return contracts, first


async def test_a_curve_pool_of_the_first_generation_is_told_by_what_it_does_not_know() -> None:
    contracts, first = first_curve()
    assert await read(contracts, spec_of(PoolFamily.CURVE_PLAIN)) == first


@pytest.mark.parametrize("off", [-1, 1])
async def test_a_curve_pool_of_the_first_generation_is_not_believed_unasked(off: int) -> None:
    contracts, first = first_curve()
    quoting(contracts, "get_dy(int128,int128,uint256)", lambda asked: get_dy(first, *asked) + off)
    state = await read(contracts, spec_of(PoolFamily.CURVE_PLAIN))
    assert isinstance(state, Unreadable)
    assert "where we compute" in state.why


@pytest.mark.parametrize(
    ("signature", "values", "why"),
    [
        ("A_precise()", (0,), "an amplification of zero"),
        ("fee()", (10**11,), "fee() answers"),
        ("balances(uint256)", (), "within a word"),
    ],
)
async def test_a_curve_pool_that_cannot_be_is_not_read(signature: str, values: tuple[int, ...], why: str) -> None:
    contracts = curve(TWO_COINS)
    contracts.view(POOL, signature, *values)
    state = await read(contracts, spec_of(PoolFamily.CURVE_PLAIN))
    assert isinstance(state, Unreadable)
    assert why in state.why


@pytest.mark.parametrize("number", [19, 77, 255])
async def test_coins_of_more_decimals_than_the_maths_take_are_refused(number: int) -> None:
    contracts = curve(TWO_COINS)
    decimals(contracts, number)
    state = await read(contracts, spec_of(PoolFamily.CURVE_PLAIN))
    assert state == Unreadable(f"decimals() answers {number}")


async def test_a_coin_without_decimals_is_a_coin() -> None:
    pool = CurvePool((5 * 10**6, 7 * 10**12), (10**36, 10**30), 20_000, 4_000_000, 5 * 10**9)
    contracts = curve(pool)
    decimals(contracts, 0)
    assert await read(contracts, spec_of(PoolFamily.CURVE_PLAIN)) == pool


async def test_an_empty_curve_pool_is_no_state_to_trade_on() -> None:
    empty = CurvePool((0, 7 * 10**12), TWO_COINS.rates, 20_000, 4_000_000, 5 * 10**9)
    state = await read(curve(empty), spec_of(PoolFamily.CURVE_PLAIN))
    assert isinstance(state, Unreadable)


async def test_a_meta_pool_is_read_with_its_base_and_the_time_at_which_it_is_asked() -> None:
    meta, base = chosen(CurveMetaPool), Address(b"\x0b" * 20)
    contracts = FakeContracts()
    for pool, target in ((meta.pool, POOL), (meta.base, base)):
        if pool.a_precision == 100:
            contracts.view(target, "A_precise()", pool.amplification)
        contracts.view(target, "A()", pool.amplification)
        contracts.view(target, "fee()", pool.fee)
        contracts.view(target, "admin_fee()", pool.admin_fee)
        contracts.answer(target, "balances(uint256)", listed(pool.balances))
    share, coins = Address(b"\x0c" * 20), (ONE, TWO, THREE)
    decimals(contracts, 18, 6, 6)
    contracts.view(share, "decimals()", 18)
    contracts.view(share, "totalSupply()", meta.base_supply)
    contracts.view(POOL, "base_virtual_price()", meta.cached_virtual_price)
    contracts.view(POOL, "base_cache_updated()", meta.cache_updated)
    contracts.view(MULTICALL3, "getCurrentBlockTimestamp()", meta.asked_at)
    quoting(contracts, "get_dy(int128,int128,uint256)", lambda asked: quote_exact_in(meta, *asked))
    spec = spec_of(PoolFamily.CURVE_META, (ONE, share), base=PoolSpec(base, PoolFamily.CURVE_PLAIN, base, coins, 0))
    assert await read(contracts, spec) == meta
    ahead = await read(contracts, spec, seconds_ahead=12)
    assert ahead == msgspec.structs.replace(meta, asked_at=meta.asked_at + 12)


async def test_a_crypto_pool_is_read_with_its_own_prices() -> None:
    pool = chosen(CryptoPool)
    contracts = FakeContracts()
    names = ("D()", "A()", "gamma()", "mid_fee()", "out_fee()", "fee_gamma()")
    values = (pool.d, pool.amplification, pool.gamma, pool.mid_fee, pool.out_fee, pool.fee_gamma)
    for name, value in zip(names, values, strict=True):
        contracts.view(POOL, name, value)
    contracts.answer(POOL, "price_scale(uint256)", lambda index: word(pool.price_scale[int.from_bytes(index, "big")]))
    contracts.answer(POOL, "balances(uint256)", lambda index: word(pool.balances[int.from_bytes(index, "big")]))
    decimals(contracts, 6, 8, 18)
    quoting(contracts, "get_dy(uint256,uint256,uint256)", lambda asked: quote_exact_in(pool, *asked))
    assert await read(contracts, spec_of(PoolFamily.CURVE_CRYPTO, (ONE, TWO, THREE))) == pool


def vault(state: ShareVault, share_decimals: int = 18) -> FakeContracts:
    contracts = FakeContracts()
    contracts.view(POOL, "totalAssets()", state.assets)
    contracts.view(POOL, "totalSupply()", state.shares)
    contracts.view(POOL, "decimals()", share_decimals)
    contracts.view(POOL, "maxDeposit(address)", state.max_deposit)
    decimals(contracts, 6)
    quoting(contracts, "previewDeposit(uint256)", lambda asked: quote_exact_in(state, 0, 1, asked[0]))
    quoting(contracts, "previewRedeem(uint256)", lambda asked: quote_exact_in(state, 1, 0, asked[0]))
    return contracts


SHARES = spec_of(PoolFamily.ERC4626, (ONE, POOL))


async def test_a_vault_is_believed_by_its_previews_with_virtual_shares_and_without() -> None:
    for virtual in ((1, 10**12), (0, 0)):
        state = ShareVault(1_100_000 * 10**6, 10**24, *virtual)
        assert await read(vault(state), SHARES) == state


async def test_a_vault_with_a_fee_in_its_previews_is_refused() -> None:
    state = ShareVault(1_100_000 * 10**6, 10**24, 1, 10**12)
    for signature, why in (("previewDeposit(uint256)", "previews"), ("previewRedeem(uint256)", "it quotes")):
        contracts = vault(state)
        quoting(contracts, signature, lambda asked: asked[0] * 99 // 100)
        found = await read(contracts, SHARES)
        assert isinstance(found, Unreadable)
        assert why in found.why


async def test_a_share_of_78_decimals_is_refused() -> None:
    assert await read(vault(ShareVault(10**6, 10**6, 0, 0), 78), SHARES) == Unreadable("decimals() answers 78")


async def test_wrapped_ether_is_one_for_one_and_staked_ether_a_share_of_all_of_it() -> None:
    contracts = FakeContracts()
    contracts.view(POOL, "decimals()", 18)
    assert await read(contracts, spec_of(PoolFamily.WRAPPER, (ZERO_ADDRESS, POOL))) == ONE_FOR_ONE
    staked = ShareVault(118 * 10**23, 100 * 10**23, 0, 0, grows=False)
    contracts.view(ONE, "getTotalPooledEther()", staked.assets)
    contracts.view(ONE, "getTotalShares()", staked.shares)
    quoting(contracts, "getWstETHByStETH(uint256)", lambda asked: quote_exact_in(staked, 0, 1, asked[0]))
    assert await read(contracts, spec_of(PoolFamily.WRAPPER, (ONE, POOL))) == staked
    contracts.view(ONE, "getTotalShares()", 0)
    assert await read(contracts, spec_of(PoolFamily.WRAPPER, (ONE, POOL))) == Unreadable("nothing is wrapped")


async def test_solidlys_pairs_tell_their_curve_and_their_factory_the_fee() -> None:
    pools = [state for _, state in STATES if isinstance(state, SolidlyPool)]
    for pool in pools:
        contracts = FakeContracts()
        words = (pool.unit0, pool.unit1, pool.reserve0, pool.reserve1, int(pool.stable))
        contracts.view(POOL, "metadata()", *words)
        contracts.view(FACTORY, "getFee(address,bool)", pool.fee)
        quoting(contracts, "getAmountOut(uint256,address)", forwards(pool))
        spec = spec_of(PoolFamily.AERODROME, is_stable=pool.stable, has_moving_fee=True)
        assert await read(contracts, spec) == pool
        other = spec_of(PoolFamily.AERODROME, is_stable=not pool.stable)
        assert isinstance(await read(contracts, other), Unreadable)
        contracts.view(FACTORY, "getFee(address,bool)", 10_000)
        assert await read(contracts, spec) == Unreadable("getFee(address,bool) answers 10000")


async def test_camelots_pairs_tell_a_fee_for_each_direction() -> None:
    stable = chosen(CamelotStablePool)
    volatile = ConstantProductPool(10**21, 2 * 10**21, 300, 700, 100_000)
    for pool, numbers in ((stable, (6, 18)), (volatile, (18, 18))):
        contracts = FakeContracts()
        contracts.view(POOL, "getReserves()", pool.reserve0, pool.reserve1, pool.fee0, pool.fee1)
        contracts.view(POOL, "stableSwap()", int(pool is stable))
        decimals(contracts, *numbers)
        quoting(contracts, "getAmountOut(uint256,address)", forwards(pool))
        assert await read(contracts, spec_of(PoolFamily.CAMELOT)) == pool
        contracts.view(POOL, "getReserves()", pool.reserve0, pool.reserve1, 100_000, 1)
        assert isinstance(await read(contracts, spec_of(PoolFamily.CAMELOT)), Unreadable)


def balancer(pool: BalancerStablePool) -> FakeContracts:
    contracts = FakeContracts()
    tokens = ["0x" + token.hex() for token in (ONE, TWO, POOL)[: len(pool.balances)]]
    types = "address[] uint256[] uint256"
    contracts.view(VAULT, "getPoolTokens(bytes32)", tokens, list(pool.balances), 1, types=types)
    contracts.view(POOL, "getSwapFeePercentage()", pool.swap_fee)
    contracts.view(POOL, "getAmplificationParameter()", pool.amplification, 0, 1000)
    decimals(contracts, 18, 6)
    contracts.view(POOL, "decimals()", 18)
    contracts.vault_quotes(VAULT, pool, (ONE, TWO, POOL))
    return contracts


async def test_balancers_stable_pools_of_both_generations_are_read() -> None:
    old = BalancerStablePool(
        (10**24, 2 * 10**12), (10**18, 10**30), 500_000, 10**14, None, InvariantVersion.ROUNDING_UP
    )
    held = spec_of(PoolFamily.BALANCER_V2_STABLE, id=b"\x05" * 32)
    assert await read(balancer(old), held) == old
    factors = (11 * 10**17, 10**30, 10**18)
    new = BalancerStablePool((10**24, 2 * 10**12, 1 << 111), factors, 500_000, 10**14, 2, is_moving=True)
    contracts = balancer(new)
    provided(contracts, (11 * 10**17, 1_700_000_000))
    contracts.view(POOL, "getScalingFactors()", list(new.scaling_factors), types="uint256[]")
    contracts.view(POOL, "getBptIndex()", 2)
    composable = spec_of(PoolFamily.BALANCER_V2_STABLE, (ONE, TWO, POOL), id=b"\x05" * 32)
    assert await read(contracts, composable) == new
    contracts.view(POOL, "getAmplificationParameter()", 999, 0, 1000)
    assert await read(contracts, composable) == Unreadable("amplification 999")
    contracts.view(POOL, "getAmplificationParameter()", 5_000, 0, 1000)
    contracts.view(POOL, "getScalingFactors()", [1, 0, 1], types="uint256[]")
    found = await read(contracts, composable)
    assert isinstance(found, Unreadable)
    assert found.why.startswith("scaling factors [1, 0, 1] where its rates make [11")


async def test_more_rate_providers_than_tokens_are_not_asked() -> None:
    state = BalancerStablePool(
        (10**24, 2 * 10**24), (10**18, 10**18), 500_000, 10**14, None, InvariantVersion.ROUNDING_UP
    )
    contracts = balancer(state)
    contracts.view(POOL, "getRateProviders()", ["0x" + THREE.hex()] * 5_000, types="address[]")
    contracts.requests.clear()
    found = await read(contracts, spec_of(PoolFamily.BALANCER_V2_STABLE, id=b"\x05" * 32))
    assert isinstance(found, Unreadable)
    assert found.why == "more rate providers than its 2 tokens"
    assert sum(contracts.requests) < 100


def provided(contracts: FakeContracts, cached: tuple[int, int], rate: int = 0) -> None:
    """A rate provider of the first token: (the rate that the pool keeps, until when), and what it says itself."""
    contracts.view(POOL, "getRateProviders()", ["0x" + THREE.hex(), *["0x" + "00" * 20] * 2], types="address[]")
    contracts.view(POOL, "getTokenRateCache(address)", cached[0], cached[0], 10_800, cached[1])
    contracts.view(THREE, "getRate()", rate)


@pytest.mark.parametrize("version", list(InvariantVersion))
@pytest.mark.parametrize("own", [None, 2])
async def test_the_vaults_own_quotes_tell_a_stable_pools_invariant(version: InvariantVersion, own: int | None) -> None:
    count = 2 if own is None else 3
    balances, factors = (10**24, 2 * 10**12, 1 << 111)[:count], (10**18, 10**30, 10**18)[:count]
    state = BalancerStablePool(balances, factors, 500_000, 10**14, own, version)
    contracts = balancer(state)
    if own is not None:
        contracts.view(POOL, "getBptIndex()", own)
    spec = spec_of(PoolFamily.BALANCER_V2_STABLE, (ONE, TWO, POOL)[:count], id=b"\x05" * 32)
    assert await read(contracts, spec) == state
    contracts.vault_quotes(VAULT, state, (ONE, TWO, POOL), more=1)
    assert isinstance(await read(contracts, spec), Unreadable)


async def test_a_stable_pool_out_of_which_nothing_comes_is_read_as_the_version_that_gives_nothing_either() -> None:
    factors, version = (10**18, 10**30, 10**18), InvariantVersion.ROUNDING_DOWN
    stuck = BalancerStablePool(
        (7_450_784_484_077_112_282_578_944, 2_464_051, 1 << 111), factors, 5_000, 10**14, 2, version
    )
    contracts = balancer(stuck)
    contracts.view(POOL, "getBptIndex()", 2)
    spec = spec_of(PoolFamily.BALANCER_V2_STABLE, (ONE, TWO, POOL), id=b"\x05" * 32)
    assert await read(contracts, spec) == stuck
    other = msgspec.structs.replace(stuck, invariant_version=InvariantVersion.ROUNDING_UP)
    contracts.vault_quotes(VAULT, other, (ONE, TWO, POOL))
    assert await read(contracts, spec) == other


@pytest.mark.parametrize("until", [0, 11, 12])
async def test_an_expired_rate_is_its_providers_own_when_the_pool_is_asked(until: int) -> None:
    old, new = 11 * 10**17, 1101 * 10**15
    now = BalancerStablePool((10**24, 2 * 10**12, 1 << 111), (old, 10**30, 10**18), 500_000, 10**14, 2, is_moving=True)
    contracts = balancer(now)
    contracts.view(POOL, "getBptIndex()", 2)
    contracts.view(POOL, "getScalingFactors()", list(now.scaling_factors), types="uint256[]")
    provided(contracts, (old, 1_700_000_000 + until), new)
    spec = spec_of(PoolFamily.BALANCER_V2_STABLE, (ONE, TWO, POOL), id=b"\x05" * 32)
    # The block that is read still counts with what is kept; the one after it, twelve seconds later, perhaps not.
    asked = await read(contracts, spec, seconds_ahead=12)
    assert isinstance(asked, BalancerStablePool)
    assert asked.scaling_factors[0] == (old if until == 12 else new)
    assert is_untold(spec, asked)


async def test_an_amplification_that_ramps_is_that_of_the_second_at_which_the_pool_is_asked() -> None:
    contracts, start = curve(TWO_COINS), 1_700_000_000 - 1_000
    ramp = {"initial_A()": 10_000, "future_A()": 40_000, "initial_A_time()": start, "future_A_time()": start + 3_000}
    for signature, value in ramp.items():
        contracts.view(POOL, signature, value)
    spec = spec_of(PoolFamily.CURVE_PLAIN)
    asked = await read(contracts, spec, seconds_ahead=12)
    assert asked == msgspec.structs.replace(TWO_COINS, amplification=20_120, is_moving=True)
    assert is_untold(spec, asked)
    contracts.view(POOL, "initial_A()", 10_100)
    refused = await read(contracts, spec)
    assert isinstance(refused, Unreadable)
    assert "an amplification of 20000 between 10100" in refused.why
    contracts.view(POOL, "future_A_time()", 1_700_000_000)
    assert await read(contracts, spec) == TWO_COINS


async def test_a_balancer_pool_whose_amplification_ramps_is_read_at_every_block() -> None:
    old = BalancerStablePool(
        (10**24, 2 * 10**12), (10**18, 10**30), 500_000, 10**14, None, InvariantVersion.ROUNDING_UP
    )
    contracts, spec = balancer(old), spec_of(PoolFamily.BALANCER_V2_STABLE, id=b"\x05" * 32)
    steady = await read(contracts, spec)
    contracts.view(POOL, "getAmplificationParameter()", old.amplification, 1, 1000)
    ramping = await read(contracts, spec)
    assert isinstance(steady, BalancerStablePool)
    assert isinstance(ramping, BalancerStablePool)
    assert (is_untold(spec, steady), is_untold(spec, ramping)) == (False, True)


def manager(tick: int = 5, gross: int = 900) -> FakeContracts:
    """A V4 manager with one position over -120 … 60 of one pool, both protocol fees on."""
    storage = {0: sqrt_ratio_at_tick(5) | (tick & 0xFFFFFF) << 160 | 700 << 196 | 500 << 184 | 3000 << 208, 3: 900}
    slot = int.from_bytes(keccak256(V4_ID + word(6)), "big")
    words = {(slot + offset) % 2**256: value for offset, value in storage.items()}
    for number, value in ((-1, 1 << 254), (0, 1 << 1)):
        words[int.from_bytes(keccak256(word(number) + word((slot + 5) % 2**256)), "big")] = value
    for number, net in ((-120, 900), (60, -900)):
        key = int.from_bytes(keccak256(word(number) + word((slot + 4) % 2**256)), "big")
        words[key] = (net % 2**128) << 128 | gross
    contracts = FakeContracts()
    contracts.answer(MANAGER, "extsload(bytes32)", lambda asked: word(words.get(int.from_bytes(asked, "big"), 0)))
    return contracts


V4_SPEC = PoolSpec(V4_ID, PoolFamily.UNISWAP_V4, MANAGER, (ONE, TWO), 3000, 60)


async def test_a_v4_pool_is_read_out_of_its_managers_storage() -> None:
    pool = await read(manager(), V4_SPEC)
    assert isinstance(pool, V4Pool)
    assert (pool.tick, pool.liquidity, pool.lp_fee) == (5, 900, 3000)
    assert (pool.protocol_fee0, pool.protocol_fee1) == (500, 700)
    assert pool.ticks.net == {-120: 900, 60: -900}


async def test_a_v4_pool_with_a_tick_that_is_not_its_prices_or_that_nothing_refers_to_is_refused() -> None:
    assert await read(manager(tick=-7), V4_SPEC) == Unreadable("tick -7 at a price of tick 5")
    assert await read(manager(gross=0), V4_SPEC) == Unreadable("tick -120 is initialised without liquidity")


async def test_slipstreams_fee_is_the_pools_own_and_may_move() -> None:
    contracts = FakeContracts()
    contracts.view(POOL, "slot0()", sqrt_ratio_at_tick(5), 5, 0, 0, 0, 1)
    contracts.view(POOL, "liquidity()", 0)
    contracts.view(POOL, "fee()", 450)
    contracts.view(POOL, "tickBitmap(int16)", 0)
    spec = spec_of(PoolFamily.SLIPSTREAM, tick_spacing=100, has_moving_fee=True)
    pool = await read(contracts, spec)
    assert isinstance(pool, ConcentratedPool)
    assert (pool.fee_pips, pool.fee_protocol0) == (450, 0)
    contracts.view(POOL, "fee()", 1_000_000)
    assert await read(contracts, spec) == Unreadable("fee 1000000")
    assert is_untold(spec, pool)


async def test_a_tick_out_of_range_is_refused() -> None:
    contracts = FakeContracts()
    contracts.view(POOL, "slot0()", sqrt_ratio_at_tick(5), 5, 0, 0, 0, 0, 1)
    contracts.view(POOL, "liquidity()", 0)
    # The last bit of the last word lies beyond the last tick.
    contracts.answer(POOL, "tickBitmap(int16)", lambda number: word(1 << 255 if number == word(57) else 0))
    contracts.view(POOL, "ticks(int24)", 10, 10)
    spec = PoolSpec(POOL, PoolFamily.UNISWAP_V3, POOL, (ONE, TWO), 3000, 60)
    state = await read(contracts, spec)
    assert isinstance(state, Unreadable)
    assert "out of range" in state.why


# Listed


async def test_listed_pools_tell_their_tokens_and_what_does_not_answer_is_left_out() -> None:
    contracts = FakeContracts()
    meta, staked, odd, strange = (Address(bytes([seed]) * 20) for seed in (0x21, 0x22, 0x23, 0x24))
    coins = {POOL: [ONE, TWO, THREE], meta: [ONE, POOL], odd: [ONE, ONE]}
    for pool, held in coins.items():

        def coin(index: bytes, of: list[Address] = held) -> bytes | None:
            number = int.from_bytes(index, "big")
            return bytes(12) + of[number] if number < len(of) else None

        contracts.answer(pool, "coins(int128)" if pool == meta else "coins(uint256)", coin)
    contracts.view(VAULT, "asset()", int.from_bytes(ONE, "big"))
    contracts.view(staked, "stETH()", int.from_bytes(TWO, "big"))
    contracts.view(strange, "stETH()", 1 << 200)
    listed = [
        ListedPoolConfig(family=PoolFamily.CURVE_PLAIN, address=POOL, product_rule=ProductRule.PAIR),
        ListedPoolConfig(family=PoolFamily.CURVE_META, address=meta, base=POOL, base_rule=ProductRule.EACH),
        ListedPoolConfig(family=PoolFamily.CURVE_META, address=meta, base=odd),
        ListedPoolConfig(family=PoolFamily.CURVE_META, address=meta),
        ListedPoolConfig(family=PoolFamily.CURVE_PLAIN, address=odd),
        ListedPoolConfig(family=PoolFamily.ERC4626, address=VAULT),
        ListedPoolConfig(family=PoolFamily.ERC4626, address=odd),
        ListedPoolConfig(family=PoolFamily.WRAPPER, address=staked),
        ListedPoolConfig(family=PoolFamily.WRAPPER, address=MANAGER),
        ListedPoolConfig(family=PoolFamily.WRAPPER, address=strange),
    ]
    found = await ListedPools(Multicall(endpoints_to([contracts.node]), MULTICALL3), listed).pools(BLOCK)
    assert [(spec.family, spec.address, spec.tokens) for spec in found if spec.base is None] == [
        (PoolFamily.CURVE_PLAIN, POOL, (ONE, TWO, THREE)),
        (PoolFamily.ERC4626, VAULT, (ONE, VAULT)),
        (PoolFamily.WRAPPER, staked, (TWO, staked)),
        (PoolFamily.WRAPPER, MANAGER, (ZERO_ADDRESS, MANAGER)),
    ]
    metas = [spec for spec in found if spec.base is not None]
    assert [(spec.address, spec.base.address) for spec in metas if spec.base] == [(meta, POOL), (meta, odd)]
    assert found[0].product_rule is ProductRule.PAIR


# Announced


def log(address: bytes, topic: str, topics: list[bytes], *values: int) -> LogJson:
    rest = ["0x" + one.rjust(32, b"\0").hex() for one in topics]
    data = "0x" + b"".join(word(value % 2**256) for value in values).hex()
    return LogJson("0x" + address.hex(), [topic, *rest], data, "0x" + "00" * 32, "0x0")


def announced(family: PoolFamily, topic: str, topics: list[bytes], *values: int) -> PoolSpec | None:
    return spec_from_log(
        FactoryConfig(family=family, address=MANAGER, fee_pips=2500), topic, log(b"", topic, topics, *values)
    )


def initialised(fee: int, spacing: int, hooks: int, *, identity: bytes | None = None) -> PoolSpec | None:
    key = identity or pool_id(ONE, TWO, fee, spacing, Address(hooks.to_bytes(20, "big")))
    return announced(PoolFamily.UNISWAP_V4, V4_INITIALIZED, [key, ONE, TWO], fee, spacing, hooks, 1 << 96, 0)


def test_factories_announce_pools_in_their_families_own_words() -> None:
    seven = int.from_bytes(POOL, "big")
    pair = announced(PoolFamily.PANCAKE_V2, PAIR_CREATED, [ONE, TWO], seven, 1)
    assert pair == PoolSpec(POOL, PoolFamily.PANCAKE_V2, POOL, (ONE, TWO), 2500)
    deep = announced(PoolFamily.PANCAKE_V3, POOL_CREATED, [ONE, TWO, word(500)], 10, seven)
    assert deep == PoolSpec(POOL, PoolFamily.PANCAKE_V3, POOL, (ONE, TWO), 500, 10)
    slip = announced(PoolFamily.SLIPSTREAM, SLIPSTREAM_CREATED, [ONE, TWO, word(100)], seven)
    assert slip == PoolSpec(POOL, PoolFamily.SLIPSTREAM, POOL, (ONE, TWO), 0, 100, has_moving_fee=True)
    stable = announced(PoolFamily.AERODROME, SOLIDLY_CREATED, [ONE, TWO, word(1)], seven, 3)
    assert stable == PoolSpec(POOL, PoolFamily.AERODROME, POOL, (ONE, TWO), 0, has_moving_fee=True, is_stable=True)
    assert initialised(3000, 60, 0) == V4_SPEC
    assert announced(PoolFamily.AERODROME, PAIR_CREATED, [ONE, TWO], seven, 1) is None


def test_a_v4_pool_whose_fee_its_hook_sets_is_read_at_every_block() -> None:
    spec = initialised(DYNAMIC_FEE, 60, 1 << 12)
    assert spec is not None
    assert (spec.has_moving_fee, spec.fee_pips, is_untold(spec, None)) == (True, 0, True)


def test_a_v4_pool_whose_hook_may_change_amounts_is_recognised() -> None:
    with pytest.raises(AltersAmounts, match="may change amounts"):
        initialised(3000, 60, 1 << 7)


@pytest.mark.parametrize(
    "announce",
    [
        lambda: initialised(3000, 60, 0, identity=b"\x07" * 32),
        lambda: initialised(3000, 0, 0, identity=b"\x07" * 32),
        lambda: initialised(1_000_001, 60, 0),
        lambda: announced(PoolFamily.SLIPSTREAM, SLIPSTREAM_CREATED, [ONE, TWO, word(-1)], 1),
        lambda: announced(PoolFamily.AERODROME, SOLIDLY_CREATED, [ONE, TWO, word(2)], 1, 1),
        lambda: announced(PoolFamily.PANCAKE_V2, PAIR_CREATED, [ONE, ONE], 1, 1),
        lambda: announced(PoolFamily.PANCAKE_V2, PAIR_CREATED, [ONE], 1, 1),
        lambda: announced(PoolFamily.PANCAKE_V3, POOL_CREATED, [ONE, TWO, word(1_000_000)], 10, 1),
    ],
)
def test_an_announcement_that_contradicts_itself_is_refused(announce: Callable[[], PoolSpec | None]) -> None:
    with pytest.raises(ValueError, match=r"."):
        announce()


# Followed


def told(family: PoolFamily, signature: str, topics: list[bytes], *values: int, tokens: int = 2) -> list[PoolChange]:
    """What a log of a followed pool says."""
    factories = [FactoryConfig(family=PoolFamily.UNISWAP_V4, address=MANAGER)]
    logs = PoolLogs(factories, [family])
    spec = V4_SPEC if family is PoolFamily.UNISWAP_V4 else spec_of(family, (ONE, TWO, THREE)[:tokens])
    logs.follow(spec)
    said = logs.read([log(spec.address, "0x" + keccak256(signature.encode()).hex(), topics, *values)])
    assert not said.doubtful, said.doubtful
    return said.changes


PRICE = sqrt_ratio_at_tick(-7)
EXCHANGE = "TokenExchange(address,int128,uint256,int128,uint256)"
REMOVED = "RemoveLiquidity(address,uint256[2],uint256[2],uint256)"
V4_SWAP = "Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)"


@pytest.mark.parametrize(
    ("said", "change"),
    [
        (told(PoolFamily.AERODROME, "Sync(uint256,uint256)", [], 5, 1 << 200), ReservesSet(POOL, 5, 1 << 200)),
        (told(PoolFamily.CAMELOT, "Sync(uint112,uint112)", [], 5, 7), ReservesSet(POOL, 5, 7)),
        (
            told(
                PoolFamily.PANCAKE_V3,
                "Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)",
                [ONE, TWO],
                *(1, -1, PRICE, 9, -7, 0, 0),
            ),
            PriceMoved(POOL, PRICE, 9, -7),
        ),
        (
            told(PoolFamily.UNISWAP_V4, V4_SWAP, [V4_ID, ONE], 1, -1, PRICE, 9, -7, 3000),
            PriceMoved(V4_ID, PRICE, 9, -7),
        ),
        (
            told(
                PoolFamily.UNISWAP_V4,
                "ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)",
                [V4_ID, ONE],
                *(-60, 120, -5, 0),
            ),
            LiquidityChanged(V4_ID, -60, 120, -5),
        ),
        (told(PoolFamily.UNISWAP_V4, "ProtocolFeeUpdated(bytes32,uint24)", [V4_ID], 1000), StateOutdated(V4_ID)),
        (told(PoolFamily.CURVE_PLAIN, EXCHANGE, [ONE], 0, 5, 1, 7), CoinsExchanged(POOL, 0, 1, 5, 7)),
        (
            told(
                PoolFamily.CURVE_PLAIN,
                "AddLiquidity(address,uint256[3],uint256[3],uint256,uint256)",
                [ONE],
                *(1, 2, 3, 4, 5, 6, 7, 8),
                tokens=3,
            ),
            CoinsChanged(POOL, (1, 2, 3), (4, 5, 6)),
        ),
        (
            told(
                PoolFamily.CURVE_PLAIN, "RemoveLiquidity(address,uint256[2],uint256[2],uint256)", [ONE], 1, 2, 0, 0, 9
            ),
            CoinsChanged(POOL, (-1, -2), (0, 0)),
        ),
        (told(PoolFamily.CURVE_PLAIN, "RampA(uint256,uint256,uint256,uint256)", [], 1, 2, 3, 4), StateOutdated(POOL)),
        (told(PoolFamily.BALANCER_V2_STABLE, "PausedStateChanged(bool)", [], 1), StateOutdated(POOL)),
        (told(PoolFamily.CURVE_META, EXCHANGE, [ONE], 0, 5, 1, 7), StateOutdated(POOL)),
        (
            told(PoolFamily.CURVE_CRYPTO, "TokenExchange(address,uint256,uint256,uint256,uint256)", [ONE], 0, 5, 1, 7),
            StateOutdated(POOL),
        ),
        (
            told(PoolFamily.ERC4626, "Deposit(address,address,uint256,uint256)", [ONE, TWO], 5, 7),
            BalancesChanged(POOL, (5, 7)),
        ),
        (
            told(PoolFamily.ERC4626, "Withdraw(address,address,address,uint256,uint256)", [ONE, TWO, ONE], 5, 7),
            BalancesChanged(POOL, (-5, -7)),
        ),
    ],
)
def test_logs_of_every_family_are_read_as_their_contracts_write_them(
    said: list[PoolChange], change: PoolChange
) -> None:
    assert said == [change]


@pytest.mark.parametrize(
    ("family", "signature", "topics", "values"),
    [
        (PoolFamily.UNISWAP_V4, V4_SWAP, [V4_ID, ONE], (1, -1, 0, 9, -7, 3000)),
        (PoolFamily.UNISWAP_V4, V4_SWAP, [V4_ID, ONE], (1, -1, PRICE, 1 << 128, -7, 3000)),
        (PoolFamily.UNISWAP_V4, "ProtocolFeeUpdated(bytes32,uint24)", [V4_ID], (1001,)),
        (PoolFamily.CURVE_PLAIN, EXCHANGE, [ONE], (0, 5, 2, 7)),
        (PoolFamily.CURVE_PLAIN, EXCHANGE, [ONE], (1, 5, 1, 7)),
        (PoolFamily.CAMELOT, "Sync(uint112,uint112)", [], (1 << 112, 7)),
        (PoolFamily.ERC4626, "Deposit(address,address,uint256,uint256)", [ONE], (5, 7)),
    ],
)
def test_a_log_that_its_contract_cannot_have_written_makes_the_pool_doubtful(
    family: PoolFamily, signature: str, topics: list[bytes], values: tuple[int, ...]
) -> None:
    with pytest.raises(AssertionError, match="malformed"):
        told(family, signature, topics, *values)


@pytest.mark.parametrize(
    ("signature", "values", "why"),
    [
        ("SetStableSwap(bool,bool)", (0, 1), "its curve was changed"),
        ("FeePercentUpdated(uint16,uint16)", (300, 400), "its swap fee was changed"),
    ],
)
def test_a_camelot_pair_that_its_owner_set_otherwise_is_read_anew(
    signature: str, values: tuple[int, ...], why: str
) -> None:
    logs = PoolLogs((), [PoolFamily.CAMELOT])
    logs.follow(spec_of(PoolFamily.CAMELOT))
    assert logs.read([log(POOL, "0x" + keccak256(signature.encode()).hex(), [], *values)]).doubtful == {POOL: why}


def test_a_pool_with_an_altering_hook_is_counted_and_not_announced() -> None:
    logs = PoolLogs([FactoryConfig(family=PoolFamily.UNISWAP_V4, address=MANAGER)])
    key = pool_id(ONE, TWO, 3000, 60, Address((1 << 7).to_bytes(20, "big")))
    said = logs.read([log(MANAGER, V4_INITIALIZED, [key, ONE, TWO], 3000, 60, 1 << 7, 1 << 96, 0)])
    assert not said.announced
    assert logs.counts["altering hooks"] == 1


def test_the_contracts_that_are_asked_beside_the_pools_follow_from_the_configuration() -> None:
    factories = (
        FactoryConfig(family=PoolFamily.BALANCER_V2_STABLE, address=VAULT),
        FactoryConfig(family=PoolFamily.AERODROME, address=FACTORY),
    )
    contracts = read_contracts(ProtocolsConfig(multicall3=MULTICALL3, factories=factories))
    assert contracts[PoolFamily.BALANCER_V2_WEIGHTED] == VAULT
