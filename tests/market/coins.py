"""Steps at the pool with Curve's interface: exchanges, deposits of some or all coins, proportional withdrawals."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from node.pipeline.amm import curve_stableswap
from node.pipeline.amm.curve_stableswap import CurvePool
from node.pipeline.amm.errors import AmmError
from node.pipeline.pools import PoolSpec, PoolState, quote_exact_in
from tests.market import dice
from tests.market.ground import Ground
from tests.market.steps import Call, Query, Step, call, word_at

_EXCHANGE = "exchange(int128,int128,uint256,uint256)"
_GAS = 500_000
_Made = tuple[str, Call, Callable[[CurvePool], CurvePool] | None]


class CoinSteps:
    """Curve's plain pools."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def step(self, random: Random, spec: PoolSpec, state: PoolState) -> Step:
        """See `Family.step`."""
        assert isinstance(state, CurvePool)
        kinds = (self._exchange, self._exchange, self._add, self._remove) if _has_invariant(state) else (self._remove,)
        action, one, predict = random.choice(kinds)(random, spec, state)
        return Step(spec.id, action, (one,), tuple(self._queries(random, spec, state)), _GAS, predict)

    def _exchange(self, random: Random, spec: PoolSpec, pool: CurvePool) -> _Made:
        index_in, index_out = random.sample(range(len(spec.tokens)), 2)
        if random.random() < 0.02:
            index_out = index_in
        amount = _amount(random, pool.balances[index_in])
        one = call(spec.address, _EXCHANGE, index_in, index_out, amount, 0)
        predict = partial(_exchanged, pair=(index_in, index_out), amount=amount)
        return f"exchange {index_in} for {index_out}: {amount}", one, predict

    def _add(self, random: Random, spec: PoolSpec, pool: CurvePool) -> _Made:
        amounts = [dice.modest(random, balance) * random.choice((0, 1, 1)) for balance in pool.balances]
        signature = f"add_liquidity(uint256[{len(amounts)}],uint256)"
        return f"add {amounts}", call(spec.address, signature, *amounts, 0), None

    def _remove(self, random: Random, spec: PoolSpec, pool: CurvePool) -> _Made:
        # A pool without an invariant has far more of one coin than of another: only a large part of all brings it back.
        scale = random.randrange(3, 25) if _has_invariant(pool) else random.randrange(20, 36)
        shares = random.randrange(1, 10**scale)
        signature = f"remove_liquidity(uint256,uint256[{len(pool.balances)}])"
        return f"remove {shares}", call(spec.address, signature, shares, *[0] * len(pool.balances)), None

    def _queries(self, random: Random, spec: PoolSpec, pool: CurvePool) -> list[Query]:
        queries = [
            Query(
                call(spec.address, "balances(uint256)", place),
                word_at(0),
                partial(_balance, place=place),
                f"balances({place})",
            )
            for place in range(len(spec.tokens))
        ]
        for _ in range(2):
            index_in, index_out = random.sample(range(len(spec.tokens)), 2)
            amount = _amount(random, pool.balances[index_in])
            one = call(spec.address, "get_dy(int128,int128,uint256)", index_in, index_out, amount)
            ours = partial(quote_exact_in, index_in=index_in, index_out=index_out, amount_in=amount)
            queries.append(Query(one, word_at(0), ours, f"get_dy {index_in} {index_out} {amount}"))
        return queries


def _amount(random: Random, balance: int) -> int:
    """Nothing beyond what the invariant's iteration is good for: it converges for what there can be of a coin."""
    return min(max(1, dice.amount(random, balance)), 100 * balance)


def _has_invariant(pool: CurvePool) -> bool:
    """Whether the pool can compute anything: with too much of one coin its own products overflow."""
    try:
        curve_stableswap.invariant_of(pool, curve_stableswap.lifted(pool))
    except AmmError:
        return False
    return True


def _exchanged(pool: CurvePool, pair: tuple[int, int], amount: int) -> CurvePool:
    return curve_stableswap.exchange(pool, *pair, amount)[0]


def _balance(pool: CurvePool, place: int) -> int:
    return pool.balances[place]
