"""The forks of Ethereum mainnet, in order, as far as they change what a valid transaction is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol.errors import InvalidField


class Fork(IntEnum):
    """A set of consensus rules; a later fork compares greater. Names as in ethereum/tests."""

    FRONTIER = 0
    HOMESTEAD = 1
    TANGERINE_WHISTLE = 2
    SPURIOUS_DRAGON = 3
    BYZANTIUM = 4
    CONSTANTINOPLE = 5
    PETERSBURG = 6
    ISTANBUL = 7
    BERLIN = 8
    LONDON = 9
    PARIS = 10
    SHANGHAI = 11
    CANCUN = 12
    PRAGUE = 13
    OSAKA = 14

    @classmethod
    def named(cls, name: str) -> Fork:
        """Return the fork of a name, in any case, also by its EIP's name (EIP150, EIP158) and other common ones.

        Raises InvalidField for an unknown name.
        """
        plain = name.replace("_", "").replace(" ", "").lower()
        try:
            return _BY_NAME[plain]
        except KeyError:
            raise InvalidField(f"unknown fork {name[:40]!r}") from None


_BY_NAME: Final = {fork.name.replace("_", "").lower(): fork for fork in Fork} | {
    "eip150": Fork.TANGERINE_WHISTLE,
    "eip158": Fork.SPURIOUS_DRAGON,
    "constantinoplefix": Fork.PETERSBURG,
    "muirglacier": Fork.ISTANBUL,
    "arrowglacier": Fork.LONDON,
    "grayglacier": Fork.LONDON,
    "merge": Fork.PARIS,
}


@dataclass(frozen=True, slots=True)
class ChainRules:
    """The rules a chain holds transactions to: its fork and its chain id."""

    fork: Fork
    chain_id: int
