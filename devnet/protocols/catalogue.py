"""What the world holds: tokens with their prices, pools with their sizes, roles with their budgets. Data, no logic.

Sizes and prices are chosen, not measured: deep stablecoin and ether pools, thin tails, as on a busy mainnet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """One token; `contract` is ours in devnet/contracts, or None for the genuine WETH9."""

    symbol: str
    name: str
    decimals: int
    usd_price_e8: int
    kind: str = "plain"
    contract: str | None = "DevnetToken"
    has_feed: bool = True


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One pool; `usd` is its size in dollars over all tokens, `deviation` how far off the price may be (1e-5).

    `weights` (1e18 = 100 %) for weighted pools, in the order of `symbols`; `amplification` for stable ones.
    """

    family: str
    symbols: tuple[str, ...]
    usd: int
    fee_pips: int
    deviation: int
    weights: tuple[int, ...] = ()
    amplification: int = 0
    positions: str = ""
    """Uniswap V3 and V4: which list of POSITIONS its liquidity is spread over."""
    native_ether: bool = False
    """Uniswap V4: the pool holds ether itself where `symbols` says WETH."""

    @property
    def name(self) -> str:
        """For example `uniswap_v3:WETH/USDC:500`."""
        return f"{self.family}:{'/'.join(self.symbols)}:{self.fee_pips}"


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """Accounts of one role: how many, ether each, and dollars of every token each."""

    role: str
    count: int
    ether: int
    token_usd: int


USD: Final = 10**8
"""One dollar in `usd_price_e8`."""

TOKENS: Final = (
    TokenSpec("WETH", "Wrapped Ether", 18, 3_200 * USD, contract=None),
    TokenSpec("USDC", "Devnet USD Coin", 6, USD),
    TokenSpec("USDT", "Devnet Tether USD", 6, USD),
    TokenSpec("DAI", "Devnet Dai", 18, USD),
    TokenSpec("WBTC", "Devnet Wrapped Bitcoin", 8, 95_000 * USD),
    TokenSpec("LINK", "Devnet Link", 18, 18 * USD),
    TokenSpec("UNI", "Devnet Uni", 18, 9 * USD),
    TokenSpec("AAVE", "Devnet Aave", 18, 210 * USD),
    TokenSpec("GUSD", "Devnet Two-Decimal Dollar", 2, USD),
    TokenSpec("FEE", "Devnet Fee-on-Transfer", 18, 2 * USD, "fee_on_transfer", "FeeOnTransferToken", has_feed=False),
    TokenSpec("REB", "Devnet Rebasing", 18, 40 * USD, "rebasing", "RebasingToken", has_feed=False),
    TokenSpec("BAN", "Devnet Blacklisting", 18, 5 * USD, "reverting", "RevertingToken", has_feed=False),
)

_HALF: Final = 5 * 10**17


def _v2(pair: str, usd: int) -> PoolSpec:
    return PoolSpec("uniswap_v2", tuple(pair.split("/")), usd, 3000, 80)


def _sushi(pair: str, usd: int) -> PoolSpec:
    return PoolSpec("sushi_v2", tuple(pair.split("/")), usd, 3000, 80)


def _v3(pair: str, fee_pips: int, usd: int, positions: str = "wide") -> PoolSpec:
    # The price may be off by a seventh of the fee: closing the gap between two pools always costs more than it brings.
    return PoolSpec("uniswap_v3", tuple(pair.split("/")), usd, fee_pips, fee_pips // 70, positions=positions)


def _v4(pair: str, fee_pips: int, usd: int, positions: str = "wide", *, native_ether: bool = False) -> PoolSpec:
    symbols = tuple(pair.split("/"))
    return PoolSpec(
        "uniswap_v4", symbols, usd, fee_pips, fee_pips // 70, positions=positions, native_ether=native_ether
    )


POOLS: Final = (
    _v2("WETH/USDC", 12_000_000),
    _v2("WETH/USDT", 9_000_000),
    _v2("WETH/DAI", 5_000_000),
    _v2("WBTC/WETH", 7_000_000),
    _v2("LINK/WETH", 3_000_000),
    _v2("UNI/WETH", 2_400_000),
    _v2("AAVE/WETH", 2_000_000),
    _v2("USDC/USDT", 4_000_000),
    _v2("USDC/DAI", 3_000_000),
    _v2("LINK/USDC", 900_000),
    _v2("FEE/WETH", 800_000),
    _v2("REB/WETH", 600_000),
    _v2("BAN/WETH", 400_000),
    _v2("GUSD/USDC", 500_000),
    _sushi("WETH/USDC", 6_000_000),
    _sushi("WETH/USDT", 3_000_000),
    _sushi("WETH/DAI", 2_500_000),
    _sushi("WBTC/WETH", 3_000_000),
    _sushi("LINK/WETH", 1_000_000),
    _sushi("UNI/WETH", 800_000),
    _sushi("AAVE/WETH", 900_000),
    _sushi("USDC/USDT", 1_000_000),
    _sushi("UNI/USDC", 500_000),
    _sushi("AAVE/USDC", 200_000),
    _v3("WETH/USDC", 500, 20_000_000, "deep"),
    _v3("WETH/USDC", 3000, 10_000_000),
    _v3("WETH/USDC", 10000, 600_000),
    _v3("WETH/USDT", 500, 12_000_000),
    _v3("WETH/USDT", 3000, 6_000_000),
    _v3("WETH/DAI", 3000, 4_000_000),
    _v3("WBTC/WETH", 500, 10_000_000),
    _v3("WBTC/WETH", 3000, 8_000_000),
    _v3("LINK/WETH", 3000, 3_000_000),
    _v3("UNI/WETH", 3000, 3_000_000),
    _v3("AAVE/WETH", 3000, 2_500_000),
    _v3("USDC/USDT", 100, 8_000_000, "stable"),
    _v3("DAI/USDC", 100, 6_000_000, "stable"),
    PoolSpec("balancer_v2_weighted", ("WETH", "USDC"), 4_000_000, 3000, 80, (_HALF, _HALF)),
    PoolSpec("balancer_v2_weighted", ("AAVE", "WETH"), 3_000_000, 3000, 80, (8 * 10**17, 2 * 10**17)),
    PoolSpec(
        "balancer_v2_weighted", ("WBTC", "WETH", "USDC"), 5_000_000, 3000, 80, (34 * 10**16, 33 * 10**16, 33 * 10**16)
    ),
    PoolSpec("balancer_v2_weighted", ("LINK", "WETH"), 1_200_000, 2500, 60, (6 * 10**17, 4 * 10**17)),
    PoolSpec("balancer_v2_stable", ("USDC", "USDT", "DAI"), 9_000_000, 400, 0, amplification=500),
    PoolSpec("balancer_v2_stable", ("GUSD", "USDC"), 700_000, 400, 0, amplification=200),
    _v4("WETH/USDC", 500, 5_000_000, native_ether=True),
    _v4("WETH/USDC", 3000, 3_000_000),
    _v4("WBTC/WETH", 3000, 2_500_000),
    _v4("USDC/USDT", 100, 2_000_000, "stable"),
    PoolSpec("curve_stable", ("DAI", "USDC", "USDT"), 5_000_000, 400, 0, amplification=200),
)

TICK_SPACING: Final = {100: 1, 500: 10, 3000: 60, 10000: 200}

POSITIONS: Final[dict[str, tuple[tuple[int | None, int | None, int], ...]]] = {
    # (ticks below the price, ticks above it, share of the pool's dollars in percent); None is the full range.
    "wide": (
        (None, None, 10),
        (16_000, 16_000, 15),
        (8_000, 8_000, 25),
        (4_000, 4_000, 20),
        (2_000, 2_000, 11),
        (480, 420, 4),
        (-1_000, 6_000, 8),
        (6_000, -1_000, 7),
    ),
    "deep": (
        (None, None, 6),
        (16_000, 16_000, 8),
        (10_000, 10_000, 10),
        (6_000, 6_000, 12),
        (4_000, 3_000, 12),
        (2_000, 2_400, 12),
        (1_200, 1_000, 10),
        (600, 700, 8),
        (300, 260, 4),
        (120, 90, 2),
        (-200, 1_500, 4),
        (1_400, -200, 4),
        (-800, 4_400, 4),
        (4_200, -800, 4),
    ),
    "stable": (
        (None, None, 2),
        (1_000, 1_000, 8),
        (200, 200, 15),
        (60, 60, 30),
        (20, 20, 35),
        (-20, 120, 5),
        (120, -20, 5),
    ),
}

LIQUIDITY_PROVIDER: Final = "liquidity_provider"
ROLES: Final = (
    RoleSpec("trader", 40, 100, 250_000),
    RoleSpec("whale", 4, 2_000, 6_000_000),
    RoleSpec(LIQUIDITY_PROVIDER, 6, 500, 40_000_000),
    RoleSpec("borrower", 8, 100, 1_500_000),
    RoleSpec("oracle", 1, 100, 0),
    RoleSpec("rival", 2, 500, 2_000_000),
    RoleSpec("sandwicher", 2, 500, 2_000_000),
    RoleSpec("operator", 5, 500, 1_000_000),
    RoleSpec("safe-owner", 3, 100, 100_000),
    RoleSpec("finder", 4, 100, 100_000),
)


def token(symbol: str) -> TokenSpec:
    """Return the token of that symbol."""
    return next(spec for spec in TOKENS if spec.symbol == symbol)
