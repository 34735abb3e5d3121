"""The contracts of the devnet's rival searcher and of its sandwich attacker, with something to trade."""

from __future__ import annotations

from devnet.protocols.amounts import raw_amount
from devnet.protocols.catalogue import ROLES, USD, token
from devnet.protocols.site import Site
from devnet.protocols.tokens import funded_accounts

CONTRACTS = ("RivalExecutor", "SandwichExecutor")
_INVENTORY_USD = 1_000_000
"""What each account of the role gives to its contract, of each token that the contract trades from."""
_SANDWICH_TOKENS = ("WETH", "USDC", "USDT", "DAI", "GUSD")
_TRANSFER_GAS = 120_000


def deploy(site: Site) -> None:
    """Queue both contracts and their inventories; the accounts must be funded by now."""
    rivals = funded_accounts(next(role for role in ROLES if role.role == "rival"))
    attackers = funded_accounts(next(role for role in ROLES if role.role == "sandwicher"))
    rival = site.create_compiled(
        "rival_executor",
        "RivalExecutor",
        ("address", "address[]"),
        site.tokens["WETH"],
        [operator.address for operator in rivals],
    )
    addresses = [operator.address for operator in attackers]
    sandwich = site.create_compiled("sandwich_executor", "SandwichExecutor", ("address[]",), addresses)
    site.contracts |= {"rival_executor": rival, "sandwich_executor": sandwich}
    given = [(operator, rival, "WETH") for operator in rivals]
    given += [(operator, sandwich, symbol) for operator in attackers for symbol in _SANDWICH_TOKENS]
    for operator, executor, symbol in given:
        amount = raw_amount(token(symbol), _INVENTORY_USD * USD)
        transfer = "transfer(address,uint256)"
        site.deployer.call(site.tokens[symbol], transfer, executor, amount, sender=operator, gas=_TRANSFER_GAS)
