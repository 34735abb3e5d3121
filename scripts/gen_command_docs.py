"""The page of docs/reference that lists every command: out of the command line itself, in its order."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from node.cli.main import main

_WIDTH = 120
_READING = frozenset({"config_path", "network_path", "rpc_url", "as_json"})
_CHANGING = _READING | {"keystore", "password_file", "yes", "dry_run", "deadline"}
_INTRO = (
    "# Commands",
    "",
    "Every command of `hftnode` with what it takes. Generated from the command line by `scripts/gen-docs`.",
    "",
    "Commands that change the chain show what they will do, simulate it, ask (with `--yes` not), wait with a deadline,",
    "and end with the receipts or the contract's reason in words. Exit codes of the commands that speak to the chain:",
    "",
    "| code | meaning |",
    "|---|---|",
    "| 0 | done; also a dry run |",
    "| 1 | the user can mend it: the line says how |",
    "| 2 | used wrongly; nothing was asked |",
    "| 4 | refused: a contract would revert, or did; its reason in words |",
    "| 5 | nobody agreed: no `--yes` and no terminal to ask on, or the answer was no |",
    "| 6 | sent and not mined within the deadline: it may still be |",
    "| 70 | a fault of hftnode |",
)


def commands_page() -> str:
    """Every command, its arguments and options."""
    lines = [*_INTRO, *_shared_section()]
    for path, command in leaves(main, ("hftnode",)):
        lines += _section(path, command)
    return "\n".join(lines) + "\n"


def leaves(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that does something, with its words, in the order of the alphabet."""
    context = click.Context(group)
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        if command is None:
            continue
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        elif not command.hidden:
            yield (*path, name), command


def _section(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(path))
    usage = " ".join([" ".join(path), *command.collect_usage_pieces(context)])
    yield from ("", f"## {' '.join(path)}", "", f"    {usage}", "")
    for paragraph in (command.help or "").split("\n\n"):
        yield from (*textwrap.wrap(" ".join(paragraph.split()), _WIDTH, break_on_hyphens=False), "")
    shared = _shared(command)
    params = [each for each in command.params if each.name not in shared]
    records = [found for each in params if (found := each.get_help_record(context)) is not None]
    if records:
        yield from ("| option | meaning |", "|---|---|")
        yield from (f"| `{option}` | {' '.join(meaning.split())} |" for option, meaning in records)
    if shared:
        yield from ("", f"And the options of every command that {'changes' if 'yes' in shared else 'reads'} the chain.")


def _shared(command: click.Command) -> frozenset[str]:
    """Return the names of those of its options that all commands of its kind have."""
    names = {each.name for each in command.params}
    return next((kind for kind in (_CHANGING, _READING) if kind <= names), frozenset())


def _shared_section() -> Iterator[str]:
    """Tell the options that all commands which change the chain have; the last four are those of all which read it."""
    command = main.get_command(click.Context(main), "join")
    assert command is not None
    context = click.Context(command)
    yield from ("", "## Options that they share", "", "| option | of commands that | meaning |", "|---|---|---|")
    for each in command.params:
        record = each.get_help_record(context)
        if each.name in _CHANGING and record is not None:
            which = "read or change" if each.name in _READING else "change"
            yield f"| `{record[0]}` | {which} | {' '.join(record[1].split())} |"
