"""The vectors of packed plans: Foundry's tests pack the same plans by a library of their own, from the same file."""

from __future__ import annotations

import json
from typing import Final

import pytest

from governance.executor import (
    AaveLiquidation,
    AaveLoan,
    BalancerHop,
    BalancerLoan,
    ConcentratedHop,
    ConcentratedLoan,
    CurveHop,
    Hop,
    ListedLoan,
    Loan,
    MorphoLiquidation,
    MorphoLoan,
    PairHop,
    PairVenue,
    Plan,
    SingletonHop,
    decode_plan,
    encode_plan,
)
from protocol.units import Address, BlockNumber, TokenAmount, Wei
from scripts.tree import ROOT

VECTORS: Final[dict[str, str]] = json.loads((ROOT / "contracts" / "test" / "vectors" / "plans.json").read_text())
TOKEN, OTHER, POOL, BORROWER, ORACLE, IRM, LENDER = (Address(bytes((n,)) * 20) for n in range(0xA1, 0xA8))
NOTHING, LEAST = TokenAmount(0), TokenAmount(5)


def plan(*hops: Hop, loan: Loan | None = None) -> Plan:
    return Plan(
        last_block=BlockNumber(1_000_000),
        minimum_profit=TokenAmount(7),
        builder_payment=Wei(9),
        loan=loan,
        hops=hops or (PairHop(venue=PairVenue.SUSHI_SWAP, token_out=TOKEN, minimum_out=NOTHING),),
    )


def singleton(*, in_ether: bool) -> SingletonHop:
    return SingletonHop(token_out=TOKEN, fee_pips=500, tick_spacing=10, in_ether=in_ether, minimum_out=NOTHING)


def curve(*, is_crypto: bool) -> CurveHop:
    return CurveHop(token_out=TOKEN, pool=POOL, coin_in=1, coin_out=2, is_crypto=is_crypto, minimum_out=NOTHING)


PLANS: Final = {
    "uniswap_v2": plan(PairHop(venue=PairVenue.UNISWAP_V2, token_out=TOKEN, minimum_out=LEAST)),
    "sushi": plan(),
    "uniswap_v3": plan(ConcentratedHop(token_out=TOKEN, fee_pips=3_000, minimum_out=LEAST)),
    "balancer": plan(BalancerHop(token_out=TOKEN, pool_id=b"\xb1" * 32, minimum_out=LEAST)),
    "uniswap_v4": plan(singleton(in_ether=False)),
    "uniswap_v4_in_ether": plan(singleton(in_ether=True)),
    "curve": plan(curve(is_crypto=False)),
    "curve_crypto": plan(curve(is_crypto=True)),
    "aave_liquidation": plan(AaveLiquidation(token_out=TOKEN, borrower=BORROWER, minimum_out=LEAST)),
    "morpho_liquidation": plan(
        MorphoLiquidation(
            token_out=TOKEN,
            borrower=BORROWER,
            oracle=ORACLE,
            irm=IRM,
            lltv=86 * 10**16,
            repaid_shares=10**30,
            minimum_out=NOTHING,
        )
    ),
    "balancer_lends": plan(loan=BalancerLoan(TokenAmount(10**18))),
    "aave_lends": plan(loan=AaveLoan(TokenAmount(10**18))),
    "pool_lends": plan(loan=ConcentratedLoan(TokenAmount(10**18), OTHER, 100)),
    "morpho_lends": plan(loan=MorphoLoan(TokenAmount(10**18))),
    "listed_lends": plan(loan=ListedLoan(TokenAmount(10**18), LENDER)),
}


def test_every_vector_is_replayed() -> None:
    assert VECTORS.keys() == PLANS.keys()


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_packed_into_the_vectors_bytes_and_read_from_them(name: str) -> None:
    packed = bytes.fromhex(VECTORS[name][2:])
    assert encode_plan(PLANS[name]) == packed
    assert decode_plan(packed) == PLANS[name]
