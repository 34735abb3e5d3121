"""Steps at a vault with shares (ERC-4626): deposits, mints, withdrawals, redemptions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

import msgspec

from node.pipeline.amm import erc4626
from node.pipeline.amm.erc4626 import ShareVault
from node.pipeline.pools import PoolSpec, PoolState
from tests.market import dice
from tests.market.ground import Ground
from tests.market.steps import Call, Query, Step, call, word_at

_PREVIEWS: dict[str, Callable[[ShareVault, int], int]] = {
    "previewDeposit(uint256)": erc4626.preview_deposit,
    "previewMint(uint256)": erc4626.preview_mint,
    "previewRedeem(uint256)": erc4626.preview_redeem,
    "previewWithdraw(uint256)": erc4626.preview_withdraw,
}
_GAS = 250_000
_Made = tuple[str, Call, Callable[[ShareVault], ShareVault] | None]


class ShareVaultSteps:
    """ERC-4626. What the hand has of shares is not known here: what takes some out, the logs alone tell."""

    def __init__(self, ground: Ground) -> None:
        self._hand = ground.hand

    def step(self, random: Random, spec: PoolSpec, state: PoolState) -> Step:
        """See `Family.step`."""
        assert isinstance(state, ShareVault)
        kinds = (self._deposit, self._mint, self._withdraw, self._redeem)
        action, one, predict = random.choice(kinds)(random, spec, state)
        return Step(spec.id, action, (one,), tuple(_queries(random, spec, state)), _GAS, predict)

    def _deposit(self, random: Random, spec: PoolSpec, vault: ShareVault) -> _Made:
        assets = dice.modest(random, vault.assets)
        one = call(spec.address, "deposit(uint256,address)", assets, self._hand)
        return f"deposit {assets}", one, lambda state: erc4626.deposit(state, assets)[0]

    def _mint(self, random: Random, spec: PoolSpec, vault: ShareVault) -> _Made:
        shares = dice.modest(random, vault.shares)
        return (
            f"issue {shares}",
            call(spec.address, "mint(uint256,address)", shares, self._hand),
            partial(_minted, shares=shares),
        )

    def _withdraw(self, random: Random, spec: PoolSpec, vault: ShareVault) -> _Made:
        assets = dice.modest(random, vault.assets)
        one = call(spec.address, "withdraw(uint256,address,address)", assets, self._hand, self._hand)
        return f"take {assets}", one, None

    def _redeem(self, random: Random, spec: PoolSpec, vault: ShareVault) -> _Made:
        shares = dice.modest(random, vault.shares)
        one = call(spec.address, "redeem(uint256,address,address)", shares, self._hand, self._hand)
        return f"redeem {shares}", one, None


def _minted(vault: ShareVault, shares: int) -> ShareVault:
    assets = erc4626.preview_mint(vault, shares)
    return msgspec.structs.replace(vault, assets=vault.assets + assets, shares=vault.shares + shares)


def _queries(random: Random, spec: PoolSpec, vault: ShareVault) -> list[Query]:
    queries = [
        Query(call(spec.address, "totalAssets()"), word_at(0), lambda state: state.assets, "totalAssets"),
        Query(call(spec.address, "totalSupply()"), word_at(0), lambda state: state.shares, "totalSupply"),
    ]
    for signature in random.sample(sorted(_PREVIEWS), 2):
        amount = dice.modest(random, vault.shares)
        one = call(spec.address, signature, amount)
        ours = partial(_previewed, preview=_PREVIEWS[signature], amount=amount)
        queries.append(Query(one, word_at(0), ours, f"{signature} {amount}"))
    return queries


def _previewed(vault: ShareVault, preview: Callable[[ShareVault, int], int], amount: int) -> int:
    return preview(vault, amount)
