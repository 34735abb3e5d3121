"""What a deployed world contains: every address and pool, by name. Written once, read by relay, actors and tests."""

from __future__ import annotations

import msgspec


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One ERC-20 of the devnet. `kind` is `plain`, `fee_on_transfer`, `rebasing` or `reverting`."""

    symbol: str
    address: str
    decimals: int
    kind: str
    usd_price_e8: int
    """Price in dollars with 8 decimals at which the world is set up."""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """One pool.

    `family`: `uniswap_v2`, `sushi_v2`, `uniswap_v3`, `balancer_v2_weighted`, `balancer_v2_stable`.
    `fee_pips`: hundredths of a basis point (3000 = 0.3 %). `pool_id`: Balancer's 32-byte id, else empty.
    """

    name: str
    family: str
    address: str
    tokens: tuple[str, ...]
    """Token symbols in the pool's own order."""
    fee_pips: int
    pool_id: str = ""
    tick_spacing: int = 0


class OperatorVault(msgspec.Struct, frozen=True, kw_only=True):
    """One open vault: the Safe's address, and the account that may execute with it."""

    safe: str
    hot_key: str


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """One operator of a node: the accounts that own all its Safes (two must sign), and its vaults."""

    name: str
    owners: tuple[str, ...]
    vaults: tuple[OperatorVault, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The whole world at the moment of its dump."""

    chain_id: int
    block_number: int
    block_hash: str
    block_timestamp: int
    contracts: dict[str, str]
    """Name to address: `uniswap_v2_router`, `balancer_vault`, `aave_pool`, `multicall3`, `safe_singleton` …"""
    tokens: tuple[Token, ...]
    pools: tuple[Pool, ...]
    feeds: dict[str, str]
    """Token symbol to the EACAggregatorProxy of its dollar price."""
    aggregators: dict[str, str]
    """Token symbol to the FluxAggregator behind the feed; `oracle` may submit to it."""
    funded: dict[str, tuple[str, ...]]
    """Role to account names (`trader`: `trader-0` …) that hold ETH and tokens and have approved the routers."""
    operators: tuple[Operator, ...] = ()
    """Who runs the nodes of a demo; the contracts are `vault_module` and `arb_executor`."""

    def token(self, symbol: str) -> Token:
        """Return the token of that symbol; `KeyError` if there is none."""
        for token in self.tokens:
            if token.symbol == symbol:
                return token
        raise KeyError(symbol)
