"""A signing history as a JSON text, to carry from one store to another: in the manner of EIP-3076.

Importing merges: the higher floor counts, and a slot to which two answers are known is never answered again.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from protocol.errors import InvalidField, MalformedMessage, WrongDomain, WrongVersion
from protocol.kinds import EvidenceKind, Verdict
from protocol.layout import WORD_BYTES
from protocol.signing import Domain
from protocol.slashing import Answer, SigningHistory, Slot
from protocol.units import HASH_BYTES, Address, BlockNumber, Hash32, address_from_hex, address_to_hex, max_uint

FORMAT: Final = 1
_Document = TypeVar("_Document")


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose history it is."""

    format: int
    domain_separator: str
    hot_key: str


class SignedAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An accept: the slot, and the order hash, or null if two are known."""

    target_block: str
    primary_key: str
    order_hash: str | None


class SignedVerdict(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An attestation: the slot, its block, and the verdict, or null if two are known."""

    alert_id: str
    block_hash: str
    block_number: str
    verdict: Verdict | None


class Interchange(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The whole text. `floor`: nothing at or below this block may be signed."""

    metadata: Metadata
    floor: str
    accepts: list[SignedAnswer]
    attestations: list[SignedVerdict]


def export_history(history: SigningHistory, domain: Domain, hot_key: Address) -> str:
    """Return the text of what `hot_key` has signed under `domain`."""
    accepts, attestations = [], []
    for slot, answer in history.answers.items():
        said = answer.said
        if slot.kind is EvidenceKind.DOUBLE_ACCEPT:
            order_hash = None if said is None else _hex(said)
            accepts.append(
                SignedAnswer(target_block=str(answer.block), primary_key=_hex(slot.second), order_hash=order_hash)
            )
        else:
            verdict = None if said is None else Verdict(int.from_bytes(said, "big"))
            attestations.append(
                SignedVerdict(
                    alert_id=_hex(slot.first),
                    block_hash=_hex(slot.second),
                    block_number=str(answer.block),
                    verdict=verdict,
                )
            )
    document = Interchange(
        metadata=_metadata(domain, hot_key), floor=str(history.floor), accepts=accepts, attestations=attestations
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def import_history(text: str, domain: Domain, hot_key: Address, into: SigningHistory) -> None:
    """Merge a text into a history. Raises MalformedMessage, WrongVersion, WrongDomain; `into` is then as before."""
    _check_metadata(text, domain, hot_key)
    document = _decoded(text, Interchange)
    floor = _block(document.floor)
    answers: list[tuple[Slot, Answer]] = []
    for accept in document.accepts:
        block = _block(accept.target_block)
        said = None if accept.order_hash is None else _hash(accept.order_hash)
        slot = Slot(EvidenceKind.DOUBLE_ACCEPT, block.to_bytes(WORD_BYTES, "big"), _hash(accept.primary_key))
        answers.append((slot, Answer(said, block)))
    for vote in document.attestations:
        slot = Slot(EvidenceKind.CONTRADICTING_ATTESTATION, _hash(vote.alert_id), _hash(vote.block_hash))
        verdict = None if vote.verdict is None else vote.verdict.to_bytes(WORD_BYTES, "big")
        answers.append((slot, Answer(verdict, _block(vote.block_number))))
    into.raise_floor(floor)
    for slot, answer in answers:
        if answer.block > into.floor:
            into.add(slot, answer)


def hot_key_of(text: str) -> Address:
    """Return whose history a text says it is. Raises MalformedMessage, WrongVersion."""
    metadata = _metadata_of(text)
    try:
        return address_from_hex(metadata.hot_key)
    except InvalidField as error:
        raise MalformedMessage(error.what, "metadata.hotKey") from None


def _check_metadata(text: str, domain: Domain, hot_key: Address) -> None:
    if _metadata_of(text) != _metadata(domain, hot_key):
        raise WrongDomain("the history of another key, or on another chain", "metadata")


def _metadata_of(text: str) -> Metadata:
    found = _decoded(text, dict[str, Any]).get("metadata")
    try:
        metadata = msgspec.convert(found, Metadata)
    except msgspec.ValidationError as error:
        raise MalformedMessage(str(error), "metadata") from None
    if metadata.format != FORMAT:
        raise WrongVersion(f"format {metadata.format}, not {FORMAT}", "metadata.format")
    return metadata


def _decoded(text: str, kind: type[_Document]) -> _Document:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise MalformedMessage(str(error)[:200], "interchange") from None


def _metadata(domain: Domain, hot_key: Address) -> Metadata:
    return Metadata(format=FORMAT, domain_separator=_hex(domain.separator), hot_key=address_to_hex(hot_key))


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _hash(text: str) -> Hash32:
    if len(text) != 2 + 2 * HASH_BYTES or not text.startswith("0x") or not text.isascii() or not text.isalnum():
        raise MalformedMessage("not 0x and 64 hex digits", "interchange")
    try:
        return Hash32(bytes.fromhex(text[2:]))
    except ValueError:
        raise MalformedMessage("not 0x and 64 hex digits", "interchange") from None


def _block(text: str) -> BlockNumber:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= max_uint(64)):
        raise MalformedMessage("not a block number in decimal digits", "interchange")
    return BlockNumber(int(text))
