"""What the parts of the relay hand to each other: the block to be built, its candidates, and the plan for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.ethereum.transactions import SignedTransaction


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The block that is being built; equal in simulation and mining.

    `parent_hash` and `coinbase` are lower-case hex, `timestamp` in seconds, `base_fee` in wei per gas.
    """

    number: int
    parent_hash: str
    timestamp: int
    base_fee: int
    coinbase: str
    gas_limit: int


@dataclass(frozen=True, slots=True)
class PooledTransaction:
    """A transaction that waits for a block. `arrival` rises strictly with each admission."""

    transaction: SignedTransaction
    arrival: int
    public: bool
    """False for `eth_sendPrivateTransaction`: not shown before it is mined."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Transactions that land together, in this order, in one block, or not at all (Flashbots `eth_sendBundle`)."""

    transactions: tuple[SignedTransaction, ...]
    block_number: int
    min_timestamp: int
    """0: no lower limit."""
    max_timestamp: int
    """0: no upper limit."""
    reverting_hashes: frozenset[bytes]
    """Transactions that may revert without spoiling the bundle."""
    replacement_uuid: str
    """Empty: cannot be replaced or cancelled."""
    signer: str
    """Address that signed the request (`X-Flashbots-Signature`), lower-case hex."""
    hash: bytes
    """Keccak-256 of the joined transaction hashes."""
    arrival: int
    """Rises strictly with each admission, over all builders."""
    received_at: float
    """Devnet time in seconds at which the builder had it."""


class DropReason(Enum):
    """Why a bundle that was offered for a block is not in it. The value is the text for people."""

    TIMESTAMP = "the block's timestamp is outside the bundle's minTimestamp and maxTimestamp"
    NONCE_TOO_LOW = "a nonce was used already, on the chain or by what is ahead in the block"
    NONCE_TOO_HIGH = "a nonce leaves a gap"
    FEE_TOO_LOW = "a transaction offers less than the block's base fee"
    INSUFFICIENT_FUNDS = "a sender cannot pay value and gas"
    REVERTED = "a transaction reverts at the top of the block and is not in revertingTxHashes"
    CONFLICT = "a transaction reverts, or lacks funds, behind the better paying bundles that are ahead of it"
    DUPLICATE_TRANSACTION = "a better paying bundle holds one of its transactions"
    UNDERPAYS = "it takes from the builder, or pays less than 70 % of its bid per gas behind others"
    GAS_LIMIT = "the block has no room for its gas"
    UNEXECUTABLE = "the chain refuses a transaction for another reason"
    SEARCH_BOUND = "the bounded search for a clean order ended before its turn"


@dataclass(frozen=True, slots=True)
class PlacedBundle:
    """A bundle in the plan. `first_index` counts from the block's first transaction.

    `payment` in wei is what reaches the coinbase at this place: tips and direct transfers together.
    """

    bundle: Bundle
    first_index: int
    payment: int
    gas_used: int


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """The whole block in order: the bundles first, then the public transactions."""

    transactions: tuple[SignedTransaction, ...]
    placed: tuple[PlacedBundle, ...]
    dropped: tuple[tuple[Bundle, DropReason], ...]
    simulated: tuple[tuple[Bundle, int], ...] = ()
    """Bundles that ran at the top of the block, with the gas they took there."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What an endpoint answers: the HTTP status and a JSON body."""

    status: int
    body: bytes
