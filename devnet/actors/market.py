"""The world as the actors know it: the manifest, indexed, and what a swap through one of its pools gives."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from devnet.actors import curves
from devnet.actors.view import ConcentratedState, ConstantProductState, PoolState, VaultState
from devnet.manifest import Manifest, Pool, Token

V2_FAMILIES: Final = frozenset({"uniswap_v2", "sushi_v2"})
V3_FAMILY: Final = "uniswap_v3"
WEIGHTED_FAMILY: Final = "balancer_v2_weighted"
STABLE_FAMILY: Final = "balancer_v2_stable"
TRADED_FAMILIES: Final = V2_FAMILIES | {V3_FAMILY, WEIGHTED_FAMILY, STABLE_FAMILY}
"""The families whose curves the actors know; they trade on no other pool of the world."""
PLAIN: Final = "plain"
FEE_ON_TRANSFER: Final = "fee_on_transfer"
REVERTING: Final = "reverting"
WETH: Final = "WETH"
E8: Final = 10**8


class Market:
    """Indexes a manifest. Immutable after construction."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        traded = tuple(pool for pool in manifest.pools if pool.family in TRADED_FAMILIES)
        self.tokens: dict[str, Token] = {token.symbol: token for token in manifest.tokens}
        self.pools: dict[str, Pool] = {pool.name: pool for pool in traded}
        self.by_family: dict[str, tuple[Pool, ...]] = {}
        for pool in traded:
            self.by_family[pool.family] = (*self.by_family.get(pool.family, ()), pool)
        self.by_address: dict[str, Pool] = {pool.address.lower(): pool for pool in traded}
        self.symbols: dict[str, str] = {token.address.lower(): token.symbol for token in manifest.tokens}

    def contract(self, name: str) -> str:
        """Return the address of a contract in lower-case hex; `KeyError` if the world has none of that name."""
        return self.manifest.contracts[name].lower()

    def address(self, symbol: str) -> str:
        """Return a token's address in lower-case hex."""
        return self.tokens[symbol].address.lower()

    def is_plain(self, pool: Pool) -> bool:
        """Return whether both tokens move without fees, rebases or refusals."""
        return all(self.tokens[symbol].kind == PLAIN for symbol in pool.tokens)

    def units_of_usd(self, symbol: str, usd: Decimal, prices_e8: Mapping[str, int]) -> int:
        """Return the amount of a token, in its smallest units, that is worth so many dollars; rounded down."""
        token = self.tokens[symbol]
        return int(usd.scaleb(8 + token.decimals) / prices_e8[symbol])

    def usd(self, symbol: str, amount: int, prices_e8: Mapping[str, int]) -> Decimal:
        """Return the dollars that an amount of a token is worth."""
        return Decimal(amount * prices_e8[symbol]).scaleb(-8 - self.tokens[symbol].decimals)

    def depth(self, pool: Pool, state: PoolState, symbol: str) -> int:
        """Return what the pool holds of a token for trading at the present price: reserve, virtual reserve, balance."""
        index = pool.tokens.index(symbol)
        if isinstance(state, ConcentratedState):
            return curves.virtual_reserves(state.sqrt_price, state.liquidity)[index]
        return state.reserves[index] if isinstance(state, ConstantProductState) else state.balances[index]

    def amount_out(self, pool: Pool, state: PoolState, token_in: str, token_out: str, amount_in: int) -> int:
        """Return what the pool gives for an exact amount in. Raises `CannotQuote`."""
        into, out = pool.tokens.index(token_in), pool.tokens.index(token_out)
        if isinstance(state, ConstantProductState):
            return curves.constant_product_out(amount_in, state.reserves[into], state.reserves[out], pool.fee_pips)
        if isinstance(state, ConcentratedState):
            step = curves.concentrated_step(state.sqrt_price, state.liquidity, amount_in, into == 0, pool.fee_pips)
            return step[0]
        return self._vault_out(pool, state, into, out, amount_in)

    def amount_in(self, pool: Pool, state: PoolState, token_in: str, token_out: str, amount_out: int) -> int:
        """Return what the pool takes for an exact amount out. Raises `CannotQuote`; not for stable pools."""
        into, out = pool.tokens.index(token_in), pool.tokens.index(token_out)
        if isinstance(state, ConstantProductState):
            return curves.constant_product_in(amount_out, state.reserves[into], state.reserves[out], pool.fee_pips)
        if isinstance(state, ConcentratedState):
            return curves.concentrated_in(state.sqrt_price, state.liquidity, amount_out, into == 0, pool.fee_pips)
        if not state.weights:
            raise curves.CannotQuote("stable pools are not quoted by amount out")
        balances, weights = (state.balances[into], state.balances[out]), (state.weights[into], state.weights[out])
        return curves.weighted_in(amount_out, balances, weights, pool.fee_pips)

    def swapped(self, pool: Pool, state: PoolState, token_in: str, amount_in: int) -> tuple[PoolState, int]:
        """Return the state after an exact-in swap of a V2-like or V3 pool, and what it gave. Raises `CannotQuote`."""
        zero_for_one = token_in == pool.tokens[0]
        if isinstance(state, ConstantProductState):
            out = self.amount_out(pool, state, token_in, other_token(pool, token_in), amount_in)
            first, second = state.reserves
            after = (first + amount_in, second - out) if zero_for_one else (first - out, second + amount_in)
            return ConstantProductState(after), out
        if isinstance(state, ConcentratedState):
            out, price = curves.concentrated_step(
                state.sqrt_price, state.liquidity, amount_in, zero_for_one, pool.fee_pips
            )
            return ConcentratedState(price, state.tick, state.liquidity), out
        raise curves.CannotQuote("vault pools are not followed through a swap")

    def path_out(self, pools: Mapping[str, PoolState], path: list[Pool], token_in: str, amount_in: int) -> int:
        """Return what a path of two-token pools gives, each hop fed by the last. Raises `CannotQuote`."""
        for pool in path:
            token_out = other_token(pool, token_in)
            amount_in = self.amount_out(pool, pools[pool.name], token_in, token_out, amount_in)
            token_in = token_out
        return amount_in

    def is_followed(self, pool: Pool) -> bool:
        """Return whether the searchers follow swaps of the pool: plain tokens, V2-like or V3."""
        return self.is_plain(pool) and (pool.family in V2_FAMILIES or pool.family == V3_FAMILY)

    def _vault_out(self, pool: Pool, state: VaultState, into: int, out: int, amount_in: int) -> int:
        if state.weights:
            balances, weights = (state.balances[into], state.balances[out]), (state.weights[into], state.weights[out])
            return curves.weighted_out(amount_in, balances, weights, pool.fee_pips)
        scales: list[int] = [10 ** (18 - self.tokens[symbol].decimals) for symbol in pool.tokens]
        scaled = tuple(balance * scale for balance, scale in zip(state.balances, scales, strict=True))
        amount = curves.stable_out(amount_in * scales[into], into, out, scaled, state.amplification, pool.fee_pips)
        return amount // scales[out]


def other_token(pool: Pool, symbol: str) -> str:
    """Return the other token of a two-token pool."""
    return pool.tokens[1] if pool.tokens[0] == symbol else pool.tokens[0]
