"""`hftnode devnet …`: the commands of the local chain."""

from __future__ import annotations

import click


@click.group()
def devnet() -> None:
    """A local chain with genuine protocols, realistic traders and a Flashbots-style relay."""
