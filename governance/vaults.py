"""A Safe and its vault: the calls that set a vault up, and the Safe's own transactions. Pure: builds, never sends.

Safe 1.3 and later: its transactions are EIP-712 messages of the domain (chainId, verifyingContract), signed by as many
owners as the threshold asks for. Changes to a vault: contracts/src/interfaces/IVaultModule.sol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol.errors import InvalidField
from protocol.ethereum.abi import encode, encode_call
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import Signature
from protocol.units import ZERO_ADDRESS, Address, ChainId, TokenAmount, Wei

_DOMAIN_TYPE: Final = keccak256(b"EIP712Domain(uint256 chainId,address verifyingContract)")
_TRANSACTION_TYPE: Final = keccak256(
    b"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,"
    b"address gasToken,address refundReceiver,uint256 nonce)"
)
_CALL: Final = 0
_NOBODY: Final = "0x" + ZERO_ADDRESS.hex()
_NO_REFUND: Final = (0, 0, 0, _NOBODY, _NOBODY)
_EXECUTE: Final = "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"


class ChangeKind(IntEnum):
    """What can be changed about a vault, in the order of the contract's enumeration."""

    PAUSE = 0
    BID_CAP = 1
    TOKEN = 2
    UNPIN = 3
    OPERATOR = 4
    EXECUTOR = 5
    UNIT = 6
    LOSS_BAND = 7
    AGREEMENT = 8
    MAX_LOSS = 9
    MAX_TURNOVER = 10
    FEED = 11
    POOL = 12
    HELD_AT_LEAST = 13
    HELD_AT_MOST = 14
    DEPOSIT = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change to a vault; what its kind does not use stays 0."""

    kind: ChangeKind
    subject: Address = ZERO_ADDRESS
    value: int = 0


@dataclass(frozen=True, slots=True)
class SafeTransaction:
    """A call that a Safe makes, with this nonce of the Safe's."""

    to: Address
    data: bytes
    nonce: int

    def digest(self, chain_id: ChainId, safe: Address) -> bytes:
        """Return the 32 bytes that owners sign."""
        domain = keccak256(encode(["bytes32", "uint256", "address"], [_DOMAIN_TYPE, chain_id, _hex(safe)]))
        types = ["bytes32", "address", "uint256", "bytes32", "uint8", *["uint256"] * 3, "address", "address", "uint256"]
        values = [_TRANSACTION_TYPE, _hex(self.to), 0, keccak256(self.data), _CALL, *_NO_REFUND, self.nonce]
        return keccak256(b"\x19\x01" + domain + keccak256(encode(types, values)))

    def execution(self, signatures: Mapping[Address, Signature]) -> bytes:
        """Return the call data of `execTransaction` with the owners' signatures, in the order that the Safe wants."""
        if not signatures:
            raise InvalidField("a Safe's transaction has signatures", "signatures")
        joined = b"".join(signatures[owner].to_bytes() for owner in sorted(signatures))
        return encode_call(_EXECUTE, _hex(self.to), 0, self.data, _CALL, *_NO_REFUND, joined)


def enable_module_call(module: Address) -> bytes:
    """Return the call by which a Safe (calling itself) lets a module act for it."""
    return encode_call("enableModule(address)", _hex(module))


def open_vault_call(
    operator: Address, executor: Address, bid_cap: Wei, limits: Sequence[tuple[Address, TokenAmount]]
) -> bytes:
    """Return the call of the module by which a Safe opens its vault; `limits` are the pinned tokens and their draws."""
    pinned = [(_hex(token), maximum) for token, maximum in limits]
    signature = "open(address,address,uint256,(address,uint128)[])"
    return encode_call(signature, _hex(operator), _hex(executor), bid_cap, pinned)


def tighten_call(safe: Address, change: Change) -> bytes:
    """Return the call of the module by which an owner, the hot key or the Safe tightens at once."""
    return encode_call("tighten(address,(uint8,address,uint256))", _hex(safe), _change(change))


def propose_call(change: Change) -> bytes:
    """Return the call of the module by which a Safe proposes a change, due in 48 hours."""
    return encode_call("propose((uint8,address,uint256))", _change(change))


def enact_call(safe: Address, change: Change) -> bytes:
    """Return the call of the module by which anybody makes a proposed change that is due."""
    return encode_call("enact(address,(uint8,address,uint256))", _hex(safe), _change(change))


def _change(change: Change) -> tuple[int, str, int]:
    return int(change.kind), _hex(change.subject), change.value


def _hex(address: Address) -> str:
    return "0x" + address.hex()
