"""Steps at Uniswap V4's manager: swaps, positions and donations, each in an unlocking of its own; ether itself too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from node.pipeline.amm import uniswap_v4
from node.pipeline.amm.errors import InsufficientLiquidity, LiquidityInvalid
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.units import UINT128_MAX
from node.pipeline.pools import PoolSpec, PoolState, quote_exact_in, quote_exact_out
from protocol.ethereum.abi import selector
from tests.market import dice
from tests.market.concentrated import MOST_POSITIONS, amount_and_limit, range_about, way_home
from tests.market.ground import Ground, Range
from tests.market.steps import Call, Query, Step, call, dynamic, packed_words, word_at

_KEY = "(address,address,uint24,int24,address)"
_SWAP = f"swap({_KEY},(bool,int256,uint160),bytes)"
_MODIFY = f"modifyLiquidity({_KEY},(int24,int24,int256,bytes32),bytes)"
_DONATE = f"donate({_KEY},uint256,uint256,bytes)"
_QUOTES = {
    True: f"quoteExactInputSingle(({_KEY},bool,uint128,bytes))",
    False: f"quoteExactOutputSingle(({_KEY},bool,uint128,bytes))",
}
_GAS = 900_000
_MOST = (1 << 255) - 1
_Made = tuple[str, bytes, Callable[[V4Pool], V4Pool], Callable[[], None] | None]


class SingletonSteps:
    """Uniswap V4."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._manager = ground, ground.contract("uniswap_v4_pool_manager")
        self._quoter, self._view = ground.contract("uniswap_v4_quoter"), ground.contract("uniswap_v4_state_view")

    def step(self, random: Random, spec: PoolSpec, state: PoolState) -> Step:
        """See `Family.step`."""
        assert isinstance(state, V4Pool)
        kinds = (self._swap, self._swap, self._swap, self._grow, self._shrink, self._donate)
        action, operation, predict, done = random.choice(kinds)(random, spec, state)
        data = b"".join(spec.tokens) + operation
        unlock = Call(self._manager, selector("unlock(bytes)") + packed_words(32) + dynamic(data))
        return Step(spec.id, action, (unlock,), tuple(self._queries(random, spec, state)), _GAS, predict, done)

    def _swap(self, random: Random, spec: PoolSpec, pool: V4Pool) -> _Made:
        zero_for_one, exact_in = random.random() < 0.5, random.random() < 0.6
        amount, limit = amount_and_limit(random, pool, zero_for_one, zero_for_one == exact_in)
        if not pool.liquidity and pool.ticks.gross and random.random() < 0.7:
            amount, limit = way_home(random, pool)
            zero_for_one = limit < pool.sqrt_price_x96
        amount = min(amount, _MOST)
        signed = -amount if exact_in else amount
        operation = _operation(_SWAP, spec, packed_words(int(zero_for_one), signed, limit))
        action = f"swap zero_for_one={zero_for_one} {signed} limit {limit}"
        return action, operation, partial(_swapped, zero_for_one=zero_for_one, signed=signed, limit=limit), None

    def _grow(self, random: Random, spec: PoolSpec, pool: V4Pool) -> _Made:
        held = [place for place in self._ground.held if place[0] == spec.id]
        lower, upper = range_about(random, pool, spec.tick_spacing)
        if held and (len(held) >= MOST_POSITIONS or random.random() < 0.3):
            _, lower, upper = random.choice(held)
        grown = dice.modest(random, pool.liquidity)
        if random.random() < 0.03:
            grown = random.choice((0, UINT128_MAX >> 1))
        return self._modify(spec, (spec.id, lower, upper), grown)

    def _shrink(self, random: Random, spec: PoolSpec, pool: V4Pool) -> _Made:
        held = [place for place in self._ground.held if place[0] == spec.id]
        place = random.choice(held) if held else (spec.id, *range_about(random, pool, spec.tick_spacing))
        owned = self._ground.held.get(place, 0)
        return self._modify(spec, place, -random.choice((owned, owned, owned, owned // 3, owned // 2, owned + 1, 0)))

    def _modify(self, spec: PoolSpec, place: Range, delta: int) -> _Made:
        _, lower, upper = place
        operation = _operation(_MODIFY, spec, packed_words(lower, upper, delta, 0))
        predict = partial(self._modified, place=place, delta=delta)
        return f"position {lower} … {upper}: {delta}", operation, predict, partial(self._ground.hold, place, delta)

    def _modified(self, pool: V4Pool, place: Range, delta: int) -> V4Pool:
        owned = self._ground.held.get(place, 0)
        after = uniswap_v4.modify_liquidity(pool, *place[1:], delta)
        if owned + delta < 0 or (not owned and not delta):
            raise LiquidityInvalid("CannotUpdateEmptyPosition", f"{delta} of {owned}")
        return after

    def _donate(self, random: Random, spec: PoolSpec, pool: V4Pool) -> _Made:
        given = [dice.modest(random, 10**9) for _ in spec.tokens]
        key = _key(spec)
        words = packed_words(*given, (len(key) // 32 + 3) * 32)
        return f"give {given}", selector(_DONATE) + key + words + dynamic(b""), _given, None

    def _queries(self, random: Random, spec: PoolSpec, pool: V4Pool) -> list[Query]:
        slot0 = Call(self._view, selector("getSlot0(bytes32)") + spec.id)
        liquidity = Call(self._view, selector("getLiquidity(bytes32)") + spec.id)
        queries = [
            Query(slot0, _slot0, _our_slot0, "getSlot0"),
            Query(liquidity, word_at(0), lambda state: state.liquidity, "getLiquidity"),
        ]
        if pool.ticks.gross:
            tick = random.choice(sorted(pool.ticks.gross))
            one = call(self._view, "getTickLiquidity(bytes32,int24)", spec.id, tick)
            queries.append(Query(one, _tick, partial(_our_tick, tick=tick), f"getTickLiquidity({tick})"))
        for exact_in, quote in ((True, quote_exact_in), (False, quote_exact_out)):
            zero_for_one = random.random() < 0.5
            price, held = pool.sqrt_price_x96, pool.liquidity
            virtual = (held << 96) // price if zero_for_one == exact_in else held * price >> 96
            amount = dice.modest(random, virtual // 20)
            words = packed_words(32) + _key(spec) + packed_words(int(zero_for_one), amount, 8 * 32) + dynamic(b"")
            ours = partial(_quoted, quote=quote, zero_for_one=zero_for_one, amount=amount)
            text = f"{'exact in' if exact_in else 'exact out'} zero_for_one={zero_for_one} {amount}"
            queries.append(Query(Call(self._quoter, selector(_QUOTES[exact_in]) + words), word_at(0), ours, text))
        return queries


def _key(spec: PoolSpec) -> bytes:
    return packed_words(*spec.tokens, spec.fee_pips, spec.tick_spacing, spec.hooks)


def _operation(signature: str, spec: PoolSpec, words: bytes) -> bytes:
    """A call of the manager whose last argument are a hook's bytes: none."""
    key = _key(spec)
    return selector(signature) + key + words + packed_words(len(key) + len(words) + 32) + dynamic(b"")


def _swapped(pool: V4Pool, zero_for_one: bool, signed: int, limit: int) -> V4Pool:
    return uniswap_v4.swap(pool, zero_for_one, abs(signed), exact_in=signed < 0, sqrt_price_limit_x96=limit).after


def _given(pool: V4Pool) -> V4Pool:
    if not pool.liquidity:
        raise InsufficientLiquidity("NoLiquidityToReceiveFees")
    return pool


def _quoted(state: PoolState, quote: Callable[..., int], zero_for_one: bool, amount: int) -> int:
    return quote(state, 0 if zero_for_one else 1, 1 if zero_for_one else 0, amount)


def _slot0(answer: bytes) -> tuple[int, int, tuple[int, int], int]:
    tick = int.from_bytes(answer[32:64], "big", signed=True)
    fees = uniswap_v4.protocol_fees(word_at(2)(answer))
    return word_at(0)(answer), tick, fees, word_at(3)(answer)


def _our_slot0(pool: V4Pool) -> tuple[int, int, tuple[int, int], int]:
    return pool.sqrt_price_x96, pool.tick, (pool.protocol_fee0, pool.protocol_fee1), pool.lp_fee


def _tick(answer: bytes) -> tuple[int, int]:
    return word_at(0)(answer), int.from_bytes(answer[32:64], "big", signed=True)


def _our_tick(pool: V4Pool, tick: int) -> tuple[int, int]:
    return pool.ticks.gross.get(tick, 0), pool.ticks.net.get(tick, 0)
