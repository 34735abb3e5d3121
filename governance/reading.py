"""Reads a network's contracts at one block, over the `Rpc` that it is given; opens no connection, keeps no state.

NetworkMalformed     a description of a network that does not make sense; says what and where
ContractMissing      there is no contract where one should be
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from governance.caller import Event, Rpc, events_by_range
from governance.network import NetworkContracts, Query
from protocol.errors import ProtocolError
from protocol.ethereum.abi import decode, encode_call
from protocol.units import Address, BlockNumber, ChainId, Hash32, address_from_hex, address_to_hex

_Answer = TypeVar("_Answer")


class NetworkMalformed(Exception):
    """A description of a network that does not make sense."""


class ContractMissing(Exception):
    """There is no contract where one should be."""


class DeployedNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """One network. `since`, `vaults_since`: blocks before its contracts' and the vault module's first events."""

    chain_id: ChainId
    since: BlockNumber
    contracts: NetworkContracts
    vault_module: Address | None = None
    vaults_since: BlockNumber = BlockNumber(0)


class _Described(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON of a network: `{"chain_id": 1, "since": 0, "contracts": {"staking": "0x…", …}}`."""

    chain_id: int
    contracts: dict[str, str]
    since: int = 0
    vault_module: str | None = None
    vaults_since: int = 0


def network_from_json(raw: bytes, where: str) -> DeployedNetwork:
    """Read a network's description; `where` it is from stands in errors. Raises `NetworkMalformed`."""
    try:
        described = msgspec.json.decode(raw, type=_Described)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NetworkMalformed(f"{where}: {str(error)[:200]}") from None
    wanted = [field.name for field in msgspec.structs.fields(NetworkContracts)]
    if missing := [name for name in wanted if name not in described.contracts]:
        raise NetworkMalformed(f"{where}: contracts: without {', '.join(missing)}")
    if described.chain_id <= 0 or min(described.since, described.vaults_since) < 0:
        raise NetworkMalformed(f"{where}: chain_id is 1 or more, since and vaults_since 0 or more")
    found = {name: _address(described.contracts[name], f"{where}: contracts.{name}") for name in wanted}
    module = described.vault_module
    return DeployedNetwork(
        chain_id=ChainId(described.chain_id),
        since=BlockNumber(described.since),
        contracts=NetworkContracts(**found),
        vault_module=None if module is None else _address(module, f"{where}: vault_module"),
        vaults_since=BlockNumber(described.vaults_since),
    )


def network_to_json(network: DeployedNetwork) -> bytes:
    """Return the description that `network_from_json` reads."""
    contracts = msgspec.structs.asdict(network.contracts)
    described = _Described(
        chain_id=network.chain_id,
        since=network.since,
        contracts={name: address_to_hex(address) for name, address in contracts.items()},
        vault_module=None if network.vault_module is None else address_to_hex(network.vault_module),
        vaults_since=network.vaults_since,
    )
    return msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n"


class Reader:
    """Reads views of contracts, all at one block: `latest`, or a number in hex."""

    def __init__(self, rpc: Rpc, network: DeployedNetwork, block: str = "latest") -> None:
        self.rpc, self.network, self.contracts, self.block = rpc, network, network.contracts, block

    async def ask(self, query: Query[_Answer]) -> _Answer:
        """Return the answer to any query of `governance.network`. Raises `ContractMissing`."""
        return query.read(await self._call(query.contract, query.data))

    async def view(self, contract: Address, signature: str, returns: Sequence[str], *arguments: Any) -> tuple[Any, ...]:
        """Return what a view answers. Raises `ContractMissing`."""
        return decode(returns, await self._call(contract, encode_call(signature, *arguments)))

    async def number(self, contract: Address, signature: str, *arguments: Any) -> int:
        """Return the one unsigned integer that a view answers. Raises `ContractMissing`."""
        (value,) = await self.view(contract, signature, ["uint256"], *arguments)
        return int(value)

    async def events(self, contract: Address, *topics: Hash32 | None, since: BlockNumber | None = None) -> list[Event]:
        """Return what a contract has told since the network stands, filtered by topics (None: any), in order."""
        wanted = {
            "address": address_to_hex(contract),
            "topics": [None if topic is None else "0x" + topic.hex() for topic in topics],
        }
        last = await self.rpc.call("eth_blockNumber") if self.block == "latest" else self.block
        first = self.network.since if since is None else since
        return await events_by_range(self.rpc, wanted, first, BlockNumber(int(last, 16)))

    async def _call(self, contract: Address, data: bytes) -> bytes:
        request = {"to": address_to_hex(contract), "data": "0x" + data.hex()}
        answer = bytes.fromhex((await self.rpc.call("eth_call", request, self.block))[2:])
        if not answer:
            raise ContractMissing(f"{address_to_hex(contract)} does not answer: is this the right chain and address?")
        return answer


def _address(text: str, where: str) -> Address:
    try:
        return address_from_hex(text)
    except ProtocolError as error:
        raise NetworkMalformed(f"{where}: {error}") from None
