"""`hftnode vault …`: how a vault stands, its limits and theft bound, deposits, tightening; the rest takes the Safe."""

from __future__ import annotations

from typing import Any

import click

from governance.actions import Action
from governance.amounts import ETHER, Unit
from governance.contracts import VAULT_MODULE
from governance.network import balance_query, transfer_call
from governance.safe_plans import change_words
from governance.vault_reading import (
    InventoryStanding,
    PinnedToken,
    SafeStanding,
    VaultStanding,
    read_inventory,
    read_pinned,
    read_safe,
    read_vault,
)
from governance.vaults import Change, ChangeKind, tighten_call
from node.cli.carry_out import carry_out
from node.cli.chain_session import Session, changing, reading
from node.cli.chain_types import ADDRESS
from node.cli.vault_options import amount_of, change_of, change_options, module_of, safe_option, unit_of
from node.cli.vault_safe import SAFE_COMMANDS
from protocol.units import ZERO_ADDRESS, Address, BasisPoints, TokenAmount, address_from_hex, address_to_hex

_STATUS = "`hftnode vault status` shows how it stands"
_ADVICE = {
    "NotTighter": "`hftnode vault loosen` proposes a change that loosens: it takes the Safe and 48 hours",
    "NotGuardian": "act by an owner of the Safe or by the vault's hot key",
    "NotOpened": "`hftnode vault create` opens a Safe's vault",
    "ERC20InsufficientBalance": "the account has less of the token than that",
}


@click.group("vault")
def vault_group() -> None:
    """A Safe's vault: funds that the hot key can trade with and cannot take."""


for _command in SAFE_COMMANDS:
    vault_group.add_command(_command)


@vault_group.command()
@safe_option
@reading
async def status(session: Session, safe: Address) -> None:
    """Show who owns the Safe, who may execute, whether it is paused, and what it holds."""
    stands, vault, pinned = await _read(session, safe)
    lines = [
        f"safe      {address_to_hex(safe)}, nonce {stands.nonce}: {stands.threshold} of {len(stands.owners)} sign",
        *(f"owner     {address_to_hex(owner)}" for owner in stands.owners),
        f"module    {'enabled' if stands.has_module else 'NOT enabled: nothing can be drawn'}",
    ]
    if not vault.opened:
        lines.append("vault     not opened: `hftnode vault create` opens it")
    else:
        lines += [
            f"vault     {'PAUSED' if vault.paused else 'open'}",
            f"hot key   {_or_none(vault.operator)}, with {ETHER.shown(vault.hot_key_wei)} for gas",
            f"executor  {_or_none(vault.executor)}",
            *(f"holds     {_unit(each).shown(each.held)} ({address_to_hex(each.token)})" for each in pinned),
        ]
    session.answer(lines, _value(stands, vault, pinned))


@vault_group.command()
@safe_option
@click.option(
    "--price-error-bps",
    type=click.IntRange(0, 9_999),
    default=100,
    show_default=True,
    help="Inventory mode: by how much feed and pool together may be off a token's true price, for the bound.",
)
@reading
async def limits(session: Session, safe: Address, price_error_bps: int) -> None:
    """Show what the hot key may do, and the most that its thief could cost."""
    stands, vault, pinned = await _read(session, safe)
    inventory, error = (
        await read_inventory(session.reader, safe, module_of(session.network)),
        BasisPoints(price_error_bps),
    )
    burst = TokenAmount(0) if inventory is None else _burst(inventory, pinned, error)
    lines = [f"one execution may cost  {ETHER.shown(vault.bid_cap)} in bids, out of what it earns"]
    lines += [f"one execution may draw  {_unit(each).shown(each.max_draw)}, and returns as much" for each in pinned]
    lines += [] if inventory is None else _inventory_words(inventory)
    lines += [
        "",
        "If the hot key is stolen, while nobody acts:",
        "  principal       0: an execution that does not return what it drew reverts (P14)"
        if inventory is None
        else f"  by trades       {_burst_words(inventory, burst, error)}",
        f"  gas             {ETHER.shown(vault.hot_key_wei)}: all that the hot key holds, and what it is given later",
        "  profit          executions at no profit: what would have been earned",
        "  on exchanges    whatever is there is outside of this bound",
        "Any one owner ends it at once: `hftnode vault pause`.",
    ]
    bound = {
        "principal": burst,
        "gas": vault.hot_key_wei,
    }
    session.answer(lines, {**_value(stands, vault, pinned), "theft_bound": bound})


@vault_group.command()
@safe_option
@click.argument("token", type=ADDRESS)
@click.argument("amount")
@changing
async def deposit(session: Session, safe: Address, token: Address, amount: str) -> None:
    """Send AMOUNT of TOKEN, for example 0x… "10 WETH", from the account of --keystore to the Safe."""
    units = TokenAmount(await amount_of(session, token, amount))
    await read_safe(session.reader, safe, module_of(session.network))
    key, unit = session.key(), await unit_of(session, token)
    mine = await session.reader.ask(balance_query(token, address_from_hex(key.address)))
    its = await session.reader.ask(balance_query(token, safe))
    effects = [
        f"the account's {unit.symbol}: {unit.shown(mine)} → {unit.shown(mine - units)}",
        f"the Safe's {unit.symbol}: {unit.shown(its)} → {unit.shown(its + units)}",
        "to take it out again takes the Safe: `hftnode vault withdraw`",
    ]
    title = f"send {unit.shown(units)} to the Safe {address_to_hex(safe)}"
    action = Action(contract=unit.symbol, to=token, data=transfer_call(safe, units), title=title)
    await carry_out(session, key, [action], effects=effects, then=_STATUS, advice=_advice)


@vault_group.command()
@safe_option
@changing
async def pause(session: Session, safe: Address) -> None:
    """Pause the vault, at once: by any one owner or the hot key. To lift it takes the Safe and 48 hours."""
    await _tighten(session, safe, Change(kind=ChangeKind.PAUSE, value=1))


@vault_group.command()
@safe_option
@change_options
@changing
async def tighten(session: Session, /, safe: Address, **told: Any) -> None:
    """Make one change that tightens, at once: by any one owner or the hot key. It voids what was proposed before.

    An operator or executor of 0x0000000000000000000000000000000000000000 is none.
    """
    await _tighten(session, safe, await change_of(session, **told))


async def _tighten(session: Session, safe: Address, change: Change) -> None:
    module, key = module_of(session.network), session.key()
    units = {} if change.kind is not ChangeKind.TOKEN else {change.subject: await unit_of(session, change.subject)}

    def amount(token: str, value: int) -> str:
        unit = units.get(address_from_hex(token))
        return f"{value} of {token}" if unit is None else unit.shown(value)

    words = change_words(change, amount)
    effects = [f"for the vault of {address_to_hex(safe)}: {words}", "what was proposed before is void"]
    action = Action(contract=VAULT_MODULE, to=module, data=tighten_call(safe, change), title=words)
    await carry_out(session, key, [action], effects=effects, then=_STATUS, advice=_advice)


async def _read(session: Session, safe: Address) -> tuple[SafeStanding, VaultStanding, list[PinnedToken]]:
    module = module_of(session.network)
    stands = await read_safe(session.reader, safe, module)
    vault = await read_vault(session.reader, safe, module)
    return stands, vault, await read_pinned(session.reader, safe, module)


def _value(stands: SafeStanding, vault: VaultStanding, pinned: list[PinnedToken]) -> dict[str, Any]:
    return {
        "safe": stands.safe,
        "owners": list(stands.owners),
        "threshold": stands.threshold,
        "nonce": stands.nonce,
        "module_enabled": stands.has_module,
        "opened": vault.opened,
        "paused": vault.paused,
        "hot_key": vault.operator,
        "hot_key_wei": vault.hot_key_wei,
        "executor": vault.executor,
        "bid_cap_wei": vault.bid_cap,
        "tokens": [
            {"token": each.token, "symbol": each.symbol, "max_draw": each.max_draw, "held": each.held}
            for each in pinned
        ],
    }


def _inventory_words(inventory: InventoryStanding) -> list[str]:
    unit, most = Unit(inventory.symbol, inventory.decimals), inventory.limits
    return [
        f"one trade may lose      {most.loss_band / 100:g} % of what it sells",
        f"all trades may lose     {unit.shown(most.max_loss)}, of which {unit.shown(inventory.lost)} are used",
        f"all trades may sell     {unit.shown(most.max_turnover)}, of which {unit.shown(inventory.sold)} are used",
    ]


def _burst(inventory: InventoryStanding, pinned: list[PinnedToken], error: BasisPoints) -> TokenAmount:
    """Return the bound, whatever of what is pinned has a market yet, in smallest units of the unit."""
    priced = sum(each.token != inventory.limits.unit for each in pinned)
    return inventory.limits.theft_bound_rounded_up(error, priced_tokens=priced)


def _burst_words(inventory: InventoryStanding, burst: TokenAmount, error: BasisPoints) -> str:
    shown = Unit(inventory.symbol, inventory.decimals).shown(burst)
    return f"{shown} at once, if each token's price is {error / 100:g} % off; each further day as much again"


def _unit(pinned: PinnedToken) -> Unit:
    return Unit(pinned.symbol, pinned.decimals)


def _or_none(address: Address) -> str:
    return "none" if address == ZERO_ADDRESS else address_to_hex(address)


def _advice(name: str) -> str:
    return _ADVICE.get(name, "")
