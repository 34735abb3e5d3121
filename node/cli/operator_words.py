"""How an operator stands, in words and in JSON, for `hftnode join` and `hftnode stake status`."""

from __future__ import annotations

from typing import Any

from governance.amounts import ETHER, HFT
from governance.policy import Parameter
from governance.standing import EpochStanding, Head, OperatorStanding
from node.cli.chain_words import moment, span
from protocol.ethereum.keys import checksum_address
from protocol.units import address_to_hex


def standing_words(
    standing: OperatorStanding, epochs: EpochStanding, parameters: dict[Parameter, int], head: Head, recent_loss: int
) -> list[str]:
    """Return the screen of `hftnode stake status`."""
    record = standing.record
    lines = [f"operator   {checksum_address(address_to_hex(record.account))}"]
    if not record.is_registered:
        return [*lines, "           not registered: `hftnode join` registers it", *_holdings(standing)]
    lines += [
        f"hot key    {checksum_address(address_to_hex(record.hot_key))}",
        f"peer       0x{record.peer_id_hash.hex()}",
        f"active     {HFT.shown(record.active)} (votes, leads, earns; least {HFT.shown(_least(parameters))})",
        f"leaving    {HFT.shown(record.leaving)}{_leaving(record.ready_at, head) if record.leaving else ''}",
        f"locked     {_locked(standing, head)}",
        f"lost       {HFT.shown(recent_loss)} in the last 30 days by slashing",
        *_holdings(standing),
        f"epoch      {epochs.current}, block {head.number}",
        f"check-in   {_check_in(epochs, head)}",
    ]
    return lines


def standing_value(
    standing: OperatorStanding, epochs: EpochStanding, parameters: dict[Parameter, int], head: Head, recent_loss: int
) -> dict[str, Any]:
    """Return the same for JSON."""
    record = standing.record
    return {
        "operator": record.account,
        "registered": record.is_registered,
        "hot_key": record.hot_key,
        "peer_id_hash": record.peer_id_hash,
        "active": record.active,
        "leaving": record.leaving,
        "ready_at": record.ready_at,
        "locked": record.locked,
        "locked_through": record.locked_through,
        "free": standing.free(head.number),
        "recent_loss": recent_loss,
        "tokens": standing.tokens,
        "wei": standing.wei,
        "min_stake": _least(parameters),
        "block": head.number,
        "timestamp": head.timestamp,
        "epoch": epochs.current,
        "check_in": {
            "open_for": epochs.open_for,
            "closes_at": epochs.closes_at,
            "checked_in": epochs.checked_in,
        },
    }


def _least(parameters: dict[Parameter, int]) -> int:
    return parameters[Parameter.MIN_STAKE]


def _holdings(standing: OperatorStanding) -> list[str]:
    return [f"holds      {HFT.shown(standing.tokens)}, {ETHER.shown(standing.wei)}"]


def _leaving(ready_at: int, head: Head) -> str:
    if ready_at <= head.timestamp:
        return ", ready: `hftnode stake withdraw` pays it out"
    return f", ready at {moment(ready_at)}, in {span(ready_at - head.timestamp)}; can be slashed until it is paid out"


def _locked(standing: OperatorStanding, head: Head) -> str:
    record, free = standing.record, standing.free(head.number)
    if free == record.active:
        return "nothing"
    return f"{HFT.shown(record.active - free)} through block {record.locked_through}, by check-in"


def _check_in(epochs: EpochStanding, head: Head) -> str:
    following = epochs.current + 1
    if epochs.checked_in:
        return f"done for epoch {following}"
    if epochs.open_for == following:
        return f"DUE for epoch {following}: closes in {epochs.closes_at - head.number} blocks, at {epochs.closes_at}"
    opens = epochs.rules.first_block(epochs.current) + epochs.rules.length
    return f"closed for epoch {following}; the next one opens at block {opens}"
