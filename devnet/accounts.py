"""The devnet's accounts: derived from their names, so public, worthless and the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from protocol.ethereum.keccak import keccak256
from protocol.ethereum.keys import SigningKey

_DOMAIN = b"hftnode devnet account: "


@dataclass(frozen=True, slots=True)
class Account:
    """A named account; its key is public knowledge."""

    name: str
    secret: bytes
    key: SigningKey

    @property
    def address(self) -> str:
        """Lower-case hex."""
        return self.key.address


@lru_cache(maxsize=4096)
def account(name: str) -> Account:
    """Return the account of that name, for example `deployer`, `trader-7`, `operator-0`, `safe-owner-2`."""
    secret = keccak256(_DOMAIN + name.encode())
    return Account(name, secret, SigningKey(secret))
