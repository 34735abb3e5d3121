"""Steps at Balancer V2's Vault: single swaps, batches of two legs, joins, exits, flash loans."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from node.pipeline.amm.balancer_stable import BalancerStablePool
from node.pipeline.amm.weighted import WeightedPool
from node.pipeline.pools import PoolSpec, PoolState, quote_exact_in, quote_exact_out, swap_exact_in, swap_exact_out
from protocol.ethereum.abi import encode, encode_call, selector
from protocol.units import address_to_hex
from tests.market import dice
from tests.market.ground import FAR_FUTURE, Ground
from tests.market.steps import UINT256_MAX, Call, Query, Step, packed_words, word_at

_SINGLE = "(bytes32,uint8,address,address,uint256,bytes)"
_FUNDS = "(address,bool,address,bool)"
_SWAP = f"swap({_SINGLE},{_FUNDS},uint256,uint256)"
_QUERY = f"querySwap({_SINGLE},{_FUNDS})"
_BATCH = f"batchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],{_FUNDS},int256[],uint256)"
_JOIN = "joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))"
_EXIT = "exitPool(bytes32,address,address,(address[],uint256[],bytes,bool))"
_EXACT_TOKENS_IN, _ONE_TOKEN_OUT = 1, 0
_ALL_TOKENS_OUT = {False: 1, True: 2}
"""Of a weighted pool, of a composable stable one."""
_GAS = 700_000
AtVault = WeightedPool | BalancerStablePool
_Made = tuple[str, bytes, Callable[[PoolState], PoolState] | None]


class BalancerSteps:
    """Weighted pools, and composable stable ones, of which the pool's own token is one of the registered tokens."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._vault, self._queries_at = ground.contract("balancer_vault"), ground.contract("balancer_queries")

    def step(self, random: Random, spec: PoolSpec, state: PoolState) -> Step:
        """See `Family.step`."""
        assert isinstance(state, WeightedPool | BalancerStablePool)
        kinds = (self._swap, self._swap, self._batch, self._join, self._exit, self._flash, self._own_token)
        action, data, predict = random.choice(kinds)(random, spec, state)
        queries = tuple(self._queries(random, spec, state))
        return Step(spec.id, action, (Call(self._vault, data),), queries, _GAS, predict)

    def _swap(self, random: Random, spec: PoolSpec, pool: AtVault) -> _Made:
        index_in, index_out = random.sample(_pooled(pool), 2)
        exact_in = random.random() < 0.5
        amount = dice.amount(random, pool.balances[index_in if exact_in else index_out] // 3)
        limit = 0 if exact_in else UINT256_MAX
        head = packed_words(7 * 32, *self._funds(), limit, FAR_FUTURE)
        data = selector(_SWAP) + head + _single(spec, exact_in, index_in, index_out, amount)
        swap = swap_exact_in if exact_in else swap_exact_out
        action = f"{'exact in' if exact_in else 'exact out'} {index_in} for {index_out}: {amount}"
        return action, data, lambda state: swap(state, index_in, index_out, amount)[0]

    def _batch(self, random: Random, spec: PoolSpec, pool: AtVault) -> _Made:
        """There and back, or on to a third token."""
        first, second = random.sample(_pooled(pool), 2)
        third = random.choice([place for place in _pooled(pool) if place != second])
        amount = dice.modest(random, pool.balances[first] // 3)
        legs = [(spec.id, first, second, amount, b""), (spec.id, second, third, 0, b"")]
        tokens, limits = [address_to_hex(token) for token in spec.tokens], [1 << 200] * len(spec.tokens)
        funds = (address_to_hex(self._ground.hand), False, address_to_hex(self._ground.hand), False)
        data = encode_call(_BATCH, 0, legs, tokens, funds, limits, FAR_FUTURE)
        return (
            f"batch {first} {second} {third}: {amount}",
            data,
            partial(_twice, way=(first, second, third), amount=amount),
        )

    def _join(self, random: Random, spec: PoolSpec, pool: AtVault) -> _Made:
        amounts = [dice.modest(random, pool.balances[place]) * random.choice((0, 1, 1)) for place in _pooled(pool)]
        user_data = encode(["uint256", "uint256[]", "uint256"], [_EXACT_TOKENS_IN, amounts, 0])
        return f"join {amounts}", self._change(_JOIN, spec, [UINT256_MAX] * len(spec.tokens), user_data), None

    def _exit(self, random: Random, spec: PoolSpec, pool: AtVault) -> _Made:
        shares = random.randrange(1, 10 ** random.randrange(3, 22))
        user_data = encode(["uint256", "uint256"], [_ALL_TOKENS_OUT[isinstance(pool, BalancerStablePool)], shares])
        if random.random() < 0.5:
            place = random.randrange(len(_pooled(pool)))
            user_data = encode(["uint256", "uint256", "uint256"], [_ONE_TOKEN_OUT, shares, place])
        return f"exit {shares}", self._change(_EXIT, spec, [0] * len(spec.tokens), user_data), None

    def _own_token(self, random: Random, spec: PoolSpec, pool: AtVault) -> _Made:
        """A swap for or of the pool's own token, which is a join or an exit: the logs alone tell what it does."""
        own = pool.bpt_index if isinstance(pool, BalancerStablePool) else None
        if own is None:
            return self._swap(random, spec, pool)
        other = random.choice(_pooled(pool))
        pair = random.choice(((own, other), (other, own)))
        amount = dice.modest(random, 10**18 if pair[0] == own else pool.balances[other])
        head = packed_words(7 * 32, *self._funds(), 0, FAR_FUTURE)
        return f"own token {pair}: {amount}", selector(_SWAP) + head + _single(spec, True, *pair, amount), None

    def _flash(self, random: Random, spec: PoolSpec, pool: AtVault) -> _Made:
        lent = [dice.modest(random, pool.balances[place]) for place in _pooled(pool)]
        tokens = [address_to_hex(spec.tokens[place]) for place in _pooled(pool)]
        signature = "flashLoan(address,address[],uint256[],bytes)"
        data = encode_call(signature, address_to_hex(self._ground.hand), tokens, lent, b"")
        return f"flash {lent}", data, None  # what the Vault has of a token, no single pool tells

    def _queries(self, random: Random, spec: PoolSpec, pool: AtVault) -> list[Query]:
        tokens = Call(self._vault, selector("getPoolTokens(bytes32)") + spec.id)
        queries = [Query(tokens, _balances, lambda state: state.balances, "getPoolTokens")]
        for exact_in, quote in ((True, quote_exact_in), (False, quote_exact_out)):
            index_in, index_out = random.sample(_pooled(pool), 2)
            amount = dice.amount(random, pool.balances[index_in if exact_in else index_out] // 3)
            head = packed_words(5 * 32, *self._funds())
            data = selector(_QUERY) + head + _single(spec, exact_in, index_in, index_out, amount)
            ours = partial(_quoted, quote=quote, way=(index_in, index_out), amount=amount)
            words = f"{'exact in' if exact_in else 'exact out'} {index_in} for {index_out}: {amount}"
            queries.append(Query(Call(self._queries_at, data), word_at(0), ours, words))
        return queries

    def _funds(self) -> tuple[int | bytes, ...]:
        return self._ground.hand, 0, self._ground.hand, 0

    def _change(self, signature: str, spec: PoolSpec, limits: list[int], user_data: bytes) -> bytes:
        hand = address_to_hex(self._ground.hand)
        request = ([address_to_hex(token) for token in spec.tokens], limits, user_data, False)
        return encode_call(signature, spec.id, hand, hand, request)


def _pooled(pool: AtVault) -> list[int]:
    """The places of the tokens that are traded: all but the pool's own."""
    own = pool.bpt_index if isinstance(pool, BalancerStablePool) else None
    return [place for place in range(len(pool.balances)) if place != own]


def _single(spec: PoolSpec, exact_in: bool, index_in: int, index_out: int, amount: int) -> bytes:
    return packed_words(spec.id, 0 if exact_in else 1, spec.tokens[index_in], spec.tokens[index_out], amount, 6 * 32, 0)


def _balances(answer: bytes) -> tuple[int, ...]:
    """The second list of getPoolTokens."""
    place = int.from_bytes(answer[32:64], "big")
    count = int.from_bytes(answer[place : place + 32], "big")
    start = place + 32
    return tuple(int.from_bytes(answer[start + 32 * i : start + 32 * (i + 1)], "big") for i in range(count))


def _twice(state: PoolState, way: tuple[int, int, int], amount: int) -> PoolState:
    between, swap = swap_exact_in(state, way[0], way[1], amount)
    return swap_exact_in(between, way[1], way[2], swap.amount_out)[0]


def _quoted(state: PoolState, quote: object, way: tuple[int, int], amount: int) -> int:
    assert callable(quote)
    return int(quote(state, *way, amount))
