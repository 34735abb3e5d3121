"""Steps at Uniswap V3 pools: swaps of both kinds with limits on, beside and beyond ticks, mints, burns, flash loans."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from node.pipeline.amm import concentrated
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.errors import InsufficientInput, InsufficientLiquidity, LiquidityInvalid
from node.pipeline.amm.tick_math import MAX_SQRT_RATIO, MAX_TICK, MIN_SQRT_RATIO, MIN_TICK, sqrt_ratio_at_tick
from node.pipeline.amm.uniswap_v4 import V4Pool
from node.pipeline.amm.units import UINT128_MAX
from node.pipeline.pools import PoolSpec, PoolState
from protocol.ethereum.abi import selector
from tests.market import dice
from tests.market.ground import Ground, Range
from tests.market.steps import Call, Query, Step, call, dynamic, packed_words, word_at, words_of

_SWAP = "swap(address,bool,int256,uint160,bytes)"
_MINT = "mint(address,int24,int24,uint128,bytes)"
_FLASH = "flash(address,uint256,uint256,bytes)"
_EXACT_IN = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
_EXACT_OUT = "quoteExactOutputSingle((address,address,uint256,uint24,uint160))"
_GAS = 900_000
MOST_POSITIONS = 24
"""Of ours in one pool: every tick of one may have to be crossed in one step."""
_WALKED_WHOLE = 60
"""From this spacing on a swap may walk to the last possible price: 60 words of the bitmap are not too dear."""
_WORDS_AHEAD = 40
"""How far a swap may walk otherwise."""
WithTicks = ConcentratedPool | V4Pool
Prediction = Callable[[ConcentratedPool], ConcentratedPool]
_Made = tuple[str, Call, Prediction | None, Callable[[], None] | None]


class ConcentratedSteps:
    """Uniswap V3."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def step(self, random: Random, spec: PoolSpec, state: PoolState) -> Step:
        """See `Family.step`."""
        assert isinstance(state, ConcentratedPool)
        kinds = (self._swap, self._swap, self._swap, self._mint, self._burn, self._flash)
        action, one, predict, done = random.choice(kinds)(random, spec, state)
        return Step(spec.id, action, (one,), tuple(self._queries(random, spec, state)), _GAS, predict, done)

    def _swap(self, random: Random, spec: PoolSpec, pool: ConcentratedPool) -> _Made:
        zero_for_one, exact_in = random.random() < 0.5, random.random() < 0.6
        amount, limit = amount_and_limit(random, pool, zero_for_one, zero_for_one == exact_in)
        if not pool.liquidity and pool.ticks.gross and random.random() < 0.7:
            amount, limit = way_home(random, pool)
            zero_for_one = limit < pool.sqrt_price_x96
        amount = min(amount, (1 << 255) - 1) if exact_in else -min(amount, 1 << 255)
        words = packed_words(self._ground.hand, int(zero_for_one), amount, limit, 5 * 32)
        one = Call(spec.address, selector(_SWAP) + words + dynamic(b"".join(spec.tokens)))
        return (
            f"swap zero_for_one={zero_for_one} {amount} limit {limit}",
            one,
            lambda state: concentrated.swap(state, zero_for_one, amount, limit).after,
            None,
        )

    def _mint(self, random: Random, spec: PoolSpec, pool: ConcentratedPool) -> _Made:
        held = [place for place in self._ground.held if place[0] == spec.id]
        lower, upper = range_about(random, pool, spec.tick_spacing)
        if held and (len(held) >= MOST_POSITIONS or random.random() < 0.3):
            _, lower, upper = random.choice(held)
        grown = dice.modest(random, pool.liquidity)
        if random.random() < 0.03:
            grown = random.choice((0, UINT128_MAX))
        words = packed_words(self._ground.hand, lower, upper, grown, 5 * 32)
        one = Call(spec.address, selector(_MINT) + words + dynamic(b"".join(spec.tokens)))
        action = f"mint {lower} … {upper}: {grown}"
        return (
            action,
            one,
            partial(_minted, place=(lower, upper), grown=grown),
            partial(self._ground.hold, (spec.id, lower, upper), grown),
        )

    def _burn(self, random: Random, spec: PoolSpec, pool: ConcentratedPool) -> _Made:
        held = [place for place in self._ground.held if place[0] == spec.id]
        place = random.choice(held) if held else (spec.id, *range_about(random, pool, spec.tick_spacing))
        owned = self._ground.held.get(place, 0)
        shrunk = random.choice((owned, owned, owned, owned // 3, owned // 2, owned + 1, 0))
        _, lower, upper = place
        one = call(spec.address, "burn(int24,int24,uint128)", lower, upper, shrunk)
        predict = partial(self._burnt, place=place, shrunk=shrunk)
        return f"burn {lower} … {upper}: {shrunk}", one, predict, partial(self._ground.hold, place, -shrunk)

    def _flash(self, random: Random, spec: PoolSpec, pool: ConcentratedPool) -> _Made:
        lent = [dice.modest(random, 10**6) for _ in spec.tokens]
        data = b"".join(spec.tokens) + packed_words(*lent)
        words = packed_words(self._ground.hand, *lent, 4 * 32)
        return f"flash {lent}", Call(spec.address, selector(_FLASH) + words + dynamic(data)), None, None

    def _burnt(self, pool: ConcentratedPool, place: Range, shrunk: int) -> ConcentratedPool:
        owned = self._ground.held.get(place, 0)
        if shrunk > owned or not owned:
            raise LiquidityInvalid("LS" if owned else "NP", f"{shrunk} of {owned}")
        return concentrated.modify_position(pool, *place[1:], -shrunk)[0]

    def _queries(self, random: Random, spec: PoolSpec, pool: ConcentratedPool) -> list[Query]:
        queries = [
            Query(
                call(spec.address, "slot0()"),
                _price_and_tick,
                lambda state: (state.sqrt_price_x96, state.tick),
                "slot0",
            ),
            Query(call(spec.address, "liquidity()"), word_at(0), lambda state: state.liquidity, "liquidity"),
        ]
        if pool.ticks.gross:
            tick = random.choice(sorted(pool.ticks.gross))
            words = f"ticks({tick})"
            queries.append(Query(call(spec.address, "ticks(int24)", tick), _tick, partial(_our_tick, tick=tick), words))
        for exact_in in (True, False):
            zero_for_one = random.random() < 0.5
            amount, limit = amount_and_limit(random, pool, zero_for_one, zero_for_one == exact_in)
            if limit in (MIN_SQRT_RATIO + 1, MAX_SQRT_RATIO - 1):
                limit = 0  # as the node asks: no limit at all
            into, out_of = spec.tokens if zero_for_one else spec.tokens[::-1]
            signature = _EXACT_IN if exact_in else _EXACT_OUT
            one = call(
                self._ground.contract("uniswap_v3_quoter"), signature, into, out_of, amount, spec.fee_pips, limit
            )
            asked = None if limit == 0 else limit
            ours = partial(_quoted, exact_in=exact_in, zero_for_one=zero_for_one, amount=amount, limit=asked)
            words = f"{'exact in' if exact_in else 'exact out'} zero_for_one={zero_for_one} {amount} limit {limit}"
            queries.append(Query(one, words_of(2), ours, words))
        return queries


def amount_and_limit(random: Random, pool: WithTicks, zero_for_one: bool, is_token0: bool) -> tuple[int, int]:
    """An amount, and a limit that is the last possible one only where the way there is not too dear."""
    price, liquidity = pool.sqrt_price_x96, pool.liquidity
    virtual = (liquidity << 96) // price if is_token0 else liquidity * price >> 96
    amount = dice.amount(random, virtual // 30)
    sign = -1 if zero_for_one else 1
    last = MIN_SQRT_RATIO + 1 if zero_for_one else MAX_SQRT_RATIO - 1
    far = _WORDS_AHEAD * 256 * pool.ticks.spacing
    kind = random.random()
    if kind < 0.45 and pool.ticks.spacing >= _WALKED_WHOLE:
        return amount, last
    if kind < 0.6 and pool.ticks.gross:
        ahead = [tick for tick in pool.ticks.gross if 0 <= (tick - pool.tick) * sign < far]
        near = sorted(ahead, key=lambda tick: abs(tick - pool.tick))[:6]
        tick = random.choice(near) if near else pool.tick
        return amount, sqrt_ratio_at_tick(tick) + random.choice((-1, 0, 0, 1))
    if kind < 0.62:
        return amount, random.choice((price, price - sign, MIN_SQRT_RATIO, MAX_SQRT_RATIO, 1))
    tick = pool.tick + sign * random.randrange(1, max(2, far >> random.randrange(14)))
    limit = sqrt_ratio_at_tick(min(max(tick, MIN_TICK), MAX_TICK)) + random.randrange(1000)
    return amount, min(max(limit, MIN_SQRT_RATIO + 1), MAX_SQRT_RATIO - 1)


def range_about(random: Random, pool: WithTicks, spacing: int) -> tuple[int, int]:
    """Two ticks about the price, on the spacing but for one time in twenty."""
    width = random.choice((4, 40, 400))
    middle = pool.tick // spacing
    lower, upper = sorted(random.sample(range(middle - width, middle + width + 1), 2))
    low, high = -(-MIN_TICK // spacing) * spacing, MAX_TICK // spacing * spacing
    lower, upper = max(lower * spacing, low), min(upper * spacing, high)
    odd = random.random()
    if odd < 0.01 and spacing > 1:
        return lower + 1, upper
    if odd < 0.02:
        return upper, lower
    if odd < 0.03:
        return low - spacing, upper
    return (lower, high) if odd < 0.05 else (lower, upper)


def way_home(random: Random, pool: WithTicks) -> tuple[int, int]:
    """An amount and a limit that bring a price from where nobody is back among the positions."""
    tick = random.choice(sorted(pool.ticks.gross))
    return 1 << 100, sqrt_ratio_at_tick(min(max(tick, MIN_TICK + 1), MAX_TICK - 1)) + random.randrange(1000)


def _minted(pool: ConcentratedPool, place: tuple[int, int], grown: int) -> ConcentratedPool:
    after = concentrated.modify_position(pool, *place, grown)[0]
    if not grown:
        raise InsufficientInput("", "a mint of nothing")
    return after


def _quoted(
    pool: ConcentratedPool, exact_in: bool, zero_for_one: bool, amount: int, limit: int | None
) -> tuple[int, int]:
    """What QuoterV2 answers: the other amount and the price afterwards; refused where there is nothing to be taken."""
    quote = concentrated.quote_exact_in if exact_in else concentrated.quote_exact_out
    taken, given = quote(pool, zero_for_one, amount, limit)
    if not taken and not given:
        raise InsufficientLiquidity("", "no liquidity on the whole way")
    after = concentrated.swap(pool, zero_for_one, amount if exact_in else -amount, limit).after
    return given if exact_in else taken, after.sqrt_price_x96


def _price_and_tick(answer: bytes) -> tuple[int, int]:
    return int.from_bytes(answer[:32], "big"), int.from_bytes(answer[32:64], "big", signed=True)


def _tick(answer: bytes) -> tuple[int, int]:
    return int.from_bytes(answer[:32], "big"), int.from_bytes(answer[32:64], "big", signed=True)


def _our_tick(pool: ConcentratedPool, tick: int) -> tuple[int, int]:
    return pool.ticks.gross.get(tick, 0), pool.ticks.net.get(tick, 0)
