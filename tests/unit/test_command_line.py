"""The command line: one clear line for every failure, and an exit code that tells whose fault it is."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner, Result

from node.cli.main import CommandLine, main


@pytest.fixture
def command_line() -> CommandLine:
    @click.group(cls=CommandLine)
    def group() -> None: ...

    @group.command()
    def mistaken() -> None:
        raise click.ClickException("the port 8545 is taken: choose another with --port")

    @group.command()
    def broken() -> None:
        raise KeyError("balance")

    @group.command()
    def fine() -> None:
        click.echo("done")

    assert isinstance(group, CommandLine)
    return group


def _run(group: click.Group, *words: str) -> Result:
    return CliRunner().invoke(group, list(words))


def test_help_names_the_devnet() -> None:
    result = _run(main, "--help")

    assert result.exit_code == 0
    assert "devnet" in result.stdout


def test_a_mistyped_command_is_answered_with_the_nearest_one() -> None:
    result = _run(main, "devent")

    assert result.exit_code == 2
    assert "Did you mean 'devnet'?" in result.stderr


def test_a_command_that_works_ends_with_zero(command_line: CommandLine) -> None:
    assert _run(command_line, "fine").exit_code == 0


def test_a_users_mistake_is_one_line_and_exit_code_1(command_line: CommandLine) -> None:
    result = _run(command_line, "mistaken")

    assert result.exit_code == 1
    assert result.stderr == "Error: the port 8545 is taken: choose another with --port\n"


def test_a_fault_of_the_program_is_one_line_and_exit_code_70(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HFTNODE_DEBUG", raising=False)

    result = _run(command_line, "broken")

    assert result.exit_code == 70
    assert result.stderr.startswith("Error: KeyError: 'balance'. This is a fault of hftnode")
    assert result.stderr.count("\n") == 1


def test_with_debugging_on_the_traceback_shows(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTNODE_DEBUG", "1")

    assert isinstance(_run(command_line, "broken").exception, KeyError)
