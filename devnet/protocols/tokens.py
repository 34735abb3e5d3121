"""WETH9 (mainnet's code) and the devnet's own tokens, and who holds and has approved what."""

from __future__ import annotations

from devnet.accounts import Account, account
from devnet.protocols.amounts import raw_amount
from devnet.protocols.catalogue import ROLES, TOKENS, RoleSpec, TokenSpec
from devnet.protocols.site import Site

SPENDERS = (
    "uniswap_v2_router",
    "sushi_router",
    "uniswap_v3_router",
    "uniswap_v3_router02",
    "uniswap_v3_position_manager",
    "balancer_vault",
    "aave_pool",
)
"""The contracts that every funded account lets spend all its tokens."""

_GRANT_BATCH = 30
_WETH_GAS = 70_000


def deploy(site: Site) -> None:
    """Queue the creation of every token."""
    for spec in TOKENS:
        if spec.contract is None:
            site.tokens[spec.symbol] = site.create_compiled(spec.symbol, "WETH9")
            continue
        types, values = ("string", "string", "uint8"), (spec.name, spec.symbol, spec.decimals)
        site.tokens[spec.symbol] = site.create_compiled(spec.symbol, spec.contract, types, *values)
    site.contracts["weth"] = site.tokens["WETH"]


def funded_accounts(role: RoleSpec) -> tuple[Account, ...]:
    """Return the accounts of a role."""
    return tuple(account(f"{role.role}-{index}") for index in range(role.count))


async def fund(site: Site) -> None:
    """Give every role its ether, tokens and approvals; all SPENDERS must stand by now."""
    spenders = [site.contracts[name] for name in SPENDERS]
    weth_usd = {role.role: raw_amount(TOKENS[0], role.token_usd * 10**8) for role in ROLES}
    for role in ROLES:
        addresses = [holder.address for holder in funded_accounts(role)]
        await site.deployer.set_balance(addresses, (role.ether + 1) * 10**18 + weth_usd[role.role])
    for spec in TOKENS:
        if spec.contract is None:
            _wrap_ether(site, spec, spenders, weth_usd)
        else:
            _grant(site, spec, spenders)
    await site.deployer.flush()
    for role in ROLES:  # exactly what the catalogue says, without what the transactions above cost
        await site.deployer.set_balance([holder.address for holder in funded_accounts(role)], role.ether * 10**18)


def _grant(site: Site, spec: TokenSpec, spenders: list[str]) -> None:
    holders = [
        (holder.address, raw_amount(spec, role.token_usd * 10**8)) for role in ROLES for holder in funded_accounts(role)
    ]
    for start in range(0, len(holders), _GRANT_BATCH):
        addresses, amounts = zip(*holders[start : start + _GRANT_BATCH], strict=True)
        signature = "grant(address[],uint256[],address[])"
        site.deployer.call(site.tokens[spec.symbol], signature, addresses, amounts, spenders, gas=12_000_000)


def _wrap_ether(site: Site, spec: TokenSpec, spenders: list[str], wei: dict[str, int]) -> None:
    weth = site.tokens[spec.symbol]
    for role in ROLES:
        for holder in funded_accounts(role):
            if wei[role.role]:
                site.deployer.call(weth, "deposit()", sender=holder, value=wei[role.role], gas=_WETH_GAS)
            for spender in spenders:
                signature = "approve(address,uint256)"
                site.deployer.call(weth, signature, spender, 2**256 - 1, sender=holder, gas=_WETH_GAS)
