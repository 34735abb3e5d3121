"""What takes the Safe: its transactions are written to a file, told, signed by owners, collected, executed.

create | withdraw | loosen ──▶ FILE ──▶ sign (each owner, also offline) ──▶ collect ──▶ execute
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from governance.actions import Action
from governance.contracts import VAULT_MODULE
from governance.network import balance_query, transfer_call
from governance.reading import NetworkMalformed
from governance.safe_plans import SafePlan, SafePlanUnfit, builder_json, change_words
from governance.vault_reading import SafeStanding, read_due, read_safe, read_vault
from governance.vaults import SafeTransaction, enable_module_call, enact_call, open_vault_call, propose_call
from node.cli.carry_out import carry_out
from node.cli.chain_errors import ChainCommandError
from node.cli.chain_session import Session, changing, network_option, read_network, reading
from node.cli.chain_types import ADDRESS, ETHER_AMOUNT
from node.cli.chain_words import moment
from node.cli.vault_options import (
    amount_of,
    amount_words,
    change_of,
    change_options,
    module_of,
    out_option,
    read_plan,
    require_of_network,
    safe_option,
    unit_of,
    write_file,
    write_plan,
)
from node.cli.words import user_errors
from node.core_dumps import forbid_core_dumps
from node.keyfile import Password, PasswordUnusable, read_keystore, read_password
from protocol.ethereum.keys import SigningKey
from protocol.units import Address, TokenAmount, Wei, address_to_hex

_PLAN = click.Path(path_type=Path, dir_okay=False)
_ADVICE = {
    "NotProposed": "`hftnode vault loosen` proposes it; a tightening since has voided what was proposed before",
    "TooEarly": "wait: a loosening is due 48 hours after the Safe proposed it",
    "TooLate": "`hftnode vault loosen` proposes it again",
    "Error": "the Safe refused: its nonce has moved, or a signature is no owner's; make and sign the plan anew",
}


@click.command()
@safe_option
@click.option("--hot-key", type=ADDRESS, required=True, help="The address of the hot key that may execute.")
@click.option("--executor", type=ADDRESS, required=True, help="The executor contract.")
@click.option("--bid-cap", type=ETHER_AMOUNT, required=True, help='Most that one execution may bid: "0.5 ether".')
@click.option(
    "--draw",
    "draws",
    nargs=2,
    type=(ADDRESS, str),
    multiple=True,
    metavar="TOKEN AMOUNT",
    help='A token to pin, and the most that one execution may draw of it: 0x… "100 WETH". Several times for several.',
)
@out_option
@reading
async def create(
    session: Session,
    safe: Address,
    hot_key: Address,
    executor: Address,
    bid_cap: int,
    draws: tuple[tuple[Address, str], ...],
    out: Path,
) -> None:
    """Prepare the opening of a Safe's vault: let the module act for it, and set the limits."""
    module = module_of(session.network)
    stands = await read_safe(session.reader, safe, module)
    vault = await read_vault(session.reader, safe, module)
    if vault.opened:
        raise ChainCommandError(
            "this Safe's vault is open: it is changed by tighten and loosen", "`hftnode vault status`"
        )
    if not draws:
        raise click.UsageError('say what may be drawn: --draw 0x… "100 WETH"; "0 WETH" is for borrowed funds only')
    pinned = [(token, TokenAmount(await amount_of(session, token, text))) for token, text in draws]
    calls = [] if stands.has_module else [(safe, enable_module_call(module))]
    calls.append((module, open_vault_call(hot_key, executor, Wei(bid_cap), pinned)))
    await _prepared(session, stands, calls, out)


@click.command()
@safe_option
@click.argument("token", type=ADDRESS)
@click.argument("amount")
@click.option("--to", type=ADDRESS, required=True, help="Who gets it.")
@out_option
@reading
async def withdraw(session: Session, safe: Address, token: Address, amount: str, to: Address, out: Path) -> None:
    """Prepare to send AMOUNT of TOKEN, for example 0x… "10 WETH", out of the Safe. No pause and no limit hinders it."""
    stands = await read_safe(session.reader, safe, module_of(session.network))
    units = TokenAmount(await amount_of(session, token, amount))
    held = await session.reader.ask(balance_query(token, safe))
    if held < units:
        unit = await unit_of(session, token)
        raise ChainCommandError(f"the Safe has {unit.shown(held)}: nothing was written")
    await _prepared(session, stands, [(token, transfer_call(to, units))], out)


@click.command()
@safe_option
@change_options
@click.option("--resume", is_flag=True, help="Lift the pause.")
@out_option
@reading
async def loosen(session: Session, /, safe: Address, resume: bool, out: Path, **told: Any) -> None:
    """Prepare the proposal of one change that loosens: it is due 48 hours after the Safe has made it."""
    module = module_of(session.network)
    stands = await read_safe(session.reader, safe, module)
    change = await change_of(session, resume=resume, **told)
    await _prepared(session, stands, [(module, propose_call(change))], out)


@click.command()
@safe_option
@change_options
@click.option("--resume", is_flag=True, help="Lift the pause.")
@changing
async def enact(session: Session, /, safe: Address, resume: bool, **told: Any) -> None:
    """Make one change that the Safe proposed and that is due, told as it was proposed. Anybody may."""
    module = module_of(session.network)
    change = await change_of(session, resume=resume, **told)
    words = change_words(change, lambda token, amount: f"{amount} smallest units of {token}")
    due = await read_due(session.reader, safe, module, (int(change.kind), address_to_hex(change.subject), change.value))
    effects = [f"for the vault of {address_to_hex(safe)}: {words}"]
    effects.append("it was not proposed, or is void" if due is None else f"due since {moment(due)}")
    action = Action(contract=VAULT_MODULE, to=module, data=enact_call(safe, change), title=words)
    then = "`hftnode vault status` shows how it stands"
    await carry_out(session, session.key(), [action], effects=effects, then=then, advice=_advice)


@click.command("show")
@click.argument("plan", type=_PLAN)
@reading
async def show_plan(session: Session, plan: Path) -> None:
    """Say in plain words what the Safe's transactions in PLAN do, and who has signed."""
    found = read_plan(plan)
    module = require_of_network(found, plan, session.network)
    stands = await read_safe(session.reader, found.safe, module)
    words = found.words(await amount_words(session, found), module)
    session.answer(_told(found, stands, words), _value(found, stands, words))


@click.command()
@click.argument("plan", type=_PLAN)
@click.option("--keystore", type=click.Path(path_type=Path), required=True, help="Keystore of an owner.")
@click.option("--password-file", type=click.Path(path_type=Path), envvar="HFTNODE_PASSWORD_FILE")
@network_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@user_errors
def sign(plan: Path, keystore: Path, password_file: Path | None, network_path: Path | None, yes: bool) -> None:
    """Sign PLAN as one owner; asks no chain, so that it can be done on a machine without a network.

    What is signed is told in plain words before; amounts are in smallest units, as no token can be asked. With
    --network a plan for another chain or another vault module is refused; without it, which address is the vault
    module is the file's word alone, and is told so.
    """
    found = read_plan(plan)
    try:
        network = None if network_path is None else read_network(network_path)
    except NetworkMalformed as error:
        raise ChainCommandError(str(error)) from None
    module = None if network is None else require_of_network(found, plan, network)
    for line in _listed(found, found.words(lambda token, amount: f"{amount} smallest units of {token}", module)):
        click.echo(line)
    if not yes:
        if not sys.stdin.isatty():
            raise ChainCommandError("nothing was signed: nobody is here to agree; use --yes")
        click.confirm("Sign it?", abort=True)
    forbid_core_dumps()
    if password_file is not None:
        password = read_password(password_file)
    elif sys.stdin.isatty():
        password = Password(click.prompt(f"Password of {keystore}", hide_input=True))
    else:
        raise PasswordUnusable(f"nobody is here to type the password of {keystore}: use --password-file")
    key = SigningKey(read_keystore(keystore, password))
    write_plan(plan, found.signed(key), anew=False)
    click.echo(f"Signed by {key.address}. Next: `hftnode vault execute {plan}`, when enough owners have signed")


@click.command()
@click.argument("plan", type=_PLAN)
@click.argument("others", type=_PLAN, nargs=-1, required=True)
@user_errors
def collect(plan: Path, others: tuple[Path, ...]) -> None:
    """Take the signatures of OTHERS, copies of PLAN that owners have signed elsewhere, into PLAN."""
    found = read_plan(plan)
    for other in others:
        try:
            found = found.merged(read_plan(other))
        except SafePlanUnfit as error:
            raise ChainCommandError(f"{other}: {error}") from None
    write_plan(plan, found, anew=False)
    click.echo(f"{plan} has the signatures of {len(found.signatures)} owners")


@click.command()
@click.argument("plan", type=_PLAN)
@out_option
@user_errors
def export(plan: Path, out: Path) -> None:
    """Write PLAN as Safe's Transaction Builder imports it, to be signed with any wallet that Safe's app knows."""
    write_file(out, builder_json(read_plan(plan)), anew=True)
    click.echo(f"{out}: import it in the Safe's app under Transaction Builder")


@click.command()
@click.argument("plan", type=_PLAN)
@changing
async def execute(session: Session, plan: Path) -> None:
    """Send the Safe's transactions in PLAN. Whoever sends pays the gas; what counts are the owners' signatures."""
    found = read_plan(plan)
    module = require_of_network(found, plan, session.network)
    stands = await read_safe(session.reader, found.safe, module)
    if stands.nonce != found.transactions[0].nonce:
        raise ChainCommandError(
            f"the Safe's nonce is {stands.nonce}, {plan} begins with {found.transactions[0].nonce}: "
            "it was executed, or another transaction came first; make it anew"
        )
    try:
        datas = found.executions(stands.owners, stands.threshold)
    except SafePlanUnfit as error:
        raise ChainCommandError(
            f"nothing was sent; {error}", f"`hftnode vault sign {plan}`, as another owner"
        ) from error
    words = found.words(await amount_words(session, found), module)
    actions = [
        Action(contract=VAULT_MODULE, to=found.safe, data=data, title=f"the Safe: {each}")
        for data, each in zip(datas, words, strict=True)
    ]
    then = "`hftnode vault status` shows how it stands"
    await carry_out(session, session.key(), actions, effects=[], then=then, advice=_advice)


SAFE_COMMANDS = (create, withdraw, loosen, enact, show_plan, sign, collect, export, execute)


async def _prepared(session: Session, stands: SafeStanding, calls: list[tuple[Address, bytes]], out: Path) -> None:
    """Write the Safe's transactions from its next nonce on, and tell them."""
    plan = SafePlan(
        chain_id=session.network.chain_id,
        safe=stands.safe,
        module=module_of(session.network),
        transactions=tuple(SafeTransaction(to, data, stands.nonce + place) for place, (to, data) in enumerate(calls)),
    )
    words = plan.words(await amount_words(session, plan), plan.module)
    write_plan(out, plan, anew=True)
    session.answer(
        [*_told(plan, stands, words), f"Next: `hftnode vault sign {out}`, as {stands.threshold} owners"],
        _value(plan, stands, words),
    )


def _listed(plan: SafePlan, words: list[str]) -> list[str]:
    """What the transactions are, and what owners sign: to be held against what the wallet or another owner shows."""
    return [
        f"The Safe {address_to_hex(plan.safe)} on chain {plan.chain_id}:",
        *(f"  nonce {each.nonce}: {text}" for each, text in zip(plan.transactions, words, strict=True)),
        *(f"  to be signed: 0x{digest.hex()}" for digest in plan.digests()),
    ]


def _told(plan: SafePlan, stands: SafeStanding, words: list[str]) -> list[str]:
    signed = [owner for owner in plan.signatures if owner in stands.owners]
    return [
        *_listed(plan, words),
        f"signed by {len(signed)} of the {stands.threshold} owners it takes"
        + "".join(f", {address_to_hex(owner)}" for owner in signed),
    ]


def _value(plan: SafePlan, stands: SafeStanding, words: list[str]) -> dict[str, Any]:
    return {
        "safe": plan.safe,
        "chain_id": plan.chain_id,
        "transactions": [
            {"nonce": each.nonce, "to": each.to, "data": each.data, "words": text, "digest": digest}
            for each, text, digest in zip(plan.transactions, words, plan.digests(), strict=True)
        ],
        "signed_by": [owner for owner in plan.signatures if owner in stands.owners],
        "threshold": stands.threshold,
    }


def _advice(name: str) -> str:
    return _ADVICE.get(name, "")
