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

    `family`: `uniswap_v2`, `sushi_v2`, `uniswap_v3`, `uniswap_v4`, `balancer_v2_weighted`, `balancer_v2_stable`,
    `curve_stable`. `fee_pips`: hundredths of a basis point (3000 = 0.3 %). `pool_id`: the 32-byte id of Balancer's and
    of Uniswap V4's pools, else empty. `address` is the PoolManager's for the latter, which have no hooks.
    """

    name: str
    family: str
    address: str
    tokens: tuple[str, ...]
    """Token symbols in the pool's own order."""
    fee_pips: int
    pool_id: str = ""
    tick_spacing: int = 0
    native_ether: bool = False
    """Uniswap V4: currency 0 is ether itself, and `WETH` stands for it in `tokens`."""


class MorphoMarket(msgspec.Struct, frozen=True, kw_only=True):
    """One market of Morpho Blue: symbols, what it is bound to, and the loan-to-value (18 decimals) of liquidation."""

    id: str
    collateral: str
    debt: str
    oracle: str
    irm: str
    lltv: int
    borrowers: tuple[str, ...]
    """Accounts with a loan, none of which looks after it."""


class OperatorVault(msgspec.Struct, frozen=True, kw_only=True):
    """One open vault: the Safe's address, and the account that may execute with it."""

    safe: str
    hot_key: str


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """One operator of a node: the accounts that own all its Safes (two must sign), and its vaults."""

    name: str
    owners: tuple[str, ...]
    vaults: tuple[OperatorVault, ...]
    account: str
    """The account that is registered and has staked; the registered hot key is that of the first vault."""
    peer: str
    """The account whose secret is the libp2p identity."""


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
    morpho_markets: tuple[MorphoMarket, ...] = ()
    operators: tuple[Operator, ...] = ()
    """Who runs the nodes of a demo; the contracts are `vault_module`, `arb_executor` and the network's."""

    def token(self, symbol: str) -> Token:
        """Return the token of that symbol; `KeyError` if there is none."""
        for token in self.tokens:
            if token.symbol == symbol:
                return token
        raise KeyError(symbol)
