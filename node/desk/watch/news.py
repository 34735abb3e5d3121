"""What changed between two sights, and what is due: each once, in one line, with its kind. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from governance.actions import one_line
from governance.amounts import ETHER, HFT
from node.desk.watch.sight import Sight
from protocol.units import BlockNumber, Wei, address_to_hex

CHECK_IN_BLOCKS: Final = 100
"""A check-in that was not done is told so many blocks before it closes; in short epochs as soon as it opens."""
TURN_BLOCKS: Final = 10
ENDING_SECONDS: Final = 86_400
LOW_GAS: Final = Wei(5 * 10**16)


class Watched(StrEnum):
    """What a piece of news is about."""

    STAKE = "stake"
    UNBONDING = "unbonding"
    CHECK_IN = "check_in"
    TURN = "turn"
    SLASHING = "slashing"
    PROPOSAL = "proposal"
    PARAMETER = "parameter"
    BRAKE = "brake"
    VAULT = "vault"
    GAS = "gas"
    HOT_KEY = "hot_key"


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of news. `urgent`: somebody should act."""

    about: Watched
    block: BlockNumber
    text: str
    urgent: bool = False


def news(before: Sight, now: Sight) -> list[News]:
    """Return what is new. Nothing is told twice for the same reason, and nothing of a sight that is not later."""
    if now.block <= before.block:
        return []
    parts = (_stake, _check_in, _turns, _parameters, _brake, _proposals, _vaults)
    return [each for part in parts for each in part(before, now)]


def _stake(before: Sight, now: Sight) -> Iterator[News]:
    if now.recent_loss > before.recent_loss:
        lost = HFT.shown(now.recent_loss - before.recent_loss)
        yield _told(
            now, Watched.SLASHING, f"SLASHED: {lost} went into escrow; governance can give it back", urgent=True
        )
    if now.active != before.active:
        yield _told(now, Watched.STAKE, f"active stake: {HFT.shown(before.active)} → {HFT.shown(now.active)}")
    if now.leaving and before.timestamp < now.ready_at <= now.timestamp:
        text = f"{HFT.shown(now.leaving)} have left: `hftnode stake withdraw` pays them out"
        yield _told(now, Watched.UNBONDING, text)
    if now.hot_key != before.hot_key:
        text = f"hot key: {address_to_hex(before.hot_key)} → {address_to_hex(now.hot_key)}"
        yield _told(now, Watched.HOT_KEY, text, urgent=True)


def _check_in(before: Sight, now: Sight) -> Iterator[News]:
    if _is_due(now) and not (_is_due(before) and before.epoch == now.epoch):
        left = now.closes_at - now.block
        yield _told(now, Watched.CHECK_IN, f"not in for epoch {now.epoch + 1}: it closes in {left} blocks", urgent=True)
    if now.epoch == before.epoch and now.checked_in and not before.checked_in:
        yield _told(now, Watched.CHECK_IN, f"in for epoch {now.epoch + 1}")
    was_closed = before.registered and before.active > 0 and before.block >= before.closes_at
    if now.epoch == before.epoch + 1 and was_closed and not before.checked_in:
        yield _told(now, Watched.CHECK_IN, f"epoch {now.epoch} runs without us: no turns in it")


def _is_due(sight: Sight) -> bool:
    """Whether the next check-in is open, near its end, and not done."""
    is_near = 0 < sight.closes_at - sight.block <= CHECK_IN_BLOCKS
    return sight.registered and sight.active > 0 and not sight.checked_in and is_near


def _turns(before: Sight, now: Sight) -> Iterator[News]:
    near = [turn for turn in now.turns if turn - now.block <= TURN_BLOCKS]
    known = {turn for turn in before.turns if turn - before.block <= TURN_BLOCKS}
    if fresh := [turn for turn in near if turn not in known]:
        yield _told(now, Watched.TURN, f"leads {', '.join(map(str, fresh))}")


def _parameters(before: Sight, now: Sight) -> Iterator[News]:
    for name, value in now.parameters.items():
        if (was := before.parameters.get(name)) != value:
            yield _told(now, Watched.PARAMETER, f"{name}: {was} → {value}")


def _brake(before: Sight, now: Sight) -> Iterator[News]:
    if now.paused_until is not None and before.paused_until is None:
        yield _told(now, Watched.BRAKE, f"all executions are PAUSED until {now.paused_until}", urgent=True)
    if now.paused_until is None and before.paused_until is not None:
        yield _told(now, Watched.BRAKE, "the brake is released: executions go on")


def _proposals(before: Sight, now: Sight) -> Iterator[News]:
    for number, proposal in now.proposals.items():
        known, what = before.proposals.get(number), f"proposal {number[:12]}…, {one_line(proposal.words)}"
        if known is None or known.state != proposal.state:
            yield _told(now, Watched.PROPOSAL, f"{what}: {proposal.state}")
        is_ending = proposal.state == "active" and proposal.ends - now.timestamp <= ENDING_SECONDS
        was_ending = (
            known is not None and known.state == "active" and proposal.ends - before.timestamp <= ENDING_SECONDS
        )
        if is_ending and not was_ending:
            left = proposal.ends - now.timestamp
            yield _told(now, Watched.PROPOSAL, f"{what}: voting ends in {left} s", urgent=True)


def _vaults(before: Sight, now: Sight) -> Iterator[News]:
    for safe, vault in now.vaults.items():
        if (was := before.vaults.get(safe)) is None:
            continue
        if vault.paused != was.paused:
            text = f"vault {safe} is {'PAUSED' if vault.paused else 'open again'}"
            yield _told(now, Watched.VAULT, text, urgent=vault.paused)
        if vault.bid_cap != was.bid_cap:
            text = f"vault {safe}: bid cap {ETHER.shown(was.bid_cap)} → {ETHER.shown(vault.bid_cap)}"
            yield _told(now, Watched.VAULT, text)
        if (vault.operator, vault.executor) != (was.operator, was.executor):
            text = f"vault {safe}: hot key {address_to_hex(vault.operator)}, executor {address_to_hex(vault.executor)}"
            yield _told(now, Watched.VAULT, text, urgent=True)
        elif vault.generation != was.generation and vault.paused == was.paused and vault.bid_cap == was.bid_cap:
            yield _told(now, Watched.VAULT, f"vault {safe}: a limit was tightened")
        if vault.gas < LOW_GAS <= was.gas:
            yield _told(now, Watched.GAS, f"the hot key of vault {safe} has {ETHER.shown(vault.gas)} left", urgent=True)


def _told(now: Sight, about: Watched, text: str, *, urgent: bool = False) -> News:
    return News(about=about, block=now.block, text=text, urgent=urgent)
