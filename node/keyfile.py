"""Hot keys on disk: keystores of the Web3 Secret Storage standard (version 3), encrypted with the operator's password.

KeystoreError (SetupError)
├── KeystoreUnreadable     no such file, or the system does not let us read or write it
├── KeystoreMalformed      a file, but no keystore of version 3, or one that asks for more memory than anybody needs
├── WrongPassword          a keystore, and another password
└── PasswordUnusable       no password file, an empty one, or one that others can read

Neither key nor password is ever part of an error, a repr or a log line.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Any, Final

from node.errors import SetupError
from protocol.errors import InvalidField
from protocol.ethereum.keys import SigningKey

SCRYPT_WORK_FACTOR: Final = 2**17
"""128 MiB and about half a second a guess, as OWASP's password storage cheat sheet recommends for scrypt."""
MAX_KEYSTORE_BYTES: Final = 64 * 1024
MAX_PASSWORD_BYTES: Final = 4096
_MAX_SCRYPT_BYTES: Final = 2**30
_MAX_PBKDF2_ROUNDS: Final = 10_000_000
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class KeystoreError(SetupError):
    """A hot key cannot be had from its keystore."""


class KeystoreUnreadable(KeystoreError):
    """No such file, or the system does not let us read or write it."""


class KeystoreMalformed(KeystoreError):
    """A file, but no keystore of version 3."""


class WrongPassword(KeystoreError):
    """A keystore, and another password."""


class PasswordUnusable(KeystoreError):
    """No password file, an empty one, or one that others can read."""


class Password:
    """A password that shows itself only to whoever calls `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text or "\n" in text or len(text.encode()) > MAX_PASSWORD_BYTES:
            raise PasswordUnusable(f"a password is one line of 1 to {MAX_PASSWORD_BYTES} bytes")
        self._text = text

    def reveal(self) -> str:
        """Return the password itself."""
        return self._text

    def __repr__(self) -> str:
        return "Password(…)"

    def __reduce__(self) -> str:
        raise TypeError("a password is handed on by hand only")


def read_password(path: Path) -> Password:
    """Return the first line of a password file. Raises PasswordUnusable, also where others may read the file."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            line = file.readline(MAX_PASSWORD_BYTES + 2)
    except OSError as error:
        raise PasswordUnusable(f"password file {path}: {error.strerror}") from None
    if stat.S_ISREG(mode) and mode & _OTHERS:
        raise PasswordUnusable(f"password file {path}: others can read it; run chmod 600 {path}")
    try:
        return Password(line.decode().rstrip("\r\n"))
    except (UnicodeDecodeError, PasswordUnusable):
        raise PasswordUnusable(
            f"password file {path}: its first line is not 1 to {MAX_PASSWORD_BYTES} bytes of text"
        ) from None


def new_secret() -> bytes:
    """Return a new secp256k1 secret from the system's random source."""
    while True:
        secret = secrets.token_bytes(32)
        try:
            SigningKey(secret)
        except InvalidField:  # zero, or not below the order of the curve: once in 2^127 draws
            continue
        return secret


def write_keystore(path: Path, secret: bytes, password: Password, work_factor: int = SCRYPT_WORK_FACTOR) -> str:
    """Write a new keystore that only this user can read, and return its address.

    `work_factor` is scrypt's N; a devnet, whose keys are worth nothing, takes a small one. Raises KeystoreUnreadable,
    also where the file exists: a key is never written over.
    """
    keystore = _eth_keyfile().create_keyfile_json(
        secret, password.reveal().encode(), kdf="scrypt", iterations=work_factor
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(keystore, file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise KeystoreUnreadable(f"keystore {path}: {error.strerror}") from None
    return SigningKey(secret).address


def read_keystore(path: Path, password: Password) -> bytes:
    """Return the 32 bytes of a keystore's secret; takes as long as its work factor asks, often half a second.

    Raises KeystoreUnreadable, KeystoreMalformed, WrongPassword.
    """
    keystore = _load(path)
    try:
        secret: bytes = _eth_keyfile().decode_keyfile_json(keystore, password.reveal().encode())
    except ValueError as error:
        if "MAC mismatch" in str(error):
            raise WrongPassword(f"keystore {path}: wrong password") from None
        raise _malformed(path) from None
    except (KeyError, TypeError, AttributeError, AssertionError, OverflowError, NotImplementedError):
        raise _malformed(path) from None
    try:
        address = SigningKey(secret).address
    except InvalidField:
        raise _malformed(path) from None
    told = keystore.get("address", "")
    if told and str(told).lower().removeprefix("0x") != address[2:]:
        raise KeystoreMalformed(f"keystore {path}: says 0x{str(told)[:42].removeprefix('0x')}, holds {address}")
    return secret


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_KEYSTORE_BYTES + 1)
    except OSError as error:
        raise KeystoreUnreadable(f"keystore {path}: {error.strerror}") from None
    try:
        keystore = json.loads(raw) if len(raw) <= MAX_KEYSTORE_BYTES else None
    except (ValueError, RecursionError):
        keystore = None
    if not isinstance(keystore, dict) or keystore.get("version") != 3 or not _affordable(keystore):
        raise _malformed(path)
    return keystore


def _affordable(keystore: dict[str, Any]) -> bool:
    """Tell whether the key derivation stays within bounds: a foreign file must not eat the machine."""
    try:
        crypto = keystore["crypto" if "crypto" in keystore else "Crypto"]
        asked = crypto["kdfparams"]
        if crypto["kdf"] == "scrypt":
            return int(asked["n"] * asked["r"] * asked["p"]) * 128 <= _MAX_SCRYPT_BYTES
        return int(asked["c"]) <= _MAX_PBKDF2_ROUNDS
    except (KeyError, TypeError, ValueError):
        return False


def _malformed(path: Path) -> KeystoreMalformed:
    return KeystoreMalformed(
        f"keystore {path}: not a keystore of version 3 (JSON of at most {MAX_KEYSTORE_BYTES} bytes)"
    )


def _eth_keyfile() -> Any:
    """Import eth-keyfile where it is needed: it takes half a second, and py_ecc, which comes with it for keystores of
    version 4, raises the recursion limit of the whole process, which turns a runaway recursion into a crash."""
    limit = sys.getrecursionlimit()
    try:
        import eth_keyfile
    finally:
        sys.setrecursionlimit(limit)
    return eth_keyfile
