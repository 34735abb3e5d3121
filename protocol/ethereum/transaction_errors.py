"""Why a transaction is refused.

InvalidTransaction(RemoteProtocolError)     `reason` is one of `Refusal`
"""

from __future__ import annotations

from enum import StrEnum, auto

from protocol.errors import RemoteProtocolError


class Refusal(StrEnum):
    """Why a transaction is refused; the names are those of the execution specification's tests."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        return name

    RLP_ERROR_EOF = auto()
    RLP_ERROR_SIZE = auto()
    RLP_ERROR_SIZE_LEADING_ZEROS = auto()
    RLP_INVALID_HEADER = auto()
    RLP_TOO_FEW_ELEMENTS = auto()
    RLP_TOO_MANY_ELEMENTS = auto()
    RLP_LEADING_ZEROS_NONCE = auto()
    RLP_LEADING_ZEROS_GASPRICE = auto()
    RLP_LEADING_ZEROS_BASEFEE = auto()
    RLP_LEADING_ZEROS_PRIORITY_FEE = auto()
    RLP_LEADING_ZEROS_GASLIMIT = auto()
    RLP_LEADING_ZEROS_VALUE = auto()
    RLP_LEADING_ZEROS_V = auto()
    RLP_LEADING_ZEROS_R = auto()
    RLP_LEADING_ZEROS_S = auto()
    RLP_INVALID_NONCE = auto()
    RLP_INVALID_GASLIMIT = auto()
    RLP_INVALID_TO = auto()
    RLP_INVALID_VALUE = auto()
    RLP_INVALID_DATA = auto()
    RLP_INVALID_SIGNATURE_R = auto()
    RLP_INVALID_SIGNATURE_S = auto()
    RLP_INVALID_ACCESS_LIST_ADDRESS_TOO_LONG = auto()
    RLP_INVALID_ACCESS_LIST_ADDRESS_TOO_SHORT = auto()
    RLP_INVALID_ACCESS_LIST_STORAGE_TOO_LONG = auto()
    RLP_INVALID_ACCESS_LIST_STORAGE_TOO_SHORT = auto()
    ADDRESS_TOO_SHORT = auto()
    ADDRESS_TOO_LONG = auto()
    NONCE_OVERFLOW = auto()
    NONCE_TOO_BIG = auto()
    GASLIMIT_OVERFLOW = auto()
    GASPRICE_OVERFLOW = auto()
    PRIORITY_OVERFLOW = auto()
    VALUE_OVERFLOW = auto()
    GASLIMIT_PRICE_PRODUCT_OVERFLOW = auto()
    PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS = auto()
    TYPE_NOT_SUPPORTED = auto()
    INVALID_CHAINID = auto()
    INVALID_SIGNATURE_VRS = auto()
    EC_RECOVERY_FAIL = auto()
    INTRINSIC_GAS_TOO_LOW = auto()
    INTRINSIC_GAS_BELOW_FLOOR_GAS_COST = auto()
    INITCODE_SIZE_EXCEEDED = auto()
    GAS_LIMIT_EXCEEDS_MAXIMUM = auto()
    TYPE_3_TX_ZERO_BLOBS = auto()
    TYPE_3_TX_BLOB_COUNT_EXCEEDED = auto()
    TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH = auto()
    TYPE_3_TX_CONTRACT_CREATION = auto()
    TYPE_3_TX_WITH_FULL_BLOBS = auto()
    TYPE_4_EMPTY_AUTHORIZATION_LIST = auto()
    TYPE_4_TX_CONTRACT_CREATION = auto()
    TYPE_4_INVALID_AUTHORIZATION_FORMAT = auto()


class InvalidTransaction(RemoteProtocolError):
    """A transaction that no chain, or not this one, can accept; `reason` says why in the specification's words."""

    def __init__(self, reason: Refusal, what: str) -> None:
        super().__init__(f"{what} ({reason})")
        self.reason = reason
        self._what = what

    def __reduce__(self) -> tuple[type[InvalidTransaction], tuple[Refusal, str]]:
        return type(self), (self.reason, self._what)
