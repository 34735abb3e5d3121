"""Vaults with shares (ERC-4626) and wrappers with a rate: OpenZeppelin, contracts/token/ERC20/extensions/ERC4626.sol
(_convertToShares, _convertToAssets, the four previews), lidofinance/core, contracts/0.6.12/WstETH.sol (wrap, unwrap),
and Balancer V3's buffers, balancer-v3-monorepo, pkg/vault/contracts/Vault.sol (_wrapWithBuffer, _unwrapWithBuffer).

WETH9 gives one for one: a vault of which assets and shares are equal.
"""

from __future__ import annotations

import msgspec

from node.pipeline.amm.errors import InsufficientInput, InsufficientLiquidity
from node.pipeline.amm.units import UINT256_MAX, Fixed18, TokenAmount

MIN_WRAP = 10_000
"""The least that a buffer of the Vault wraps or unwraps, in smallest units of either token."""


class ShareVault(msgspec.Struct, frozen=True, gc=False):
    """What all shares are worth. `virtual_assets` and `virtual_shares` are counted in addition: 1 and 10**offset in
    OpenZeppelin's vaults, 0 and 0 in wrappers such as wstETH, whose worth per share is `assets / shares`.

    `max_deposit` and `max_withdraw` in assets. A wrapper of which only the rate is known does not grow (`grows`).
    """

    assets: TokenAmount
    shares: TokenAmount
    virtual_assets: int = 1
    virtual_shares: int = 1
    max_deposit: TokenAmount = UINT256_MAX
    max_withdraw: TokenAmount = UINT256_MAX
    grows: bool = True


ONE_FOR_ONE = ShareVault(1, 1, 0, 0, grows=False)
"""Wrapped ether, and every token that is minted one for one."""


def wrapper(rate: Fixed18) -> ShareVault:
    """A vault whose shares are worth `rate` (times 10**18) each, as far as the rate tells."""
    return ShareVault(rate, 10**18, 0, 0, grows=False)


def preview_deposit(vault: ShareVault, assets: TokenAmount) -> TokenAmount:
    """Shares for an exact deposit, rounded down. Raises InsufficientInput below zero, InsufficientLiquidity."""
    _require_within(assets, vault.max_deposit)
    return _shares_of(vault, assets, up=False)


def preview_mint(vault: ShareVault, shares: TokenAmount) -> TokenAmount:
    """Assets that exact shares cost, rounded up. Raises InsufficientInput below zero, InsufficientLiquidity."""
    assets = _assets_of(vault, _positive(shares), up=True)
    _require_within(assets, vault.max_deposit)
    return assets


def preview_redeem(vault: ShareVault, shares: TokenAmount) -> TokenAmount:
    """Assets for exact shares, rounded down. Raises InsufficientInput below zero, InsufficientLiquidity."""
    assets = _assets_of(vault, _positive(shares), up=False)
    _require_within(assets, vault.max_withdraw)
    return assets


def preview_withdraw(vault: ShareVault, assets: TokenAmount) -> TokenAmount:
    """Shares that exact assets cost, rounded up. Raises InsufficientInput below zero, InsufficientLiquidity."""
    _require_within(assets, vault.max_withdraw)
    return _shares_of(vault, assets, up=True)


def deposit(vault: ShareVault, assets: TokenAmount) -> tuple[ShareVault, TokenAmount]:
    """(vault afterwards, shares) of a deposit. Raises as the preview."""
    shares = preview_deposit(vault, assets)
    return msgspec.structs.replace(vault, assets=vault.assets + assets, shares=vault.shares + shares), shares


def redeem(vault: ShareVault, shares: TokenAmount) -> tuple[ShareVault, TokenAmount]:
    """(vault afterwards, assets) of a redemption. Raises as the preview, InsufficientLiquidity beyond all shares."""
    assets = preview_redeem(vault, shares)
    if shares > vault.shares:
        raise InsufficientLiquidity("ERC4626ExceededMaxRedeem", f"{shares} of {vault.shares}")
    return msgspec.structs.replace(vault, assets=vault.assets - assets, shares=vault.shares - shares), assets


def buffered_wrap_exact_in(vault: ShareVault, assets: TokenAmount) -> TokenAmount:
    """Shares that the Vault's buffer gives for exact assets: a unit less either way than the preview."""
    return _wrappable(preview_deposit(vault, _wrappable(assets) - 1) - 1)


def buffered_wrap_exact_out(vault: ShareVault, shares: TokenAmount) -> TokenAmount:
    """Assets that the Vault's buffer takes for exact shares."""
    return _wrappable(preview_mint(vault, _wrappable(shares) + 1) + 1)


def buffered_unwrap_exact_in(vault: ShareVault, shares: TokenAmount) -> TokenAmount:
    """Assets that the Vault's buffer gives for exact shares."""
    return _wrappable(preview_redeem(vault, _wrappable(shares) - 1) - 1)


def buffered_unwrap_exact_out(vault: ShareVault, assets: TokenAmount) -> TokenAmount:
    """Shares that the Vault's buffer takes for exact assets."""
    return _wrappable(preview_withdraw(vault, _wrappable(assets) + 1) + 1)


def _shares_of(vault: ShareVault, assets: TokenAmount, *, up: bool) -> TokenAmount:
    return _ratio(assets, vault.shares + vault.virtual_shares, vault.assets + vault.virtual_assets, up=up)


def _assets_of(vault: ShareVault, shares: TokenAmount, *, up: bool) -> TokenAmount:
    return _ratio(shares, vault.assets + vault.virtual_assets, vault.shares + vault.virtual_shares, up=up)


def _ratio(amount: int, numerator: int, denominator: int, *, up: bool) -> int:
    """amount * numerator / denominator; Math.mulDiv keeps the product in 512 bits, the quotient must fit a word."""
    if denominator == 0:
        raise InsufficientLiquidity("", "a vault without anything in it")
    product = amount * numerator
    quotient = -(-product // denominator) if up else product // denominator
    if quotient > UINT256_MAX:
        raise InsufficientLiquidity("MathOverflowedMulDiv", f"{amount}")
    return quotient


def _positive(amount: TokenAmount) -> TokenAmount:
    if amount < 0:
        raise InsufficientInput("", f"{amount}")
    return amount


def _require_within(assets: TokenAmount, limit: TokenAmount) -> None:
    if _positive(assets) > limit:
        raise InsufficientLiquidity("ERC4626ExceededMax", f"{assets} of {limit}")


def _wrappable(amount: TokenAmount) -> TokenAmount:
    if amount < MIN_WRAP:
        raise InsufficientInput("WrapAmountTooSmall", f"{amount}")
    return amount
