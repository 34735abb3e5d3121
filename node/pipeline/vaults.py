"""Our own Safes as a source of capital: which tokens each hot key may use, and how much of them it may draw.

The owners pin tokens and set the most that one execution may draw (`VaultModule`); what is drawn comes back in the same
transaction, so that several executions of a block may draw the same.
"""

from __future__ import annotations

from node.pipeline.amm.units import TokenAmount
from node.pipeline.events import VaultRead
from protocol.units import Address


class Vaults:
    """What was read last of each hot key and token; of what was not read yet, the simulation tells."""

    def __init__(self) -> None:
        self._drawable: dict[tuple[Address, Address], TokenAmount | None] = {}

    def read(self, event: VaultRead) -> None:
        """Take in what a Safe allows."""
        self._drawable[event.sender, event.token] = event.drawable

    def forget(self, sender: Address) -> None:
        """A hot key is ours no more."""
        self._drawable = {key: amount for key, amount in self._drawable.items() if key[0] != sender}

    def lets(self, sender: Address, token: Address, drawn: TokenAmount) -> bool:
        """Whether a hot key may execute in a token and draw so much of it."""
        drawable = self._drawable.get((sender, token), 0)
        return drawable is not None and drawn <= drawable

    def drawable(self, sender: Address, token: Address) -> TokenAmount:
        """The most of a token that one execution of a hot key may draw."""
        return self._drawable.get((sender, token)) or 0

    def most(self, token: Address) -> TokenAmount | None:
        """The most that any hot key may draw of a token; None if none may use it."""
        known = [amount for (_, of), amount in self._drawable.items() if of == token]
        allowed = [amount for amount in known if amount is not None]
        return max(allowed) if allowed else (None if known else 0)

    def draws(self, sender: Address) -> bool:
        """Whether a hot key may draw anything."""
        return any(amount for (key, _), amount in self._drawable.items() if key == sender)
