"""A small world without a chain, for the actors' unit and property tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from typing import Any

from devnet.accounts import account
from devnet.actors import calls
from devnet.actors.intents import Foreign, Intent
from devnet.actors.market import Market
from devnet.actors.pending import PendingSwap
from devnet.actors.view import (
    ConcentratedState,
    ConstantProductState,
    FeedState,
    LoanState,
    Position,
    VaultState,
    View,
)
from devnet.actors.wallet import Wallet
from devnet.manifest import Manifest, Pool, Token
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transaction_json import to_rpc
from protocol.ethereum.transactions import decode_transaction

CHAIN_ID = 31337
ETHER = 10**18
Q96 = 1 << 96
WETH_USD = 3200
START_PRICES = {"WETH": WETH_USD * 10**8, "USDC": 10**8, "DAI": 10**8, "LINK": 18 * 10**8, "FEE": 2 * 10**8}
DECIMALS = {"WETH": 18, "USDC": 6, "DAI": 18, "LINK": 18, "FEE": 18}
TRADERS = tuple(f"trader-{index}" for index in range(6))
WHALES = tuple(f"whale-{index}" for index in range(4))
PROVIDERS = ("liquidity_provider-0", "liquidity_provider-1")
BORROWERS = tuple(f"borrower-{index}" for index in range(4))
RIVALS = ("rival-0", "rival-1")
SANDWICHERS = ("sandwicher-0", "sandwicher-1")
_CONTRACTS = (
    "uniswap_v2_router",
    "sushi_router",
    "uniswap_v3_router",
    "uniswap_v3_position_manager",
    "balancer_vault",
    "balancer_weighted_pool_factory",
    "balancer_stable_pool_factory",
    "aave_pool",
    "multicall3",
    "rival_executor",
    "sandwich_executor",
)


def address(name: str) -> str:
    """Return a made-up address."""
    return "0x" + keccak256(name.encode())[12:].hex()


def make_pool(family: str, *tokens: str, fee_pips: int = 3000) -> Pool:
    """Return a pool with tokens in the given order."""
    name = f"{family}:{'/'.join(tokens)}:{fee_pips}"
    pool_id = "0x" + keccak256(name.encode()).hex() if family.startswith("balancer") else ""
    spacing = 60 if family == "uniswap_v3" else 0
    return Pool(
        name=name,
        family=family,
        address=address(name),
        tokens=tokens,
        fee_pips=fee_pips,
        pool_id=pool_id,
        tick_spacing=spacing,
    )


V2_USDC = make_pool("uniswap_v2", "USDC", "WETH")
SUSHI_USDC = make_pool("sushi_v2", "USDC", "WETH")
V2_LINK = make_pool("uniswap_v2", "LINK", "WETH")
V2_LINK_USDC = make_pool("uniswap_v2", "LINK", "USDC")
V2_FEE = make_pool("uniswap_v2", "FEE", "WETH")
V3_USDC = make_pool("uniswap_v3", "USDC", "WETH", fee_pips=500)
V3_LINK = make_pool("uniswap_v3", "LINK", "WETH")
WEIGHTED = make_pool("balancer_v2_weighted", "USDC", "WETH")
STABLE = make_pool("balancer_v2_stable", "USDC", "DAI", fee_pips=400)
POOLS = (V2_USDC, SUSHI_USDC, V2_LINK, V2_LINK_USDC, V2_FEE, V3_USDC, V3_LINK, WEIGHTED, STABLE)


def make_manifest(**changes: Any) -> Manifest:
    """Return the manifest of the small world."""
    fields: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "block_number": 10,
        "block_hash": "0x" + "00" * 32,
        "block_timestamp": 1_767_225_600,
        "contracts": {name: address(name) for name in _CONTRACTS},
        "tokens": tuple(
            Token(
                symbol=symbol,
                address=address(symbol),
                decimals=DECIMALS[symbol],
                kind="fee_on_transfer" if symbol == "FEE" else "plain",
                usd_price_e8=price,
            )
            for symbol, price in START_PRICES.items()
        ),
        "pools": POOLS,
        "feeds": {symbol: address(f"{symbol} feed") for symbol in START_PRICES if symbol != "FEE"},
        "aggregators": {symbol: address(f"{symbol} aggregator") for symbol in START_PRICES if symbol != "FEE"},
        "funded": {
            "trader": TRADERS,
            "whale": WHALES,
            "liquidity_provider": PROVIDERS,
            "borrower": BORROWERS,
            "oracle": ("oracle-0",),
            "rival": RIVALS,
            "sandwicher": SANDWICHERS,
        },
    }
    return Manifest(**{**fields, **changes})


def units(symbol: str, usd: int) -> int:
    """Return the smallest units of a token that are worth so many dollars at the start."""
    unit: int = 10 ** DECIMALS[symbol]
    return usd * 10**8 * unit // START_PRICES[symbol]


def reserves(pool: Pool, usd: int) -> tuple[int, int]:
    """Return balanced reserves worth `usd` dollars on each side."""
    return units(pool.tokens[0], usd), units(pool.tokens[1], usd)


def concentrated(pool: Pool, usd: int) -> ConcentratedState:
    """Return a V3 state with virtual reserves worth `usd` dollars on each side."""
    first, second = reserves(pool, usd)
    root = isqrt((second << 192) // first)
    return ConcentratedState(root, 0, isqrt(first * second))


def make_view(**changes: Any) -> View:
    """Return a view in which all pools agree with the reference prices and everybody is rich."""
    everybody = (*TRADERS, *WHALES, *PROVIDERS, *BORROWERS, *SANDWICHERS, "rival_executor", "sandwich_executor")
    fields: dict[str, Any] = {
        "number": 10,
        "timestamp": 1_767_225_600,
        "base_fee": 10**9,
        "pools": {
            V2_USDC.name: ConstantProductState(reserves(V2_USDC, 5_000_000)),
            SUSHI_USDC.name: ConstantProductState(reserves(SUSHI_USDC, 3_000_000)),
            V2_LINK.name: ConstantProductState(reserves(V2_LINK, 1_000_000)),
            V2_LINK_USDC.name: ConstantProductState(reserves(V2_LINK_USDC, 500_000)),
            V2_FEE.name: ConstantProductState(reserves(V2_FEE, 400_000)),
            V3_USDC.name: concentrated(V3_USDC, 40_000_000),
            V3_LINK.name: concentrated(V3_LINK, 6_000_000),
            WEIGHTED.name: VaultState(reserves(WEIGHTED, 2_000_000), (ETHER // 2, ETHER // 2)),
            STABLE.name: VaultState(reserves(STABLE, 3_000_000), (), 500_000),
        },
        "balances": {(name, symbol): units(symbol, 2_000_000) for name in everybody for symbol in START_PRICES},
        "ether": dict.fromkeys(everybody, 100 * ETHER),
        "prices_e8": dict(START_PRICES),
        "feeds": {s: FeedState(2, p, 1_767_225_600) for s, p in START_PRICES.items() if s != "FEE"},
        "loans": {
            name: LoanState(10**13, 8 * 10**12, 5 * 10**11, health, {"USDC": 80_000 * 10**6, "DAI": 0})
            for name, health in zip(
                BORROWERS, (1_200 * ETHER // 1000, 101 * ETHER // 100, 1_300 * ETHER // 1000, ETHER), strict=True
            )
        },
        "shares": {(name, V2_LINK.name): 10**20 for name in PROVIDERS},
        "positions": {PROVIDERS[0]: (Position(77, V3_LINK.name, 10**18),), PROVIDERS[1]: ()},
    }
    return View(**{**fields, **changes})


def with_pools(view: View, **states: Any) -> View:
    """Return the view with other pool states; keys are names of this module's pools, such as `V2_USDC`."""
    named = {globals()[key].name: state for key, state in states.items()}
    return replace(view, pools={**view.pools, **named})


def make_market() -> Market:
    """Return the market of the small world."""
    return Market(make_manifest())


def announced(intent: Intent, nonce: int = 0) -> Mapping[str, Any]:
    """Return the intent's transaction as `eth_subscribe` shows it."""
    signed = Wallet(CHAIN_ID, {intent.account: nonce}).sign(intent, 11, 10**9)
    return to_rpc(decode_transaction(signed.raw))


def pending_swap(
    path: tuple[Pool, ...], token_in: str, amount_in: int, minimum_out: int, *, sender: str = "trader-0"
) -> PendingSwap:
    """Return a swap as the searchers see it."""
    raw = keccak256(f"{sender}{path[0].name}{token_in}{amount_in}{minimum_out}".encode())
    foreign = Foreign(raw, "0x" + keccak256(raw).hex())
    return PendingSwap(foreign, account(sender).address, 0, path, token_in, amount_in, minimum_out)


def v2_swap(account_name: str, amount: int, minimum: int, path: list[str]) -> Intent:
    """Return a plain Router02 swap of Uniswap V2."""
    to = account(account_name).address
    data = calls.v2_exact_in(amount, minimum, [address(symbol) for symbol in path], to, 2**40, odd=False)
    return Intent(
        actor="traders",
        action="swap",
        account=account_name,
        to=address("uniswap_v2_router"),
        data=data,
        gas_limit=200_000,
        tip=10**9,
    )
