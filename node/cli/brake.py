"""`hftnode brake …`: whether executions are paused, counting for a pause, counting for its end."""

from __future__ import annotations

import click

from governance.actions import guardian_pause, support_pause, support_release, support_scope_pause
from governance.amounts import HFT
from governance.network import scope_paused_query
from governance.policy import DAY, LONGEST_BRAKE_SECONDS
from governance.standing import Head, read_brake, read_head
from node.cli.carry_out import carry_out
from node.cli.chain_errors import ChainCommandError
from node.cli.chain_session import Session, changing, operator_of, reading
from node.cli.chain_types import WORD
from node.cli.chain_words import moment, share, span
from protocol.ethereum.keys import KeccakSigner
from protocol.units import Hash32, address_from_hex, address_to_hex

_STATUS = "`hftnode brake status` shows whether it holds"
_ADVICE = {
    "CountedAlready": "wait: a stake counts once in 24 hours for the same kind of pause",
    "AlreadyPaused": "`hftnode brake status` shows until when",
    "NotPaused": "`hftnode brake status` shows what is paused",
    "NotRegistered": "only operators count: act by the operator's account or its hot key",
    "NoStake": '`hftnode stake add "100 HFT"`, before the next round begins',
    "NotGuardian": "act by the guardian Safe's transaction, or leave --guardian out: then your stake counts",
    "GuardianMustWait": "until then only stake pauses: leave --guardian out",
    "PauseBudgetSpent": "no more than ten days in 30 can be paused",
}


@click.group("brake")
def brake_group() -> None:
    """The emergency brake: it stops executions, and never exits, withdrawals, rewards or governance."""


@brake_group.command()
@click.option("--subject", "subjects", type=WORD, multiple=True, help="Also tell of this pool, token or venue.")
@reading
async def status(session: Session, subjects: tuple[Hash32, ...]) -> None:
    """Show whether everything is paused, until when, and what is left of the ten days in 30."""
    head = await read_head(session.reader)
    paused, used, ends = await read_brake(session.reader)
    scoped = {each: await session.reader.ask(scope_paused_query(session.contracts, each)) for each in subjects}
    lines = [
        f"everything  {_paused(ends, head) if paused and ends is not None else 'not paused'}",
        f"used        {span(used)} of {LONGEST_BRAKE_SECONDS // DAY} days in the last 30",
        *(f"0x{subject.hex()}  {'PAUSED' if held else 'not paused'}" for subject, held in scoped.items()),
    ]
    value = {
        "paused": paused,
        "ends_at": ends if paused else None,
        "used_seconds": used,
        "block": head.number,
        "subjects": {"0x" + subject.hex(): held for subject, held in scoped.items()},
    }
    session.answer(lines, value)


@brake_group.command()
@click.option("--subject", type=WORD, help="Pause executions that touch this pool, token or venue, for 300 blocks.")
@click.option("--all", "everything", is_flag=True, help="Pause all executions, for up to ten days.")
@click.option("--guardian", is_flag=True, help="Pause everything for 72 hours as the guardian, whose key signs.")
@changing
async def trip(session: Session, subject: Hash32 | None, everything: bool, guardian: bool) -> None:
    """Count for a pause: a third of the stake pauses one subject, two thirds everything."""
    if [subject is not None, everything, guardian].count(True) != 1:
        raise click.UsageError("say what is to be paused: --subject 0x…, or --all, or --guardian")
    key = session.key()
    if guardian:
        actions, effects = [guardian_pause(session.contracts)], ["all executions stop at once, for 72 hours"]
    elif subject is not None:
        actions = [support_scope_pause(session.contracts, subject)]
        effects = [
            await _weight(session, key),
            "with a third of all stake, executions that touch it stop for 300 blocks",
        ]
    else:
        actions = [support_pause(session.contracts)]
        effects = [await _weight(session, key), "with two thirds of all stake, all executions stop for up to ten days"]
    effects.append("withdrawals, exits, rewards and governance go on")
    await carry_out(session, key, actions, effects=effects, then=_STATUS, advice=_advice)


@brake_group.command()
@changing
async def release(session: Session) -> None:
    """Count for the end of the pause of everything: more than half of the stake ends it."""
    key = session.key()
    paused, _used, _ends = await read_brake(session.reader)
    if not paused:
        raise ChainCommandError("nothing was sent; everything runs", "`hftnode brake status` shows what is paused")
    effects = [await _weight(session, key), "with more than half of all stake, executions go on at once"]
    actions = [support_release(session.contracts)]
    await carry_out(session, key, actions, effects=effects, then=_STATUS, advice=_advice)


async def _weight(session: Session, key: KeccakSigner) -> str:
    """Say how much the caller's stake counts, as it stands."""
    operator = await operator_of(session, address_from_hex(key.address))
    now = (await read_head(session.reader)).timestamp - 1
    staking = session.contracts.staking
    weight = await session.reader.number(staking, "getPastVotes(address,uint256)", address_to_hex(operator), now)
    total = await session.reader.number(staking, "getPastTotalSupply(uint256)", now)
    return f"the stake of {address_to_hex(operator)} counts: {HFT.shown(weight)}, {share(weight, total)} of all"


def _paused(ends: int, head: Head) -> str:
    return f"PAUSED until {moment(ends)}, for {span(ends - head.timestamp)} more"


def _advice(name: str) -> str:
    return _ADVICE.get(name, "")
