"""`hftnode rewards …`: what an operator has earned, how each amount comes about, and claiming it."""

from __future__ import annotations

from typing import Any

import click

from governance.actions import Action, claim_stream, claim_week, roll_stream
from governance.amounts import HFT, Unit
from governance.standing import WEEK, Head, Rewards, read_head, read_rewards, read_symbol
from node.cli.carry_out import carry_out
from node.cli.chain_errors import ChainCommandError
from node.cli.chain_session import Session, changing, reading
from node.cli.chain_types import ADDRESS
from node.cli.chain_words import moment, share
from protocol.units import Address, address_from_hex, address_to_hex

_ADVICE = {
    "AlreadyRolled": "leave --roll out: today's pot was made",
    "WeekNotOver": "`hftnode rewards show` tells which weeks are over",
}


@click.group("rewards")
def rewards_group() -> None:
    """What an operator earned from fees and from attesting alerts."""


@rewards_group.command()
@click.option("--operator", type=ADDRESS, required=True, help="The operator's account.")
@reading
async def show(session: Session, operator: Address) -> None:
    """Show what can be claimed, and what is on its way."""
    head, found, unit = await _read(session, operator)
    over = [week for week in found.weeks if week.is_over]
    lines = [
        f"operator       {address_to_hex(operator)}",
        f"from fees      {unit.shown(found.from_stream)} in {len(found.shares)} pots not claimed",
        f"from alerts    {HFT.shown(sum(week.amount for week in over))} in {len(over)} weeks that are over",
        f"this week      {HFT.shown(sum(week.amount for week in found.weeks if not week.is_over))} so far, for alerts",
        f"still to come  {unit.shown(found.pool)} in the stream, a seventh of it a day"
        + ("; today's pot can be made: `hftnode rewards claim --roll`" if found.is_pot_due and found.pool else ""),
    ]
    session.answer(lines, _value(operator, head, found, unit))


@rewards_group.command()
@click.option("--operator", type=ADDRESS, required=True, help="The operator's account.")
@reading
async def explain(session: Session, operator: Address) -> None:
    """Show the arithmetic of every amount, as the contracts do it."""
    head, found, unit = await _read(session, operator)
    lines = ["Fees: a day's pot · your stake / all stake, in the last second of the day before, rounded down."]
    lines += [
        f"  pot {each.pot}, {moment(each.snapshot)}: {unit.shown(each.pot_amount)} · {HFT.shown(each.stake)} / "
        f"{HFT.shown(each.all_stake)} ({share(each.stake, each.all_stake)}) = {unit.shown(each.amount)}"
        for each in found.shares
    ]
    lines += [] if found.shares else ["  no pot since the last claim"]
    lines.append(
        "Alerts: the week's pot · your credit / all credit, rounded down; a credit is the stake that attested."
    )
    lines += [
        f"  week {week.week}, ends {moment((week.week + 1) * WEEK)}: {HFT.shown(week.pot)} · "
        f"{HFT.shown(week.credit)} / {HFT.shown(week.total_credit)} ({share(week.credit, week.total_credit)}) = "
        f"{HFT.shown(week.amount)}{'' if week.is_over else ', so far'}"
        for week in found.weeks
    ]
    lines += [] if found.weeks else ["  no credit that is not claimed"]
    session.answer(lines, _value(operator, head, found, unit))


@rewards_group.command()
@click.option("--operator", type=ADDRESS, help="For whom; without it for the account of --keystore.")
@click.option("--roll", is_flag=True, help="First make today's pot out of the stream.")
@changing
async def claim(session: Session, operator: Address | None, roll: bool) -> None:
    """Claim everything for an operator: it is paid to the operator's account, whoever claims."""
    key = session.key()
    who = address_from_hex(key.address) if operator is None else operator
    _head, found, unit = await _read(session, who)
    actions: list[Action] = [roll_stream(session.contracts)] if roll else []
    pots = len(found.shares) + (1 if roll else 0)
    if pots:
        actions.append(claim_stream(session.contracts, who, pots, unit.shown(found.from_stream)))
    over = [week for week in found.weeks if week.is_over]
    actions += [claim_week(session.contracts, who, week.week, week.amount) for week in over]
    if not actions:
        raise ChainCommandError("there is nothing to claim", "`hftnode rewards show` tells what is on its way")
    effects = [f"{address_to_hex(who)} gets {unit.shown(found.from_stream)} of fees"]
    effects += ["and its share of today's pot"] if roll else []
    effects += [f"and {HFT.shown(sum(week.amount for week in over))} for alerts"] if over else []
    then = "`hftnode rewards show` tells what is on its way"
    await carry_out(session, key, actions, effects=effects, then=then, advice=lambda name: _ADVICE.get(name, ""))


async def _read(session: Session, operator: Address) -> tuple[Head, Rewards, Unit]:
    head = await read_head(session.reader)
    found = await read_rewards(session.reader, operator, head)
    return head, found, Unit(*await read_symbol(session.reader, found.token))


def _value(operator: Address, head: Head, found: Rewards, unit: Unit) -> dict[str, Any]:
    return {
        "operator": operator,
        "block": head.number,
        "token": found.token,
        "symbol": unit.symbol,
        "decimals": unit.decimals,
        "claimable": found.from_stream,
        "pool": found.pool,
        "is_pot_due": found.is_pot_due,
        "pots": [
            {
                "pot": each.pot,
                "snapshot": each.snapshot,
                "pot_amount": each.pot_amount,
                "stake": each.stake,
                "all_stake": each.all_stake,
                "amount": each.amount,
            }
            for each in found.shares
        ],
        "weeks": [
            {
                "week": week.week,
                "over": week.is_over,
                "credit": week.credit,
                "total_credit": week.total_credit,
                "pot": week.pot,
                "amount": week.amount,
            }
            for week in found.weeks
        ],
    }
