"""Vaults with shares (ERC-4626) and wrappers: what a share is worth, and the previews that prove it.

Of a vault's virtual shares only its previews tell: those of OpenZeppelin's (10**offset, with one virtual asset) are
tried, then none; a vault that answers otherwise has fees or maths of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.engine.multicall import View
from node.engine.view_answers import NUMBER, Contracts, Kind, call, number_of, timeless
from node.pipeline.amm.erc4626 import ONE_FOR_ONE, ShareVault, preview_deposit
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState, quote_exact_in
from protocol.ethereum.abi import selector
from protocol.units import ZERO_ADDRESS

_TOTAL_ASSETS: Final = selector("totalAssets()")
_SUPPLY: Final = selector("totalSupply()")
_DECIMALS: Final = selector("decimals()")
_PREVIEW_DEPOSIT: Final = selector("previewDeposit(uint256)")
_PREVIEW_REDEEM: Final = selector("previewRedeem(uint256)")
_MAX_DEPOSIT: Final = selector("maxDeposit(address)")
_POOLED: Final = selector("getTotalPooledEther()")
_SHARES: Final = selector("getTotalShares()")
_WRAPPED: Final = selector("getWstETHByStETH(uint256)")
_PROBE: Final = 10**18
_PART: Final = 1_000


def _vault_views(spec: PoolSpec, _contracts: Contracts) -> list[View]:
    vault = spec.address
    names = (_TOTAL_ASSETS, _SUPPLY, _DECIMALS)
    asked = [call(vault, _PREVIEW_DEPOSIT, _PROBE), call(vault, _MAX_DEPOSIT, vault)]
    return [*(View(vault, name) for name in names), View(spec.tokens[0], _DECIMALS), *asked]


def _vault(_spec: PoolSpec, answers: Sequence[bytes | None]) -> PoolState:
    assets, shares = number_of(answers[0], "totalAssets()"), number_of(answers[1], "totalSupply()")
    decimals = [number_of(answer, "decimals()", most=NUMBER) for answer in answers[2:4]]
    probed, limit = number_of(answers[4], "previewDeposit(uint256)"), number_of(answers[5], "maxDeposit(address)")
    offset = decimals[0] - decimals[1]
    for virtual_assets, virtual_shares in ((1, 10 ** max(offset, 0)), (0, 0)):
        vault = ShareVault(assets, shares, virtual_assets, virtual_shares, max_deposit=limit)
        empty = not (assets + virtual_assets and shares + virtual_shares)
        if not empty and _shares_for_probe(vault) == probed:
            return vault
    raise ValueError("its previews are not those of shares alone")


def _shares_for_probe(vault: ShareVault) -> int:
    return preview_deposit(ShareVault(vault.assets, vault.shares, vault.virtual_assets, vault.virtual_shares), _PROBE)


def _wrapper_views(spec: PoolSpec, _contracts: Contracts) -> list[View]:
    if spec.tokens[0] == ZERO_ADDRESS:
        return [View(spec.address, _DECIMALS)]
    return [View(spec.tokens[0], _POOLED), View(spec.tokens[0], _SHARES)]


def _wrapper(spec: PoolSpec, answers: Sequence[bytes | None]) -> PoolState:
    """Wrapped ether is one for one; wstETH is a share of all the ether behind stETH."""
    if spec.tokens[0] == ZERO_ADDRESS:
        number_of(answers[0], "decimals()", most=18)
        return ONE_FOR_ONE
    pooled, shares = number_of(answers[0], "getTotalPooledEther()"), number_of(answers[1], "getTotalShares()")
    if not (pooled and shares):
        raise ValueError("nothing is wrapped")
    return ShareVault(pooled, shares, 0, 0, grows=False)


def vault_checks(spec: PoolSpec, state: PoolState) -> list[tuple[View, int]]:
    """What shares give, and of wstETH what they cost."""
    if not isinstance(state, ShareVault) or spec.tokens[0] == ZERO_ADDRESS:
        return []
    if spec.family is PoolFamily.WRAPPER:
        return [(call(spec.address, _WRAPPED, _PROBE), quote_exact_in(state, 0, 1, _PROBE))]
    shares = state.shares // _PART
    return [(call(spec.address, _PREVIEW_REDEEM, shares), quote_exact_in(state, 1, 0, shares))] if shares else []


VAULT_VIEWS: Final[dict[PoolFamily, Kind]] = {
    PoolFamily.ERC4626: Kind(_vault_views, timeless(_vault)),
    PoolFamily.WRAPPER: Kind(_wrapper_views, timeless(_wrapper)),
}
