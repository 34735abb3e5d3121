"""A builder's relay as its users speak to it: Flashbots JSON-RPC, one request a POST, each signed.

Answers: HTTP 200 with a result; 400 with a JSON-RPC error for a request that is refused; 403 for a missing or wrong
signature; 404 for an unknown builder; 413 for a body over the limit; 500 when the chain does not answer. Every error
is a JSON-RPC error object. Nothing that comes in here is shown to anybody else.

In lockstep a bundle is checked and answered at once and takes effect, as a cancellation does, when its stage closes:
`eth_cancelBundle` then answers with an empty list, and what a bound refuses shows in the counters only.

Not as at the real relay: no reputation (`isHighPriority` is false), no rate limit, and a private transaction given to
one builder is tried by all, as with the preference `fast`.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import orjson

from devnet.errors import ChainFailed, DevnetError, RpcError
from devnet.relay.builders import BuilderConfig, refuses
from devnet.relay.bundle_pool import BundlePool
from devnet.relay.bundle_stats import BundleStats
from devnet.relay.bundles import BundleFault, BundleRefused, Submission, decode_hex, read_block_number, read_bundle
from devnet.relay.bundles import read_uuid as read_replacement_uuid
from devnet.relay.call_bundle import call_bundle, read_call
from devnet.relay.chain import Chain
from devnet.relay.context import BlockPlan, Bundle, HttpAnswer
from devnet.relay.flashbots_signature import HEADER, SignatureRefused, verify_body
from devnet.relay.jsonrpc import Call, InvalidParams, InvalidRequest, JsonRpcError, MethodNotFound, error_body, parse
from devnet.relay.mempool_rules import HARDFORK, Refused
from devnet.rpc import RpcClient
from protocol.ethereum.forks import ChainRules

_log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 1_048_576
"""A bundle of 300,000 bytes is 600,000 hex digits; the rest is room for its other fields."""
PRIVATE_BLOCKS: Final = 25
"""So many blocks a private transaction is tried (docs.flashbots.net, `eth_sendPrivateTransaction`)."""
PRIVATE_KEPT: Final = 4096


InTurn = Callable[[Callable[[], Any]], Any]


def _at_once(action: Callable[[], Any]) -> Any:
    return action()


@dataclass(frozen=True, slots=True)
class _Private:
    signer: str
    last_block: int


@dataclass(frozen=True, slots=True)
class _Request:
    builder: BuilderConfig
    signer: str
    params: list[Any]


class FlashbotsApi:
    """All builders' relays: what they are sent, what they hold, and what became of it."""

    def __init__(
        self,
        *,
        chain: Chain,
        rpc: RpcClient,
        builders: Sequence[BuilderConfig],
        seed: int,
        now: Callable[[], float],
        submit_private: Callable[[bytes], Awaitable[bytes]],
        withdraw_private: Callable[[bytes], bool],
        in_turn: InTurn = _at_once,
        shuns: Callable[[str, Collection[str]], bool] = lambda _builder, _senders: False,
        pool: BundlePool | None = None,
    ) -> None:
        """`submit_private` takes raw bytes into the mempool unseen and returns the hash, or raises `Refused`.

        `withdraw_private` takes a transaction out of the mempool by hash and tells whether it was there. `in_turn`
        does something now, or later and returns None. `shuns`: whether a builder takes nothing of such senders.
        """
        self._in_turn, self._shuns = in_turn, shuns
        self._chain = chain
        self._rpc = rpc
        self._builders = {builder.name: builder for builder in builders}
        self._seed = seed
        self._now = now
        self._submit_private = submit_private
        self._withdraw_private = withdraw_private
        self._pool = pool or BundlePool()
        self._stats = BundleStats()
        self._private: OrderedDict[bytes, _Private] = OrderedDict()
        self._arrivals = 0
        self.counts: Counter[str] = Counter()
        self._methods: dict[str, Callable[[_Request], Awaitable[Any]]] = {
            "eth_sendBundle": self._send_bundle,
            "eth_callBundle": self._call_bundle,
            "eth_cancelBundle": self._cancel_bundle,
            "eth_sendPrivateTransaction": self._send_private_transaction,
            "eth_sendPrivateRawTransaction": self._send_private_raw_transaction,
            "eth_cancelPrivateTransaction": self._cancel_private_transaction,
            "flashbots_getBundleStats": self._bundle_stats_v1,
            "flashbots_getBundleStatsV2": self._bundle_stats_v2,
            "flashbots_getUserStats": self._user_stats_v1,
            "flashbots_getUserStatsV2": self._user_stats_v2,
        }

    async def handle(self, builder: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Answer a request to the relay of `builder`. Never raises."""
        if builder not in self._builders:
            return HttpAnswer(404, error_body(InvalidRequest(f"there is no builder {builder[:64]}")))
        if len(body) > MAX_BODY_BYTES:
            self.counts["oversize"] += 1
            message = f"request body too large: at most {MAX_BODY_BYTES} bytes"
            return HttpAnswer(413, error_body(InvalidRequest(message)))
        try:
            signer = verify_body(_header(headers), body)
        except SignatureRefused as error:
            self.counts[f"signature_{error.reason.name.lower()}"] += 1
            return HttpAnswer(403, error_body(InvalidRequest(str(error))))
        try:
            call = _read_call(body)
        except JsonRpcError as error:
            self.counts["malformed"] += 1
            return HttpAnswer(400, error_body(error))
        return await self._answer(self._builders[builder], signer, call)

    def offered(self, builder: str, block_number: int, closes_at: float) -> tuple[Bundle, ...]:
        """Return a builder's bundles for a block that it had by `closes_at` (devnet seconds), in order of arrival."""
        return self._pool.offered(builder, block_number, closes_at)

    def block_published(self, number: int, plan: BlockPlan, builder: str | None) -> None:
        """Note what became of the bundles of a published block; forget what was for it. `builder` None: a reorg."""
        now = self._now()
        if builder is not None:
            for bundle, gas in plan.simulated:
                self._stats.simulated(bundle, gas, now)
            for bundle in (*(placed.bundle for placed in plan.placed), *(bundle for bundle, _ in plan.dropped)):
                self._stats.considered(bundle, builder, now)
            for placed in plan.placed:
                self._stats.sealed(placed, builder, now)
        self._pool.expire(number)
        for hash_ in [known for known, private in self._private.items() if private.last_block <= number]:
            del self._private[hash_]
            if self._withdraw_private(hash_):
                self.counts["private_expired"] += 1

    def as_json(self) -> dict[str, Any]:
        """Return the counters as a JSON object, keys sorted."""
        return {
            **dict(sorted(self.counts.items())),
            "bundles": {event.name.lower(): count for event, count in self._pool.counts.items()},
            "bundles_waiting": len(self._pool),
            "stats_forgotten": dict(sorted(self._stats.forgotten.items())),
        }

    async def _answer(self, builder: BuilderConfig, signer: str, call: Call) -> HttpAnswer:
        if (method := self._methods.get(call.method)) is None:
            self.counts["unknown_methods"] += 1
            unknown = MethodNotFound(f"the method {call.method[:64]} does not exist/is not available")
            return HttpAnswer(400, error_body(unknown, call.identifier))
        try:
            result = await method(_Request(builder, signer, call.params))
        except BundleRefused as error:
            self.counts[f"bundle_{error.reason.name.lower()}"] += 1
            return HttpAnswer(400, error_body(error, call.identifier))
        except JsonRpcError as error:
            self.counts["refused"] += 1
            return HttpAnswer(400, error_body(error, call.identifier))
        except Refused as error:
            self.counts["private_refused"] += 1
            return HttpAnswer(400, error_body(JsonRpcError(str(error)), call.identifier))
        except (ChainFailed, RpcError) as error:
            self.counts["chain_failed"] += 1
            failed = JsonRpcError(f"the chain does not answer: {error}", -32603)
            return HttpAnswer(500, error_body(failed, call.identifier))
        except DevnetError as error:  # lockstep: out of turn
            self.counts["refused"] += 1
            return HttpAnswer(400, error_body(JsonRpcError(str(error)), call.identifier))
        except Exception:
            # A fault of ours must not end the caller's connection; the log has the traceback, the caller has not.
            _log.exception("%s failed", call.method[:64])
            self.counts["internal_errors"] += 1
            return HttpAnswer(500, error_body(JsonRpcError("internal error", -32603), call.identifier))
        return HttpAnswer(200, orjson.dumps({"jsonrpc": "2.0", "id": call.identifier, "result": result}))

    @property
    def _rules(self) -> ChainRules:
        return ChainRules(HARDFORK, self._chain.chain_id)

    async def _send_bundle(self, request: _Request) -> dict[str, str]:
        head, now = self._chain.head.number, self._now()
        bundle = read_bundle(request.params, Submission(head, self._rules, request.signer, 0, now))
        senders = {transaction.sender for transaction in bundle.transactions}
        if self._shuns(request.builder.name, senders) or refuses(self._seed, request.builder, bundle.hash):
            raise BundleRefused(BundleFault.BUILDER_REFUSES, request.builder.name)
        self._in_turn(partial(self._admit, request.builder.name, bundle))
        return {"bundleHash": "0x" + bundle.hash.hex()}

    def _admit(self, builder: str, bundle: Bundle) -> None:
        self._arrivals += 1
        self._pool.add(builder, replace(bundle, arrival=self._arrivals))
        self._stats.received(bundle)

    async def _call_bundle(self, request: _Request) -> dict[str, Any]:
        head = self._chain.head
        call = read_call(request.params, head.number, self._rules)
        return await call_bundle(self._rpc, head, call, request.builder.coinbase)

    async def _cancel_bundle(self, request: _Request) -> list[str]:
        uuid = read_replacement_uuid(_fields(request).get("replacementUuid"))
        cancelled = self._in_turn(partial(self._pool.cancel, request.builder.name, request.signer, uuid)) or []
        return ["0x" + bundle.hash.hex() for bundle in cancelled]

    async def _send_private_transaction(self, request: _Request) -> str:
        fields = _fields(request)
        last_block = self._chain.head.number + PRIVATE_BLOCKS
        if (asked := fields.get("maxBlockNumber")) is not None:
            # The documentation has hex text; the flashbots package sends a number.
            number = asked if isinstance(asked, int) and not isinstance(asked, bool) else read_block_number(asked)
            if number <= self._chain.head.number:
                raise BundleRefused(BundleFault.BLOCK_PASSED, f"maxBlockNumber {number}")
            last_block = min(last_block, number)
        return await self._take_private(fields.get("tx"), request.signer, last_block)

    async def _send_private_raw_transaction(self, request: _Request) -> str:
        if not request.params:
            raise InvalidParams("missing params")
        return await self._take_private(request.params[0], request.signer, self._chain.head.number + PRIVATE_BLOCKS)

    async def _take_private(self, value: Any, signer: str, last_block: int) -> str:
        transaction = decode_hex(value, self._rules)
        known = self._private.get(transaction.hash)
        if known is None:
            await self._submit_private(transaction.raw)
            self._private[transaction.hash] = _Private(signer, last_block)
            self.counts["private_admitted"] += 1
            if len(self._private) > PRIVATE_KEPT:  # it stays in the mempool, but cannot be cancelled any more
                self._private.popitem(last=False)
                self.counts["private_forgotten"] += 1
        return "0x" + transaction.hash.hex()

    async def _cancel_private_transaction(self, request: _Request) -> bool:
        hash_ = _hash(_fields(request).get("txHash"), "txHash")
        private = self._private.get(hash_)
        if private is None or private.signer != request.signer:
            return False
        withdrawn = self._in_turn(partial(self._withdraw, hash_))
        return True if withdrawn is None else bool(withdrawn)

    def _withdraw(self, hash_: bytes) -> bool:
        self._private.pop(hash_, None)
        return self._withdraw_private(hash_)

    async def _bundle_stats_v1(self, request: _Request) -> dict[str, Any]:
        return self._stats.bundle_v1(*_bundle_name(request))

    async def _bundle_stats_v2(self, request: _Request) -> dict[str, Any]:
        return self._stats.bundle_v2(*_bundle_name(request))

    async def _user_stats_v1(self, request: _Request) -> dict[str, Any]:
        return self._stats.user_v1(request.signer, self._now())

    async def _user_stats_v2(self, request: _Request) -> dict[str, Any]:
        return self._stats.user_v2(request.signer, self._now())


def _header(headers: Mapping[str, str]) -> str | None:
    """Return the signature header, whatever its case and the kind of mapping."""
    if (value := headers.get(HEADER)) is not None:
        return value
    return next((value for name, value in headers.items() if name.lower() == HEADER.lower()), None)


def _read_call(body: bytes) -> Call:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise JsonRpcError("parse error: not JSON", -32700) from error
    if isinstance(request, list):
        raise InvalidRequest("batches are not supported")
    return parse(request)


def _fields(request: _Request) -> dict[str, Any]:
    if len(request.params) != 1 or not isinstance(request.params[0], dict):
        raise InvalidParams("missing params")
    return request.params[0]


def _bundle_name(request: _Request) -> tuple[bytes, int]:
    fields = _fields(request)
    return _hash(fields.get("bundleHash"), "bundleHash"), read_block_number(fields.get("blockNumber"))


def _hash(value: Any, name: str) -> bytes:
    try:
        hash_ = bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        hash_ = b""
    if len(hash_) != 32:
        raise InvalidParams(f"{name} must be 32 bytes of hex with 0x")
    return hash_
