"""Another hot key for a vault whose node goes on running: the Safe's part, the account's, and the node's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devnet.accounts import Account
from devnet.scenarios.cast import ANYBODY, Seat
from devnet.scenarios.nodes import LiveNode
from devnet.scenarios.stage import Stage
from governance.actions import Action, set_hot_key
from governance.contracts import VAULT_MODULE
from governance.safe_plans import SafePlan, change_words
from governance.vault_reading import read_safe
from governance.vaults import Change, SafeTransaction, enact_call, propose_call, tighten_call
from node.engine.rotation import successor_path
from node.keyfile import read_password, write_keystore
from protocol.signing import sign
from protocol.statements import HotKeyBinding
from protocol.units import Address, Wei, address_from_hex

_CHEAP_SCRYPT = 2**12
"""The keys are public anyway."""


def lay_beside(node: LiveNode, fresh: Account) -> None:
    """Put the next hot key's keystore beside the one of a node's first vault."""
    (first, *_) = node.prepared.config.execution.vaults
    write_keystore(
        successor_path(first.keystore), fresh.secret, read_password(node.prepared.password_path), _CHEAP_SCRYPT
    )


async def fund(stage: Stage, who: Account) -> None:
    """Give an account ether for gas."""
    title = f"give {who.name} ether for gas"
    gift = Action(contract="", to=address_from_hex(who.address), data=b"", title=title, value=Wei(10**18))
    await stage.act(ANYBODY, gift)


async def put_in_force(stage: Stage, seat: Seat, fresh: Account) -> dict[str, Any]:
    """Let the account put a hot key in force; return the receipt."""
    binding = sign(stage.domain, HotKeyBinding(operator=seat.account), fresh.key)
    return await stage.act(seat.owner, set_hot_key(stage.contracts, address_from_hex(fresh.address), binding))


async def by_the_safe(stage: Stage, seat: Seat, owners: Sequence[Account], changes: Sequence[Change]) -> None:
    """Let a Safe propose changes to its vault, by so many of its owners."""
    module = module_of(stage)
    stands = await read_safe(stage.reader, seat.safe, module)
    transactions = tuple(
        SafeTransaction(module, propose_call(change), stands.nonce + place) for place, change in enumerate(changes)
    )
    plan = SafePlan(chain_id=stage.domain.chain_id, safe=seat.safe, module=module, transactions=transactions)
    for owner in owners:
        plan = plan.signed(owner.key)
    calls = plan.executions(stands.owners, stands.threshold)
    for call, change in zip(calls, changes, strict=True):
        signers = " and ".join(owner.name for owner in owners)
        title = f"the Safe, by {signers}, proposes: {change_words(change, plain)}"
        await stage.act(ANYBODY, Action(contract=VAULT_MODULE, to=seat.safe, data=call, title=title))


def enactment(stage: Stage, seat: Seat, change: Change) -> Action:
    """Return the making of a change that was proposed."""
    title = f"make the change: {change_words(change, plain)}"
    return Action(contract=VAULT_MODULE, to=module_of(stage), data=enact_call(seat.safe, change), title=title)


def tightening(stage: Stage, seat: Seat, change: Change) -> Action:
    """Return a change that tightens, at once."""
    data = tighten_call(seat.safe, change)
    return Action(contract=VAULT_MODULE, to=module_of(stage), data=data, title=change_words(change, plain))


def module_of(stage: Stage) -> Address:
    """The vault module."""
    return address_from_hex(stage.manifest.contracts["vault_module"])


def plain(token: str, amount: int) -> str:
    """An amount in words, without knowing the token."""
    return f"{amount} of {token}"
