"""What the vault's commands share: the Safe, changes to a vault, tokens with their units, plans on disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import click

from governance.amounts import AmountUnfit, Unit, parse_ether
from governance.inventory import deposit_change, feed_change, pool_change
from governance.reading import DeployedNetwork
from governance.safe_plans import MAX_PLAN_BYTES, AmountWords, SafePlan, SafePlanUnfit, plan_from_json, plan_to_json
from governance.standing import read_symbol
from governance.vaults import Change, ChangeKind
from node.cli.chain_errors import ChainCommandError
from node.cli.chain_session import Session
from node.cli.chain_types import ADDRESS
from protocol.errors import InvalidField
from protocol.units import (
    BASIS_POINTS_ONE,
    ZERO_ADDRESS,
    Address,
    TokenAmount,
    address_from_hex,
    address_to_hex,
)

safe_option = click.option("--safe", type=ADDRESS, required=True, help="The Safe whose vault it is.")
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where to write the Safe's transactions.",
)


_OF_ADDRESS: Final = {
    "unpin": ChangeKind.UNPIN,
    "operator": ChangeKind.OPERATOR,
    "executor": ChangeKind.EXECUTOR,
    "unit": ChangeKind.UNIT,
}
_OF_SHARE: Final = {"loss_band": ChangeKind.LOSS_BAND, "agreement": ChangeKind.AGREEMENT}
_OF_AMOUNT: Final = {
    "draw": ChangeKind.TOKEN,
    "max_loss": ChangeKind.MAX_LOSS,
    "max_turnover": ChangeKind.MAX_TURNOVER,
    "held_at_least": ChangeKind.HELD_AT_LEAST,
    "held_at_most": ChangeKind.HELD_AT_MOST,
}
_OF_UNIT: Final = (ChangeKind.MAX_LOSS, ChangeKind.MAX_TURNOVER)
"""Their amount is in the vault's unit, which is told so that the amount can be read."""
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) ?%")
_SECONDS: Final = re.compile(r"([0-9]{1,9}) ?(?:s|seconds?)")


def _pair(name: str, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(name, nargs=2, type=(ADDRESS, str), metavar="TOKEN AMOUNT", help=f"Inventory: {what}")


_INVENTORY_OPTIONS: Final = (
    click.option(
        "--exchange",
        nargs=3,
        type=(ADDRESS, ADDRESS, str),
        metavar="ACCOUNT TOKEN AMOUNT",
        help="The most of a token that the hot key may send to an account on an exchange in a day; 0 for none.",
    ),
    _pair("--held-at-most", "what a trade may bring the Safe to, of a token that it buys."),
    _pair("--held-at-least", "what a trade must leave in the Safe, of a token that it sells."),
    click.option(
        "--pool",
        nargs=2,
        type=(ADDRESS, ADDRESS),
        metavar="TOKEN POOL",
        help="Inventory: the Uniswap V3 pool whose mean checks a token's price.",
    ),
    click.option(
        "--feed",
        nargs=3,
        type=(ADDRESS, ADDRESS, str),
        metavar="TOKEN FEED AGE",
        help='Inventory: whence a token\'s price comes, and how old it may be: 0x… 0x… "3600 seconds".',
    ),
    _pair("--max-turnover", "what all trades may sell, in the vault's unit; as much leaks out in a day."),
    _pair("--max-loss", "what all trades may lose, in the vault's unit; as much leaks out in a day."),
    click.option("--agreement", metavar="SHARE", help='Inventory: by how much feed and mean may differ: "1 %".'),
    click.option("--loss-band", metavar="SHARE", help='Inventory: what one trade may lose of what it sells: "0.5 %".'),
    click.option(
        "--unit", type=ADDRESS, metavar="TOKEN", help="Inventory: the token in which it is valued; 0 for none."
    ),
)


def change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Offer the changes that can be made to a vault; exactly one is told."""
    for option in (
        click.option("--executor", type=ADDRESS, help="Another executor contract."),
        click.option("--operator", type=ADDRESS, help="Another hot key."),
        click.option("--unpin", type=ADDRESS, metavar="TOKEN", help="No longer use this token."),
        click.option(
            "--draw",
            nargs=2,
            type=(ADDRESS, str),
            metavar="TOKEN AMOUNT",
            help='The most of a token that one execution may draw: 0x… "100 WETH".',
        ),
        *_INVENTORY_OPTIONS,
        click.option("--bid-cap", help='The most that one execution may cost in bids: "0.5 ether".'),
    ):
        command = option(command)
    return command


async def change_of(session: Session, *, resume: bool = False, **told: Any) -> Change:
    """Return the one change that was told. Raises `click.UsageError` with the choices otherwise."""
    given = {name: value for name, value in told.items() if value is not None}
    if len(given) + resume != 1:
        raise click.UsageError(
            'say one change: --bid-cap "0.5 ether", --draw 0x… "100 WETH", --unpin 0x…, --operator 0x…, --executor 0x…'
            ", or one of inventory mode: --unit, --loss-band, --agreement, --max-loss, --max-turnover, --feed, --pool, "
            "--held-at-least, --held-at-most, --exchange"
        )
    if resume:
        return Change(kind=ChangeKind.PAUSE, value=0)
    ((name, value),) = given.items()
    if name == "bid_cap":
        try:
            return Change(kind=ChangeKind.BID_CAP, value=parse_ether(value))
        except AmountUnfit as error:
            raise click.UsageError(f"--bid-cap: {error}") from error
    if name in _OF_ADDRESS:
        return Change(kind=_OF_ADDRESS[name], subject=value)
    if name in _OF_SHARE:
        return Change(kind=_OF_SHARE[name], value=_basis_points(name, value))
    if name in _OF_AMOUNT:
        kind, amount = _OF_AMOUNT[name], await amount_of(session, *value)
        return Change(kind=kind, subject=ZERO_ADDRESS if kind in _OF_UNIT else value[0], value=amount)
    try:
        return await _of_several(session, name, value)
    except InvalidField as error:
        raise click.UsageError(f"--{name.replace('_', '-')}: {error}") from error


async def _of_several(session: Session, name: str, value: tuple[Any, ...]) -> Change:
    if name == "pool":
        return pool_change(*value)
    if name == "feed":
        token, feed, age = value
        found = _SECONDS.fullmatch(age)
        if found is None:
            raise click.UsageError(f'--feed: {age[:40]!r} is no age: "3600 seconds"')
        return feed_change(token, feed, int(found[1]))
    exchange, token, amount = value
    return deposit_change(exchange, token, TokenAmount(await amount_of(session, token, amount)))


def _basis_points(name: str, text: str) -> int:
    found = _PERCENT.fullmatch(text)
    points = None if found is None else Fraction(found[1]) * 100
    if points is None or points.denominator != 1 or points > BASIS_POINTS_ONE:
        raise click.UsageError(
            f'--{name.replace("_", "-")}: {text[:40]!r} is no share in hundredths of a percent: "0.5 %"'
        )
    return int(points)


async def unit_of(session: Session, token: Address) -> Unit:
    """Return a token's unit, as the token itself tells it."""
    return Unit(*await read_symbol(session.reader, token))


async def amount_of(session: Session, token: Address, text: str) -> int:
    """Return smallest units of an amount in a token's own unit. Raises `click.UsageError`."""
    unit = await unit_of(session, token)
    try:
        return unit.parse(text)
    except AmountUnfit as error:
        raise click.UsageError(str(error)) from error


async def amount_words(session: Session, plan: SafePlan) -> AmountWords:
    """Return what says amounts of the tokens that a plan names; one that tells no unit is told in smallest units."""
    units: dict[str, Unit] = {}
    tokens: set[str] = set()

    def collect(token: str, amount: int) -> str:
        tokens.add(token)
        return str(amount)

    plan.words(collect)
    for token in tokens:
        try:
            units[token] = await unit_of(session, address_from_hex(token))
        except Exception as error:  # a token that lies about itself must not hide what a plan does with it
            session.progress(f"{token} does not tell its unit: {str(error)[:100]}")
    return lambda token, amount: (
        f"{units[token].shown(amount)} ({token})" if token in units else f"{amount} smallest units of {token}"
    )


def module_of(network: DeployedNetwork) -> Address:
    """Return the vault module. Raises `ChainCommandError` if the network's description names none."""
    if network.vault_module is None:
        raise ChainCommandError("the network's description has no vault_module")
    return network.vault_module


def require_of_network(plan: SafePlan, path: Path, network: DeployedNetwork) -> Address:
    """Return the vault module. Raises `ChainCommandError` for a plan of another chain, or that names another module.

    Whoever gets a Safe to enable a module of hers has all its funds, and files go from owner to owner.
    """
    module = module_of(network)
    if plan.chain_id != network.chain_id:
        raise ChainCommandError(f"{path} is for chain {plan.chain_id}, the network is on {network.chain_id}")
    if plan.module != module:
        raise ChainCommandError(
            f"{path} names {address_to_hex(plan.module)} as the vault module, the network has {address_to_hex(module)}",
            "sign nothing of that file; ask whoever made it",
        )
    return module


def read_plan(path: Path) -> SafePlan:
    """Read a plan's file. Raises `ChainCommandError`."""
    try:
        with path.open("rb") as file:
            return plan_from_json(file.read(MAX_PLAN_BYTES + 1), str(path))
    except OSError as error:
        raise ChainCommandError(f"{path}: {error.strerror}") from None
    except SafePlanUnfit as error:
        raise ChainCommandError(str(error)) from None


def write_plan(path: Path, plan: SafePlan, *, anew: bool) -> None:
    """Write a plan's file; `anew`: not over one that is there. Raises `ChainCommandError`."""
    write_file(path, plan_to_json(plan), anew=anew)


def write_file(path: Path, raw: bytes, *, anew: bool) -> None:
    """Write a file; `anew`: not over one that is there. Raises `ChainCommandError`."""
    try:
        with path.open("xb" if anew else "wb") as file:
            file.write(raw)
    except FileExistsError:
        raise ChainCommandError(f"{path} is there already: nothing was written") from None
    except OSError as error:
        raise ChainCommandError(f"{path}: {error.strerror}") from None
