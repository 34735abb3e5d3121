"""Looks at the chain again and again, logs what is new, and keeps the last sight for status and metrics.

A look that fails is logged once until one succeeds, and counted; the next comes as always: no look is urgent.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from governance.network import NetworkContracts
from governance.reading import ContractMissing, DeployedNetwork, Reader
from node.clock import Clock
from node.config import Config
from node.desk.watch.news import News, news
from node.desk.watch.rpc import WatchFailed, WatchRpc
from node.desk.watch.sight import Sight, Tables, look
from protocol.errors import ProtocolError
from protocol.units import ZERO_ADDRESS

NEWS_KEPT: Final = 50
_JSON_INTEGER: Final = 2**53 - 1
_LEAST_SECONDS: Final = 1.0
_LOG: Final = logging.getLogger("hftnode.watch")


class WatchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the watchers know: the last sight (amounts as decimal text), the last news, how often what was told."""

    sight: dict[str, Any] | None
    news: list[News]
    told: dict[str, int]
    looks: int
    failed: int
    trouble: str


class Watcher:
    """Watches one operator. `look_once` is one look; `run` looks for as long as the desk lives."""

    def __init__(self, look_now: Callable[[], Awaitable[Sight]], clock: Clock, seconds: float) -> None:
        self._look, self._clock = look_now, clock
        self._seconds = max(_LEAST_SECONDS, seconds)
        self._sight: Sight | None = None
        self._news: deque[News] = deque(maxlen=NEWS_KEPT)
        self._told: Counter[str] = Counter()
        self._looks = self._failed = 0
        self._trouble = ""

    @property
    def status(self) -> WatchStatus:
        """What is known now."""
        return WatchStatus(
            sight=None if self._sight is None else as_text(self._sight),
            news=list(self._news),
            told=dict(sorted(self._told.items())),
            looks=self._looks,
            failed=self._failed,
            trouble=self._trouble,
        )

    async def run(self) -> None:
        """Look once a block."""
        while True:
            await self.look_once()
            await self._clock.sleep(self._seconds)

    async def look_once(self) -> None:
        """Look, and tell what is new."""
        self._looks += 1
        try:
            now = await self._look()
        except (WatchFailed, ContractMissing, ProtocolError, KeyError, TypeError, ValueError) as error:
            # The last three: an answer that has not the shape of the method's.
            self._failed += 1
            if not self._trouble:
                _LOG.warning("cannot look at the chain: %s", error)
            self._trouble = f"{type(error).__name__}: {error}"
            return
        self._trouble = ""
        for each in news(self._sight, now) if self._sight is not None else ():
            self._news.append(each)
            self._told[each.about] += 1
            _LOG.log(logging.WARNING if each.urgent else logging.INFO, "%s: %s", each.about, each.text)
        if self._sight is None or now.block >= self._sight.block:
            self._sight = now


def as_text(sight: Sight) -> dict[str, Any]:
    """Return a sight for JSON: addresses in hex, and integers that JavaScript cannot hold as decimal text."""
    told: dict[str, Any] = _text(msgspec.to_builtins(sight, builtin_types=(bytes,)))
    return told


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _text(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_text(item) for item in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value > _JSON_INTEGER else value


def watcher_of(config: Config, rpc: WatchRpc, clock: Clock) -> Watcher | None:
    """Return the watcher of a configuration; None for a node that belongs to no network."""
    found = config.network
    if found is None:
        return None
    contracts = NetworkContracts(
        token=ZERO_ADDRESS,
        staking=found.staking,
        court=found.court,
        parameters=found.parameters,
        brake=found.brake,
        stream=ZERO_ADDRESS,
        ledger=found.ledger,
        work=ZERO_ADDRESS,
        governor=found.governor or ZERO_ADDRESS,
        timelock=ZERO_ADDRESS,
    )
    network = DeployedNetwork(chain_id=config.chain.id, since=found.from_block, contracts=contracts)
    safes = tuple(vault.safe for vault in config.execution.vaults)
    operator, module = found.operator, config.execution.vault_module
    tables: Tables = {}

    async def look_now() -> Sight:
        return await look(Reader(rpc, network), operator, safes, module, tables)

    return Watcher(look_now, clock, config.chain.block_seconds)
