"""A small market with every family, a pipeline that knows it, and traders: what the pipeline's tests are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from benchmarks.market_generator import (
    CHAIN_ID,
    GWEI,
    HEAD,
    NOW,
    GeneratedMarket,
    first_block,
    generate,
    opening,
    router_of,
    settings_of,
)
from devnet.actors import calls
from node.pipeline.amm.concentrated import ConcentratedPool
from node.pipeline.amm.weighted import weighted_pool
from node.pipeline.events import BlockArrived, Effect, Event, PendingTransactionSeen, PoolChange, SignAndSubmit
from node.pipeline.plans import BundlePlan, FlashLender, LenderKind
from node.pipeline.pools import PoolFamily, PoolSpec, PoolState
from node.pipeline.prices import virtual_reserves
from node.pipeline.settings import PipelineSettings, RouterKind
from node.pipeline.state import PipelineState
from node.pipeline.step import step
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey
from protocol.ethereum.transactions import DynamicFeeFields, SignedTransaction, decode_transaction, sign_dynamic_fee
from protocol.units import Address, BlockNumber, Hash32, UnixNanoseconds, UnixSeconds, address_to_hex

ALICE = Address(b"\xa1" * 20)
BOB = Address(b"\xb0" * 20)
VAULT = Address(b"\x07" * 20)
"""Balancer's."""
ETHER = 10**18


def small_market(seed: int = 7) -> GeneratedMarket:
    """40 pools over 14 tokens, ten of them Uniswap V3, and one Balancer pool over the first three tokens."""
    market = generate(pools=40, tokens=14, hubs=4, profit_tokens=2, seed=seed)
    tokens = tuple(sorted(market.tokens[:3]))
    worth = {market.tokens[0]: 1.0, market.tokens[1]: 3e8, market.tokens[2]: 3e8}
    weights = {market.tokens[0]: 6 * 10**17, market.tokens[1]: 2 * 10**17, market.tokens[2]: 2 * 10**17}
    balances = [int(weights[token] * 5_000 / worth[token]) for token in tokens]
    decimals = [18 if worth[token] == 1.0 else 6 for token in tokens]
    state = weighted_pool(balances, [weights[token] for token in tokens], decimals, 3 * 10**15)
    pool_id = keccak256(b"balancer")
    spec = PoolSpec(pool_id, PoolFamily.BALANCER_V2_WEIGHTED, Address(pool_id[:20]), tokens, 3000)
    return GeneratedMarket((*market.pools, (spec, state)), market.tokens, market.profit_tokens)


def settings(market: GeneratedMarket, **changes: Any) -> PipelineSettings:
    """Settings with one hot key, ALICE; Aave lends too, for routes that lock Balancer out. `changes` replace fields."""
    base = settings_of(market, [ALICE])
    routers = {**base.routers, VAULT: RouterKind.BALANCER_V2}
    aave = tuple(FlashLender(LenderKind.AAVE_V3, BOB, token, 500) for token in market.profit_tokens)
    return msgspec.structs.replace(base, **{"routers": routers, "lenders": (*base.lenders, *aave), **changes})


def call_data(**parts: Any) -> bytes:
    """Stands for the executor's call data: it names all parts, so that equal parts give equal bytes."""
    return repr(sorted(parts.items())).encode()


def pipeline(
    market: GeneratedMarket | None = None, chosen: PipelineSettings | None = None, senders: Sequence[Address] = (ALICE,)
) -> PipelineState:
    """A pipeline that knows the market and its head."""
    market = market or small_market()
    state = PipelineState(chosen or settings(market), call_data)
    for event in opening(market, senders):
        step(state, event)
    return state


def swap_of(
    spec: PoolSpec,
    state: PoolState,
    *,
    part: float = 0.03,
    into: int = 0,
    out_of: int | None = None,
    trader: str = "carol",
    nonce: int = 0,
    minimum: int = 0,
    max_fee: int = 30 * GWEI,
) -> SignedTransaction:
    """A signed swap of a part of one pool's (virtual) reserve."""
    other = (1 - into if into < 2 else 0) if out_of is None else out_of
    if spec.family is PoolFamily.BALANCER_V2_WEIGHTED:
        amount = max(1, int(state.balances[into] * part))  # type: ignore[union-attr]
    else:
        amount = max(1, int(virtual_reserves(state, into, other)[0] * part))
    path = [address_to_hex(spec.tokens[into]), address_to_hex(spec.tokens[other])]
    deadline = NOW // 10**9 + 600
    if spec.family is PoolFamily.BALANCER_V2_WEIGHTED:
        pool_id = "0x" + spec.id.hex()
        data = calls.vault_swap(pool_id, path[0], path[1], amount, minimum, path[0], deadline, exact_out=False)
        return signed(data, VAULT, trader, nonce, max_fee)
    if isinstance(state, ConcentratedPool):
        data = calls.v3_exact_in(amount, minimum, path, [spec.fee_pips], path[0], deadline)
    else:
        data = calls.v2_exact_in(amount, minimum, path, path[0], deadline, odd=False)
    return signed(data, router_of(spec), trader, nonce, max_fee)


def signed(data: bytes, to: Address, trader: str, nonce: int = 0, max_fee: int = 30 * GWEI) -> SignedTransaction:
    """A signed call by a trader of that name."""
    fields = DynamicFeeFields(
        chain_id=CHAIN_ID,
        nonce=nonce,
        max_priority_fee_per_gas=min(GWEI, max_fee),
        max_fee_per_gas=max_fee,
        gas_limit=250_000,
        to=address_to_hex(to),
        data=data,
    )
    return decode_transaction(sign_dynamic_fee(fields, SigningKey(keccak256(trader.encode()))))


def seen(transaction: SignedTransaction, *, after_ns: int = 0, account_nonce: int | None = None) -> Event:
    """The event of a pending transaction."""
    return PendingTransactionSeen(transaction, UnixNanoseconds(NOW + after_ns), account_nonce)


def block(
    number: int = HEAD + 1,
    *,
    changes: Sequence[PoolChange] = (),
    included: Sequence[bytes] = (),
    parent: bytes | None = None,
    fork: str = "",
) -> BlockArrived:
    """A block on top of the scene's head; `fork` tells blocks of one number apart."""
    before = first_block(BlockNumber(number - 1)).hash if parent is None else Hash32(parent)
    base = first_block(BlockNumber(number))
    return msgspec.structs.replace(
        base,
        hash=Hash32(keccak256(base.hash + fork.encode())) if fork else base.hash,
        parent_hash=before,
        timestamp=UnixSeconds(base.timestamp + 12 * (number - HEAD)),
        pool_changes=tuple(changes),
        included=tuple(map(Hash32, included)),
        now=UnixNanoseconds(NOW + (number - HEAD) * 12 * 10**9),
    )


def plans(effects: Sequence[Effect]) -> list[BundlePlan]:
    """The plans that go out."""
    return [effect.plan for effect in effects if isinstance(effect, SignAndSubmit)]


def pools_of_family(market: GeneratedMarket, *families: PoolFamily) -> list[tuple[PoolSpec, PoolState]]:
    """The market's pools of these families."""
    return [(spec, state) for spec, state in market.pools if spec.family in families]
