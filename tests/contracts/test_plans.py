"""Plans for the executor: the same bytes as the contract reads, round trips, and what is refused before it is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from governance.executor import (
    EXECUTE,
    MINIMUM_BITS,
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
    OrderToExecute,
    PairHop,
    PairVenue,
    Plan,
    SingletonHop,
    decode_plan,
    encode_execution,
    encode_plan,
    minimum_rounded_down,
)
from protocol.errors import InvalidField, MalformedMessage
from protocol.ethereum.abi import decode_call
from protocol.statements import Order
from protocol.units import Address, BasisPoints, BlockNumber, Hash32, LegKey, SignatureBytes, TokenAmount, Wei

WETH, USDC, DAI = (Address(bytes([n]) * 20) for n in (0xEE, 0x01, 0xDA))
SAFE = Address(b"\x5a" * 20)
ETHER = 10**18


def pair_hop(token_out: Address = USDC, minimum: int = 0, venue: PairVenue = PairVenue.UNISWAP_V2) -> PairHop:
    return PairHop(venue=venue, token_out=token_out, minimum_out=TokenAmount(minimum))


def concentrated_hop(token_out: Address = WETH, fee_pips: int = 500) -> ConcentratedHop:
    return ConcentratedHop(token_out=token_out, fee_pips=fee_pips, minimum_out=TokenAmount(0))


def balancer_hop(token_out: Address = WETH) -> BalancerHop:
    return BalancerHop(token_out=token_out, pool_id=b"\x0b" * 32, minimum_out=TokenAmount(0))


def singleton_hop(tick_spacing: int = 10, *, in_ether: bool = False) -> SingletonHop:
    return SingletonHop(
        token_out=WETH, fee_pips=500, tick_spacing=tick_spacing, in_ether=in_ether, minimum_out=TokenAmount(0)
    )


def curve_hop(coin_in: int, coin_out: int, *, is_crypto: bool = False) -> CurveHop:
    return CurveHop(
        token_out=WETH,
        pool=Address(b"\xcc" * 20),
        coin_in=coin_in,
        coin_out=coin_out,
        is_crypto=is_crypto,
        minimum_out=TokenAmount(0),
    )


def morpho_liquidation(shares: int) -> MorphoLiquidation:
    return MorphoLiquidation(
        token_out=WETH,
        borrower=Address(b"\xb0" * 20),
        oracle=Address(b"\x0a" * 20),
        irm=Address(b"\x1e" * 20),
        lltv=86 * 10**16,
        repaid_shares=shares,
        minimum_out=TokenAmount(0),
    )


def plan(*hops: Hop, loan: Loan | None = None) -> Plan:
    return Plan(
        last_block=BlockNumber(1_000),
        minimum_profit=TokenAmount(7),
        builder_payment=Wei(9),
        loan=loan,
        hops=hops or (pair_hop(), concentrated_hop()),
    )


addresses = st.binary(min_size=20, max_size=20).map(Address)
minimums = st.integers(0, 2**256 - 1).map(minimum_rounded_down).map(TokenAmount)
amounts = st.integers(1, 2**128 - 1).map(TokenAmount)
fees = st.integers(0, 999_999)
hops = st.one_of(
    st.builds(PairHop, venue=st.sampled_from(PairVenue), token_out=addresses, minimum_out=minimums),
    st.builds(ConcentratedHop, token_out=addresses, fee_pips=fees, minimum_out=minimums),
    st.builds(BalancerHop, token_out=addresses, pool_id=st.binary(min_size=32, max_size=32), minimum_out=minimums),
    st.builds(
        SingletonHop,
        token_out=addresses,
        fee_pips=fees,
        tick_spacing=st.integers(1, 32_767),
        in_ether=st.booleans(),
        minimum_out=minimums,
    ),
    st.tuples(addresses, addresses, st.permutations(range(16)), st.booleans(), minimums).map(
        lambda drawn: CurveHop(
            token_out=drawn[0],
            pool=drawn[1],
            coin_in=drawn[2][0],
            coin_out=drawn[2][1],
            is_crypto=drawn[3],
            minimum_out=drawn[4],
        )
    ),
    st.builds(AaveLiquidation, token_out=addresses, borrower=addresses, minimum_out=minimums),
    st.builds(
        MorphoLiquidation,
        token_out=addresses,
        borrower=addresses,
        oracle=addresses,
        irm=addresses,
        lltv=st.integers(0, 2**64 - 1),
        repaid_shares=st.integers(1, 2**128 - 1),
        minimum_out=minimums,
    ),
)
loans = st.one_of(
    st.none(),
    st.builds(BalancerLoan, amounts),
    st.builds(AaveLoan, amounts),
    st.builds(ConcentratedLoan, amounts, addresses, fees),
    st.builds(MorphoLoan, amounts),
    st.builds(ListedLoan, amounts, addresses),
)
plans = st.builds(
    Plan,
    last_block=st.integers(0, 2**40 - 1).map(BlockNumber),
    minimum_profit=st.integers(0, 2**128 - 1).map(TokenAmount),
    builder_payment=st.integers(0, 2**96 - 1).map(Wei),
    loan=loans,
    hops=st.lists(hops, min_size=1, max_size=8).map(tuple),
)


def test_a_plan_is_packed_as_the_contracts_documentation_says() -> None:
    packed = encode_plan(plan(pair_hop(minimum=5), concentrated_hop(), loan=ConcentratedLoan(TokenAmount(3), DAI, 100)))
    assert packed == b"".join(
        [
            b"\x03",
            (1_000).to_bytes(5, "big"),
            (3).to_bytes(16, "big"),
            (7).to_bytes(16, "big"),
            (9).to_bytes(12, "big"),
            DAI + (100).to_bytes(3, "big"),
            b"\x00" + USDC + b"\x00\x00\x00\x05",
            b"\x02" + WETH + (500).to_bytes(3, "big") + bytes(4),
        ]
    )


@pytest.mark.parametrize(
    ("hop", "packed"),
    [
        (singleton_hop(), "04" + WETH.hex() + "0001f4" + "00000a" + "00000000"),
        (singleton_hop(in_ether=True), "05" + WETH.hex() + "0001f4" + "00000a" + "00000000"),
        (curve_hop(1, 2), "06" + WETH.hex() + "cc" * 20 + "12" + "00000000"),
        (curve_hop(15, 0, is_crypto=True), "07" + WETH.hex() + "cc" * 20 + "f0" + "00000000"),
        (
            AaveLiquidation(token_out=WETH, borrower=Address(b"\xb0" * 20), minimum_out=TokenAmount(5)),
            "08" + WETH.hex() + "b0" * 20 + "00000005",
        ),
        (
            morpho_liquidation(7),
            "09" + WETH.hex() + "b0" * 20 + "0a" * 20 + "1e" * 20 + f"{86 * 10**16:016x}" + f"{7:032x}" + "00000000",
        ),
    ],
)
def test_each_further_hop_is_packed_as_the_contracts_documentation_says(hop: Hop, packed: str) -> None:
    assert encode_plan(plan(hop))[50:].hex() == packed


def test_each_further_lender_is_packed_as_the_contracts_documentation_says() -> None:
    assert encode_plan(plan(loan=MorphoLoan(TokenAmount(1))))[0] == 4
    packed = encode_plan(plan(loan=ListedLoan(TokenAmount(1), DAI)))
    assert (packed[0], packed[50:70]) == (5, DAI)


@given(plans)
def test_what_is_packed_is_read_back(drawn: Plan) -> None:
    assert decode_plan(encode_plan(drawn)) == drawn


@given(plans, st.data())
def test_a_plan_that_is_cut_off_is_malformed_or_ends_between_two_hops(drawn: Plan, data: st.DataObject) -> None:
    packed = encode_plan(drawn)
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))]
    try:
        shorter = decode_plan(cut)
    except MalformedMessage:
        return
    assert encode_plan(shorter) == cut
    assert shorter.hops == drawn.hops[: len(shorter.hops)]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_plan_or_malformed(packed: bytes) -> None:
    try:
        decode_plan(packed)
    except MalformedMessage:
        return


@given(st.integers(0, 2**256 - 1))
def test_a_minimum_is_rounded_down_by_little(amount: int) -> None:
    rounded = minimum_rounded_down(amount)
    assert rounded <= amount
    assert (amount - rounded) * 2 ** (MINIMUM_BITS - 1) <= amount


def test_an_execution_is_the_call_of_the_module() -> None:
    wanted = plan()
    data = encode_execution(SAFE, WETH, TokenAmount(ETHER), wanted)
    safe, token, drawn, packed = decode_call(EXECUTE, data)
    assert (bytes.fromhex(safe[2:]), bytes.fromhex(token[2:]), drawn) == (SAFE, WETH, ETHER)
    assert decode_plan(packed) == wanted


@pytest.mark.parametrize(
    ("token", "drawn", "refused", "words"),
    [
        (WETH, 0, plan(), "nothing is drawn and nothing borrowed"),
        (USDC, 1, plan(), "does not give the token"),
        (USDC, 1, plan(pair_hop()), "gives the token that it takes"),
        (WETH, 1, plan(pair_hop(), balancer_hop(), loan=BalancerLoan(TokenAmount(1))), "vault is locked"),
        (WETH, 1, plan(loan=ConcentratedLoan(TokenAmount(1), USDC, 500)), "a pool lends and swaps"),
        (WETH, 1, plan(loan=AaveLoan(TokenAmount(0))), "a loan has an amount"),
        (WETH, 1, plan(pair_hop(minimum=2**256), concentrated_hop()), "below 2"),
        (WETH, 1, plan(pair_hop(minimum=-1), concentrated_hop()), "not negative"),
        (WETH, 1, plan(pair_hop(), concentrated_hop(fee_pips=10**6)), "pips"),
        (WETH, -1, plan(), "must be from 0"),
        (WETH, 2**256, plan(), "must be from 0"),
        (WETH, 1, plan(pair_hop(Address(b"\x01")), concentrated_hop()), "an address has 20 bytes"),
        (WETH, 1, plan(BalancerHop(token_out=WETH, pool_id=b"", minimum_out=TokenAmount(0))), "gives the token"),
        (
            WETH,
            1,
            plan(pair_hop(), BalancerHop(token_out=WETH, pool_id=b"\x01", minimum_out=TokenAmount(0))),
            "a pool id has 32 bytes",
        ),
        (WETH, 1, plan(pair_hop(), singleton_hop(tick_spacing=0)), "a tick spacing is from 1"),
        (WETH, 1, plan(pair_hop(), singleton_hop(tick_spacing=2**15)), "a tick spacing is from 1"),
        (WETH, 1, plan(pair_hop(), curve_hop(2, 2)), "two different ones"),
        (WETH, 1, plan(pair_hop(), curve_hop(0, 16)), "two different ones"),
        (WETH, 1, plan(pair_hop(), morpho_liquidation(0)), "repays something"),
        (WETH, 1, plan(pair_hop(), morpho_liquidation(2**128)), "must be from 0"),
        (WETH, 1, plan(loan=ListedLoan(TokenAmount(1), Address(b""))), "an address has 20 bytes"),
    ],
)
def test_a_plan_that_can_never_work_is_refused(token: Address, drawn: int, refused: Plan, words: str) -> None:
    with pytest.raises(InvalidField, match=words):
        encode_execution(SAFE, token, TokenAmount(drawn), refused)


def test_a_lender_may_swap_on_another_of_its_pools() -> None:
    other_fee = plan(loan=ConcentratedLoan(TokenAmount(1), USDC, 3_000))
    assert encode_execution(SAFE, WETH, TokenAmount(0), other_fee)


def test_a_plan_without_hops_is_neither_packed_nor_read() -> None:
    empty = Plan(last_block=BlockNumber(1), minimum_profit=TokenAmount(0), builder_payment=Wei(0), loan=None, hops=())
    with pytest.raises(InvalidField):
        encode_plan(empty)
    with pytest.raises(MalformedMessage):
        decode_plan(encode_plan(plan())[:50])


@pytest.mark.parametrize(("source", "amount"), [(0, 1), (1, 0), (6, 1), (0x10, 1)])
def test_a_source_that_is_unknown_or_contradicts_its_amount_is_malformed(source: int, amount: int) -> None:
    packed = bytearray(encode_plan(plan()))
    packed[0], packed[21] = source, amount
    with pytest.raises(MalformedMessage):
        decode_plan(bytes(packed))


def test_an_unknown_venue_is_malformed() -> None:
    packed = bytearray(encode_plan(plan()))
    packed[50] = 10
    with pytest.raises(MalformedMessage):
        decode_plan(bytes(packed))


def test_an_order_stands_after_the_header_and_is_marked_in_its_first_byte() -> None:
    order = Order(
        finder=Address(b"\x41" * 20),
        executor=Address(b"\x42" * 20),
        target_block=BlockNumber(plan().last_block),
        finder_bps=BasisPoints(6_000),
        min_finder_wei=TokenAmount(7),
        profit_token=Address(b"\x43" * 20),
        pay_to=Address(b"\x44" * 20),
        primary_key=LegKey(Hash32(b"\x45" * 32)),
        route_commit=Hash32(b"\x46" * 32),
    )
    signature = SignatureBytes(b"\x47" * 65)

    own, packed = encode_plan(plan()), encode_plan(replace(plan(), network=OrderToExecute(order, signature, 3)))

    assert packed[0] == own[0] | 0x10
    assert packed[1:50] == own[1:50]
    assert packed[50 + 211 :] == own[50:]
    words = order.finder + order.executor + order.pay_to + (6_000).to_bytes(2, "big") + (7).to_bytes(16, "big")
    assert packed[50 : 50 + 211] == words + order.primary_key + order.route_commit + b"\0\0\0\x03" + signature
