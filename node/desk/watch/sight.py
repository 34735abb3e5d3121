"""What the watchers see at one block: the operator, its epochs, parameters, brake, proposals and vaults."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from governance.network import entry_query, epoch_query, operator_query
from governance.policy import Parameter
from governance.proposal_actions import parameter_name
from governance.reading import Reader
from governance.standing import (
    EpochStanding,
    Head,
    read_brake,
    read_epochs,
    read_head,
    read_parameters,
)
from governance.vault_reading import read_vault
from governance.voting import State, read_proposals, read_standing
from protocol.leaders import EpochTable
from protocol.units import (
    Address,
    BlockNumber,
    EpochNumber,
    StakeUnits,
    TokenAmount,
    UnixSeconds,
    Wei,
    address_to_hex,
)

PROPOSALS: Final = 50
"""The newest so many are watched."""
BLOCKS_AHEAD: Final = 64
"""Turns are told so many blocks ahead."""


class VaultSight(msgspec.Struct, frozen=True, kw_only=True):
    """One vault: what may be done with it, and what its hot key has for gas."""

    paused: bool
    operator: Address
    executor: Address
    bid_cap: Wei
    generation: int
    gas: Wei


class ProposalSight(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal that is not over: what it does, and when its voting ends."""

    words: str
    state: str
    ends: UnixSeconds


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is watched, at one block."""

    block: BlockNumber
    timestamp: UnixSeconds
    registered: bool
    hot_key: Address
    active: StakeUnits
    leaving: StakeUnits
    ready_at: UnixSeconds
    recent_loss: TokenAmount
    epoch: EpochNumber
    checked_in: bool
    """For the next epoch."""
    closes_at: BlockNumber
    """The first block in which the check-in for the next epoch is closed."""
    turns: tuple[BlockNumber, ...]
    """Blocks ahead that the operator leads, as far as they are drawn."""
    parameters: dict[str, int]
    paused_until: UnixSeconds | None
    proposals: dict[str, ProposalSight]
    """By number in hex; empty where no governor is configured."""
    vaults: dict[str, VaultSight]
    """By the Safe's address."""


Tables: TypeAlias = dict[EpochNumber, EpochTable]
"""Epochs that were rolled and read: they do not change."""


async def look(reader: Reader, operator: Address, safes: tuple[Address, ...], module: Address, tables: Tables) -> Sight:
    """Look at everything, at the reader's block. Raises what its `Rpc` raises, and `ContractMissing`.

    `tables` keeps the epochs that run and come, from one look to the next.
    """
    head = await read_head(reader)
    record = await reader.ask(operator_query(reader.contracts, operator))
    epochs = await read_epochs(reader, head, record)
    paused, _used, ends = await read_brake(reader)
    values: dict[Parameter, int] = await read_parameters(reader)
    return Sight(
        block=head.number,
        timestamp=head.timestamp,
        registered=record.is_registered,
        hot_key=record.hot_key,
        active=record.active,
        leaving=record.leaving,
        ready_at=record.ready_at,
        recent_loss=TokenAmount(
            await reader.number(reader.contracts.court, "recentLoss(address)", address_to_hex(operator))
        ),
        epoch=epochs.current,
        checked_in=epochs.checked_in,
        closes_at=epochs.closes_at,
        turns=await _turns(reader, head, epochs, operator, tables),
        parameters={parameter_name(each): value for each, value in values.items()},
        paused_until=ends if paused else None,
        proposals=await _proposals(reader, head),
        vaults={address_to_hex(safe): await _vault(reader, safe, module) for safe in safes},
    )


async def _turns(
    reader: Reader, head: Head, epochs: EpochStanding, operator: Address, tables: Tables
) -> tuple[BlockNumber, ...]:
    found: list[BlockNumber] = []
    coming = (epochs.current, EpochNumber(epochs.current + 1))
    for epoch in [each for each in tables if each not in coming]:
        del tables[epoch]
    for epoch in coming:
        if epoch not in tables and (table := await _table(reader, epoch)) is not None:
            tables[epoch] = table
        if epoch not in tables:
            continue
        first = max(head.number + 1, epochs.rules.first_block(epoch))
        last = min(head.number + BLOCKS_AHEAD, epochs.rules.first_block(EpochNumber(epoch + 1)) - 1)
        for number in range(first, last + 1):
            turn = tables[epoch].leader(BlockNumber(number))
            if turn is not None and turn.operator == operator:
                found.append(BlockNumber(number))
    return tuple(found)


async def _table(reader: Reader, epoch: EpochNumber) -> EpochTable | None:
    record = await reader.ask(epoch_query(reader.contracts, epoch))
    if not record.is_rolled:
        return None
    entries = [await reader.ask(entry_query(reader.contracts, epoch, place)) for place in range(record.entries)]
    return EpochTable(epoch, record.seed, entries)


async def _proposals(reader: Reader, head: Head) -> dict[str, ProposalSight]:
    if not any(reader.contracts.governor):
        return {}
    found = {}
    for proposed in (await read_proposals(reader))[-PROPOSALS:]:
        standing = await read_standing(reader, proposed, head.timestamp)
        if not standing.state.is_over or standing.state is State.EXECUTED:
            found[f"{proposed.identifier:#066x}"] = ProposalSight(
                words="; ".join(action.words() for action in proposed.proposal.actions),
                state=standing.state.name.lower(),
                ends=UnixSeconds(proposed.voting_ends),
            )
    return found


async def _vault(reader: Reader, safe: Address, module: Address) -> VaultSight:
    vault = await read_vault(reader, safe, module)
    return VaultSight(
        paused=vault.paused,
        operator=vault.operator,
        executor=vault.executor,
        bid_cap=vault.bid_cap,
        generation=vault.generation,
        gas=vault.hot_key_wei,
    )
