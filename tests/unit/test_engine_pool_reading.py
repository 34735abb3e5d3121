"""Whole pools from what the chain answers, and none from what cannot be."""

from __future__ import annotations

import pytest

from node.engine.multicall import Multicall
from node.engine.pool_reading import PoolReader, Unreadable
from node.engine.pool_views import pair_fee
from node.engine.tick_reading import MOST_TICKS, all_words, initialised
from node.pipeline.amm.balancer_fixed_point import PowVersion
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.tick_math import sqrt_ratio_at_tick
from node.pipeline.amm.weighted import WeightedPool, weighted_pool
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState
from protocol.ethereum.abi import selector
from protocol.units import Address, Hash32
from tests.fake_chain_node import endpoints_to
from tests.fake_contracts import MULTICALL3, FakeContracts, word

BLOCK = Hash32(b"\x01" * 32)
WETH, USDC, VAULT = Address(b"\xa1" * 20), Address(b"\xa2" * 20), Address(b"\xba" * 20)
PAIR = PoolSpec(b"\x01" * 20, PoolFamily.UNISWAP_V2, Address(b"\x01" * 20), (WETH, USDC), 3000)
DEEP = PoolSpec(b"\x02" * 20, PoolFamily.UNISWAP_V3, Address(b"\x02" * 20), (WETH, USDC), 3000, 60)
HELD = PoolSpec(b"\x03" * 32, PoolFamily.BALANCER_V2_WEIGHTED, Address(b"\x03" * 20), (WETH, USDC), 2500)


def world() -> FakeContracts:
    """A pair, a concentrated pool with one position over -120 … 60 at tick 5, a weighted pool of half and half."""
    contracts = FakeContracts()
    contracts.view(PAIR.address, "getReserves()", 1000, 2000, 7)
    contracts.view(DEEP.address, "slot0()", sqrt_ratio_at_tick(5), 5, 0, 0, 0, 0x54, 1)
    contracts.view(DEEP.address, "liquidity()", 900)
    words = {word(-1): 1 << 254, word(0): 1 << 1}
    contracts.answer(DEEP.address, "tickBitmap(int16)", lambda number: word(words.get(number, 0)))
    ticks = {word(-120): word(900) + word(900), word(60): word(900) + word(-900)}
    contracts.answer(DEEP.address, "ticks(int24)", lambda number: ticks[number] + bytes(192))
    tokens = ["0x" + WETH.hex(), "0x" + USDC.hex()]
    contracts.view(VAULT, "getPoolTokens(bytes32)", tokens, [10, 20], 1, types="address[] uint256[] uint256")
    contracts.view(HELD.address, "getSwapFeePercentage()", 25 * 10**14)
    contracts.view(HELD.address, "getNormalizedWeights()", [5 * 10**17] * 2, types="uint256[]")
    contracts.view(HELD.address, "getRateProviders()", ["0x" + "00" * 20] * 2, types="address[]")
    contracts.view(WETH, "decimals()", 18)
    contracts.view(USDC, "decimals()", 6)
    # A thousandth of ten units is nothing: of the larger parts the vault says what the pool gives.
    contracts.vault_quotes(VAULT, weighted_pool([10, 20], [5 * 10**17] * 2, [18, 6], 25 * 10**14), HELD.tokens)
    return contracts


async def read(contracts: FakeContracts, *specs: PoolSpec) -> list[PoolState | Unreadable]:
    pools = PoolReader(Multicall(endpoints_to([contracts.node]), MULTICALL3), {PoolFamily.BALANCER_V2_WEIGHTED: VAULT})
    states = await pools.read(specs, BLOCK)
    return [states[spec.id] for spec in specs]


async def test_pools_of_all_families_are_read_together() -> None:
    pair, deep, held = await read(world(), PAIR, DEEP, HELD)
    assert pair == ConstantProductPool(1000, 2000)
    assert isinstance(deep, ConcentratedPool)
    assert (deep.tick, deep.liquidity, deep.fee_protocol0, deep.fee_protocol1) == (5, 900, 4, 5)
    assert deep.ticks.net == {-120: 900, 60: -900}
    assert isinstance(held, WeightedPool)
    assert (held.balances, held.swap_fee, held.pow_version) == ((10, 20), 25 * 10**14, PowVersion.V2)
    assert held.scaling_factors == (10**18, 10**30)


async def test_a_weighted_pool_without_rate_providers_has_the_older_power_function() -> None:
    contracts = world()
    del contracts.views[HELD.address, selector("getRateProviders()")]
    (held,) = await read(contracts, HELD)
    assert isinstance(held, WeightedPool)
    assert held.pow_version is PowVersion.V1


@pytest.mark.parametrize("version", list(PowVersion))
@pytest.mark.parametrize("has_providers", [False, True])
async def test_the_vaults_own_quotes_tell_a_weighted_pools_power_function(
    version: PowVersion, has_providers: bool
) -> None:
    contracts, balances = world(), [10**21, 4 * 10**9]
    if not has_providers:
        del contracts.views[HELD.address, selector("getRateProviders()")]
    tokens = ["0x" + WETH.hex(), "0x" + USDC.hex()]
    contracts.view(VAULT, "getPoolTokens(bytes32)", tokens, balances, 1, types="address[] uint256[] uint256")
    state = weighted_pool(balances, [5 * 10**17] * 2, [18, 6], 25 * 10**14, version)
    contracts.vault_quotes(VAULT, state, HELD.tokens)
    assert await read(contracts, HELD) == [state]
    contracts.vault_quotes(VAULT, state, HELD.tokens, more=1)
    (held,) = await read(contracts, HELD)
    assert isinstance(held, Unreadable)
    assert "where we compute" in held.why


@pytest.mark.parametrize(("whose", "words"), [(VAULT, "the vault is paused"), (HELD.address, "the pool is paused")])
async def test_what_is_paused_is_not_quoted(whose: Address, words: str) -> None:
    contracts = world()
    contracts.view(whose, "getPausedState()", 0, 5, 6)
    assert isinstance((await read(contracts, HELD))[0], WeightedPool)
    contracts.view(whose, "getPausedState()", 1, 5, 6)
    assert await read(contracts, HELD) == [Unreadable(words)]


@pytest.mark.parametrize(
    ("spec", "target", "signature", "values", "why"),
    [
        (PAIR, PAIR.address, "getReserves()", (1 << 112, 1, 0), "reserves"),
        (PAIR, PAIR.address, "getReserves()", (), "ends within a word"),
        (DEEP, DEEP.address, "slot0()", (0, 0, 0, 0, 0, 0, 1), "not initialised"),
        (DEEP, DEEP.address, "slot0()", (1 << 160, 0, 0, 0, 0, 0, 1), "price"),
        (DEEP, DEEP.address, "slot0()", (1 << 96, 5, 0, 0, 0, 0, 1), "tick 5 at a price of tick 0"),
        (DEEP, DEEP.address, "liquidity()", (901,), "the ticks make a liquidity of 900, the pool says 901"),
        (DEEP, DEEP.address, "liquidity()", (1 << 128,), "liquidity 3402"),
        (DEEP, DEEP.address, "tickBitmap(int16)", (), "a word of the tick bitmap is wrong"),
        (DEEP, DEEP.address, "ticks(int24)", (0, 0), "initialised without liquidity"),
        (DEEP, DEEP.address, "ticks(int24)", (899, 900), "gross liquidity"),
        (HELD, HELD.address, "getSwapFeePercentage()", (10**17 + 1,), "getSwapFeePercentage"),
        (HELD, HELD.address, "getNormalizedWeights()", (), "does not decode"),
        (HELD, USDC, "decimals()", (19,), "decimals"),
    ],
)
async def test_a_state_that_cannot_be_is_not_read(
    spec: PoolSpec, target: Address, signature: str, values: tuple[int, ...], why: str
) -> None:
    contracts = world()
    contracts.view(target, signature, *values)
    (state,) = await read(contracts, spec)
    assert isinstance(state, Unreadable)
    assert why in state.why


async def test_a_pool_that_reverts_or_trades_other_tokens_is_not_read() -> None:
    contracts = world()
    time = {name: view for name, view in contracts.views.items() if name[0] == MULTICALL3}
    contracts.views = time
    assert all(isinstance(state, Unreadable) for state in await read(contracts, PAIR, DEEP, HELD))
    contracts = world()
    tokens = ["0x" + USDC.hex(), "0x" + WETH.hex()]
    contracts.view(VAULT, "getPoolTokens(bytes32)", tokens, [10, 20], 1, types="address[] uint256[] uint256")
    assert await read(contracts, HELD) == [Unreadable("other tokens than announced")]


async def test_only_the_words_asked_for_are_read() -> None:
    pools = PoolReader(Multicall(endpoints_to([world().node]), MULTICALL3), {PoolFamily.BALANCER_V2_WEIGHTED: VAULT})
    state = (await pools.read([DEEP], BLOCK, {DEEP.id: [0]}))[DEEP.id]
    assert isinstance(state, ConcentratedPool)
    assert state.ticks.net == {60: -900}


async def test_a_contract_that_says_every_tick_is_initialised_is_not_asked_for_them() -> None:
    contracts = world()
    wide = PoolSpec(b"\x04" * 20, PoolFamily.UNISWAP_V3, Address(b"\x04" * 20), (WETH, USDC), 100, 1)
    contracts.view(wide.address, "slot0()", sqrt_ratio_at_tick(5), 5, 0, 0, 0, 0, 1)
    contracts.view(wide.address, "liquidity()", 900)
    contracts.view(wide.address, "tickBitmap(int16)", -1)
    deep, refused = await read(contracts, DEEP, wide)
    assert isinstance(deep, ConcentratedPool)
    assert refused == Unreadable(f"more than {MOST_TICKS} initialised ticks")
    most = len(all_words(wide)) + len(all_words(DEEP)) + 100
    assert sum(contracts.requests) < most, "every word of the bitmap, and no tick of it"


def test_as_many_ticks_as_are_read_are_found_and_one_more_is_refused() -> None:
    full, rest = divmod(MOST_TICKS, 256)
    words = [word(-1)] * full + [word((1 << rest) - 1)]
    assert len(initialised(range(full + 1), words, 1)) == MOST_TICKS
    with pytest.raises(ValueError, match="more than"):
        initialised(range(full + 2), [*words, word(1)], 1)


def test_words_span_the_whole_range_of_ticks() -> None:
    assert all_words(PAIR) == ()
    assert (all_words(DEEP)[0], all_words(DEEP)[-1]) == (-58, 57)


@pytest.mark.parametrize(("pips", "fee"), [(3000, (3, 1000)), (2500, (25, 10_000)), (3050, (3050, 1_000_000))])
def test_a_fee_is_written_as_its_contract_writes_it(pips: int, fee: tuple[int, int]) -> None:
    assert pair_fee(pips) == fee
