"""What the vault's commands share: the Safe, changes to a vault, tokens with their units, plans on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from governance.amounts import AmountUnfit, Unit, parse_ether
from governance.reading import DeployedNetwork
from governance.safe_plans import MAX_PLAN_BYTES, AmountWords, SafePlan, SafePlanUnfit, plan_from_json, plan_to_json
from governance.standing import read_symbol
from governance.vaults import Change, ChangeKind
from node.cli.chain_errors import ChainCommandError
from node.cli.chain_session import Session
from node.cli.chain_types import ADDRESS
from protocol.units import Address, address_from_hex, address_to_hex

safe_option = click.option("--safe", type=ADDRESS, required=True, help="The Safe whose vault it is.")
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where to write the Safe's transactions.",
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
        click.option("--bid-cap", help='The most that one execution may cost in bids: "0.5 ether".'),
    ):
        command = option(command)
    return command


async def change_of(
    session: Session,
    *,
    bid_cap: str | None,
    draw: tuple[Address, str] | None,
    unpin: Address | None,
    operator: Address | None,
    executor: Address | None,
    resume: bool = False,
) -> Change:
    """Return the one change that was told. Raises `click.UsageError` with the choices otherwise."""
    told = [each is not None for each in (bid_cap, draw, unpin, operator, executor)].count(True) + resume
    if told != 1:
        raise click.UsageError(
            'say one change: --bid-cap "0.5 ether", --draw 0x… "100 WETH", --unpin 0x…, --operator 0x…, --executor 0x…'
        )
    if resume:
        return Change(kind=ChangeKind.PAUSE, value=0)
    if bid_cap is not None:
        try:
            return Change(kind=ChangeKind.BID_CAP, value=parse_ether(bid_cap))
        except AmountUnfit as error:
            raise click.UsageError(f"--bid-cap: {error}") from error
    if draw is not None:
        return Change(kind=ChangeKind.TOKEN, subject=draw[0], value=await amount_of(session, *draw))
    if unpin is not None:
        return Change(kind=ChangeKind.UNPIN, subject=unpin)
    if operator is not None:
        return Change(kind=ChangeKind.OPERATOR, subject=operator)
    return Change(kind=ChangeKind.EXECUTOR, subject=Address(bytes(executor or b"")))


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
