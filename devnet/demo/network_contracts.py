"""The network of the demo's operators: where its contracts stand, who is which peer, and where each one listens."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from devnet.accounts import account
from devnet.demo.operators import PreparedNode
from devnet.gossip_bus import Member
from devnet.manifest import Manifest, Operator
from devnet.protocols.network import NAMES
from governance.network import NetworkContracts
from node.config import NetworkConfig
from node.identity import peer_id_hash, peer_id_text
from protocol.units import address_from_hex


def network_contracts(manifest: Manifest) -> NetworkContracts:
    """Return the addresses of the whole set."""
    return NetworkContracts.of({name: address_from_hex(manifest.contracts[key]) for name, key in NAMES.items()})


def network_config(
    operator: Operator, manifest: Manifest, folder: Path, listen: str, bootstrap: Sequence[str] = ()
) -> NetworkConfig:
    """Return what a node with its files in `folder` is told of the network."""
    contracts = network_contracts(manifest)
    return NetworkConfig(
        operator=address_from_hex(account(operator.account).address),
        staking=contracts.staking,
        ledger=contracts.ledger,
        court=contracts.court,
        brake=contracts.brake,
        parameters=contracts.parameters,
        governor=contracts.governor,
        identity=folder / "identity",
        listen=(listen,),
        bootstrap=tuple(bootstrap),
        private_peers=True,
    )


def networks(operators: Sequence[Operator], manifest: Manifest, root: Path) -> Mapping[str, NetworkConfig]:
    """Return the configurations of operators on this machine that all know each other; each in a folder of its name."""
    listens = {one.name: f"/ip4/127.0.0.1/tcp/{port}" for one, port in zip(operators, _ports(operators), strict=True)}
    dials = {one.name: f"{listens[one.name]}/p2p/{peer_id_text(account(one.peer).secret)}" for one in operators}
    return {
        one.name: network_config(
            one,
            manifest,
            root / one.name,
            listens[one.name],
            [dial for name, dial in dials.items() if name != one.name],
        )
        for one in operators
    }


def members(nodes: Iterable[PreparedNode]) -> list[Member]:
    """Return these nodes as who carries gossip for them in lockstep knows them."""
    return [
        Member(
            name=node.name,
            engine=node.config.engine_socket,
            peer=peer_id_text(account(node.operator.peer).secret),
            peer_id_hash=peer_id_hash(account(node.operator.peer).secret),
        )
        for node in nodes
    ]


def _ports(wanted: Sequence[object]) -> list[int]:
    """Return as many free ports; all are held until the last is found, so that none comes twice."""
    probes = [socket.socket() for _ in wanted]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
