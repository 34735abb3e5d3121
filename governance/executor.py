"""Plans for `ArbExecutor`: typed steps to packed bytes and back (format: contracts/src/interfaces/IArbExecutor.sol).

Pure, and exact: integers only. What the contract would refuse in any state of the chain is refused here first.

InvalidField        a value outside its field, or a plan that no chain state could make work
MalformedMessage    bytes that are no plan (TruncatedMessage, UnknownKind, TrailingBytes)
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypeAlias

import msgspec

from governance.hops import (
    AaveLiquidation,
    BalancerHop,
    ConcentratedHop,
    CurveHop,
    Hop,
    Liquidation,
    MorphoLiquidation,
    PairHop,
    PairVenue,
    SingletonHop,
    decode_hop,
    encode_hop,
)
from governance.plan_fields import (
    MINIMUM_BITS,
    FieldReader,
    address_field,
    fee_field,
    minimum_rounded_down,
    uint_field,
)
from protocol.errors import InvalidField, MalformedMessage, TruncatedMessage, UnknownKind
from protocol.ethereum.abi import selector
from protocol.messages import check_signature
from protocol.statements import Order
from protocol.units import ADDRESS_BYTES, Address, BlockNumber, SignatureBytes, TokenAmount, Wei

__all__ = [
    "EXECUTE",
    "MINIMUM_BITS",
    "AaveLiquidation",
    "AaveLoan",
    "BalancerHop",
    "BalancerLoan",
    "ConcentratedHop",
    "ConcentratedLoan",
    "CurveHop",
    "Hop",
    "Liquidation",
    "ListedLoan",
    "Loan",
    "MorphoLiquidation",
    "MorphoLoan",
    "OrderToExecute",
    "PairHop",
    "PairVenue",
    "Plan",
    "SingletonHop",
    "decode_plan",
    "encode_execution",
    "encode_plan",
    "minimum_rounded_down",
]

EXECUTE: Final = "execute(address,address,uint256,bytes)"

_EXECUTE_SELECTOR: Final = selector(EXECUTE)
_WORD: Final = 32
_NETWORK: Final = 0x10


class _Source(IntEnum):
    NOBODY = 0
    BALANCER_V2 = 1
    AAVE_V3 = 2
    UNISWAP_V3 = 3
    MORPHO = 4
    ERC_3156 = 5


class BalancerLoan(msgspec.Struct, frozen=True, gc=False):
    """A flash loan from Balancer V2's vault; free, and no hop may be on Balancer meanwhile."""

    amount: TokenAmount


class AaveLoan(msgspec.Struct, frozen=True, gc=False):
    """A flash loan from Aave V3's pool, at its premium."""

    amount: TokenAmount


class ConcentratedLoan(msgspec.Struct, frozen=True, gc=False):
    """A flash loan from the Uniswap V3 pool of the token, `other_token` and a fee, which is also the loan's.

    No hop may be on that pool meanwhile.
    """

    amount: TokenAmount
    other_token: Address
    fee_pips: int


class MorphoLoan(msgspec.Struct, frozen=True, gc=False):
    """A flash loan from Morpho Blue; free."""

    amount: TokenAmount


class ListedLoan(msgspec.Struct, frozen=True, gc=False):
    """A flash loan from a lender of ERC-3156 that the executor's list must have."""

    amount: TokenAmount
    lender: Address


Loan: TypeAlias = BalancerLoan | AaveLoan | ConcentratedLoan | MorphoLoan | ListedLoan


class OrderToExecute(msgspec.Struct, frozen=True, gc=False):
    """A finder's order as the leader executes it: signed, and the leader's entry in the epoch's table."""

    order: Order
    signature: SignatureBytes
    entry: int


class Plan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One cycle. Amounts are in the smallest unit of the token with which it begins and ends.

    With `network` it executes another operator's order, whose target block is the plan's only one.
    """

    last_block: BlockNumber
    minimum_profit: TokenAmount
    """After the builder's payment."""
    builder_payment: Wei
    """Out of WETH profit only."""
    loan: Loan | None
    hops: tuple[Hop, ...]
    network: OrderToExecute | None = None


def encode_execution(safe: Address, token: Address, drawn: TokenAmount, plan: Plan) -> bytes:
    """Return the call data of `VaultModule.execute`. Raises InvalidField."""
    if drawn == 0 and plan.loan is None:
        raise InvalidField("nothing is drawn and nothing borrowed", "drawn")
    _check_cycle(token, plan)
    _check_order(token, plan)
    packed = encode_plan(plan)
    padding = bytes(-len(packed) % _WORD)
    head = (_word(safe), _word(token), uint_field(drawn, _WORD, "drawn"), uint_field(4 * _WORD, _WORD, "offset"))
    return b"".join((_EXECUTE_SELECTOR, *head, uint_field(len(packed), _WORD, "length"), packed, padding))


def encode_plan(plan: Plan) -> bytes:
    """Return the packed plan. Raises InvalidField."""
    if not plan.hops:
        raise InvalidField("a plan has a hop", "hops")
    source, amount, pool = _loan_fields(plan.loan)
    header = (
        uint_field(source if plan.network is None else source | _NETWORK, 1, "source"),
        uint_field(plan.last_block, 5, "last_block"),
        uint_field(amount, 16, "loan.amount"),
        uint_field(plan.minimum_profit, 16, "minimum_profit"),
        uint_field(plan.builder_payment, 12, "builder_payment"),
    )
    order = b"" if plan.network is None else _encode_order(plan.network)
    return b"".join((*header, order, pool, *map(encode_hop, plan.hops)))


def decode_plan(packed: bytes) -> Plan:
    """Return the plan that `encode_plan` would pack so, with each minimum as it is on the chain.

    Raises MalformedMessage.
    """
    reader = FieldReader(packed)
    source = reader.uint(1)
    last_block, amount, profit, payment = (reader.uint(size) for size in (5, 16, 16, 12))
    loan = _decode_loan(source, TokenAmount(amount), reader)
    hops = []
    while not reader.is_at_end:
        hops.append(decode_hop(reader))
    if not hops:
        raise TruncatedMessage("a plan has a hop", "hops")
    return Plan(
        last_block=BlockNumber(last_block),
        minimum_profit=TokenAmount(profit),
        builder_payment=Wei(payment),
        loan=loan,
        hops=tuple(hops),
    )


def _check_cycle(token: Address, plan: Plan) -> None:
    if plan.hops and plan.hops[-1].token_out != token:
        raise InvalidField("the last hop does not give the token with which the cycle begins", "hops")
    held = token
    for hop in plan.hops:
        if hop.token_out == held:
            raise InvalidField("a hop gives the token that it takes", "hops")
        _check_lender_is_free(token, held, hop, plan.loan)
        held = hop.token_out


def _check_lender_is_free(token: Address, held: Address, hop: Hop, loan: Loan | None) -> None:
    """A lender is locked while its loan is out: neither Balancer's vault nor the lending pool can swap then."""
    if isinstance(loan, BalancerLoan) and isinstance(hop, BalancerHop):
        raise InvalidField("Balancer lends and swaps in one plan: its vault is locked during a loan", "loan")
    if isinstance(loan, ConcentratedLoan) and isinstance(hop, ConcentratedHop):
        lending = {token, loan.other_token}, loan.fee_pips
        if ({held, hop.token_out}, hop.fee_pips) == lending:
            raise InvalidField("a pool lends and swaps in one plan: it is locked during a loan", "loan")


def _check_order(token: Address, plan: Plan) -> None:
    if plan.network is None:
        return
    order = plan.network.order
    if order.target_block != plan.last_block:
        raise InvalidField("an order runs in its target block, which is the plan's last", "last_block")
    if order.profit_token != token:
        raise InvalidField("the order pays in another token than the cycle's", "network.order.profit_token")


def _encode_order(executed: OrderToExecute) -> bytes:
    order = executed.order
    check_signature(executed.signature, "network.signature")
    parts = (
        address_field(order.finder, "network.order.finder"),
        address_field(order.executor, "network.order.executor"),
        address_field(order.pay_to, "network.order.pay_to"),
        uint_field(order.finder_bps, 2, "finder_bps"),
        uint_field(order.min_finder_wei, 16, "min_finder_wei"),
        order.primary_key,
        order.route_commit,
        uint_field(executed.entry, 4, "entry"),
        executed.signature,
    )
    return b"".join(parts)


def _loan_fields(loan: Loan | None) -> tuple[_Source, int, bytes]:
    if loan is None:
        return _Source.NOBODY, 0, b""
    if loan.amount <= 0:
        raise InvalidField("a loan has an amount", "loan.amount")
    if isinstance(loan, BalancerLoan):
        return _Source.BALANCER_V2, loan.amount, b""
    if isinstance(loan, AaveLoan):
        return _Source.AAVE_V3, loan.amount, b""
    if isinstance(loan, MorphoLoan):
        return _Source.MORPHO, loan.amount, b""
    if isinstance(loan, ListedLoan):
        return _Source.ERC_3156, loan.amount, address_field(loan.lender, "loan.lender")
    return (
        _Source.UNISWAP_V3,
        loan.amount,
        address_field(loan.other_token, "loan.other_token") + fee_field(loan.fee_pips),
    )


def _decode_loan(source: int, amount: TokenAmount, reader: FieldReader) -> Loan | None:
    if source == _Source.NOBODY:
        if amount:
            raise MalformedMessage("an amount is borrowed from nobody", "loan.amount")
        return None
    if source not in tuple(_Source):
        raise UnknownKind(f"{source} is no source of funds", "source")
    if not amount:
        raise MalformedMessage("a loan has an amount", "loan.amount")
    if source == _Source.BALANCER_V2:
        return BalancerLoan(amount)
    if source == _Source.AAVE_V3:
        return AaveLoan(amount)
    if source == _Source.MORPHO:
        return MorphoLoan(amount)
    if source == _Source.ERC_3156:
        return ListedLoan(amount, reader.address())
    return ConcentratedLoan(amount, reader.address(), reader.uint(3))


def _word(address: Address) -> bytes:
    return bytes(_WORD - ADDRESS_BYTES) + address_field(address)
