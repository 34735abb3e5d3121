"""A StableSwap pool with Curve's interface: of our own making, because no package carries Curve's contracts."""

from __future__ import annotations

from typing import Final

from devnet.manifest import Pool
from devnet.protocols.amounts import reserves
from devnet.protocols.catalogue import POOLS
from devnet.protocols.site import Site

CONTRACT: Final = "DevnetStableSwap"
FEE_UNITS_PER_PIP: Final = 10**4
"""Curve counts fees in units of 10^-10."""
_APPROVE_GAS: Final = 80_000


async def open_pools(site: Site) -> None:
    """Create every such pool of the catalogue, its coins in the catalogue's order, and make its first deposit."""
    for index, spec in enumerate(spec for spec in POOLS if spec.family == "curve_stable"):
        coins = [site.tokens[symbol] for symbol in spec.symbols]
        types = (f"address[{len(coins)}]", "uint256", "uint256")
        values = (coins, spec.amplification, spec.fee_pips * FEE_UNITS_PER_PIP)
        pool, provider = site.create_compiled(spec.name, CONTRACT, types, *values), site.provider(index)
        for coin, amount in zip(coins, reserves(spec), strict=True):
            approve = "approve(address,uint256)"
            site.deployer.call(coin, approve, pool, amount, sender=provider, gas=_APPROVE_GAS)
        deposit = f"add_liquidity(uint256[{len(coins)}],uint256)"
        site.deployer.call(pool, deposit, reserves(spec), 0, sender=provider)
        site.contracts["curve_stable_pool"] = pool
        site.pools.append(
            Pool(name=spec.name, family=spec.family, address=pool, tokens=spec.symbols, fee_pips=spec.fee_pips)
        )
    await site.deployer.flush()
