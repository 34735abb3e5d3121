"""The statements that are signed by themselves: for a contract orders, promises, verdicts and the binding of a hot key;
for a finder the key to seal to.

Every message checks its fields when it is built: a value that exists is one that can be encoded, hashed and decoded
on-chain. Building one from wrong values raises InvalidField or TooLarge (LocalProtocolError).
`finder` and `executor` are operators' accounts; what signs is the operator's hot key in force.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from protocol.errors import InvalidField
from protocol.kinds import Verdict
from protocol.layout import Field, StructLayout, wire_name
from protocol.units import (
    BASIS_POINTS_ONE,
    Address,
    BasisPoints,
    BlockNumber,
    Hash32,
    LegKey,
    TokenAmount,
    UnixSeconds,
)


class Message(Struct, frozen=True, kw_only=True):
    """Base of all messages with a layout of words."""

    LAYOUT: ClassVar[StructLayout]

    def __post_init__(self) -> None:
        self.LAYOUT.check(self)

    def _refuse_zero(self, *attributes: str) -> None:
        for attribute in attributes:
            value = getattr(self, attribute)
            if not (any(value) if isinstance(value, bytes) else value):
                raise InvalidField("zero", self._path(attribute))

    def _path(self, attribute: str) -> str:
        return f"{self.LAYOUT.path}.{wire_name(attribute)}"


class Statement(Message, frozen=True, kw_only=True):
    """Base of what is signed by itself."""

    def words(self) -> bytes:
        """Return the fields as 32-byte words: `abi.encode` of the struct, EIP-712's encodeData."""
        return self.LAYOUT.words(self)


class Order(Statement, frozen=True, kw_only=True):
    """A finder's offer to the leader of one block, signed by the finder's hot key.

    In the transaction max(net · finder_bps, min_finder_wei) of `profit_token`, in its smallest units, goes to
    `pay_to`, or it reverts. `route_commit` is Keccak-256 of the route's bytes.
    """

    LAYOUT: ClassVar = StructLayout(
        "Order",
        Field("finder", "address"),
        Field("executor", "address"),
        Field("target_block", "uint64"),
        Field("finder_bps", "uint16"),
        Field("min_finder_wei", "uint128"),
        Field("profit_token", "address"),
        Field("pay_to", "address"),
        Field("primary_key", "bytes32"),
        Field("route_commit", "bytes32"),
    )
    finder: Address
    executor: Address
    target_block: BlockNumber
    finder_bps: BasisPoints
    min_finder_wei: TokenAmount
    profit_token: Address
    pay_to: Address
    primary_key: LegKey
    route_commit: Hash32

    def __post_init__(self) -> None:
        self.LAYOUT.check(self)
        self._refuse_zero("finder", "executor", "target_block", "min_finder_wei")
        self._refuse_zero("profit_token", "pay_to", "primary_key", "route_commit")
        if self.finder_bps > BASIS_POINTS_ONE:
            raise InvalidField(f"more than {BASIS_POINTS_ONE}", self._path("finder_bps"))


class Accept(Statement, frozen=True, kw_only=True):
    """The leader's promise to take one order for its leg and block. Slashable: two for one leg and block.

    `order_hash` is the order's EIP-712 digest. `block_number` and `timestamp` are those of the leader's head when it
    signed: the court judges age and key in force by them.
    """

    LAYOUT: ClassVar = StructLayout(
        "Accept",
        Field("order_hash", "bytes32"),
        Field("primary_key", "bytes32"),
        Field("target_block", "uint64"),
        Field("block_number", "uint64"),
        Field("timestamp", "uint64"),
    )
    order_hash: Hash32
    primary_key: LegKey
    target_block: BlockNumber
    block_number: BlockNumber
    timestamp: UnixSeconds

    def __post_init__(self) -> None:
        self.LAYOUT.check(self)
        self._refuse_zero("order_hash", "primary_key", "target_block", "block_number", "timestamp")


class Attestation(Statement, frozen=True, kw_only=True):
    """What an operator found when it recomputed an alert at a block. Slashable: both verdicts on one alert and block.

    `block_number` and `timestamp` are those of the block `block_hash`; the court judges age and key in force by them.
    """

    LAYOUT: ClassVar = StructLayout(
        "Attestation",
        Field("alert_id", "bytes32"),
        Field("block_hash", "bytes32"),
        Field("verdict", "uint8", Verdict),
        Field("block_number", "uint64"),
        Field("timestamp", "uint64"),
    )
    alert_id: Hash32
    block_hash: Hash32
    verdict: Verdict
    block_number: BlockNumber
    timestamp: UnixSeconds

    def __post_init__(self) -> None:
        self.LAYOUT.check(self)
        self._refuse_zero("alert_id", "block_hash", "block_number", "timestamp")


class HotKeyBinding(Statement, frozen=True, kw_only=True):
    """What a hot key signs once to belong to an operator's account, so that nobody registers another's key."""

    LAYOUT: ClassVar = StructLayout("HotKeyBinding", Field("operator", "address"))
    operator: Address

    def __post_init__(self) -> None:
        self.LAYOUT.check(self)
        self._refuse_zero("operator")


class SealingKey(Statement, frozen=True, kw_only=True):
    """An operator's X25519 key for orders to it with a target block within `from_block` and `until_block`.

    Signed by the operator's hot key, so that neither its sentry nor anybody between can put another key in its place.
    """

    LAYOUT: ClassVar = StructLayout(
        "SealingKey",
        Field("operator", "address"),
        Field("public_key", "bytes32"),
        Field("from_block", "uint64"),
        Field("until_block", "uint64"),
    )
    operator: Address
    public_key: Hash32
    from_block: BlockNumber
    until_block: BlockNumber

    def __post_init__(self) -> None:
        self.LAYOUT.check(self)
        self._refuse_zero("operator", "public_key", "from_block")
        if self.until_block < self.from_block:
            raise InvalidField("before fromBlock", self._path("until_block"))
