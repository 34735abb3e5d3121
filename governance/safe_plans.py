"""Transactions of a Safe as a file: built, told in plain words, signed by one owner after the other, executed. Pure.

The words are made of the transactions' bytes. The one thing that a file says of itself, which address is the vault
module, is told as the file's word unless the network's description says it. Signatures count only if they are an
owner's over the transaction as it stands. Errors: `SafePlanUnfit`, which says what and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from governance.amounts import ETHER
from governance.inventory import unpacked
from governance.vaults import Change, ChangeKind, SafeTransaction
from protocol.errors import ProtocolError
from protocol.ethereum.abi import SELECTOR_BYTES, argument_types, decode, selector
from protocol.ethereum.keys import Signature, SigningKey, recover_address
from protocol.units import ZERO_ADDRESS, Address, ChainId, address_from_hex, address_to_hex

MAX_PLAN_BYTES: Final = 256 * 1024
_FORMAT: Final = 1
_CHANGE: Final = "(uint8,address,uint256)"
_ENABLE: Final = "enableModule(address)"
_OPEN: Final = "open(address,address,uint256,(address,uint128)[])"
_PROPOSE: Final = f"propose({_CHANGE})"
_TIGHTEN: Final = f"tighten(address,{_CHANGE})"
_TRANSFER: Final = "transfer(address,uint256)"
_BY_THE_FILE: Final = "what this file calls its vault module"
AmountWords = Callable[[str, int], str]
"""Says an amount of a token (address in hex, smallest units) in words."""


class SafePlanUnfit(Exception):
    """A file that is no plan, a signature that is no owner's, or too few of them."""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is in a plan's file."""

    format: int
    chain_id: int
    safe: str
    module: str
    transactions: list[dict[str, str]]
    signatures: list[dict[str, str]]


class SafePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Transactions of one Safe, in order, and by owner the signatures, one a transaction."""

    chain_id: ChainId
    safe: Address
    module: Address
    """What the file calls the vault module, so that calls of it are told as what they are."""
    transactions: tuple[SafeTransaction, ...]
    signatures: dict[Address, tuple[Signature, ...]] = {}

    def digests(self) -> list[bytes]:
        """Return what owners sign, one a transaction."""
        return [each.digest(self.chain_id, self.safe) for each in self.transactions]

    def signed(self, key: SigningKey) -> SafePlan:
        """Return the plan with an owner's signatures."""
        made = tuple(key.sign_digest(digest) for digest in self.digests())
        return msgspec.structs.replace(self, signatures={**self.signatures, address_from_hex(key.address): made})

    def merged(self, other: SafePlan) -> SafePlan:
        """Return the plan with the signatures of another copy of it. Raises `SafePlanUnfit` if it is another plan."""
        if other.digests() != self.digests() or other.safe != self.safe:
            raise SafePlanUnfit("the files hold different transactions: signatures of one do not count for the other")
        return msgspec.structs.replace(self, signatures={**self.signatures, **other.signatures})

    def executions(self, owners: Sequence[Address], threshold: int) -> list[bytes]:
        """Return the Safe's calls, with as many signatures as it wants. Raises `SafePlanUnfit` if there are too few."""
        count = sum(owner in owners for owner in self.signatures)
        if count < threshold:
            raise SafePlanUnfit(f"{count} of its owners have signed, the Safe wants {threshold}")
        chosen = sorted(owner for owner in self.signatures if owner in owners)[:threshold]
        return [
            each.execution({owner: self.signatures[owner][place] for owner in chosen})
            for place, each in enumerate(self.transactions)
        ]

    def words(self, amount: AmountWords, module: Address | None = None) -> list[str]:
        """Say what each transaction does. `module`: the vault module by the network's description, if there is one."""
        return [self._words(each, amount, module) for each in self.transactions]

    def _words(self, transaction: SafeTransaction, amount: AmountWords, module: Address | None) -> str:
        if module is not None:
            return _call_words(self.safe, module, "the vault module", transaction, amount)
        words = _call_words(self.safe, self.module, _BY_THE_FILE, transaction, amount)
        by = f"by {address_to_hex(self.module)} ({_BY_THE_FILE}): "
        return by + words if transaction.to == self.module else words


def _call_words(safe: Address, module: Address, called: str, transaction: SafeTransaction, amount: AmountWords) -> str:
    """Say what a Safe's transaction does; what is not known here is told as it is."""
    data = transaction.data
    try:
        if transaction.to == safe and (found := _arguments(_ENABLE, data)):
            known = f" ({called})" if address_from_hex(found[0]) == module else f" — NOT {called}"
            return f"let {found[0]}{known} act for the Safe: a module can take all that the Safe has"
        if transaction.to == module:
            return _module_words(data, amount)
        if found := _arguments(_TRANSFER, data):
            return f"send {amount(address_to_hex(transaction.to), found[1])} to {found[0]}"
    except (ProtocolError, ValueError):
        return f"CALL THAT DOES NOT DECODE, of {address_to_hex(transaction.to)}: 0x{data.hex()}"
    return f"UNKNOWN CALL of {address_to_hex(transaction.to)}: 0x{data.hex()}"


def change_words(change: Change, amount: AmountWords) -> str:
    """Say what a change to a vault does."""
    subject = address_to_hex(change.subject)
    say = _CHANGE_WORDS.get(change.kind)
    if say is None:
        return f"change {change.kind.name.lower().replace('_', ' ')} of {subject} to {change.value}"
    return say(subject, change.value, amount)


_CHANGE_WORDS: Final[Mapping[ChangeKind, Callable[[str, int, AmountWords], str]]] = {
    ChangeKind.PAUSE: lambda _, value, __: "pause the vault" if value else "let the vault execute again",
    ChangeKind.BID_CAP: lambda _, value, __: f"let one execution cost at most {ETHER.shown(value)} in bids",
    ChangeKind.TOKEN: lambda token, value, amount: f"let one execution draw at most {amount(token, value)}",
    ChangeKind.UNPIN: lambda token, _, __: f"no longer use the token {token}",
    ChangeKind.OPERATOR: lambda key, _, __: f"let {_or_no('hot key', key)} execute",
    ChangeKind.EXECUTOR: lambda executor, _, __: f"run plans by {_or_no('executor', executor)}",
    ChangeKind.UNIT: lambda token, _, __: f"value inventory in {_or_no('token', token)}",
    ChangeKind.LOSS_BAND: lambda _, value, __: (
        f"let one trade of inventory lose at most {value / 100:g} % of what it sells"
    ),
    ChangeKind.AGREEMENT: lambda _, value, __: f"believe prices that differ by at most {value / 100:g} %",
    ChangeKind.MAX_LOSS: lambda _, value, __: (
        f"let all trades of inventory lose at most {value} smallest units of the vault's unit, as much a day"
    ),
    ChangeKind.MAX_TURNOVER: lambda _, value, __: (
        f"let all trades of inventory sell at most {value} smallest units of the vault's unit, as much a day"
    ),
    ChangeKind.FEED: lambda token, value, _: _feed_words(token, *unpacked(value)),
    ChangeKind.POOL: lambda token, value, _: (
        f"check the price of {token} by {_or_no('pool', address_to_hex(unpacked(value)[0]))}"
    ),
    ChangeKind.HELD_AT_LEAST: lambda token, value, amount: (
        f"let a trade leave at least {amount(token, value)} in the Safe"
    ),
    ChangeKind.HELD_AT_MOST: lambda token, value, amount: (
        f"let a trade bring the Safe to at most {amount(token, value)}"
    ),
    ChangeKind.DEPOSIT: lambda account, value, amount: _deposit_words(account, *unpacked(value), amount),
}


def _feed_words(token: str, feed: Address, max_age: int) -> str:
    return f"take the price of {token} from {_or_no('feed', address_to_hex(feed))}, at most {max_age} seconds old"


def _deposit_words(account: str, token: Address, cap: int, amount: AmountWords) -> str:
    return f"let the hot key send {account} at most {amount(address_to_hex(token), cap)} a day"


def _or_no(what: str, address: str) -> str:
    return f"no {what}" if address == address_to_hex(ZERO_ADDRESS) else f"the {what} {address}"


def plan_to_json(plan: SafePlan) -> bytes:
    """Return the file of a plan."""
    file = _File(
        format=_FORMAT,
        chain_id=plan.chain_id,
        safe=address_to_hex(plan.safe),
        module=address_to_hex(plan.module),
        transactions=[
            {"to": address_to_hex(each.to), "data": "0x" + each.data.hex(), "nonce": str(each.nonce)}
            for each in plan.transactions
        ],
        signatures=[
            {"owner": address_to_hex(owner), "signature": "0x" + b"".join(each.to_bytes() for each in made).hex()}
            for owner, made in sorted(plan.signatures.items())
        ],
    )
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def plan_from_json(raw: bytes, where: str) -> SafePlan:
    """Read a plan's file, and believe no signature that its owner did not make. Raises `SafePlanUnfit`."""
    try:
        file = msgspec.json.decode(raw, type=_File)
        if file.format != _FORMAT or not file.transactions or len(raw) > MAX_PLAN_BYTES:
            raise SafePlanUnfit(f"{where}: not format {_FORMAT}, without transactions, or too long")
        plan = SafePlan(
            chain_id=ChainId(file.chain_id),
            safe=address_from_hex(file.safe),
            module=address_from_hex(file.module),
            transactions=tuple(
                SafeTransaction(address_from_hex(each["to"]), bytes.fromhex(each["data"][2:]), int(each["nonce"]))
                for each in file.transactions
            ),
        )
        signatures = {
            address_from_hex(each["owner"]): _signatures(bytes.fromhex(each["signature"][2:]))
            for each in file.signatures
        }
    except (msgspec.DecodeError, UnicodeDecodeError, ProtocolError, KeyError, ValueError) as error:
        raise SafePlanUnfit(f"{where}: no plan of a Safe's transactions: {str(error)[:200]}") from None
    for owner, made in signatures.items():
        _require_own(plan, owner, made, where)
    return msgspec.structs.replace(plan, signatures=signatures)


def builder_json(plan: SafePlan) -> bytes:
    """Return the transactions as Safe's own Transaction Builder imports them (a batch of version 1.0)."""
    batch = {
        "version": "1.0",
        "chainId": str(plan.chain_id),
        "createdAt": 0,
        "meta": {"name": "hftnode", "createdFromSafeAddress": address_to_hex(plan.safe)},
        "transactions": [
            {
                "to": address_to_hex(each.to),
                "value": "0",
                "data": "0x" + each.data.hex(),
                "contractMethod": None,
                "contractInputsValues": None,
            }
            for each in plan.transactions
        ],
    }
    return msgspec.json.format(msgspec.json.encode(batch), indent=2) + b"\n"


def _module_words(data: bytes, amount: AmountWords) -> str:
    if found := _arguments(_OPEN, data):
        operator, executor, bid_cap, limits = found
        pinned = ", ".join(amount(token, most) for token, most in limits) or "nothing"
        return (
            f"open the vault: the hot key {operator} executes by {executor}, draws at most {pinned} each time, and "
            f"bids at most {ETHER.shown(bid_cap)}"
        )
    if found := _arguments(_PROPOSE, data):
        return f"propose, due in 48 hours: {change_words(_change(found[0]), amount)}"
    if found := _arguments(_TIGHTEN, data):
        return f"at once, for the vault of {found[0]}: {change_words(_change(found[1]), amount)}"
    return f"UNKNOWN CALL of the vault module: 0x{data.hex()}"


def _arguments(signature: str, data: bytes) -> tuple[Any, ...] | None:
    """Return the arguments if the data is a call of that signature, to the byte."""
    if data[:SELECTOR_BYTES] != selector(signature):
        return None
    return decode(argument_types(signature), data[SELECTOR_BYTES:], exact=True)


def _change(found: Sequence[Any]) -> Change:
    return Change(kind=ChangeKind(found[0]), subject=address_from_hex(found[1]), value=found[2])


def _signatures(raw: bytes) -> tuple[Signature, ...]:
    size = 65
    return tuple(Signature.from_bytes(raw[start : start + size]) for start in range(0, len(raw), size))


def _require_own(plan: SafePlan, owner: Address, made: Sequence[Signature], where: str) -> None:
    digests = plan.digests()
    signers: Mapping[int, str] = {
        place: recover_address(digest, signature)
        for place, (digest, signature) in enumerate(zip(digests, made, strict=False))
    }
    if len(made) != len(digests) or any(signer != address_to_hex(owner) for signer in signers.values()):
        raise SafePlanUnfit(f"{where}: the signature of {address_to_hex(owner)} is not its own, or not of these bytes")
