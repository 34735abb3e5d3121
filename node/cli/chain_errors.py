"""How a command that speaks to the chain ends, as numbers that stay the same, and the errors behind them.

0 done, also a dry run                     4 refused: a contract would revert, or did; its reason in words
1 the user can mend it                     5 nobody agreed: no --yes, and no terminal to ask on, or the answer was no
2 used wrongly; nothing was asked          6 sent and not mined within the deadline: it may still be
                                           70 a fault of hftnode
"""

from __future__ import annotations

from typing import Final

from node.errors import NodeError

MENDABLE: Final = 1
REFUSED: Final = 4
NOT_AGREED: Final = 5
NOT_MINED: Final = 6


class ChainCommandError(NodeError):
    """A command did not do its work. `code` is its exit code, `advice` the command to go on with, if there is one."""

    code = MENDABLE

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(f"{what}\nNext: {advice}" if advice else what)
        self.what, self.advice = what, advice


class Refused(ChainCommandError):
    """A contract would revert, or did."""

    code = REFUSED


class NotAgreed(ChainCommandError):
    """Nobody agreed to what would have been sent."""

    code = NOT_AGREED


class NotMinedInTime(ChainCommandError):
    """Sent, and not mined within the deadline."""

    code = NOT_MINED
