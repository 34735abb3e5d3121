"""The entry point of `hftnode`: collects the command groups and turns user errors into one clear line."""

from __future__ import annotations

import importlib.metadata

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(importlib.metadata.version("hftnode"), prog_name="hftnode")
def main() -> None:
    """A peer-to-peer node for on-chain arbitrage. Your funds stay in your Safe."""


for _entry in importlib.metadata.entry_points(group="hftnode.commands"):
    main.add_command(_entry.load(), _entry.name)
