"""What the node's commands share: options, one line for what a user can mend, JSON, and amounts as people read them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec

import click
import msgspec
import orjson

from node.errors import NodeError

P = ParamSpec("P")
DEFAULT_CONFIG: Final = "hftnode.toml"

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="HFTNODE_CONFIG",
    show_default=True,
    help="The configuration file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words.")


def user_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Turn a NodeError into its line and exit code 1: what a user can mend is no traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except NodeError as error:
            raise click.ClickException(str(error)) from error

    return wrapped


class FileUnusable(NodeError):
    """A file cannot be read, or is larger than what it can be; the text names it."""


def read_bounded(path: Path, most: int) -> bytes:
    """Return what is in a file of at most so many bytes. Raises `FileUnusable`."""
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        raise FileUnusable(f"{path}: {error.strerror}") from None
    if len(raw) > most:
        raise FileUnusable(f"{path}: more than {most} bytes")
    return raw


def to_json(value: object) -> str:
    """Return a struct as JSON; bytes as 0x-hex."""
    return orjson.dumps(_plain(msgspec.to_builtins(value, builtin_types=(bytes,))), option=orjson.OPT_INDENT_2).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def ether(wei: int | str) -> str:
    """Return wei as ether with up to six decimals; what is smaller shows as gwei or wei."""
    amount = int(wei)
    if amount and abs(amount) < 10**12:
        return f"{_short(Decimal(amount) / 10**9)} gwei" if abs(amount) >= 10**6 else f"{amount} wei"
    return f"{_short(Decimal(amount) / 10**18)} ETH"


def ago(milliseconds: int) -> str:
    """Return a span of time as people say it."""
    seconds = max(0, milliseconds) / 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def microseconds(count: int) -> str:
    """Return a latency in the unit in which it reads best."""
    return f"{count} µs" if count < 1_000 else f"{count / 1_000:.1f} ms"


def short(hexadecimal: str) -> str:
    """Return the beginning and the end of a hash or address."""
    return hexadecimal if len(hexadecimal) <= 14 else f"{hexadecimal[:8]}…{hexadecimal[-4:]}"


def _short(amount: Decimal) -> str:
    return f"{amount:,.6f}".rstrip("0").rstrip(".")
