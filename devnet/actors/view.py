"""What the actors see of one confirmed block: the input of every plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ConstantProductState:
    """A V2 pair: reserves in the order of the pool's tokens."""

    reserves: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ConcentratedState:
    """A V3 pool: price as sqrt(token1/token0)·2^96, current tick, liquidity in range."""

    sqrt_price: int
    tick: int
    liquidity: int


@dataclass(frozen=True, slots=True)
class VaultState:
    """A Balancer V2 pool: balances in the order of the pool's tokens; weights (18 decimals) or amplification · 1000."""

    balances: tuple[int, ...]
    weights: tuple[int, ...] = ()
    amplification: int = 0


PoolState: TypeAlias = ConstantProductState | ConcentratedState | VaultState


@dataclass(frozen=True, slots=True)
class FeedState:
    """A FluxAggregator: its last round, answer (8 decimals) and the round's time in seconds."""

    round_id: int
    answer_e8: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class LoanState:
    """An Aave V3 account; amounts in the market's base currency (8 decimals of a dollar), health with 18."""

    collateral_base: int
    debt_base: int
    available_base: int
    health: int
    debts: Mapping[str, int] = field(default_factory=dict)
    """Token symbol to what is owed of it at a variable rate, in its smallest units."""


@dataclass(frozen=True, slots=True)
class Position:
    """A V3 position token."""

    token_id: int
    pool: str
    liquidity: int


@dataclass(frozen=True, slots=True)
class View:
    """The chain after block `number`. Keys are names: pools, token symbols, accounts."""

    number: int
    timestamp: int
    base_fee: int
    pools: Mapping[str, PoolState]
    balances: Mapping[tuple[str, str], int]
    """(account, token symbol) to the balance, in the token's smallest units."""
    ether: Mapping[str, int]
    """Account to wei."""
    prices_e8: Mapping[str, int]
    """Token symbol to the reference price in dollars with 8 decimals: the oracle's walk, not the feed."""
    feeds: Mapping[str, FeedState]
    loans: Mapping[str, LoanState]
    shares: Mapping[tuple[str, str], int]
    """(account, V2 pool) to liquidity tokens."""
    positions: Mapping[str, tuple[Position, ...]]
