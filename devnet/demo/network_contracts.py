"""Where the network's contracts stand in a world, out of its manifest."""

from __future__ import annotations

from devnet.manifest import Manifest
from devnet.protocols.network import NAMES
from governance.network import NetworkContracts
from protocol.units import address_from_hex


def network_contracts(manifest: Manifest) -> NetworkContracts:
    """Return the addresses of the whole set."""
    return NetworkContracts.of({name: address_from_hex(manifest.contracts[key]) for name, key in NAMES.items()})
