"""What the protocol files share while the world is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from devnet.accounts import Account, account
from devnet.artifacts import Artifact, load
from devnet.manifest import MorphoMarket, Operator, Pool
from devnet.packages import Packages
from devnet.protocols.catalogue import LIQUIDITY_PROVIDER, ROLES
from devnet.protocols.deployer import Deployer

FAR_FUTURE = 2**40
"""A deadline (seconds) that never passes."""


@dataclass(slots=True)
class Site:
    """The place where the world goes up: who builds, from what, and what stands already."""

    deployer: Deployer
    packages: Packages
    compiled: dict[str, Artifact]
    contracts: dict[str, str] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    """Solidity libraries by the name under which bytecode asks for them."""
    tokens: dict[str, str] = field(default_factory=dict)
    pools: list[Pool] = field(default_factory=list)
    feeds: dict[str, str] = field(default_factory=dict)
    aggregators: dict[str, str] = field(default_factory=dict)
    morpho_markets: list[MorphoMarket] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)

    def create(self, name: str, path: str, types: tuple[str, ...] = (), *values: Any) -> str:
        """Queue the creation of a package's contract under `name` in the manifest; return its address."""
        address = self.deployer.create(name, load(self.packages, path).linked(self.libraries), types, values)
        self.contracts[name] = address
        return address

    def library(self, name: str, path: str) -> None:
        """Queue the creation of a package's library, to be linked into what is created after it."""
        self.libraries[name] = self.deployer.create(name, load(self.packages, path).linked(self.libraries))

    def create_compiled(self, name: str, contract: str, types: tuple[str, ...] = (), *values: Any) -> str:
        """Queue the creation of a contract that we compiled; return its address. It is not put into the manifest."""
        return self.deployer.create(name, self.compiled[contract].creation, types, values)

    def provider(self, index: int) -> Account:
        """Return the liquidity provider whose turn it is."""
        count = next(role.count for role in ROLES if role.role == LIQUIDITY_PROVIDER)
        return account(f"{LIQUIDITY_PROVIDER}-{index % count}")
