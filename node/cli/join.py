"""`hftnode join`: an account becomes an operator: registered, staked, checked in; what was done before is left out.

It ends by telling what the node's configuration has to say, so that the node is in the network too.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from governance.actions import Action, approve, check_in, register, stake
from governance.amounts import ETHER, HFT
from governance.network import hot_key_query
from governance.policy import Parameter
from governance.reading import DeployedNetwork
from governance.standing import EpochStanding, Head, OperatorStanding, read_epochs, read_head, read_operator
from governance.standing import read_parameters as read_values
from node.cli.carry_out import carry_out
from node.cli.chain_errors import ChainCommandError
from node.cli.chain_session import Session, changing
from node.cli.chain_types import Amount
from node.cli.peer_ids import PeerId
from node.config_file import load_config
from node.errors import NodeError
from protocol.ethereum.keys import KeccakSigner, checksum_address
from protocol.signing import Domain, sign
from protocol.statements import HotKeyBinding
from protocol.units import Address, PeerIdHash, TokenAmount, Wei, address_from_hex, address_to_hex

_ADVICE = {
    "CheckInClosed": "run it again: the check-in is for the next epoch then",
    "KeyInUse": "`hftnode init` makes a new hot key; one key serves one operator, once",
}


@click.command()
@click.option("--stake", "amount", type=Amount(HFT), required=True, help='How much to stake, for example "5000 HFT".')
@click.option("--hot-keystore", type=click.Path(path_type=Path), required=True, help="Keystore of the node's hot key.")
@click.option("--peer-id", type=PeerId(), required=True, help="The node's libp2p peer id, 12D3KooW….")
@changing
async def join(session: Session, amount: int, hot_keystore: Path, peer_id: PeerIdHash) -> None:
    """Become an operator: register, stake, check in for the next epoch if it is open.

    The account of --keystore stakes and votes; the hot key only signs for the node. Keep them apart.
    """
    key = session.key()
    hot_key = session.open_key(hot_keystore)
    head = await read_head(session.reader)
    standing = await read_operator(session.reader, address_from_hex(key.address))
    values = await read_values(session.reader)
    epochs = await read_epochs(session.reader, head, standing.record)
    await _require_fit(session, standing, key, hot_key, amount, values[Parameter.MIN_STAKE])
    actions: list[Action] = []
    if not standing.record.is_registered:
        domain = Domain(session.network.chain_id, session.contracts.staking)
        binding = sign(domain, HotKeyBinding(operator=standing.record.account), hot_key)
        actions.append(register(session.contracts, address_from_hex(hot_key.address), peer_id, binding))
    missing = max(0, amount - standing.record.active)
    if missing:
        actions += [approve(session.contracts, TokenAmount(missing)), stake(session.contracts, TokenAmount(missing))]
    if epochs.open_for is not None and not epochs.checked_in:
        actions.append(check_in(session.contracts, epochs.open_for))
    if not actions:
        session.answer([f"{key.address} has joined already. Next: `hftnode stake status`"], {"done": True})
        _tell_section(session, standing.record.account)
        return
    effects = _effects(standing, missing, epochs, head)
    then = "`hftnode start` runs the node, which checks in for each epoch; `hftnode stake status` shows how it stands"
    await carry_out(session, key, actions, effects=effects, then=then, advice=lambda name: _ADVICE.get(name, ""))
    _tell_section(session, standing.record.account)


def _tell_section(session: Session, operator: Address) -> None:
    """Say what the configuration lacks for the node to be in the network, if it lacks something."""
    try:
        network = load_config(session.options.config_path, os.environ).network
    except NodeError:  # with --rpc nobody needs one here
        network = None
    if network is None or (network.operator, network.staking) != (operator, session.contracts.staking):
        session.say(f"\n{session.options.config_path} puts the node into the network by this, at its next start:\n")
        session.say(network_section(session.network, operator))


def network_section(network: DeployedNetwork, operator: Address) -> str:
    """Return the configuration's `[network]` for an operator; where its peers are is for the operator to say."""
    contracts = network.contracts
    addresses = {
        "operator": operator,
        "staking": contracts.staking,
        "ledger": contracts.ledger,
        "court": contracts.court,
        "brake": contracts.brake,
        "parameters": contracts.parameters,
        "governor": contracts.governor,
    }
    lines = [f'{name} = "{checksum_address(address_to_hex(address))}"' for name, address in addresses.items()]
    return "\n".join(
        [
            "[network]",
            *lines,
            f"from_block = {network.since}",
            'identity = "identity"',
            "bootstrap = []  # peers of other operators, each /ip4/…/tcp/4711/p2p/12D3KooW…",
        ]
    )


async def _require_fit(
    session: Session, standing: OperatorStanding, key: KeccakSigner, hot_key: KeccakSigner, amount: int, least: int
) -> None:
    """Raise `ChainCommandError`, saying everything that is wrong, unless the account can join so."""
    record, problems = standing.record, []
    if key.address == hot_key.address:
        problems.append("the hot key is the staking account: who steals the node's key would have the stake's votes")
    if record.is_registered and record.hot_key != address_from_hex(hot_key.address):
        problems.append("registered with another hot key: `hftnode stake rotate` changes it")
    known = await session.reader.ask(hot_key_query(session.contracts, address_from_hex(hot_key.address)))
    if any(known.operator) and known.operator != record.account:
        problems.append("the hot key is or was another operator's: `hftnode init` makes a new one")
    if amount < least:
        problems.append(
            f"{HFT.shown(amount)} is below the least stake, {HFT.shown(least)}: nobody can check in with it"
        )
    if (missing := amount - record.active) > standing.tokens:
        problems.append(f"{HFT.shown(missing)} are to be staked, the account has {HFT.shown(standing.tokens)}")
    if not standing.wei:
        problems.append(f"{key.address} has no ether to pay for gas")
    if problems:
        raise ChainCommandError("nothing was sent; " + "; ".join(problems))
    hot_wei = Wei(int(await session.rpc.call("eth_getBalance", hot_key.address, "latest"), 16))
    session.say(f"The hot key {hot_key.address} has {ETHER.shown(hot_wei)}: it pays the gas of check-ins and trades.")


def _effects(standing: OperatorStanding, missing: int, epochs: EpochStanding, head: Head) -> list[str]:
    active = standing.record.active
    lines = [
        f"active stake: {HFT.shown(active)} → {HFT.shown(active + missing)}; to leave it takes 21 days",
        f"HFT held: {HFT.shown(standing.tokens)} → {HFT.shown(standing.tokens - missing)}",
    ]
    if epochs.open_for is None:
        opens = epochs.rules.first_block(epochs.current) + epochs.rules.length
        return [*lines, f"no check-in now: it opens at block {opens}, in {opens - head.number} blocks"]
    first = epochs.rules.first_block(epochs.open_for)
    return [*lines, f"leads blocks of epoch {epochs.open_for} in proportion to its stake, from block {first} on"]
