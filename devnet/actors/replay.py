"""Follows the pools through a block, log by log, and says what each transaction did to the value there is to take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from devnet.actors.cycles import CycleFinder, disjoint
from devnet.actors.market import V3_FAMILY, Market
from devnet.actors.view import ConcentratedState, ConstantProductState, PoolState
from protocol.ethereum.keccak import keccak256

_WORD: Final = 64


def _topic(signature: str) -> str:
    return "0x" + keccak256(signature.encode()).hex()


_SYNC: Final = _topic("Sync(uint112,uint112)")
_SWAP: Final = _topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
_MINT: Final = _topic("Mint(address,address,int24,int24,uint128,uint256,uint256)")
_BURN: Final = _topic("Burn(address,int24,int24,uint128,uint256,uint256)")
CAPITAL: Final = 10**24
"""Wei that the ideal searcher has: as good as without a bound."""


@dataclass(slots=True)
class Account:
    """What the transactions of one actor did: wei of arbitrage that they made, and that they took away."""

    transactions: int = 0
    created: int = 0
    taken: int = 0


class Replay:
    """Holds the states of all followed pools; `accounts` adds up by actor."""

    def __init__(self, market: Market, states: Mapping[str, PoolState]) -> None:
        self._market, self._finder = market, CycleFinder(market)
        self.states = {pool.name: states[pool.name] for pool in self._finder.pools}
        self.accounts: defaultdict[str, Account] = defaultdict(Account)
        self._value = self.value()

    def value(self) -> int:
        """Return the wei that the best disjoint cycles bring at present, before gas."""
        return sum(opportunity.profit for opportunity in disjoint(self._finder.find(self.states, CAPITAL)))

    def transaction(self, actor: str, logs: Sequence[Mapping[str, Any]]) -> int:
        """Take a transaction's logs in and book what it did to the value; return the change in wei."""
        account = self.accounts[actor]
        account.transactions += 1
        if not sum(self._apply(log) for log in logs):
            return 0
        before, self._value = self._value, self.value()
        change = self._value - before
        account.created += max(0, change)
        account.taken += max(0, -change)
        return change

    def _apply(self, log: Mapping[str, Any]) -> bool:
        pool = self._market.by_address.get(log["address"].lower())
        if pool is None or pool.name not in self.states or not log["topics"]:
            return False
        state, topic = self.states[pool.name], log["topics"][0]
        data = log["data"][2:]
        words = [int(data[i : i + _WORD], 16) for i in range(0, len(data), _WORD)]
        if topic == _SYNC and isinstance(state, ConstantProductState):
            self.states[pool.name] = ConstantProductState((words[0], words[1]))
        elif pool.family == V3_FAMILY and isinstance(state, ConcentratedState) and topic == _SWAP:
            self.states[pool.name] = ConcentratedState(words[2], _signed(words[4]), words[3])
        elif pool.family == V3_FAMILY and isinstance(state, ConcentratedState) and topic in (_MINT, _BURN):
            low, high = (_signed(int(text, 16)) for text in log["topics"][2:4])
            if not low <= state.tick < high:
                return False
            amount = words[1] if topic == _MINT else -words[0]
            self.states[pool.name] = replace(state, liquidity=state.liquidity + amount)
        else:
            return False
        return True


def _signed(word: int) -> int:
    return word - (1 << 256) if word >> 255 else word
