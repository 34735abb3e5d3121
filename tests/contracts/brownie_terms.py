"""What the tests here and what runs in brownie's environment tell each other; both can import it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from governance.contracts import ExecutorBindings


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """The devnet's world as brownie's side is told of it. `secrets`: hex, by the part that the account plays."""

    url: str
    folder: str
    """Where the deployment's journal goes."""
    contracts: Mapping[str, str]
    """The world's, by the manifest's names."""
    usdc: str
    safe: str
    """Its owners are the parts `owner-0` and `owner-1`; two of them are enough."""
    secrets: Mapping[str, str]
    bindings: ExecutorBindings


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: the steps whose balances were held to the wei, in order, and what is left in the end."""

    web3: str
    steps: tuple[str, ...]
    deployed: Mapping[str, str]
    left: Mapping[str, int]
    """Smallest units of the network's token, by part."""
