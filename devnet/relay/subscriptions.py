"""Who listens on the WebSocket to what. Each message is put together once, whoever many listen."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import orjson

from devnet.relay import parameters
from devnet.relay.context import PooledTransaction
from devnet.relay.jsonrpc import Call, InvalidParams, LimitExceeded, MethodNotFound
from protocol.ethereum.transaction_json import to_rpc

_TOPICS: Final = 4
_ALTERNATIVES: Final = 1024
"""Bound on addresses, and on values at one topic, in a filter."""


class Channel(Enum):
    """What can be listened to. The value is the first parameter of `eth_subscribe`."""

    HEADS = "newHeads"
    LOGS = "logs"
    PENDING_HASHES = "newPendingTransactions"
    PENDING_BODIES = "newPendingTransactions, true"
    STAGES = "devnet_stages"


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which logs are wanted: any of `addresses` (all, if empty), and per topic any of a set (None: whatever)."""

    addresses: frozenset[str] = frozenset()
    topics: tuple[frozenset[str] | None, ...] = ()

    @classmethod
    def parse(cls, value: Any) -> LogFilter:
        """Read the second parameter of `eth_subscribe logs`. Raises `InvalidParams`."""
        if value is None:
            return cls()
        if not isinstance(value, dict):
            raise InvalidParams("a log filter is an object with address and topics")
        address = value.get("address")
        addresses = _alternatives(address, parameters.address) or frozenset()
        topics = value.get("topics") or []
        if not isinstance(topics, list) or len(topics) > _TOPICS:
            raise InvalidParams(f"topics must be a list of at most {_TOPICS}")
        return cls(addresses, tuple(_alternatives(topic, _topic) for topic in topics))

    def matches(self, log: dict[str, Any]) -> bool:
        """Whether a log (JSON, lower-case hex) is wanted."""
        if self.addresses and log["address"].lower() not in self.addresses:
            return False
        topics = log["topics"]
        if len(self.topics) > len(topics):
            return False
        return all(wanted is None or topic in wanted for wanted, topic in zip(self.topics, topics, strict=False))


def _topic(value: Any) -> str:
    return "0x" + parameters.hash32(value, "topic").hex()


def _alternatives(value: Any, read: Callable[[Any], str]) -> frozenset[str] | None:
    if value is None or value == []:
        return None
    values = value if isinstance(value, list) else [value]
    if len(values) > _ALTERNATIVES:
        raise InvalidParams(f"a filter has at most {_ALTERNATIVES} alternatives")
    return frozenset(read(item) for item in values)


class Listener:
    """One WebSocket connection: messages wait here, at most `bound`; who is slower than that is disconnected."""

    def __init__(self, bound: int, disconnect: Callable[[], None], *, sees_half: bool = False) -> None:
        """`sees_half`: of pending transactions it is told of those with an even hash alone."""
        self.outbox: asyncio.Queue[bytes] = asyncio.Queue(bound)
        self._bound = bound
        self._disconnect = disconnect
        self.subscriptions: dict[str, tuple[Channel, LogFilter | None]] = {}
        self.too_slow = False
        self.sees_half = sees_half

    def send(self, message: bytes) -> bool:
        """Queue a message; False, and the connection is cut, where the listener is too slow."""
        if self.too_slow:
            return False
        if self.outbox.qsize() >= self._bound:
            self.too_slow = True
            self._disconnect()
            return False
        self.outbox.put_nowait(message)
        return True


@dataclass(slots=True)
class Subscriptions:
    """All listeners. `counts`: `announced` transactions, `messages` queued, `listeners_dropped` for being slow."""

    per_listener: int
    counts: Counter[str] = field(default_factory=Counter)
    _by_channel: dict[Channel, dict[str, tuple[Listener, LogFilter | None]]] = field(
        default_factory=lambda: {channel: {} for channel in Channel}
    )
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    heads_muted: bool = False
    """A fault (`stale_head`): blocks are not announced."""

    def serve(self, call: Call, listener: Listener | None) -> Any:
        """Serve `eth_subscribe` and `eth_unsubscribe`. Raises `JsonRpcError`."""
        if listener is None:
            raise MethodNotFound("notifications not supported over HTTP: open a WebSocket")
        if call.method == "eth_subscribe":
            return self.subscribe(listener, call.params)
        return self.unsubscribe(listener, parameters.text(parameters.at(call, 0, "id"), "id"))

    def subscribe(self, listener: Listener, params: Sequence[Any]) -> str:
        """Serve `eth_subscribe`; return the id of the new subscription. Raises `InvalidParams`, `LimitExceeded`."""
        channel, log_filter = _parse_subscription(params)
        if len(listener.subscriptions) >= self.per_listener:
            raise LimitExceeded(f"a connection has at most {self.per_listener} subscriptions")
        identifier = hex(next(self._ids))
        listener.subscriptions[identifier] = (channel, log_filter)
        self._by_channel[channel][identifier] = (listener, log_filter)
        return identifier

    def unsubscribe(self, listener: Listener, identifier: str) -> bool:
        """Serve `eth_unsubscribe`; whether there was such a subscription of this connection."""
        found = listener.subscriptions.pop(identifier, None)
        if found is not None:
            del self._by_channel[found[0]][identifier]
        return found is not None

    def forget(self, listener: Listener) -> None:
        """Take out a connection that has ended."""
        for identifier in tuple(listener.subscriptions):
            self.unsubscribe(listener, identifier)

    def announce_pending(self, pooled: PooledTransaction) -> None:
        """Tell of a public transaction that was admitted."""
        self.counts["announced"] += 1
        is_hidden = bool(pooled.transaction.hash[-1] & 1)
        if self._by_channel[Channel.PENDING_HASHES]:
            body = orjson.dumps("0x" + pooled.transaction.hash.hex())
            self._tell(Channel.PENDING_HASHES, body, from_half=is_hidden)
        if self._by_channel[Channel.PENDING_BODIES]:
            self._tell(Channel.PENDING_BODIES, orjson.dumps(to_rpc(pooled.transaction)), from_half=is_hidden)

    def announce_head(self, header: dict[str, Any], logs: Sequence[dict[str, Any]]) -> None:
        """Tell of a block, then of its logs."""
        if self.heads_muted:
            self.counts["heads_muted"] += 1
            return
        self._tell(Channel.HEADS, orjson.dumps(header))
        self.announce_logs(logs)

    def announce_logs(self, logs: Sequence[dict[str, Any]]) -> None:
        """Tell of logs, those with `removed` true as well."""
        listeners = self._by_channel[Channel.LOGS]
        if not listeners:
            return
        for log in logs:
            body = orjson.dumps(log)
            for identifier, (listener, log_filter) in tuple(listeners.items()):
                if log_filter is None or log_filter.matches(log):
                    self._send(listener, identifier, body)

    def announce_stage(self, block: int, stage: int) -> None:
        """Tell that a stage of lockstep has opened."""
        self._tell(Channel.STAGES, orjson.dumps({"block": block, "stage": stage}))

    def _tell(self, channel: Channel, body: bytes, *, from_half: bool = False) -> None:
        """Tell all that listen; `from_half`: but those who see half of the mempool."""
        for identifier, (listener, _) in tuple(self._by_channel[channel].items()):
            if not (from_half and listener.sees_half):
                self._send(listener, identifier, body)

    def _send(self, listener: Listener, identifier: str, body: bytes) -> None:
        message = b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"%b","result":%b}}' % (
            identifier.encode(),
            body,
        )
        was_slow = listener.too_slow
        if listener.send(message):
            self.counts["messages"] += 1
        elif not was_slow:
            self.counts["listeners_dropped"] += 1
            self.forget(listener)


def _parse_subscription(params: Sequence[Any]) -> tuple[Channel, LogFilter | None]:
    if not params or not isinstance(params[0], str):
        raise InvalidParams("missing value for required argument 0: the name of a subscription")
    name, *rest = params
    if len(rest) > 1:
        raise InvalidParams(f"{name} takes at most one argument")
    if name == "logs":
        return Channel.LOGS, LogFilter.parse(rest[0] if rest else None)
    if name == "newPendingTransactions":
        if rest and not isinstance(rest[0], bool):
            raise InvalidParams("newPendingTransactions takes true for full bodies")
        return (Channel.PENDING_BODIES if rest and rest[0] else Channel.PENDING_HASHES), None
    if name in ("newHeads", "devnet_stages") and not rest:
        return Channel(name), None
    raise InvalidParams(
        f"no such subscription: {name}; there are newHeads, logs, newPendingTransactions, devnet_stages"
    )
