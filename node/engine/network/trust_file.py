"""What leaders did with what they were given, on disk from block to block: no restart gives back the first limit.

One small file, replaced whole. At most what was given in the block of a crash is not in it.

TrustDamaged    the file is not what was written: nobody knows whom to trust
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from node.durable import replace_file
from node.engine.network.trust import Control, Known, OpenOrder, Trust
from node.errors import NodeError
from protocol.units import Address, BlockNumber, Hash32, Wei, address_from_hex, address_to_hex

FILE_NAME: Final = "trust.json"


class TrustDamaged(NodeError):
    """The file is not what was written; the text names it."""


class _Leader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One leader. Amounts in wei, as decimal text."""

    limit: str
    given: int
    accepted: int
    paid: int
    broken: int
    revealed: str
    lost: str
    refused: int = 0
    taken: int = 0
    executed: int = 0


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One accepted order."""

    leader: str
    target: int
    value: str


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: leaders by account, orders by hash."""

    leaders: dict[str, _Leader]
    orders: dict[str, _Order]
    control: tuple[int, int] = (0, 0)
    """Finds that nobody was shown, and of these those that somebody took."""


class TrustFile:
    """The file in a folder; without one (lockstep: a run depends on nothing before it) nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE_NAME
        self._saved = b""

    def load(self) -> Trust:
        """Return what an earlier process knew; nothing if there is no file. Raises TrustDamaged, OSError."""
        if self._path is None or not self._path.exists():
            return Trust()
        content = self._path.read_bytes()
        try:
            trust = _read(msgspec.json.decode(content, type=_Written))
        except (msgspec.MsgspecError, ValueError) as error:
            raise TrustDamaged(
                f"{self._path} is damaged ({error}): what each leader has lost for us is not known; "
                "remove it to let all begin with the first limit"
            ) from None
        self._saved = content
        return trust

    async def save(self, trust: Trust) -> None:
        """Keep what is known now, if it changed, and return once it is on disk. Raises OSError."""
        if self._path is None:
            return
        content = msgspec.json.encode(_written(trust))  # before anything else runs: orders go on changing it
        if content != self._saved:
            await asyncio.to_thread(_replace, self._path, content)
            self._saved = content


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)


def _read(written: _Written) -> Trust:
    return Trust(
        {
            address_from_hex(account): Known(
                limit=Wei(int(one.limit)),
                given=one.given,
                accepted=one.accepted,
                paid=one.paid,
                broken=one.broken,
                revealed=Wei(int(one.revealed)),
                lost=Wei(int(one.lost)),
                refused=one.refused,
                taken=one.taken,
                executed=one.executed,
            )
            for account, one in written.leaders.items()
        },
        {
            Hash32(bytes.fromhex(name)): OpenOrder(
                address_from_hex(one.leader), BlockNumber(one.target), Wei(int(one.value))
            )
            for name, one in written.orders.items()
        },
        Control(*written.control),
    )


def _written(trust: Trust) -> _Written:
    return _Written(
        {
            address_to_hex(Address(account)): _Leader(
                *(str(one.limit), one.given, one.accepted, one.paid, one.broken, str(one.revealed), str(one.lost)),
                *(one.refused, one.taken, one.executed),
            )
            for account, one in trust.known.items()
        },
        {
            name.hex(): _Order(address_to_hex(one.leader), one.target, str(one.value))
            for name, one in trust.opened.items()
        },
        (trust.control.seen, trust.control.taken),
    )
