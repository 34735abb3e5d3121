"""Aave V3: one market (package bytecode, libraries linked), its reserves, and borrowers near their liquidation."""

from __future__ import annotations

from dataclasses import dataclass

from devnet.accounts import account
from devnet.protocols.amounts import raw_amount
from devnet.protocols.catalogue import token
from devnet.protocols.site import Site

_ROOT = "@aave/core-v3/artifacts/contracts"
_PROTOCOL = f"{_ROOT}/protocol"
_ZERO = "0x" + "00" * 20
_RAY = 10**27
_WAD_USD = 10**8
_INIT_GAS = 6_000_000
_SUPPLY_USD = 12_000_000
_VARIABLE_RATE = 2
FLASH_LOAN_PREMIUM_BPS = 5
PRICE_BEFORE_BORROWING = 1030
"""Per mille of the catalogue's prices at which borrowers borrow; then the feeds fall to the catalogue's."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """One reserve, after mainnet's settings in 2023; percentages in basis points."""

    symbol: str
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    optimal_usage_percent: int
    slope1_percent: int
    slope2_percent: int


@dataclass(frozen=True, slots=True)
class Loan:
    """What a borrower put in and took out; its health factor at the catalogue's prices, in thousandths."""

    collateral: str
    collateral_usd: int
    debt: str
    health_thousandths: int


RESERVES = (
    Reserve("WETH", 8_000, 8_250, 10_500, 80, 4, 80),
    Reserve("USDC", 7_700, 7_900, 10_450, 90, 4, 60),
    Reserve("DAI", 6_300, 7_700, 10_400, 90, 4, 75),
    Reserve("WBTC", 7_300, 7_800, 10_500, 45, 7, 300),
    Reserve("LINK", 5_300, 6_800, 10_700, 45, 7, 300),
)

LOANS = (
    Loan("WETH", 400_000, "USDC", 1_012),
    Loan("WETH", 900_000, "DAI", 1_022),
    Loan("WETH", 150_000, "USDC", 1_035),
    Loan("WBTC", 600_000, "USDC", 1_048),
    Loan("WETH", 250_000, "DAI", 1_090),
    Loan("WBTC", 300_000, "DAI", 1_180),
    Loan("LINK", 120_000, "USDC", 1_320),
    Loan("USDC", 500_000, "WETH", 1_600),
)
"""One loan per `borrower-<index>`."""


async def deploy(site: Site) -> None:
    """Create the market and list its reserves; the feeds must stand and have answers."""
    logic = f"{_PROTOCOL}/libraries/logic"
    libraries = (
        "SupplyLogic BorrowLogic LiquidationLogic EModeLogic BridgeLogic FlashLoanLogic PoolLogic ConfiguratorLogic"
    )
    for name in libraries.split():
        site.library(name, f"{logic}/{name}.sol/{name}.json")
    provider = await _market(site)
    pool, configurator = site.contracts["aave_pool"], site.contracts["aave_pool_configurator"]
    tokens = [
        site.create(
            f"aave_{kind}_implementation", f"{_PROTOCOL}/tokenization/{name}.sol/{name}.json", ("address",), pool
        )
        for kind, name in (
            ("a_token", "AToken"),
            ("stable_debt", "StableDebtToken"),
            ("variable_debt", "VariableDebtToken"),
        )
    ]
    for reserve in RESERVES:
        _list(site, reserve, provider, configurator, tokens)
    site.deployer.call(configurator, "updateFlashloanPremiumTotal(uint128)", FLASH_LOAN_PREMIUM_BPS)
    await site.deployer.flush()


async def _market(site: Site) -> str:
    """Create addresses provider, access control, oracle, pool and configurator; return the addresses provider."""
    deployer, admin = site.deployer, site.deployer.address
    provider_path = f"{_PROTOCOL}/configuration/PoolAddressesProvider.sol/PoolAddressesProvider.json"
    provider = site.create("aave_addresses_provider", provider_path, ("string", "address"), "Devnet Aave Market", admin)
    deployer.call(provider, "setACLAdmin(address)", admin)
    acl_path = f"{_PROTOCOL}/configuration/ACLManager.sol/ACLManager.json"
    acl = site.create("aave_acl_manager", acl_path, ("address",), provider)
    deployer.call(provider, "setACLManager(address)", acl)
    deployer.call(acl, "addPoolAdmin(address)", admin)
    assets = [site.tokens[reserve.symbol] for reserve in RESERVES]
    sources = [site.feeds[reserve.symbol] for reserve in RESERVES]
    oracle = site.create(
        "aave_oracle",
        f"{_ROOT}/misc/AaveOracle.sol/AaveOracle.json",
        ("address", "address[]", "address[]", "address", "address", "uint256"),
        *(provider, assets, sources, _ZERO, _ZERO, _WAD_USD),
    )
    deployer.call(provider, "setPriceOracle(address)", oracle)
    pool_path = f"{_PROTOCOL}/pool/Pool.sol/Pool.json"
    pool = site.create("aave_pool_implementation", pool_path, ("address",), provider)
    deployer.call(provider, "setPoolImpl(address)", pool, gas=_INIT_GAS)
    configurator_path = f"{_PROTOCOL}/pool/PoolConfigurator.sol/PoolConfigurator.json"
    configurator = site.create("aave_pool_configurator_implementation", configurator_path)
    deployer.call(provider, "setPoolConfiguratorImpl(address)", configurator, gas=_INIT_GAS)
    data_path = f"{_ROOT}/misc/AaveProtocolDataProvider.sol/AaveProtocolDataProvider.json"
    data = site.create("aave_data_provider", data_path, ("address",), provider)
    deployer.call(provider, "setPoolDataProvider(address)", data)
    site.contracts["aave_pool"] = (await deployer.read(provider, "getPool()", ["address"]))[0]
    found = await deployer.read(provider, "getPoolConfigurator()", ["address"])
    site.contracts["aave_pool_configurator"] = found[0]
    return provider


def _list(site: Site, reserve: Reserve, provider: str, configurator: str, tokens: list[str]) -> None:
    asset, symbol = site.tokens[reserve.symbol], reserve.symbol
    percent = _RAY // 100
    rates = (reserve.optimal_usage_percent, 0, reserve.slope1_percent, reserve.slope2_percent, 1, 60, 1, 1, 20)
    strategy_name = "DefaultReserveInterestRateStrategy"
    strategy = site.create(
        f"aave_rate_strategy_{symbol}",
        f"{_PROTOCOL}/pool/{strategy_name}.sol/{strategy_name}.json",
        ("address", *("uint256",) * len(rates)),
        *(provider, *(rate * percent for rate in rates)),
    )
    names = [f"Devnet Aave {symbol}", f"a{symbol}", f"Devnet Variable Debt {symbol}", f"variableDebt{symbol}"]
    names += [f"Devnet Stable Debt {symbol}", f"stableDebt{symbol}"]
    treasury = account("aave-treasury").address
    entry = (*tokens, token(symbol).decimals, strategy, asset, treasury, _ZERO, *names, b"")
    shape = f"({'address,' * 3}uint8,{'address,' * 4}{'string,' * 6}bytes)"
    call = site.deployer.call
    call(configurator, f"initReserves({shape}[])", [entry], gas=_INIT_GAS)
    limits = (reserve.ltv, reserve.liquidation_threshold, reserve.liquidation_bonus)
    call(configurator, "configureReserveAsCollateral(address,uint256,uint256,uint256)", asset, *limits)
    call(configurator, "setReserveBorrowing(address,bool)", asset, True)
    call(configurator, "setReserveFlashLoaning(address,bool)", asset, True)
    call(configurator, "setReserveFactor(address,uint256)", asset, 1_000)


async def lend(site: Site) -> None:
    """Let the liquidity providers supply every reserve and the borrowers take their loans, at the feeds' prices now."""
    pool, call = site.contracts["aave_pool"], site.deployer.call
    supply = "supply(address,uint256,address,uint16)"
    for index, reserve in enumerate(RESERVES):
        provider = site.provider(index)
        amount = raw_amount(token(reserve.symbol), _SUPPLY_USD * 10**8)
        call(pool, supply, site.tokens[reserve.symbol], amount, provider.address, 0, sender=provider)
    thresholds = {reserve.symbol: reserve.liquidation_threshold for reserve in RESERVES}
    for index, loan in enumerate(LOANS):
        borrower = account(f"borrower-{index}")
        collateral = raw_amount(token(loan.collateral), loan.collateral_usd * 10**8)
        call(pool, supply, site.tokens[loan.collateral], collateral, borrower.address, 0, sender=borrower)
        debt_usd_e8 = (
            loan.collateral_usd * 10**8 * thresholds[loan.collateral] * 1000 // (10_000 * loan.health_thousandths)
        )
        debt = raw_amount(token(loan.debt), debt_usd_e8)
        borrow = "borrow(address,uint256,uint256,uint16,address)"
        arguments = (site.tokens[loan.debt], debt, _VARIABLE_RATE, 0, borrower.address)
        call(pool, borrow, *arguments, sender=borrower, gas=1_200_000)
    await site.deployer.flush()
