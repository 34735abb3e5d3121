"""A vault with shares (OpenZeppelin's ERC-4626) that has earned: a share is worth more than it was bought for."""

from __future__ import annotations

from typing import Final

from devnet.protocols.amounts import raw_amount
from devnet.protocols.catalogue import USD, token
from devnet.protocols.site import Site

ASSET: Final = "USDC"
OFFSET: Final = 6
"""Decimals of a share beyond the asset's."""
_DEPOSIT_USD: Final = 2_000_000
_YIELD_USD: Final = 60_000
_GAS: Final = 200_000


def deploy(site: Site) -> None:
    """Queue the vault, a provider's deposit, and the yield that another gives."""
    asset, call = site.tokens[ASSET], site.deployer.call
    vault = site.create_compiled("share_vault", "DevnetShareVault", ("address", "uint8"), asset, OFFSET)
    site.contracts["share_vault"] = vault
    owner, giver = site.provider(2), site.provider(3)
    amount, earned = (raw_amount(token(ASSET), dollars * USD) for dollars in (_DEPOSIT_USD, _YIELD_USD))
    call(asset, "approve(address,uint256)", vault, amount, sender=owner, gas=_GAS)
    call(vault, "deposit(uint256,address)", amount, owner.address, sender=owner, gas=_GAS)
    call(asset, "transfer(address,uint256)", vault, earned, sender=giver, gas=_GAS)
