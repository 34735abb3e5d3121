"""How a command changes the chain: shows, simulates, asks, sends, waits, and says what to do next.

    show ──▶ simulate ──▶ (--dry-run: end) ──▶ ask (--yes: not) ──▶ send, wait, for each ──▶ receipts, next command

Nothing is asked without a terminal, and nothing is waited for longer than `--deadline`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from governance.actions import Action
from governance.amounts import ETHER
from governance.standing import Head, read_head
from governance.transactions import (
    ActionRefused,
    CannotPay,
    Receipt,
    Sender,
    Simulated,
    WrongChain,
)
from node.cli.chain_errors import ChainCommandError, NotAgreed, NotMinedInTime, Refused
from node.cli.chain_session import Session
from node.cli.chain_words import moment
from protocol.ethereum.keys import KeccakSigner, checksum_address
from protocol.units import BlockNumber, Hash32, Wei, address_to_hex

LOOK_SECONDS: Final = 0.25
_LOOKS_A_LINE: Final = 20


async def carry_out(
    session: Session,
    key: KeccakSigner,
    actions: Sequence[Action],
    *,
    effects: Sequence[str],
    then: str,
    advice: Callable[[str], str] = lambda _name: "",
) -> None:
    """Carry out the actions as the key's account, one transaction each.

    `effects` say in numbers what is different afterwards, `then` is the next command, `advice` the command that helps
    when a contract refuses with an error of that name. Raises `ChainCommandError`.
    """
    sender = Sender(session.rpc, session.network.chain_id, key)
    _show(session, key, actions, effects)
    try:
        simulated = await sender.simulate(actions)
        cost = await sender.require_funds(simulated)
    except ActionRefused as error:
        raise Refused(f"nothing was sent; {error}", advice(error.name)) from error
    except (CannotPay, WrongChain) as error:
        raise ChainCommandError(f"nothing was sent; {error}") from error
    later = sum(not each.gas for each in simulated)
    session.say(
        f"Simulated on the latest block: {'all go through' if not later else 'the first goes through'}, "
        f"for at most {ETHER.shown(cost)} of gas" + (f"; {later} more when their turn comes" if later else "")
    )
    if session.options.dry_run:
        words = ["Nothing was sent: this was a dry run. Without --dry-run it is done."]
        session.answer(words, _told(key, simulated, effects, cost, [], then, dry_run=True))
        return
    agree(yes=session.options.yes, as_json=session.options.as_json)
    receipts = [await _one(session, sender, each, advice) for each in simulated]
    words = [_sentence(receipt) for receipt in receipts] + [f"Next: {then}"]
    session.answer(words, _told(key, simulated, effects, cost, receipts, then, dry_run=False))


async def wait_for_block(session: Session, block: BlockNumber) -> Head:
    """Wait until a block is the last one; return the head. Raises `NotMinedInTime` when the deadline passes before."""
    return await _wait_for(session, f"block {block}", lambda head: head.number >= block)


async def wait_for_time(session: Session, seconds: int) -> Head:
    """Wait until the chain's time has come; return the head. Raises `NotMinedInTime` when that takes too long."""
    return await _wait_for(session, moment(seconds), lambda head: head.timestamp >= seconds)


async def _wait_for(session: Session, what: str, has_come: Callable[[Head], bool]) -> Head:
    begun, looks = session.clock.monotonic(), 0
    while not has_come(head := await read_head(session.reader)):
        waited = session.clock.monotonic() - begun
        if waited > session.options.deadline:
            raise NotMinedInTime(f"{what} has not come after {waited:.0f} s; the last block is {head.number}")
        if looks % _LOOKS_A_LINE == 0:
            session.progress(f"waiting for {what}: the last block is {head.number}, {moment(head.timestamp)}")
        looks += 1
        await session.clock.sleep(LOOK_SECONDS)
    return head


def _show(session: Session, key: KeccakSigner, actions: Sequence[Action], effects: Sequence[str]) -> None:
    session.say(f"On chain {session.network.chain_id}, as {checksum_address(key.address)}:")
    for place, action in enumerate(actions, 1):
        sent = f", sending {ETHER.shown(action.value)}" if action.value else ""
        session.say(
            f"  {place}. {action.title}{sent}  ({action.contract} {checksum_address(address_to_hex(action.to))})"
        )
    if effects:
        session.say("What changes:")
    for effect in effects:
        session.say(f"  {effect}")


def agree(*, yes: bool, as_json: bool) -> None:
    """Ask whoever is at the terminal, unless they have agreed before. Raises `NotAgreed`."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotAgreed("nothing was sent: nobody is here to agree; use --yes, or --dry-run to only look")
    if not click.confirm("Do it?", default=False, err=as_json):
        raise NotAgreed("nothing was sent: you did not agree")


async def _one(session: Session, sender: Sender, simulated: Simulated, advice: Callable[[str], str]) -> Receipt:
    """Send one action and wait until it is mined."""
    action = simulated.action
    try:
        transaction = await sender.send(simulated)
        session.progress(f"sent: {action.title}, 0x{transaction.hex()}")
        return await _mined(session, sender, action, transaction)
    except ActionRefused as error:
        raise Refused(str(error), advice(error.name)) from error


async def _mined(session: Session, sender: Sender, action: Action, transaction: Hash32) -> Receipt:
    begun, looks = session.clock.monotonic(), 0
    while (receipt := await sender.receipt(action, transaction)) is None:
        waited = session.clock.monotonic() - begun
        if waited > session.options.deadline:
            raise NotMinedInTime(
                f"{action.title}: 0x{transaction.hex()} is in no block after {waited:.0f} s; it may still be mined",
                "look at it in a block explorer before you do this again",
            )
        looks += 1
        if looks % _LOOKS_A_LINE == 0:
            session.progress(f"waiting for a block: {waited:.0f} of {session.options.deadline:.0f} s")
        await session.clock.sleep(LOOK_SECONDS)
    return receipt


def _sentence(receipt: Receipt) -> str:
    return (
        f"Done in block {receipt.block}: {receipt.title} "
        f"(0x{receipt.transaction.hex()}, {receipt.gas_used} gas, {ETHER.shown(receipt.cost)})"
    )


def _told(
    key: KeccakSigner,
    simulated: Sequence[Simulated],
    effects: Sequence[str],
    cost: Wei,
    receipts: Sequence[Receipt],
    then: str,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    """Return the answer as JSON tells it."""
    return {
        "done": not dry_run,
        "dry_run": dry_run,
        "account": key.address,
        "actions": [
            {
                "title": each.action.title,
                "to": address_to_hex(each.action.to),
                "data": each.action.data,
                "value": each.action.value,
                "gas": each.gas,
            }
            for each in simulated
        ],
        "effects": list(effects),
        "most_cost_wei": cost,
        "receipts": [
            {
                "transaction": receipt.transaction,
                "block": receipt.block,
                "gas_used": receipt.gas_used,
                "cost_wei": receipt.cost,
            }
            for receipt in receipts
        ],
        "next": then,
    }
