"""A block's logs into what they change in followed pools, and which pools they announce.

Most logs are of no interest: they cost one look at the topic and one at the address. A log that a followed pool's
contract cannot have written, or one that changes what is not tracked by events (a fee), makes the pool's state
doubtful: it is counted and the pool has to be read anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from node.config import FactoryConfig
from node.engine.pool_announcements import AltersAmounts, spec_from_log
from node.engine.pool_topics import (
    WORD,
    LogJson,
    Reader,
    factory_topics,
    holder_readers,
    parsed,
    pool_readers,
)
from node.pipeline.events import PoolChange
from node.pipeline.pools import AT_BALANCER_V2, PoolFamily, PoolId, PoolSpec
from protocol.errors import MalformedMessage
from protocol.units import Address

_MAX_PASSED_OVER: Final = 65_536
_BY_ID: Final = AT_BALANCER_V2 | {PoolFamily.UNISWAP_V4}
"""Families whose pools one contract holds, which names them by an id in its logs."""


class BlockLogs(msgspec.Struct):
    """What the logs of one block say. `announced`: new pools. `registered`: ids of pools at Balancer's vault that are
    not known yet: what they are has to be asked. `doubtful`: pools to be read anew, and why."""

    changes: list[PoolChange] = []
    announced: list[PoolSpec] = []
    registered: list[PoolId] = []
    doubtful: dict[PoolId, str] = {}


class PoolLogs:
    """Reads logs of the families that are configured: `listed` are those of pools that no factory announces.

    `counts`: `logs`, `changes`, `malformed`, `altering hooks` (V4 pools that are left alone).
    """

    def __init__(self, factories: Sequence[FactoryConfig], listed: Sequence[PoolFamily] = ()) -> None:
        self.counts: Counter[str] = Counter()
        families = {*listed, *(factory.family for factory in factories)}
        if families & AT_BALANCER_V2:
            families |= AT_BALANCER_V2
        self._factories = {_hex(factory.address): factory for factory in factories}
        self._by_address: dict[str, PoolSpec] = {}
        self._by_id: dict[PoolId, PoolSpec] = {}
        self._passed_over: dict[PoolId, None] = {}
        self._holders = {name for name, one in self._factories.items() if one.family in _BY_ID}
        self._of_pool = {name: of for name, of in pool_readers().items() if set(of) & families}
        self._of_holder = holder_readers(families)
        self._of_factory = factory_topics(families)

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def topics(self) -> list[str]:
        """The topics of interest, for the filter of `eth_getLogs`."""
        return list(dict.fromkeys([*self._of_pool, *self._of_holder, *self._of_factory]))

    def follow(self, spec: PoolSpec) -> None:
        """Read the logs of a pool from now on."""
        if spec.family is not PoolFamily.UNISWAP_V4:
            self._by_address[_hex(spec.address)] = spec
        self._by_id[spec.id] = spec

    def pass_over(self, pool_id: PoolId) -> None:
        """Do not ask again what a pool at the vault is; at the bound the oldest may be asked for once more."""
        self._passed_over[pool_id] = None
        if len(self._passed_over) > _MAX_PASSED_OVER:
            del self._passed_over[next(iter(self._passed_over))]

    def spec_of(self, pool_id: PoolId) -> PoolSpec | None:
        """The followed pool of that id."""
        return self._by_id.get(pool_id)

    @property
    def followed(self) -> list[PoolSpec]:
        """All followed pools, in the order in which they were found."""
        return list(self._by_id.values())

    def read(self, logs: Sequence[LogJson]) -> BlockLogs:
        """Read the logs of one block, in their order."""
        said = self.told(logs)
        self.counts["logs"] += len(logs)
        self.counts["changes"] += len(said.changes)
        return said

    def told(self, logs: Sequence[LogJson]) -> BlockLogs:
        """What logs say, in their order, if they come to pass: those of a simulation."""
        said = BlockLogs()
        for log in logs:
            topic = log.topics[0].lower() if log.topics else ""
            address = log.address.lower()
            if topic in self._of_pool and address in self._by_address:
                spec = self._by_address[address]
                reader = self._of_pool[topic].get(spec.family)
                if reader is not None:
                    self._read_pool(spec, reader, log, said)
            elif topic in self._of_holder and address in self._holders:
                self._read_held(topic, log, said)
            elif topic in self._of_factory and address in self._factories:
                self._read_factory(self._factories[address], topic, log, said)
        return said

    def _read_pool(self, spec: PoolSpec, reader: Reader, log: LogJson, said: BlockLogs) -> None:
        try:
            change = reader(spec, parsed(log))
        except (MalformedMessage, ValueError) as error:
            self.counts["malformed"] += 1
            change = f"a malformed log: {str(error)[:100]}"
        if isinstance(change, str):
            said.doubtful[spec.id] = change
        else:
            said.changes.append(change)

    def _read_held(self, topic: str, log: LogJson, said: BlockLogs) -> None:
        try:
            pool_id = bytes.fromhex(log.topics[1][2:])
        except (IndexError, ValueError):
            self.counts["malformed"] += 1
            return
        spec = self._by_id.get(pool_id)
        if spec is not None:
            self._read_pool(spec, self._of_holder[topic], log, said)
            return
        is_vaults = self._factories[log.address.lower()].family in AT_BALANCER_V2
        is_new = len(pool_id) == WORD and pool_id not in self._passed_over and pool_id not in said.registered
        if is_vaults and is_new:
            said.registered.append(pool_id)

    def _read_factory(self, factory: FactoryConfig, topic: str, log: LogJson, said: BlockLogs) -> None:
        try:
            spec = spec_from_log(factory, topic, log)
        except AltersAmounts:
            self.counts["altering hooks"] += 1
            return
        except ValueError:
            self.counts["malformed"] += 1
            return
        if spec is not None and spec.id not in self._by_id:
            said.announced.append(spec)


def _hex(address: Address) -> str:
    return "0x" + address.hex()
