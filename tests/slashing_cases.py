"""What may be signed after what, step by step, with the answer written down: the anti-slashing vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from protocol.kinds import Verdict
from protocol.slashing import BLOCKS_REMEMBERED, HORIZON, Slashable
from protocol.statements import Accept, Attestation
from protocol.units import BlockNumber, LegKey, UnixSeconds
from tests.protocol_factories import BOB, DEVNET, hash_of

HEAD: Final = 10_000
OK: Final = "OK"
SECOND: Final = "SECOND_ANSWER"
BELOW: Final = "BELOW_FLOOR"
BEYOND: Final = "BEYOND_HORIZON"


class Sign(NamedTuple):
    """Sign this at a head."""

    statement: Slashable
    head: int
    expected: str


class Distrust(NamedTuple):
    """What was signed up to now is not all known: the store was missing, restored or moved, or a twin was heard."""

    head: int


class Forget(NamedTuple):
    """The chain has come to this head; what is long past need not be remembered."""

    head: int


class Reopen(NamedTuple):
    """The process ends and begins again with the same store."""


class Import(NamedTuple):
    """Merge an exported history."""

    document: dict[str, Any]


class Move(NamedTuple):
    """Export, and go on with a new history that has imported that."""


Step: TypeAlias = Sign | Distrust | Forget | Reopen | Import | Move


def accept(key: str, order: str, ahead: int = 1, expected: str = OK, head: int = HEAD, **changes: Any) -> Sign:
    """Accept `order` for the leg `key` in the block `ahead` of HEAD."""
    fields: dict[str, Any] = {
        "order_hash": hash_of(order),
        "primary_key": LegKey(hash_of(key)),
        "target_block": BlockNumber(HEAD + ahead),
        "block_number": BlockNumber(head),
        "timestamp": UnixSeconds(1_790_000_000),
    }
    return Sign(Accept(**(fields | changes)), head, expected)


def attest(alert: str, yes: bool, block: str = "block", ahead: int = 0, expected: str = OK, head: int = HEAD) -> Sign:
    """Confirm or refute `alert` at the block `ahead` of HEAD."""
    vote = Attestation(
        alert_id=hash_of(alert),
        block_hash=hash_of(block),
        verdict=Verdict.CONFIRMED if yes else Verdict.REFUTED,
        block_number=BlockNumber(HEAD + ahead),
        timestamp=UnixSeconds(1_790_000_000),
    )
    return Sign(vote, head, expected)


def document(floor: int = 0, accepts: Any = (), attestations: Any = ()) -> dict[str, Any]:
    """Return an exported history of bob's: (ahead, key, order) and (alert, block, ahead, verdict)."""
    return {
        "metadata": {"format": 1, "domainSeparator": "0x" + DEVNET.separator.hex(), "hotKey": "0x" + BOB.hex()},
        "floor": str(floor),
        "accepts": [
            {
                "targetBlock": str(HEAD + ahead),
                "primaryKey": "0x" + hash_of(key).hex(),
                "orderHash": None if order is None else "0x" + hash_of(order).hex(),
            }
            for ahead, key, order in accepts
        ],
        "attestations": [
            {
                "alertId": "0x" + hash_of(alert).hex(),
                "blockHash": "0x" + hash_of(block).hex(),
                "blockNumber": str(HEAD + ahead),
                "verdict": verdict,
            }
            for alert, block, ahead, verdict in attestations
        ],
    }


def cases() -> Iterator[tuple[str, list[Step]]]:
    """Yield name and steps; each case begins with an empty history with floor 0."""
    yield from _accepts()
    yield from _attestations()
    yield from _edges()
    yield from _lost()
    yield from _imports()


def _accepts() -> Iterator[tuple[str, list[Step]]]:
    first = accept("leg", "order")
    other = accept("leg", "other", expected=SECOND)
    for name, again in _interruptions():
        yield f"an accept{name}, then the same", [first, *again, first]
        yield f"an accept{name}, then of another order", [first, *again, other]
        yield f"an accept{name}, then for another leg", [first, *again, accept("leg 2", "other")]
        yield f"an accept{name}, then for another block", [first, *again, accept("leg", "other", 2)]
    later: dict[str, Any] = {"block_number": BlockNumber(HEAD + 1), "timestamp": UnixSeconds(1_790_000_012)}
    yield "the same accept, signed a block later", [first, accept("leg", "order", head=HEAD + 1, **later)]
    yield (
        "another accept, signed a block later",
        [
            first,
            accept("leg", "other", head=HEAD + 1, expected=SECOND, **later),
        ],
    )
    yield "a refused accept leaves no trace", [first, other, first]
    yield "one order for two legs", [first, accept("leg 2", "order")]
    yield "one order for two blocks", [first, accept("leg", "order", 2)]
    yield "an accept for a block below one that was signed for", [accept("leg", "order", 5), accept("leg", "other", 4)]
    yield (
        "twenty legs of one block, then one of them again with another order",
        [
            *(accept(f"leg {number}", f"order {number}") for number in range(20)),
            accept("leg 13", "other", expected=SECOND),
            accept("leg 13", "order 13"),
        ],
    )


def _attestations() -> Iterator[tuple[str, list[Step]]]:
    first = attest("alert", yes=True)
    for name, again in _interruptions():
        yield f"an attestation{name}, then the same", [first, *again, first]
        yield f"an attestation{name}, then the opposite", [first, *again, attest("alert", yes=False, expected=SECOND)]
        yield f"an attestation{name}, then the opposite of another alert", [first, *again, attest("alert 2", yes=False)]
        opposite = attest("alert", yes=False, block="block 2", ahead=1)
        yield f"an attestation{name}, then the opposite at another block", [first, *again, opposite]
    yield "a refutation, then a confirmation", [attest("alert", yes=False), attest("alert", yes=True, expected=SECOND)]
    reorganised = attest("alert", yes=False, block="after a reorganisation")
    yield "the opposite at the block that replaced the first one", [first, reorganised]
    yield (
        "an accept and an attestation with the same words",
        [
            accept("block", "order"),
            attest("alert", yes=True),
            attest("alert", yes=False, expected=SECOND),
            accept("block", "other", expected=SECOND),
        ],
    )


def _interruptions() -> Iterator[tuple[str, list[Step]]]:
    yield "", []
    yield ", a restart", [Reopen()]
    yield ", moved to another store", [Move()]


def _edges() -> Iterator[tuple[str, list[Step]]]:
    yield "an accept for the horizon", [accept("leg", "order", HORIZON)]
    yield "an accept beyond the horizon", [accept("leg", "order", HORIZON + 1, BEYOND)]
    yield (
        "an accept beyond the horizon, until the head comes near",
        [
            accept("leg", "order", HORIZON + 1, BEYOND),
            accept("leg", "other", HORIZON + 1, head=HEAD + 1),
        ],
    )
    yield (
        "the same accept again when the head has gone back",
        [
            accept("leg", "order", HORIZON),
            accept("leg", "order", HORIZON, head=HEAD - 10),
        ],
    )
    yield "an attestation beyond the horizon", [attest("alert", yes=True, ahead=HORIZON + 1, expected=BEYOND)]
    yield "an accept for a past block", [accept("leg", "order", -10)]
    low = -BLOCKS_REMEMBERED
    yield "a block long past, forgotten", [Forget(HEAD), accept("leg", "order", low, BELOW)]
    yield "the oldest block that is remembered", [Forget(HEAD), accept("leg", "order", low + 1)]
    yield (
        "an accept that was forgotten, again",
        [
            accept("leg", "order"),
            Forget(HEAD + 1 + BLOCKS_REMEMBERED),
            accept("leg", "order", expected=BELOW, head=HEAD + 1 + BLOCKS_REMEMBERED),
            accept("leg", "other", expected=BELOW, head=HEAD + 1 + BLOCKS_REMEMBERED),
        ],
    )
    yield (
        "an accept that is barely remembered",
        [
            accept("leg", "order"),
            Forget(HEAD + BLOCKS_REMEMBERED),
            accept("leg", "other", expected=SECOND, head=HEAD + BLOCKS_REMEMBERED),
        ],
    )
    yield (
        "the floor does not fall when the head goes back",
        [
            Forget(HEAD + BLOCKS_REMEMBERED),
            Forget(HEAD),
            accept("leg", "order", 0, BELOW),
        ],
    )


def _lost() -> Iterator[tuple[str, list[Step]]]:
    top = HORIZON
    for name, again in (("", []), (", a restart", [Reopen()])):
        lost: list[Step] = [Distrust(HEAD), *again]
        yield f"after a loss{name}: the next block", [*lost, accept("leg", "order", 1, BELOW)]
        yield (
            f"after a loss{name}: the last block that may have been signed for",
            [
                *lost,
                accept("leg", "order", top, BELOW, head=HEAD + top),
            ],
        )
        yield (
            f"after a loss{name}: the first block that is safe",
            [
                *lost,
                accept("leg", "order", top + 1, head=HEAD + top),
            ],
        )
        yield f"after a loss{name}: an attestation of the head", [*lost, attest("alert", yes=True, expected=BELOW)]
        yield (
            f"after a loss{name}: an attestation past it",
            [
                *lost,
                attest("alert", yes=True, ahead=top + 1, head=HEAD + top + 1),
            ],
        )
    yield (
        "after a loss: not even what is still remembered",
        [
            accept("leg", "order"),
            Distrust(HEAD),
            accept("leg", "order", 1, BELOW),
        ],
    )
    yield (
        "two losses: the higher floor counts",
        [
            Distrust(HEAD + 10),
            Distrust(HEAD),
            accept("leg", "order", HORIZON + 5, BELOW, head=HEAD + 20),
        ],
    )


def _imports() -> Iterator[tuple[str, list[Step]]]:
    one = document(accepts=[(1, "leg", "order")])
    votes = document(attestations=[("alert", "block", 0, 1)])
    yield "an import, then the same accept", [Import(one), accept("leg", "order")]
    yield "an import, then another accept", [Import(one), accept("leg", "other", expected=SECOND)]
    yield "an import, a restart, then another accept", [Import(one), Reopen(), accept("leg", "other", expected=SECOND)]
    yield "an import twice", [Import(one), Import(one), accept("leg", "order")]
    yield "an import that agrees with what was signed", [accept("leg", "order"), Import(one), accept("leg", "order")]
    yield (
        "an import that contradicts what was signed: neither again",
        [
            accept("leg", "other"),
            Import(one),
            accept("leg", "order", expected=SECOND),
            accept("leg", "other", expected=SECOND),
            Reopen(),
            accept("leg", "other", expected=SECOND),
        ],
    )
    both = document(accepts=[(1, "leg", "order"), (1, "leg", "other")])
    yield (
        "an import that contradicts itself: neither",
        [
            Import(both),
            accept("leg", "order", expected=SECOND),
            accept("leg", "other", expected=SECOND),
        ],
    )
    unknown = document(accepts=[(1, "leg", None)])
    yield "an import of a slot without answer", [Import(unknown), accept("leg", "order", expected=SECOND), Move(),
                                                accept("leg", "order", expected=SECOND)]  # fmt: skip
    yield (
        "an import with a floor",
        [
            Import(document(floor=HEAD + 5)),
            accept("leg", "order", 5, BELOW),
            accept("leg", "order", 6),
        ],
    )
    yield (
        "an import with a lower floor than ours",
        [
            Distrust(HEAD),
            Import(document(floor=HEAD - 5)),
            accept("leg", "order", 1, BELOW),
        ],
    )
    yield "an import of what lies below our floor", [Distrust(HEAD), Import(one), accept("leg", "order", 1, BELOW)]
    yield (
        "an import with a floor above what was signed",
        [
            accept("leg", "order"),
            Import(document(floor=HEAD + 1)),
            accept("leg", "order", 1, BELOW),
            accept("leg", "other", 1, BELOW),
        ],
    )
    yield "an import of an attestation, then the opposite", [Import(votes), attest("alert", yes=False, expected=SECOND)]
    yield "an import of an attestation, then the same", [Import(votes), attest("alert", yes=True)]
    split = document(attestations=[("alert", "block", 0, 1), ("alert", "block", 0, 2)])
    yield (
        "an import of both verdicts: neither",
        [
            Import(split),
            attest("alert", yes=True, expected=SECOND),
            attest("alert", yes=False, expected=SECOND),
        ],
    )
