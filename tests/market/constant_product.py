"""Steps at pairs: swaps at the pair and through the router, flash swaps, mints, burns, donations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from node.pipeline.amm import constant_product
from node.pipeline.amm.constant_product import ConstantProductPool
from node.pipeline.amm.errors import ArithmeticRevert, PoolRevert
from node.pipeline.amm.units import UINT112_MAX
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState, quote_exact_in, quote_exact_out, swap_exact_in
from protocol.ethereum.abi import selector
from tests.market import dice
from tests.market.ground import FAR_FUTURE, Ground
from tests.market.steps import Call, Query, Step, call, dynamic, packed_calls, packed_words, word_at, words_of

_ROUTERS = {PoolFamily.UNISWAP_V2: "uniswap_v2_router", PoolFamily.SUSHI_V2: "sushi_router"}
_SWAP = "swap(uint256,uint256,address,bytes)"
_LAST_OF_TWO = 3
"""The place of the second amount in a list of two: after the offset and the length."""
_GAS = 420_000
Prediction = Callable[[ConstantProductPool], PoolState]


class ConstantProductSteps:
    """Uniswap V2 and Sushi."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def step(self, random: Random, spec: PoolSpec, state: PoolState) -> Step:
        """See `Family.step`."""
        assert isinstance(state, ConstantProductPool)
        kinds = (self._swap, self._swap, self._router, self._flash, self._mint, self._burn, self._donate)
        action, calls, predict = random.choice(kinds)(random, spec, state)
        if any(token in self._ground.odd for token in spec.tokens):
            predict = None
        return Step(spec.id, action, tuple(calls), tuple(self._queries(random, spec, state)), _GAS, predict)

    def _swap(self, random: Random, spec: PoolSpec, pool: ConstantProductPool) -> _Made:
        """An exact input at the pair itself, for what we say it gives, or one too many."""
        zero_for_one = random.random() < 0.5
        amount_in = dice.amount(random, pool.reserve0 if zero_for_one else pool.reserve1)
        try:
            amount_out = constant_product.quote_exact_in(pool, zero_for_one, amount_in)
        except PoolRevert:
            amount_out = 1
        amount_out = max(0, amount_out + random.choice((0, 0, 0, 0, 1, -1)))
        moved = (amount_in, 0, 0, amount_out) if zero_for_one else (0, amount_in, amount_out, 0)
        calls = [self._transfer(spec, 0 if zero_for_one else 1, spec.address, amount_in)]
        calls.append(self._pair_swap(spec, moved[2], moved[3], b""))
        return f"swap {moved}", calls, partial(_swapped, moved=moved)

    def _router(self, random: Random, spec: PoolSpec, pool: ConstantProductPool) -> _Made:
        index = random.randrange(2)
        amount = dice.amount(random, (pool.reserve0, pool.reserve1)[index])
        name = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
        path = dynamic_addresses(spec.tokens[index], spec.tokens[1 - index])
        words = packed_words(amount, 0, 5 * 32, self._ground.hand, FAR_FUTURE)
        calls = [Call(self._router_of(spec), selector(name) + words + path)]
        return f"router {index} {amount}", calls, lambda state: swap_exact_in(state, index, 1 - index, amount)[0]

    def _flash(self, random: Random, spec: PoolSpec, pool: ConstantProductPool) -> _Made:
        """Both outputs first, both inputs in the callback."""
        out0, out1 = dice.modest(random, pool.reserve0), dice.modest(random, pool.reserve1)
        fees = [part * 1000 // 997 + random.choice((0, 1, 1, 2)) for part in (out0, out1)]
        in0, in1 = (fee * random.choice((0, 1, 1)) for fee in fees)
        back = [self._transfer(spec, place, spec.address, part) for place, part in enumerate((in0, in1)) if part]
        calls = [self._pair_swap(spec, out0, out1, packed_calls(back) or b"\0")]
        moved = (in0, in1, out0, out1)
        return f"flash {moved}", calls, partial(_swapped, moved=moved) if back else _refused

    def _mint(self, random: Random, spec: PoolSpec, pool: ConstantProductPool) -> _Made:
        amounts = [dice.modest(random, reserve) for reserve in (pool.reserve0, pool.reserve1)]
        calls = [self._transfer(spec, place, spec.address, part) for place, part in enumerate(amounts)]
        return f"mint {amounts}", [*calls, call(spec.address, "mint(address)", self._ground.hand)], None

    def _burn(self, random: Random, spec: PoolSpec, pool: ConstantProductPool) -> _Made:
        shares = dice.modest(random, pool.reserve0) >> random.randrange(20)
        calls = [call(spec.address, "transfer(address,uint256)", spec.address, shares)]
        return f"burn {shares}", [*calls, call(spec.address, "burn(address)", self._ground.hand)], None

    def _donate(self, random: Random, spec: PoolSpec, pool: ConstantProductPool) -> _Made:
        place, skims = random.randrange(2), random.random() < 0.5
        given = dice.modest(random, (pool.reserve0, pool.reserve1)[place])
        end = call(spec.address, "skim(address)", self._ground.hand) if skims else call(spec.address, "sync()")
        calls = [self._transfer(spec, place, spec.address, given), end]
        after = (0, 0) if skims else (given * (1 - place), given * place)
        return f"donate {place} {given} {'skim' if skims else 'sync'}", calls, partial(_given, given=after)

    def _queries(self, random: Random, spec: PoolSpec, pool: ConstantProductPool) -> list[Query]:
        reserves = call(spec.address, "getReserves()")
        queries = [Query(reserves, words_of(2), lambda state: (state.reserve0, state.reserve1), "getReserves")]
        for name, quote in (("getAmountsOut", quote_exact_in), ("getAmountsIn", quote_exact_out)):
            index = random.randrange(2)
            asked = dice.amount(random, (pool.reserve0, pool.reserve1)[index])
            data = packed_words(asked, 2 * 32) + dynamic_addresses(spec.tokens[index], spec.tokens[1 - index])
            at = _LAST_OF_TWO if quote is quote_exact_in else _LAST_OF_TWO - 1
            question = Call(self._router_of(spec), selector(f"{name}(uint256,address[])") + data)
            ours = partial(_quoted, quote=quote, index=index, asked=asked)
            queries.append(Query(question, word_at(at), ours, f"{name} {asked} from token {index}"))
        return queries

    def _router_of(self, spec: PoolSpec) -> bytes:
        return self._ground.contract(_ROUTERS[spec.family])

    def _pair_swap(self, spec: PoolSpec, out0: int, out1: int, data: bytes) -> Call:
        words = packed_words(out0, out1, self._ground.hand, 4 * 32)
        return Call(spec.address, selector(_SWAP) + words + dynamic(data))

    def _transfer(self, spec: PoolSpec, index: int, to: bytes, amount: int) -> Call:
        return call(spec.tokens[index], "transfer(address,uint256)", to, amount)


_Made = tuple[str, list[Call], Prediction | None]


def dynamic_addresses(*addresses: bytes) -> bytes:
    """A list of addresses as the ABI's tail."""
    return packed_words(len(addresses), *addresses)


def _swapped(pool: ConstantProductPool, moved: tuple[int, int, int, int]) -> ConstantProductPool:
    return constant_product.swap(pool, *moved)


def _refused(_pool: ConstantProductPool) -> ConstantProductPool:
    raise PoolRevert("", "a flash swap that pays nothing back")


def _given(pool: ConstantProductPool, given: tuple[int, int]) -> ConstantProductPool:
    reserves = (pool.reserve0 + given[0], pool.reserve1 + given[1])
    if max(reserves) > UINT112_MAX:
        raise ArithmeticRevert("UniswapV2: OVERFLOW")
    return ConstantProductPool(*reserves, pool.fee0, pool.fee1, pool.fee_scale)


def _quoted(state: PoolState, quote: Callable[..., int], index: int, asked: int) -> int:
    return quote(state, index, 1 - index, asked)
