"""Morpho Blue (the package's source, compiled here): markets with oracles, lenders, and loans near their liquidation.

The rate model is the package's own simple one (a utilisation of x % costs x % a year); the oracles are ours and read
the Chainlink feeds, so that a fall of the feeds makes loans liquidatable here as it does on Aave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from devnet.accounts import Account, account
from devnet.manifest import MorphoMarket
from devnet.protocols.amounts import raw_amount
from devnet.protocols.catalogue import USD, token
from devnet.protocols.site import Site
from protocol.ethereum.abi import encode
from protocol.ethereum.keccak import keccak256

PARAMS: Final = "(address,address,address,address,uint256)"
"""MarketParams: debt token, collateral token, oracle, rate model, loan-to-value of liquidation."""
BORROWER: Final = "morpho-borrower"

_WAD: Final = 10**18
_SUPPLY_USD: Final = 6_000_000
_BORROWER_ETHER: Final = 1
_APPROVE_GAS: Final = 80_000
_APPROVE: Final = "approve(address,uint256)"

Params = tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Loan:
    """What a borrower put in (dollars at the catalogue's prices), and the health of its loan in thousandths."""

    collateral_usd: int
    health_thousandths: int


@dataclass(frozen=True, slots=True)
class Market:
    """One market and its loans."""

    collateral: str
    debt: str
    lltv_percent: int
    loans: tuple[Loan, ...]


MARKETS: Final = (
    Market(
        "WETH", "USDC", 86, (Loan(300_000, 1_014), Loan(500_000, 1_027), Loan(120_000, 1_060), Loan(800_000, 1_300))
    ),
    Market("WBTC", "DAI", 86, (Loan(250_000, 1_020), Loan(400_000, 1_150))),
)


async def deploy(site: Site) -> None:
    """Create Morpho, its rate model and oracles, open the markets, lend, and let borrowers borrow."""
    call, admin = site.deployer.call, site.deployer.address
    morpho = site.create_compiled("morpho", "Morpho", ("address",), admin)
    irm = site.create_compiled("morpho_irm", "IrmMock")
    site.contracts |= {"morpho": morpho, "morpho_irm": irm}
    call(morpho, "enableIrm(address)", irm)
    for percent in sorted({market.lltv_percent for market in MARKETS}):
        call(morpho, "enableLltv(uint256)", percent * _WAD // 100)
    borrowers = [account(f"{BORROWER}-{index}") for index in range(sum(len(market.loans) for market in MARKETS))]
    await _fund(site, borrowers)
    taken = 0
    for index, market in enumerate(MARKETS):
        own = borrowers[taken : taken + len(market.loans)]
        taken += len(own)
        params = _open(site, index, market, irm)
        for loan, borrower in zip(market.loans, own, strict=True):
            _borrow(site, market, params, loan, borrower)
        site.morpho_markets.append(
            MorphoMarket(
                id="0x" + keccak256(encode((PARAMS,), (params,))).hex(),
                collateral=market.collateral,
                debt=market.debt,
                oracle=params[2],
                irm=irm,
                lltv=params[4],
                borrowers=tuple(borrower.name for borrower in own),
            )
        )
    await site.deployer.flush()


async def _fund(site: Site, borrowers: list[Account]) -> None:
    """Give every borrower its collateral and a little ether."""
    loans = [(market, loan) for market in MARKETS for loan in market.loans]
    wrapped = {market.collateral: market.collateral == "WETH" for market in MARKETS}
    for borrower, (market, loan) in zip(borrowers, loans, strict=True):
        amount = raw_amount(token(market.collateral), loan.collateral_usd * USD)
        ether = amount if wrapped[market.collateral] else 0
        await site.deployer.set_balance([borrower.address], _BORROWER_ETHER * 10**18 + ether)
        collateral = site.tokens[market.collateral]
        if ether:
            site.deployer.call(collateral, "deposit()", sender=borrower, value=ether, gas=_APPROVE_GAS)
        else:
            site.deployer.call(collateral, "grant(address[],uint256[],address[])", [borrower.address], [amount], [])


def _open(site: Site, index: int, market: Market, irm: str) -> Params:
    """Queue a market's oracle, its creation, and a provider's supply."""
    call, morpho, provider = site.deployer.call, site.contracts["morpho"], site.provider(index)
    collateral, debt = site.tokens[market.collateral], site.tokens[market.debt]
    feeds = site.feeds[market.collateral], site.feeds[market.debt]
    types = ("address",) * 4
    name = f"morpho_oracle_{market.collateral}_{market.debt}"
    oracle = site.create_compiled(name, "FeedPriceOracle", types, collateral, feeds[0], debt, feeds[1])
    site.contracts[name] = oracle
    params = (debt, collateral, oracle, irm, market.lltv_percent * _WAD // 100)
    call(morpho, f"createMarket({PARAMS})", params)
    amount = raw_amount(token(market.debt), _SUPPLY_USD * USD)
    call(debt, _APPROVE, morpho, amount, sender=provider, gas=_APPROVE_GAS)
    supply = f"supply({PARAMS},uint256,uint256,address,bytes)"
    call(morpho, supply, params, amount, 0, provider.address, b"", sender=provider)
    return params


def _borrow(site: Site, market: Market, params: Params, loan: Loan, borrower: Account) -> None:
    call, morpho = site.deployer.call, site.contracts["morpho"]
    collateral = raw_amount(token(market.collateral), loan.collateral_usd * USD)
    debt_usd_e8 = loan.collateral_usd * USD * market.lltv_percent * 1000 // (100 * loan.health_thousandths)
    call(params[1], _APPROVE, morpho, collateral, sender=borrower, gas=_APPROVE_GAS)
    deposit = f"supplyCollateral({PARAMS},uint256,address,bytes)"
    call(morpho, deposit, params, collateral, borrower.address, b"", sender=borrower)
    borrow = f"borrow({PARAMS},uint256,uint256,address,address)"
    amount = raw_amount(token(market.debt), debt_usd_e8)
    call(morpho, borrow, params, amount, 0, borrower.address, borrower.address, sender=borrower)
