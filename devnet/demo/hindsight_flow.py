"""From logs to what happened to the pools: the true states, and for order flow the actions that can be played again.

MalformedLog    a log of a followed pool that cannot be read
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, TypeAlias

from devnet.demo.hindsight_coins import FEE_ONE, Coins
from devnet.demo.hindsight_pools import (
    CannotSwap,
    Concentrated,
    Pair,
    PoolState,
    Stable,
    Weighted,
    change_liquidity,
    swap,
)
from devnet.errors import DevnetError
from protocol.errors import RemoteProtocolError
from protocol.ethereum.abi import decode
from protocol.ethereum.keccak import keccak256


class MalformedLog(DevnetError):
    """A log of a followed pool that cannot be read."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """An exact amount went into a pool."""

    pool: str
    index_in: int
    index_out: int
    amount: int


@dataclass(frozen=True, slots=True)
class Balanced:
    """A pair's reserves or the balances of a pool of several tokens went from so much to so much without a swap.

    Played again on other states it changes each in the same proportion, as depositing and withdrawing do: taking out
    the very amounts would move a price that the withdrawal had left where it was.
    """

    pool: str
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ranged:
    """Liquidity came to a range of ticks of a V3 or V4 pool, or went."""

    pool: str
    lower: int
    upper: int
    delta: int


Action: TypeAlias = Swapped | Balanced | Ranged


def apply_action(state: PoolState, action: Action) -> PoolState:
    """Return the state after an action. Raises `CannotSwap`."""
    if isinstance(action, Swapped):
        return swap(state, action.index_in, action.index_out, action.amount)[1]
    if isinstance(action, Ranged) and isinstance(state, Concentrated):
        return change_liquidity(state, action.lower, action.upper, action.delta)
    if isinstance(action, Balanced) and isinstance(state, Pair):
        first, second = _in_proportion(state.reserves, action)
        return replace(state, reserves=(first, second))
    if isinstance(action, Balanced) and isinstance(state, Weighted | Stable | Coins):
        return replace(state, balances=_in_proportion(state.balances, action))
    return state


def _in_proportion(held: Sequence[int], action: Balanced) -> tuple[int, ...]:
    if not all(action.before):
        raise CannotSwap("a pool that was empty")
    return tuple(
        amount * after // before for amount, before, after in zip(held, action.before, action.after, strict=True)
    )


def topic(signature: str) -> str:
    """Return an event's first topic."""
    return "0x" + keccak256(signature.encode()).hex()


_SYNC: Final = topic("Sync(uint112,uint112)")
_V2_SWAP: Final = topic("Swap(address,uint256,uint256,uint256,uint256,address)")
_V2_MINT: Final = topic("Mint(address,uint256,uint256)")
_V2_BURN: Final = topic("Burn(address,uint256,uint256,address)")
_V3_SWAP: Final = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
V3_MINT: Final = topic("Mint(address,address,int24,int24,uint128,uint256,uint256)")
V3_BURN: Final = topic("Burn(address,int24,int24,uint128,uint256,uint256)")
_VAULT_SWAP: Final = topic("Swap(bytes32,address,address,uint256,uint256)")
_VAULT_BALANCE: Final = topic("PoolBalanceChanged(bytes32,address,address[],int256[],uint256[])")
_V4_SWAP: Final = topic("Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)")
V4_MODIFIED: Final = topic("ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)")
_EXCHANGED: Final = topic("TokenExchange(address,int128,uint256,int128,uint256)")
_BY_ID: Final = frozenset({_VAULT_SWAP, _VAULT_BALANCE, _V4_SWAP, V4_MODIFIED})
"""Logs of a contract that has many pools; their second topic says which."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A pool that is followed: its name, and its tokens' addresses (lower-case hex) in its own order."""

    name: str
    tokens: tuple[str, ...]
    share: str = ""
    """The pool's own token, where the vault keeps it among the others: a swap with it is a deposit or a withdrawal."""


class LogReader:
    """Reads the logs of followed pools. `pools`: by address, Balancer's and V4's by pool id (lower-case hex)."""

    def __init__(self, pools: Mapping[str, Followed], states: Mapping[str, PoolState]) -> None:
        self._pools = pools
        self.states: dict[str, PoolState] = dict(states)
        """The true states after all that was read."""

    def read(self, logs: Sequence[Mapping[str, Any]]) -> list[Action]:
        """Take a transaction's logs into the true states; return what it did. Raises `MalformedLog`."""
        actions: list[Action] = []
        for log in logs:
            topics = log["topics"]
            if not topics:
                continue
            key = topics[1] if topics[0] in _BY_ID and len(topics) > 1 else log["address"]
            pool = self._pools.get(key.lower())
            if pool is None:
                continue
            try:
                action = self._read(pool, topics, bytes.fromhex(log["data"][2:]))
            except (ValueError, IndexError, RemoteProtocolError) as error:
                raise MalformedLog(f"a log of {pool.name} cannot be read: {error}") from error
            if action is not None:
                actions.append(action)
        return actions

    def _read(self, pool: Followed, topics: Sequence[str], data: bytes) -> Action | None:
        state = self.states[pool.name]
        if isinstance(state, Pair):
            return self._pair(pool, state, topics[0], data)
        if isinstance(state, Concentrated):
            return self._concentrated(pool, state, topics, data)
        if isinstance(state, Coins):
            return self._of_coins(pool, state, topics[0], data)
        return self._of_the_vault(pool, state, topics, data)

    def _pair(self, pool: Followed, state: Pair, event: str, data: bytes) -> Action | None:
        if event == _SYNC:  # comes before the event that tells why
            self.states[pool.name] = replace(state, reserves=_words(data, 2))
            return None
        if event == _V2_SWAP:
            in0, in1, out0, out1 = _words(data, 4)
            if (in0 and in1) or (out0 and out1):
                return _balanced(pool.name, state.reserves, (in0 - out0, in1 - out1))
            return Swapped(pool.name, 0 if in0 else 1, 1 if in0 else 0, in0 or in1)
        if event in (_V2_MINT, _V2_BURN):
            sign = 1 if event == _V2_MINT else -1
            return _balanced(pool.name, state.reserves, tuple(sign * amount for amount in _words(data, 2)))
        return None

    def _concentrated(self, pool: Followed, state: Concentrated, topics: Sequence[str], data: bytes) -> Action | None:
        if topics[0] == _V3_SWAP:
            amount0, amount1, price, liquidity, tick = decode(["int256", "int256", "uint160", "uint128", "int24"], data)
            self.states[pool.name] = replace(state, sqrt_price=price, tick=tick, liquidity=liquidity)
            return Swapped(pool.name, 0, 1, amount0) if amount0 > 0 else Swapped(pool.name, 1, 0, amount1)
        if topics[0] == _V4_SWAP:  # what the swapper got, so that what it paid is negative
            amount0, amount1, price, liquidity, tick = decode(["int128", "int128", "uint160", "uint128", "int24"], data)
            self.states[pool.name] = replace(state, sqrt_price=price, tick=tick, liquidity=liquidity)
            return Swapped(pool.name, 0, 1, -amount0) if amount0 < 0 else Swapped(pool.name, 1, 0, -amount1)
        if topics[0] in (V3_MINT, V3_BURN, V4_MODIFIED):
            lower, upper, delta = liquidity_of(topics, data)
            if not delta:
                return None
            self.states[pool.name] = change_liquidity(state, lower, upper, delta)
            return Ranged(pool.name, lower, upper, delta)
        return None

    def _of_coins(self, pool: Followed, state: Coins, event: str, data: bytes) -> Action | None:
        count = len(state.balances)
        if event == _EXCHANGED:
            sold, amount, bought, given = _words(data, 4)
            told, self.states[pool.name] = swap(state, sold, bought, amount)
            if told != given:
                raise MalformedLog(f"an exchange of {pool.name} gave {given}, which should be {told}")
            return Swapped(pool.name, sold, bought, amount)
        if event == _added(count):
            numbers = _words(data, 2 * count)
            lost = [fee * state.admin_fee // FEE_ONE for fee in numbers[count:]]
            moved = [came - left for came, left in zip(numbers[:count], lost, strict=True)]
        elif event == _removed(count):
            moved = [-amount for amount in _words(data, count)]
        else:
            return None
        after = tuple(held + delta for held, delta in zip(state.balances, moved, strict=True))
        self.states[pool.name] = replace(state, balances=after)
        return Balanced(pool.name, state.balances, after)

    def _of_the_vault(
        self, pool: Followed, state: Weighted | Stable, topics: Sequence[str], data: bytes
    ) -> Action | None:
        event = topics[0]
        if event == _VAULT_SWAP:
            token_in, token_out = ("0x" + topics[place][-40:].lower() for place in (2, 3))
            amount_in, amount_out = _words(data, 2)
            deltas = [(token_in, amount_in), (token_out, -amount_out)]
        elif event == _VAULT_BALANCE:
            tokens, changes, fees = decode(["address[]", "int256[]", "uint256[]"], data)
            listed = zip(tokens, changes, fees, strict=True)
            deltas = [(token.lower(), change - fee) for token, change, fee in listed]
        else:
            return None
        after = _changed(pool, state.balances, deltas)
        self.states[pool.name] = replace(state, balances=after)
        if event == _VAULT_SWAP and pool.share not in (token_in, token_out):
            return Swapped(pool.name, pool.tokens.index(token_in), pool.tokens.index(token_out), amount_in)
        return Balanced(pool.name, state.balances, after)


def _changed(pool: Followed, balances: Sequence[int], deltas: Sequence[tuple[str, int]]) -> tuple[int, ...]:
    """Return the balances after these changes by token; the pool's own token is not kept."""
    after = list(balances)
    for token, delta in deltas:
        if token != pool.share:
            after[pool.tokens.index(token)] += delta
    return tuple(after)


def _balanced(pool: str, after: tuple[int, ...], deltas: Sequence[int]) -> Balanced:
    return Balanced(pool, tuple(held - delta for held, delta in zip(after, deltas, strict=True)), after)


def liquidity_of(topics: Sequence[str], data: bytes) -> tuple[int, int, int]:
    """Return (lower tick, upper tick, liquidity that came) of V3's `Mint` or `Burn`, or V4's `ModifyLiquidity`."""
    if topics[0] == V4_MODIFIED:
        lower, upper, delta = decode(["int24", "int24", "int256"], data)
        return lower, upper, delta
    lower, upper = (decode(["int24"], bytes.fromhex(word[2:]))[0] for word in topics[2:4])
    if topics[0] == V3_MINT:
        return lower, upper, int.from_bytes(data[32:64], "big")
    return lower, upper, -int.from_bytes(data[:32], "big")


@cache
def _added(count: int) -> str:
    return topic(f"AddLiquidity(address,uint256[{count}],uint256[{count}],uint256,uint256)")


@cache
def _removed(count: int) -> str:
    return topic(f"RemoveLiquidity(address,uint256[{count}],uint256[{count}],uint256)")


def _words(data: bytes, count: int) -> Any:
    if len(data) < 32 * count:
        raise ValueError(f"{len(data)} bytes of data")
    return tuple(int.from_bytes(data[32 * i : 32 * i + 32], "big") for i in range(count))
