"""Addresses of contracts before they exist: CREATE (Yellow Paper, section 7) and CREATE2 (EIP-1014)."""

from __future__ import annotations

from protocol.errors import InvalidField
from protocol.ethereum import rlp
from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import address_bytes


def create_address(sender: str, nonce: int) -> str:
    """Return the address (lower-case hex) of what `sender` creates with its transaction or CREATE of this nonce."""
    return "0x" + keccak256(rlp.encode([address_bytes(sender), rlp.encode_int(nonce)]))[12:].hex()


def create2_address(deployer: str, salt: bytes, init_code_hash: bytes) -> str:
    """Return the address (lower-case hex) that `deployer` gives to init code with this 32-byte hash and salt."""
    if len(salt) != 32 or len(init_code_hash) != 32:
        raise InvalidField(f"salt and hash have 32 bytes each, got {len(salt)} and {len(init_code_hash)}")
    return "0x" + keccak256(b"\xff" + address_bytes(deployer) + salt + init_code_hash)[12:].hex()
