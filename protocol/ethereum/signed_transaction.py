"""A signed transaction with what follows from it: its hash, the digest that was signed, its sender."""

from __future__ import annotations

from functools import cached_property

from protocol.errors import BadSignature
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import Signature, recover_address
from protocol.ethereum.transaction_errors import InvalidTransaction, Refusal
from protocol.ethereum.transaction_fields import TransactionFields, encode_signed, signing_payload


class SignedTransaction(TransactionFields, frozen=True, kw_only=True, dict=True):
    """A transaction with its signature and `raw`, the canonical bytes it was read from or signed as.

    `hash`, `signing_hash` and `sender` are computed when first asked for and then kept.
    """

    signature: Signature
    raw: bytes

    @cached_property
    def hash(self) -> bytes:
        """Return the 32-byte transaction hash."""
        return keccak256(self.raw)

    @cached_property
    def signing_hash(self) -> bytes:
        """Return the 32-byte digest that the sender signed."""
        return keccak256(signing_payload(self))

    @cached_property
    def sender(self) -> str:
        """Return the sender, lower-case hex; raises InvalidTransaction if no key can have signed this.

        `decode_transaction` has computed it already, unless told not to: then it cannot raise here any more.
        """
        try:
            return recover_address(self.signing_hash, self.signature)
        except BadSignature as error:
            raise InvalidTransaction(Refusal.EC_RECOVERY_FAIL, error.what) from error

    def encode(self) -> bytes:
        """Return the raw transaction, encoded anew from the fields; equal to `raw`."""
        return encode_signed(self, self.signature)

    def __repr__(self) -> str:
        return f"SignedTransaction(0x{self.hash.hex()}, type {self.type}, nonce {self.nonce}, {len(self.raw)} bytes)"
