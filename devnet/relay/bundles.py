"""`eth_sendBundle` read strictly: the limits and refusals of the Flashbots relay. Pure.

Limits: at most 100 transactions and 300,000 bytes a bundle (docs.flashbots.net, JSON-RPC endpoints). The texts of the
refusals are those of flashbots/mev-relay-js (`server/handlers.js`) and flashbots/go-utils (`rpctypes`) where they have
one.

BundleRefused(JsonRpcError)    a bundle is not taken; `reason` is a `BundleFault`
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from devnet.relay.context import Bundle
from devnet.relay.jsonrpc import JsonRpcError
from protocol.errors import RemoteProtocolError
from protocol.ethereum.forks import ChainRules
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.transactions import (
    InvalidTransaction,
    Refusal,
    SignedTransaction,
    TransactionType,
    decode_transaction,
)

MAX_TRANSACTIONS: Final = 100
MAX_BUNDLE_BYTES: Final = 300_000
"""Of all raw transactions together."""
MAX_BLOCKS_AHEAD: Final = 25
"""How far ahead a target block may be: as many blocks as the relay tries a private transaction."""

_HEX_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})+\Z")
_HEX_INT: Final = re.compile(r"0x[0-9a-fA-F]{1,16}\Z")
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}\Z")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_UNSUPPORTED: Final = ("droppingTxHashes", "refundPercent", "refundRecipient", "refundTxHashes", "replacementNonce")

_INVALID_PARAMS: Final = -32602
_REFUSED: Final = -32000


class BundleFault(Enum):
    """Why a bundle is refused: JSON-RPC code and message."""

    MISSING_PARAMS = (_INVALID_PARAMS, "missing params")
    MALFORMED_TXS = (_INVALID_PARAMS, "txs must be a list of signed transactions in hex with 0x")
    MISSING_BLOCK = (_INVALID_PARAMS, "missing block param")
    MALFORMED_BLOCK = (_INVALID_PARAMS, "block param must be a hex int")
    MALFORMED_MIN_TIMESTAMP = (_INVALID_PARAMS, "minTimestamp must be an int")
    MALFORMED_MAX_TIMESTAMP = (_INVALID_PARAMS, "maxTimestamp must be an int")
    MALFORMED_REVERTING = (_INVALID_PARAMS, "revertingTxHashes must be a list of transaction hashes")
    MALFORMED_UUID = (_INVALID_PARAMS, "replacementUuid must be a UUID")
    UNSUPPORTED_FIELD = (_INVALID_PARAMS, "this relay does not support the field")
    NO_TRANSACTIONS = (_REFUSED, "bundle with no txs")
    TOO_MANY_TRANSACTIONS = (_REFUSED, f"too many txs in bundle: at most {MAX_TRANSACTIONS}")
    TOO_LARGE = (_REFUSED, f"bundle too large: at most {MAX_BUNDLE_BYTES} bytes")
    UNDECODABLE = (_REFUSED, "unable to decode txs")
    WRONG_CHAIN = (_REFUSED, "invalid chain id for signer")
    UNPROTECTED = (_REFUSED, "only replay-protected (EIP-155) transactions allowed")
    BLOB_TRANSACTION = (_REFUSED, "blob transactions are not taken in bundles here")
    CONTRACT_CREATION = (_REFUSED, "contract creations are not taken in bundles here: deploy first, or by a factory")
    REPEATED_TRANSACTION = (_REFUSED, "bundle has a transaction twice")
    BLOCK_PASSED = (_REFUSED, "block param is not in the future")
    BLOCK_TOO_FAR = (_REFUSED, f"block param is more than {MAX_BLOCKS_AHEAD} blocks ahead")
    TIMESTAMP_ORDER = (_REFUSED, "minTimestamp is greater than maxTimestamp")
    FOREIGN_REVERTING = (_REFUSED, "revertingTxHashes names a transaction that is not in the bundle")
    SIGNER_FULL = (_REFUSED, "too many bundles of this signer for that block")
    BLOCK_FULL = (_REFUSED, "too many bundles for that block")
    POOL_FULL = (_REFUSED, "too many bundles are waiting")
    BUILDER_REFUSES = (_REFUSED, "this builder will not take the bundle")

    @property
    def code(self) -> int:
        """The JSON-RPC error code."""
        return self.value[0]

    @property
    def message(self) -> str:
        """The JSON-RPC error message."""
        return self.value[1]


class BundleRefused(JsonRpcError):
    """A bundle is not taken; `reason` is a `BundleFault`."""

    def __init__(self, reason: BundleFault, detail: str = "") -> None:
        super().__init__(f"{reason.message}: {detail}" if detail else reason.message, reason.code)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Submission:
    """Where and when a request came in: the head it sees, the chain's rules, the signer, arrival and devnet time."""

    head_number: int
    rules: ChainRules
    signer: str
    arrival: int
    received_at: float


def bundle_hash(transactions: tuple[SignedTransaction, ...]) -> bytes:
    """Return the Keccak-256 of the joined transaction hashes, by which relays and clients name a bundle."""
    return keccak256(b"".join(transaction.hash for transaction in transactions))


def read_bundle(params: Any, submission: Submission) -> Bundle:
    """Read the parameters of `eth_sendBundle`: a list with one object. Raises `BundleRefused`.

    Fields that the relay does not know are ignored, as the real one does, except those that would change what the
    sender gets.
    """
    if not isinstance(params, list) or len(params) != 1 or not isinstance(params[0], dict):
        raise BundleRefused(BundleFault.MISSING_PARAMS)
    fields: dict[str, Any] = params[0]
    for name in _UNSUPPORTED:
        if fields.get(name):
            raise BundleRefused(BundleFault.UNSUPPORTED_FIELD, name)
    transactions = read_transactions(fields.get("txs"), submission.rules)
    block_number = read_block_number(fields.get("blockNumber"))
    if block_number <= submission.head_number:
        raise BundleRefused(BundleFault.BLOCK_PASSED, f"{block_number}, the head is {submission.head_number}")
    if block_number > submission.head_number + MAX_BLOCKS_AHEAD:
        raise BundleRefused(BundleFault.BLOCK_TOO_FAR, f"{block_number}, the head is {submission.head_number}")
    earliest = _read_timestamp(fields.get("minTimestamp"), BundleFault.MALFORMED_MIN_TIMESTAMP)
    latest = _read_timestamp(fields.get("maxTimestamp"), BundleFault.MALFORMED_MAX_TIMESTAMP)
    if latest and earliest > latest:
        raise BundleRefused(BundleFault.TIMESTAMP_ORDER)
    return Bundle(
        transactions=transactions,
        block_number=block_number,
        min_timestamp=earliest,
        max_timestamp=latest,
        reverting_hashes=_read_reverting(fields.get("revertingTxHashes"), transactions),
        replacement_uuid="" if (uuid := fields.get("replacementUuid")) is None else read_uuid(uuid),
        signer=submission.signer,
        hash=bundle_hash(transactions),
        arrival=submission.arrival,
        received_at=submission.received_at,
    )


def read_transactions(value: Any, rules: ChainRules) -> tuple[SignedTransaction, ...]:
    """Read the field `txs` of a bundle. Raises `BundleRefused`."""
    if value is None or value == []:
        raise BundleRefused(BundleFault.NO_TRANSACTIONS)
    if not isinstance(value, list):
        raise BundleRefused(BundleFault.MALFORMED_TXS)
    if len(value) > MAX_TRANSACTIONS:
        raise BundleRefused(BundleFault.TOO_MANY_TRANSACTIONS, f"has {len(value)}")
    if not all(isinstance(item, str) for item in value):
        raise BundleRefused(BundleFault.MALFORMED_TXS)
    size = sum(len(item) // 2 - 1 for item in value)
    if size > MAX_BUNDLE_BYTES:
        raise BundleRefused(BundleFault.TOO_LARGE, f"has {size}")
    transactions = tuple(read_transaction(item, rules, f"tx {index}") for index, item in enumerate(value))
    if len({transaction.hash for transaction in transactions}) < len(transactions):
        raise BundleRefused(BundleFault.REPEATED_TRANSACTION)
    return transactions


def read_transaction(value: Any, rules: ChainRules, where: str = "tx") -> SignedTransaction:
    """Read one signed transaction that may be in a bundle. Raises `BundleRefused`."""
    transaction = decode_hex(value, rules, where)
    if transaction.type == TransactionType.BLOB:
        raise BundleRefused(BundleFault.BLOB_TRANSACTION, where)
    # eth_simulateV1 of Anvil 1.7.1 cannot express a creation, and what is not simulated is not merged.
    if transaction.to is None:
        raise BundleRefused(BundleFault.CONTRACT_CREATION, where)
    return transaction


def decode_hex(value: Any, rules: ChainRules, where: str = "tx") -> SignedTransaction:
    """Read one signed, replay-protected transaction of this chain. Raises `BundleRefused`."""
    if not isinstance(value, str) or not _HEX_DATA.match(value):
        raise BundleRefused(BundleFault.MALFORMED_TXS, where)
    try:
        transaction = decode_transaction(bytes.fromhex(value[2:]), rules)
    except InvalidTransaction as error:
        wrong_chain = error.reason is Refusal.INVALID_CHAINID
        raise BundleRefused(
            BundleFault.WRONG_CHAIN if wrong_chain else BundleFault.UNDECODABLE, f"{where}: {error}"
        ) from error
    except RemoteProtocolError as error:
        raise BundleRefused(BundleFault.UNDECODABLE, f"{where}: {error}") from error
    if transaction.chain_id is None:
        raise BundleRefused(BundleFault.UNPROTECTED, where)
    return transaction


def read_block_number(value: Any) -> int:
    """Read the field `blockNumber`: a hex string. Raises `BundleRefused`."""
    if value is None:
        raise BundleRefused(BundleFault.MISSING_BLOCK)
    if not isinstance(value, str) or not _HEX_INT.match(value):
        raise BundleRefused(BundleFault.MALFORMED_BLOCK)
    return int(value, 16)


def read_uuid(value: Any) -> str:
    """Read a replacement UUID (RFC 9562), lower-cased. Raises `BundleRefused`."""
    if not isinstance(value, str) or not _UUID.match(value):
        raise BundleRefused(BundleFault.MALFORMED_UUID)
    return value.lower()


def _read_timestamp(value: Any, fault: BundleFault) -> int:
    """Read seconds since the epoch; absent, null and 0 all mean no limit."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise BundleRefused(fault)
    return value


def _read_reverting(value: Any, transactions: tuple[SignedTransaction, ...]) -> frozenset[bytes]:
    if value is None:
        return frozenset()
    if not isinstance(value, list) or not all(isinstance(item, str) and _HASH.match(item) for item in value):
        raise BundleRefused(BundleFault.MALFORMED_REVERTING)
    named = frozenset(bytes.fromhex(item[2:]) for item in value)
    if not named <= {transaction.hash for transaction in transactions}:
        raise BundleRefused(BundleFault.FOREIGN_REVERTING)
    return named
