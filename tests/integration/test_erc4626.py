"""Our vaults with shares beside OpenZeppelin's own, donations included."""

from __future__ import annotations

from random import Random

import pytest

from devnet.accounts import account
from devnet.home import Home
from devnet.packages import Packages
from devnet.protocols.compilations import compile_all
from devnet.world import World
from node.pipeline.amm import erc4626
from node.pipeline.amm.erc4626 import ShareVault
from tests.chain import Chain
from tests.conftest import quiet

pytestmark = pytest.mark.anvil

OPERATOR = account("operator-0")
_PREVIEWS = {
    "previewDeposit(uint256)": erc4626.preview_deposit,
    "previewMint(uint256)": erc4626.preview_mint,
    "previewRedeem(uint256)": erc4626.preview_redeem,
    "previewWithdraw(uint256)": erc4626.preview_withdraw,
}


@pytest.mark.parametrize("offset", [0, 6])
async def test_every_preview_is_the_vaults_own_after_every_action(
    offset: int, chain: Chain, world: World, packages: Packages, home: Home
) -> None:
    code = compile_all(packages, home, quiet)["DevnetShareVault"].creation
    usdc = world.manifest.token("USDC").address
    vault = await chain.create(OPERATOR, code, ("address", "uint8"), (usdc, offset))
    await chain.send(OPERATOR, usdc, "approve(address,uint256)", vault, 10**15)
    state, random = ShareVault(0, 0, 1, 10**offset), Random(offset)
    for action in ("deposit", "donate", "deposit", "redeem", "donate", "redeem", "deposit"):
        amount = random.randrange(1, 10**9)
        if action == "deposit":
            state, _ = erc4626.deposit(state, amount)
            await chain.send(OPERATOR, vault, "deposit(uint256,address)", amount, OPERATOR.address)
        elif action == "donate":
            await chain.send(OPERATOR, usdc, "transfer(address,uint256)", vault, amount)
            state = ShareVault(state.assets + amount, state.shares, 1, 10**offset)
        else:
            burnt = state.shares // random.randrange(2, 9)
            state, _ = erc4626.redeem(state, burnt)
            await chain.send(OPERATOR, vault, "redeem(uint256,address,address)", burnt, *[OPERATOR.address] * 2)
        assert await chain.read(vault, "totalAssets()", ["uint256"]) == (state.assets,)
        assert await chain.read(vault, "totalSupply()", ["uint256"]) == (state.shares,)
        for signature, preview in _PREVIEWS.items():
            for asked in (0, 1, random.randrange(10**12), random.randrange(10**30)):
                assert await chain.read(vault, signature, ["uint256"], asked) == (preview(state, asked),), signature
