"""Our V4 pools beside the genuine PoolManager, step by step: random positions and swaps, with and without its fees."""

from __future__ import annotations

from random import Random

import pytest

from devnet.accounts import account
from devnet.artifacts import load
from devnet.packages import Packages
from devnet.protocols.uniswap_v4 import ARTIFACTS, KEY, NATIVE
from devnet.world import World
from node.pipeline.amm import uniswap_v4
from node.pipeline.amm.errors import PoolRevert
from node.pipeline.amm.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)
from node.pipeline.amm.ticks import empty_tick_table
from node.pipeline.amm.uniswap_v4 import V4Pool
from protocol.ethereum.abi import encode
from protocol.ethereum.keccak import keccak256
from protocol.units import address_from_hex
from tests.chain import Chain

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(300)]

OPERATOR = account("operator-0")
STEPS = 60
_POOLS_SLOT = 6
_LIQUIDITY_SLOT = 3


class Manager:
    """The world's PoolManager with a new pool, and the routers of the package's own tests."""

    def __init__(self, chain: Chain, packages: Packages, world: World, fee: int, spacing: int) -> None:
        self.chain, self._packages = chain, packages
        self.manager = world.manifest.contracts["uniswap_v4_pool_manager"]
        self.tokens = sorted(world.manifest.token(symbol).address for symbol in ("DAI", "WETH"))
        self.key = (*self.tokens, fee, spacing, NATIVE)
        currency0, currency1 = (address_from_hex(token) for token in self.tokens)
        self.id = uniswap_v4.pool_id(currency0, currency1, fee, spacing, address_from_hex(NATIVE))

    async def deploy(self, price: int, protocol_fee: int) -> None:
        """Create the routers, and the pool at a price."""
        chain = self.chain
        self.swaps = await chain.create(OPERATOR, self._code("PoolSwapTest"), ("address",), (self.manager,))
        name = "PoolModifyLiquidityTest"
        self.positions = await chain.create(OPERATOR, self._code(name), ("address",), (self.manager,))
        for token in self.tokens:
            for router in (self.swaps, self.positions):
                await chain.send(OPERATOR, token, "approve(address,uint256)", router, 1 << 255)
        await chain.send(OPERATOR, self.manager, f"initialize({KEY},uint160)", self.key, price)
        await chain.send(account("deployer"), self.manager, "setProtocolFeeController(address)", OPERATOR.address)
        await chain.send(OPERATOR, self.manager, f"setProtocolFee({KEY},uint24)", self.key, protocol_fee)

    def _code(self, name: str) -> bytes:
        return load(self._packages, f"{ARTIFACTS}/{name}.sol/{name}.default.json").creation

    async def word(self, offset: int) -> int:
        """A word of the pool's state (StateLibrary.sol)."""
        place = int.from_bytes(keccak256(encode(("bytes32", "uint256"), (self.id, _POOLS_SLOT))), "big") + offset
        (word,) = await self.chain.read(self.manager, "extsload(bytes32)", ["bytes32"], place.to_bytes(32, "big"))
        return int.from_bytes(word, "big")

    async def require_equal(self, pool: V4Pool) -> None:
        """The pool's price, tick, fees and liquidity are ours."""
        slot0 = await self.word(0)
        tick = (slot0 >> 160 & 0xFFFFFF ^ 0x800000) - 0x800000
        assert (slot0 & (1 << 160) - 1, tick) == (pool.sqrt_price_x96, pool.tick)
        assert uniswap_v4.protocol_fees(slot0 >> 184 & 0xFFFFFF) == (pool.protocol_fee0, pool.protocol_fee1)
        assert (slot0 >> 208 & 0xFFFFFF, await self.word(_LIQUIDITY_SLOT)) == (pool.lp_fee, pool.liquidity)

    async def swap(self, zero_for_one: bool, specified: int, limit: int) -> tuple[int, int] | None:
        """What the sender's balances changed by; None if it was refused. `specified` negative: an exact input."""
        before = [await self.chain.balance(token, OPERATOR.address) for token in self.tokens]
        receipt = await self.chain.try_send(
            OPERATOR,
            self.swaps,
            f"swap({KEY},(bool,int256,uint160),(bool,bool),bytes)",
            self.key,
            (zero_for_one, specified, limit),
            (False, False),
            b"",
        )
        after = [await self.chain.balance(token, OPERATOR.address) for token in self.tokens]
        return (after[0] - before[0], after[1] - before[1]) if receipt["status"] == "0x1" else None

    async def modify(self, lower: int, upper: int, delta: int) -> None:
        """Change the liquidity of a range."""
        call = f"modifyLiquidity({KEY},(int24,int24,int256,bytes32),bytes)"
        await self.chain.send(OPERATOR, self.positions, call, self.key, (lower, upper, delta, bytes(32)), b"")


@pytest.mark.parametrize(
    ("seed", "fee", "spacing", "protocol_fee"), [(1, 3000, 60, 0), (2, 100, 1, 1000 << 12 | 7), (3, 0, 10, 500)]
)
async def test_every_swap_and_position_leaves_the_pool_as_we_say(
    seed: int, fee: int, spacing: int, protocol_fee: int, chain: Chain, world: World, packages: Packages
) -> None:
    random = Random(seed)
    manager = Manager(chain, packages, world, fee, spacing)
    start = random.randrange(-100, 100) * spacing + random.randrange(spacing)
    price = sqrt_ratio_at_tick(start) + random.randrange(1000)
    await manager.deploy(price, protocol_fee)
    fees = uniswap_v4.protocol_fees(protocol_fee)
    pool = V4Pool(fee, price, tick_at_sqrt_ratio(price), 0, empty_tick_table(spacing), *fees)
    owned: list[tuple[int, int, int]] = []
    swaps = accrued0 = accrued1 = 0
    for step in range(STEPS):
        await manager.require_equal(pool)
        if step < 3 or random.random() < 0.25:
            if owned and random.random() < 0.4:
                lower, upper, held = owned.pop(random.randrange(len(owned)))
                delta = -held
            else:
                lower, upper = sorted(random.sample(range(start // spacing - 30, start // spacing + 30), 2))
                lower, upper, delta = lower * spacing, upper * spacing, random.randrange(10**6, 10**11)
                owned.append((lower, upper, delta))
            await manager.modify(lower, upper, delta)
            pool = uniswap_v4.modify_liquidity(pool, lower, upper, delta)
            continue
        zero_for_one, exact_in = random.random() < 0.5, random.random() < 0.6
        amount = random.randrange(1, 10 ** random.randrange(1, 11))
        limit = _limit(random, pool, zero_for_one, spacing)
        try:
            expected = uniswap_v4.swap(pool, zero_for_one, amount, exact_in=exact_in, sqrt_price_limit_x96=limit)
        except PoolRevert:
            expected = None
        moved = await manager.swap(zero_for_one, -amount if exact_in else amount, limit)
        if expected is None:
            assert moved is None
            continue
        paid, got = -expected.amount_in, expected.amount_out
        assert moved == ((paid, got) if zero_for_one else (got, paid))
        pool, swaps = expected.after, swaps + 1
        accrued0 += expected.protocol_fee if zero_for_one else 0
        accrued1 += 0 if zero_for_one else expected.protocol_fee
    accrued = [
        (await chain.read(manager.manager, "protocolFeesAccrued(address)", ["uint256"], token))[0]
        for token in manager.tokens
    ]
    assert accrued == [accrued0, accrued1]
    assert swaps > STEPS // 4


def _limit(random: Random, pool: V4Pool, zero_for_one: bool, spacing: int) -> int:
    """Near the price, or the last one possible where the way there through empty words is not too dear to walk."""
    ahead = pool.tick + random.randrange(1, 20 * spacing) * (-1 if zero_for_one else 1)
    near = sqrt_ratio_at_tick(min(max(ahead, MIN_TICK), MAX_TICK))
    last = MIN_SQRT_RATIO + 1 if zero_for_one else MAX_SQRT_RATIO - 1
    return near if spacing == 1 or abs(pool.tick) > 20_000 or random.random() < 0.7 else last
