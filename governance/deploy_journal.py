"""The journal of a deployment: which transactions were signed for which contract, on disk before they are sent.

One JSON file, replaced as a whole. What it says is never believed by itself: each transaction is looked up on the chain
and compared with the plan. It holds no secrets, and is what others need to read a deployment back.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from governance.deploy_errors import JournalRefused
from governance.deploy_plan import Plan
from protocol.errors import ProtocolError
from protocol.units import Address, ChainId, Hash32, address_from_hex, address_to_hex

_FORMAT: Final = 1
_MAX_BYTES: Final = 1_000_000
_MAX_ATTEMPTS: Final = 64


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One contract: its address and the hashes of what was signed to create it, the latest last."""

    address: str
    transactions: tuple[str, ...] = ()


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    chain_id: int
    deployer: str
    first_nonce: int
    plan: str
    contracts: dict[str, Entry]


class Journal:
    """The journal of one plan at `path`. Raises `JournalRefused` if the file is another plan's or cannot be used."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path = path
        fresh = _Document(
            format=_FORMAT,
            chain_id=plan.chain_id,
            deployer=address_to_hex(plan.deployer),
            first_nonce=plan.first_nonce,
            plan="0x" + plan.fingerprint.hex(),
            contracts={name: Entry(address=address_to_hex(address)) for name, address in plan.addresses.items()},
        )
        self._document = _read(path) or fresh
        for field in ("format", "chain_id", "deployer", "first_nonce", "plan"):
            found, wanted = getattr(self._document, field), getattr(fresh, field)
            if found != wanted:
                raise JournalRefused(f"{path}: {field} is {found}, this plan's is {wanted}")
        if {name: entry.address for name, entry in self._document.contracts.items()} != {
            name: entry.address for name, entry in fresh.contracts.items()
        }:
            raise JournalRefused(f"{path}: its contracts are not those of this plan")

    def signed_for(self, name: str) -> tuple[Hash32, ...]:
        """Return the hashes of all transactions that were signed to create a contract, the latest last."""
        try:
            return tuple(Hash32(bytes.fromhex(text[2:])) for text in self._document.contracts[name].transactions)
        except ValueError as error:
            raise JournalRefused(f"{self._path}: a transaction of {name} is no hash") from error

    def add(self, name: str, transaction_hash: Hash32) -> None:
        """Note, durably, what is about to be sent to create a contract."""
        entry = self._document.contracts[name]
        text = "0x" + transaction_hash.hex()
        if text in entry.transactions:
            return
        if len(entry.transactions) >= _MAX_ATTEMPTS:
            raise JournalRefused(f"{self._path}: {_MAX_ATTEMPTS} transactions were signed for {name} already")
        changed = Entry(address=entry.address, transactions=(*entry.transactions, text))
        contracts = {**self._document.contracts, name: changed}
        self._document = msgspec.structs.replace(self._document, contracts=contracts)
        self._write()

    def _write(self) -> None:
        text = msgspec.json.format(msgspec.json.encode(self._document), indent=1) + b"\n"
        fresh = self._path.with_name(f".{self._path.name}.new")
        try:
            with fresh.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise JournalRefused(f"{self._path}: cannot be written: {error.strerror}") from error


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """The deployment that a journal is of."""

    chain_id: ChainId
    deployer: Address
    first_nonce: int


def begun(path: Path) -> Begun | None:
    """Return which deployment the journal at `path` is of, or None if there is none. Raises `JournalRefused`."""
    document = _read(path)
    if document is None:
        return None
    try:
        deployer = address_from_hex(document.deployer)
    except ProtocolError as error:
        raise JournalRefused(f"{path}: deployer: {error}") from None
    return Begun(chain_id=ChainId(document.chain_id), deployer=deployer, first_nonce=document.first_nonce)


def _read(path: Path) -> _Document | None:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalRefused(f"{path}: cannot be read: {error.strerror}") from error
    if len(text) > _MAX_BYTES:
        raise JournalRefused(f"{path}: larger than {_MAX_BYTES} bytes")
    try:
        return msgspec.json.decode(text, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JournalRefused(f"{path}: is no journal of a deployment: {error}") from error
