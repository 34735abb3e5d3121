"""Plans for `ArbExecutor`: typed steps to packed bytes and back (format: contracts/src/interfaces/IArbExecutor.sol).

Pure, and exact: integers only. What the contract would refuse in any state of the chain is refused here first.

InvalidField        a value outside its field, or a plan that no chain state could make work
MalformedMessage    bytes that are no plan (TruncatedMessage, UnknownKind, TrailingBytes)
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypeAlias

import msgspec

from protocol.errors import InvalidField, MalformedMessage, TruncatedMessage, UnknownKind
from protocol.ethereum.abi import selector
from protocol.messages import check_signature
from protocol.statements import Order
from protocol.units import ADDRESS_BYTES, HASH_BYTES, Address, BlockNumber, SignatureBytes, TokenAmount, Wei

EXECUTE: Final = "execute(address,address,uint256,bytes)"
MINIMUM_BITS: Final = 24
"""Significant bits of a leg's minimum: it is rounded down to a multiple of a power of two, by less than 1 in 2^23."""
PIPS_ONE: Final = 1_000_000

_EXECUTE_SELECTOR: Final = selector(EXECUTE)
_WORD: Final = 32
_HEADER_BYTES: Final = 50
_MAX_EXPONENT: Final = 256 - MINIMUM_BITS
_NETWORK: Final = 0x10


class PairVenue(IntEnum):
    """Venues of Uniswap V2's kind."""

    UNISWAP_V2 = 0
    SUSHI_SWAP = 1


class _Venue(IntEnum):
    UNISWAP_V3 = 2
    BALANCER_V2 = 3


class _Source(IntEnum):
    NOBODY = 0
    BALANCER_V2 = 1
    AAVE_V3 = 2
    UNISWAP_V3 = 3


class PairHop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A swap on the pair of the token held and `token_out`."""

    venue: PairVenue
    token_out: Address
    minimum_out: TokenAmount


class ConcentratedHop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A swap on Uniswap V3's pool of the token held, `token_out` and the fee in hundredths of a basis point."""

    token_out: Address
    fee_pips: int
    minimum_out: TokenAmount


class BalancerHop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A swap on the Balancer V2 pool of a 32-byte id."""

    token_out: Address
    pool_id: bytes
    minimum_out: TokenAmount


Hop: TypeAlias = PairHop | ConcentratedHop | BalancerHop


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


Loan: TypeAlias = BalancerLoan | AaveLoan | ConcentratedLoan


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
    head = (_word(safe), _word(token), _uint(drawn, _WORD, "drawn"), _uint(4 * _WORD, _WORD, "offset"))
    return b"".join((_EXECUTE_SELECTOR, *head, _uint(len(packed), _WORD, "length"), packed, padding))


def encode_plan(plan: Plan) -> bytes:
    """Return the packed plan. Raises InvalidField."""
    if not plan.hops:
        raise InvalidField("a plan has a hop", "hops")
    source, amount, pool = _loan_fields(plan.loan)
    header = (
        _uint(source if plan.network is None else source | _NETWORK, 1, "source"),
        _uint(plan.last_block, 5, "last_block"),
        _uint(amount, 16, "loan.amount"),
        _uint(plan.minimum_profit, 16, "minimum_profit"),
        _uint(plan.builder_payment, 12, "builder_payment"),
    )
    order = b"" if plan.network is None else _encode_order(plan.network)
    return b"".join((*header, order, pool, *map(_encode_hop, plan.hops)))


def decode_plan(packed: bytes) -> Plan:
    """Return the plan that `encode_plan` would pack so, with each minimum as it is on the chain.

    Raises MalformedMessage.
    """
    reader = _Reader(packed)
    source = reader.uint(1)
    last_block, amount, profit, payment = (reader.uint(size) for size in (5, 16, 16, 12))
    loan = _decode_loan(source, TokenAmount(amount), reader)
    hops = []
    while not reader.is_at_end:
        hops.append(_decode_hop(reader))
    if not hops:
        raise TruncatedMessage("a plan has a hop", "hops")
    return Plan(
        last_block=BlockNumber(last_block),
        minimum_profit=TokenAmount(profit),
        builder_payment=Wei(payment),
        loan=loan,
        hops=tuple(hops),
    )


def minimum_rounded_down(amount: int) -> int:
    """Return the minimum that the chain will enforce for a leg that should give at least `amount`."""
    exponent = max(0, amount.bit_length() - MINIMUM_BITS)
    return amount >> exponent << exponent


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
        _address(order.finder),
        _address(order.executor),
        _address(order.pay_to),
        _uint(order.finder_bps, 2, "finder_bps"),
        _uint(order.min_finder_wei, 16, "min_finder_wei"),
        order.primary_key,
        order.route_commit,
        _uint(executed.entry, 4, "entry"),
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
    return _Source.UNISWAP_V3, loan.amount, _address(loan.other_token) + _fee(loan.fee_pips)


def _decode_loan(source: int, amount: TokenAmount, reader: _Reader) -> Loan | None:
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
    return ConcentratedLoan(amount, reader.address(), reader.uint(3))


def _encode_hop(hop: Hop) -> bytes:
    minimum = _rounded(hop.minimum_out)
    token_out = _address(hop.token_out)
    if isinstance(hop, PairHop):
        return bytes((hop.venue,)) + token_out + minimum
    if isinstance(hop, ConcentratedHop):
        return bytes((_Venue.UNISWAP_V3,)) + token_out + _fee(hop.fee_pips) + minimum
    if len(hop.pool_id) != HASH_BYTES:
        raise InvalidField(f"a pool id has {HASH_BYTES} bytes, got {len(hop.pool_id)}", "pool_id")
    return bytes((_Venue.BALANCER_V2,)) + token_out + hop.pool_id + minimum


def _decode_hop(reader: _Reader) -> Hop:
    venue, token_out = reader.uint(1), reader.address()
    if venue in tuple(PairVenue):
        return PairHop(venue=PairVenue(venue), token_out=token_out, minimum_out=reader.minimum())
    if venue == _Venue.UNISWAP_V3:
        return ConcentratedHop(token_out=token_out, fee_pips=reader.uint(3), minimum_out=reader.minimum())
    if venue == _Venue.BALANCER_V2:
        return BalancerHop(token_out=token_out, pool_id=reader.take(HASH_BYTES), minimum_out=reader.minimum())
    raise UnknownKind(f"{venue} is no venue", "venue")


class _Reader:
    """Takes fields off the front of a plan."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._offset = 0

    @property
    def is_at_end(self) -> bool:
        return self._offset == len(self._packed)

    def take(self, size: int) -> bytes:
        field = self._packed[self._offset : self._offset + size]
        if len(field) != size:
            raise TruncatedMessage(f"ends after {len(self._packed)} bytes, inside a field", "plan")
        self._offset += size
        return field

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def address(self) -> Address:
        return Address(self.take(ADDRESS_BYTES))

    def minimum(self) -> TokenAmount:
        packed = self.uint(4)
        exponent, mantissa = packed >> MINIMUM_BITS, packed & ((1 << MINIMUM_BITS) - 1)
        return TokenAmount((mantissa << exponent) % (1 << 256))


def _rounded(amount: int) -> bytes:
    if amount < 0:
        raise InvalidField("a minimum is not negative", "minimum_out")
    exponent = max(0, amount.bit_length() - MINIMUM_BITS)
    if exponent > _MAX_EXPONENT:
        raise InvalidField("a minimum is below 2^256", "minimum_out")
    return bytes((exponent,)) + (amount >> exponent).to_bytes(3, "big")


def _uint(value: int, size: int, where: str) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError as error:
        raise InvalidField(f"must be from 0 to 2^{8 * size} - 1", where) from error


def _address(address: Address) -> bytes:
    if len(address) != ADDRESS_BYTES:
        raise InvalidField(f"an address has {ADDRESS_BYTES} bytes, got {len(address)}", "address")
    return address


def _word(address: Address) -> bytes:
    return bytes(_WORD - ADDRESS_BYTES) + _address(address)


def _fee(fee_pips: int) -> bytes:
    if not 0 <= fee_pips < PIPS_ONE:
        raise InvalidField("a fee is from 0 to below 1,000,000 pips", "fee_pips")
    return _uint(fee_pips, 3, "fee_pips")
