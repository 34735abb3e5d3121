"""`hftnode stake …`: add to the stake, let it leave, take it out, rotate the hot key, check in, see how it stands."""

from __future__ import annotations

from pathlib import Path

import click

from governance.actions import approve, check_in, complete_unstake, request_unstake, roll_epoch, set_hot_key, stake
from governance.amounts import HFT
from governance.network import epoch_query, epoch_rules_query
from governance.policy import UNBONDING_SECONDS
from governance.standing import read_epochs, read_head, read_operator, read_parameters
from node.cli.carry_out import carry_out, wait_for_block
from node.cli.chain_errors import ChainCommandError
from node.cli.chain_session import Session, changing, operator_of, reading
from node.cli.chain_types import ADDRESS, Amount
from node.cli.chain_words import moment, span
from node.cli.operator_words import standing_value, standing_words
from protocol.ethereum.block_header import header_rlp
from protocol.signing import Domain, sign
from protocol.slashing import HORIZON
from protocol.statements import HotKeyBinding
from protocol.units import Address, BlockNumber, EpochNumber, StakeUnits, TokenAmount, address_from_hex, address_to_hex

_STATUS = "`hftnode stake status` shows how it stands"
_ADVICE = {
    "NotRegistered": "`hftnode join` makes the account an operator",
    "ERC20InsufficientBalance": "`hftnode stake status` shows what the account holds",
    "InsufficientStake": "`hftnode stake status` shows what is active and what is locked, and until when",
    "TooEarly": "`hftnode stake status` shows when it is ready",
    "NothingLeaving": '`hftnode stake exit "100 HFT"` lets stake leave',
    "CheckInClosed": "`hftnode stake status` shows when the check-in opens",
    "AlreadyRolled": "nothing is left to do: the epoch has its seed",
    "NobodyCheckedIn": "an epoch without operators has no leaders; `hftnode stake check-in` is for the next one",
    "StakeTooSmall": '`hftnode stake add "100 HFT"` adds to it',
}


@click.group("stake")
def stake_group() -> None:
    """Stake, let it leave, take it out, rotate the hot key."""


@stake_group.command()
@click.option("--operator", type=ADDRESS, required=True, help="The operator's account.")
@reading
async def status(session: Session, operator: Address) -> None:
    """Show an operator's stake, what is leaving or locked, and whether its check-in is due."""
    head = await read_head(session.reader)
    standing = await read_operator(session.reader, operator)
    epochs = await read_epochs(session.reader, head, standing.record)
    values = await read_parameters(session.reader)
    lost = await session.reader.number(session.contracts.court, "recentLoss(address)", address_to_hex(operator))
    session.answer(
        standing_words(standing, epochs, values, head, lost), standing_value(standing, epochs, values, head, lost)
    )


@stake_group.command()
@click.argument("amount", type=Amount(HFT))
@changing
async def add(session: Session, amount: int) -> None:
    """Add AMOUNT to the active stake, for example "100 HFT"."""
    key = session.key()
    before = await read_operator(session.reader, address_from_hex(key.address))
    actions = [approve(session.contracts, TokenAmount(amount)), stake(session.contracts, TokenAmount(amount))]
    effects = [
        f"active stake: {HFT.shown(before.record.active)} → {HFT.shown(before.record.active + amount)}",
        f"HFT held: {HFT.shown(before.tokens)} → {HFT.shown(before.tokens - amount)}",
        "it counts for votes at once, for turns from the next check-in on; to leave it takes 21 days",
    ]
    await carry_out(session, key, actions, effects=effects, then=_STATUS, advice=_advice)


@stake_group.command("exit")
@click.argument("amount", type=Amount(HFT), required=False)
@click.option("--all", "everything", is_flag=True, help="All that is active and not locked.")
@click.option("--wait", is_flag=True, help="Wait, within the deadline, until nothing is locked by a check-in.")
@changing
async def leave(session: Session, amount: int | None, everything: bool, wait: bool) -> None:
    """Let AMOUNT of the active stake leave, for example "100 HFT", or --all. It is ready in 21 days."""
    if everything == (amount is not None):
        raise click.UsageError('say how much leaves: "100 HFT", or --all')
    key = session.key()
    head = await read_head(session.reader)
    before = await read_operator(session.reader, address_from_hex(key.address))
    if wait and before.free(head.number) < before.record.active:
        head = await wait_for_block(session, before.record.locked_through)
    wanted = before.free(head.number) if amount is None else amount
    if not wanted:
        raise ChainCommandError("nothing is active and free to leave", _ADVICE["InsufficientStake"].split(" shows")[0])
    ready = head.timestamp + UNBONDING_SECONDS
    effects = [
        f"active stake: {HFT.shown(before.record.active)} → {HFT.shown(before.record.active - wanted)}",
        f"leaving: {HFT.shown(before.record.leaving)} → {HFT.shown(before.record.leaving + wanted)}",
        f"all that is leaving is ready at {moment(ready)}, in {span(UNBONDING_SECONDS)}; until then it can be slashed",
    ]
    actions = [request_unstake(session.contracts, TokenAmount(wanted))]
    then = "`hftnode stake withdraw`, when it is ready: `hftnode stake status` shows when"
    await carry_out(session, key, actions, effects=effects, then=then, advice=_advice)


@stake_group.command()
@changing
async def withdraw(session: Session) -> None:
    """Take out all stake that has left and is ready."""
    key = session.key()
    before = await read_operator(session.reader, address_from_hex(key.address))
    leaving = before.record.leaving
    effects = [f"HFT held: {HFT.shown(before.tokens)} → {HFT.shown(before.tokens + leaving)}"]
    actions = [complete_unstake(session.contracts, StakeUnits(leaving))]
    await carry_out(session, key, actions, effects=effects, then=_STATUS, advice=_advice)


@stake_group.command("check-in")
@click.option("--wait", is_flag=True, help="Wait, within the deadline, until a check-in is open that was not done.")
@changing
async def enter(session: Session, wait: bool) -> None:
    """Check in for the next epoch, by the account or its hot key. A running node does it by itself."""
    key = session.key()
    head = await read_head(session.reader)
    operator = await operator_of(session, address_from_hex(key.address))
    before = await read_operator(session.reader, operator)
    epochs = await read_epochs(session.reader, head, before.record)
    if wait and (epochs.checked_in or epochs.open_for is None):
        following = EpochNumber(epochs.current + 1)
        head = await wait_for_block(session, BlockNumber(epochs.rules.first_block(following) - 1))
        before = await read_operator(session.reader, operator)
        epochs = await read_epochs(session.reader, head, before.record)
    if epochs.checked_in:
        raise ChainCommandError(
            f"{address_to_hex(operator)} is in for epoch {epochs.current + 1} already", _STATUS.split(" shows")[0]
        )
    if epochs.open_for is None:
        opens = epochs.rules.first_block(epochs.current) + epochs.rules.length
        raise ChainCommandError(f"check-in for epoch {epochs.current + 1} is closed; the next opens at block {opens}")
    through = epochs.rules.first_block(epochs.open_for) + epochs.rules.length - 1
    effects = [f"locked: {HFT.shown(before.record.active)} through block {through}"]
    actions = [check_in(session.contracts, epochs.open_for)]
    await carry_out(session, key, actions, effects=effects, then=_STATUS, advice=_advice)


@stake_group.command()
@click.option("--epoch", type=click.IntRange(min=1), help="Without it the epoch that runs.")
@changing
async def roll(session: Session, epoch: int | None) -> None:
    """Give an epoch its seed, by the header of its seed block. Anybody may; a running node does it by itself."""
    key = session.key()
    head = await read_head(session.reader)
    rules = (await session.reader.ask(epoch_rules_query(session.contracts))).checked()
    number = EpochNumber(rules.epoch_of(head.number) if epoch is None else epoch)
    record = await session.reader.ask(epoch_query(session.contracts, number))
    block = await session.rpc.call("eth_getBlockByNumber", hex(rules.seed_block(number)), False)
    if block is None:
        raise ChainCommandError(f"the seed block of epoch {number} is {rules.seed_block(number)}: it has not come")
    effects = [
        f"{record.entries} operators with {HFT.shown(record.total_stake)} checked in: its leaders can be drawn",
        f"seed: 0x{block['mixHash'][2:]}, of block {rules.seed_block(number)}",
    ]
    actions = [roll_epoch(session.contracts, number, header_rlp(block))]
    await carry_out(session, key, actions, effects=effects, then=_STATUS, advice=_advice)


@stake_group.command()
@click.option("--hot-keystore", type=click.Path(path_type=Path), required=True, help="Keystore of the new hot key.")
@changing
async def rotate(session: Session, hot_keystore: Path) -> None:
    """Put a new hot key in force; the former one never is again. Turns and stake stay."""
    key = session.key()
    new = session.open_key(hot_keystore)
    before = await read_operator(session.reader, address_from_hex(key.address))
    if new.address == key.address:
        raise ChainCommandError("nothing was sent; the new hot key is the staking account itself")
    domain = Domain(session.network.chain_id, session.contracts.staking)
    binding = sign(domain, HotKeyBinding(operator=before.record.account), new)
    effects = [f"hot key: {address_to_hex(before.record.hot_key)} → {new.address}, from the block of this on"]
    actions = [set_hot_key(session.contracts, address_from_hex(new.address), binding)]
    then = (
        "a node that runs goes on with it if its keystore lies beside the former one, as NAME.next.json; it signs no "
        f"accepts and no verdicts for {HORIZON} blocks after it found it: it cannot know what the key signed before; "
        "give the new key ether for gas, and let the vault execute for it: `hftnode vault loosen --operator`"
    )
    await carry_out(session, key, actions, effects=effects, then=then, advice=_advice)


def _advice(name: str) -> str:
    return _ADVICE.get(name, "")
