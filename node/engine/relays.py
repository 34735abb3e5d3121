"""Bundles to all relays at once: one body, one signature, warm connections, a deadline; each answer is recorded.

A relay's word is not believed further than this: whether a bundle landed is read from the chain. What it answers
wrongly (another bundle's hash, no JSON, too much of it) counts as an error of its own. Another hash is told as a lie
(`on_lie`) only of a relay that has named bundles of ours rightly: else it may count them by a rule of its own.

What goes to one relay under one replacement key goes in the order in which it was asked for: a withdrawal must not
overtake what it withdraws. It waits for no other relay, and what a later word has overtaken while it waited stays here.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import repeat
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self, TypeAlias

import aiohttp
import orjson

from node.clock import Clock, within
from node.config import RelayConfig
from node.engine.bundle_wire import SIGNATURE_HEADER, bundle_body, cancel_body, signature_header
from node.engine.signer import SignedBundle
from node.records import RelayAnswered
from protocol.ethereum.keys import SigningKey
from protocol.units import BlockNumber, Hash32

ANSWER_SECONDS: Final = 2.0
MAX_ANSWER_BYTES: Final = 256 * 1024
CONNECTIONS_PER_RELAY: Final = 32
REMEMBERED_ANSWERS: Final = 12
ENOUGH_ANSWERS: Final = 6
"""A relay that took nothing of so many is of no use to us."""
LATE_SECONDS: Final = 1.0
OVERTAKEN: Final = "not sent: overtaken"
_HASH: Final = re.compile("0x[0-9a-fA-F]{64}")
_ERROR_CHARACTERS: Final = 300


class Turns(Protocol):
    """Where requests have an order (a devnet in lockstep): when they may go, and the headers that tell it."""

    async def turn(self) -> None:
        """Return when requests may go; who asked first goes first."""

    def headers(self) -> dict[str, str]:
        """Return the headers of the next request."""


_Key: TypeAlias = tuple[str, str, Hash32]
"""A relay, the account that signs the request, and what the request replaces."""
_Judge: TypeAlias = Callable[[RelayConfig, Any], str]
"""What is wrong with a relay's result; empty if nothing is."""


class _Line:
    """The requests of one key: one is under way, the others wait; `last` numbers them."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.last = self.waiting = 0


class _Answered(NamedTuple):
    """What a relay said to a bundle for a block, and when (on the node's clock)."""

    was_taken: bool
    target_block: BlockNumber
    at: float


class Relays:
    """See the module."""

    def __init__(
        self,
        relays: Sequence[RelayConfig],
        clock: Clock,
        turns: Turns | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.states: dict[str, str] = {relay.name: "not asked yet" for relay in relays}
        """By name: `ok`, or what was wrong at the last request."""
        self._lately: dict[str, deque[_Answered]] = {relay.name: deque(maxlen=REMEMBERED_ANSWERS) for relay in relays}
        self.on_lie: Callable[[str, Hash32, BlockNumber], None] = lambda _url, _bundle, _target: None
        """Called with a relay that answered a bundle for a block by another's hash, and could have known better."""
        self.is_stopped: Callable[[str], bool] = lambda _url: False
        """Whether a relay is offered nothing, by the operator's policy; what it was given is still withdrawn."""
        self._names_rightly: set[str] = set()
        """By address."""
        self._relays, self._clock, self._turns = tuple(relays), clock, turns
        self._seconds = answer_seconds
        self._in_turn = asyncio.Lock()
        self._lines: dict[_Key, _Line] = {}
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_PER_RELAY, keepalive_timeout=60.0)
        self._http = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    @property
    def usable(self) -> int:
        """How many relays took something lately, or have not been asked enough to tell.

        None where the last that each was asked was refused by all of them: one may dislike a bundle, not every one.
        """
        offered = [self._lately[relay.name] for relay in self._relays if not self.is_stopped(relay.url)]
        lately = [[answer.was_taken for answer in answers] for answers in offered]
        if all(answers and not answers[-1] for answers in lately):
            return 0
        return sum(any(answers) or len(answers) < ENOUGH_ANSWERS for answers in lately)

    @property
    def needed(self) -> int:
        """How many have to be usable for nothing of our reach to be lacking: all that are offered anything.

        Where our policy stopped every one, one is.
        """
        offered = sum(not self.is_stopped(relay.url) for relay in self._relays)
        return offered or min(1, len(self._relays))

    def block_came(self, block: BlockNumber) -> None:
        """Forget who refused bundles for a block shortly before it came: these were late, which is no relay's fault."""
        if self._turns is not None:
            return
        late_from = self._clock.monotonic() - LATE_SECONDS
        for answers in self._lately.values():
            kept = [one for one in answers if one.was_taken or one.target_block != block or one.at < late_from]
            answers.clear()
            answers.extend(kept)

    async def warm(self, identity: SigningKey) -> None:
        """Open a connection to each relay before the first bundle needs it, by withdrawing what was never sent."""
        await self.cancel(Hash32(bytes(32)), identity)

    async def send(self, bundle: SignedBundle, identity: SigningKey) -> list[RelayAnswered]:
        """Offer a bundle to all relays and return their answers; never raises for what a relay does."""
        plan = bundle.plan
        body = bundle_body(bundle.transactions, plan.target_block, plan.replaces)
        judge = partial(self._bundle_error, bundle=bundle)
        offered = [relay for relay in self._relays if not self.is_stopped(relay.url)]
        answers = await self._ask_all(offered, body, identity, bundle.hash, plan.replaces, judge)
        for answer in answers:  # of bundles alone: who takes nothing of ours still lets us withdraw
            if answer.error != OVERTAKEN:
                told = _Answered(not answer.error, plan.target_block, self._clock.monotonic())
                self._lately[answer.relay].append(told)
        return answers

    async def cancel(self, replaces: Hash32, identity: SigningKey) -> list[RelayAnswered]:
        """Withdraw what was offered under `replaces`; return the answers."""
        body = cancel_body(replaces)
        return await self._ask_all(self._relays, body, identity, replaces, replaces, lambda _relay, _result: "")

    async def _ask_all(
        self,
        relays: Sequence[RelayConfig],
        body: bytes,
        identity: SigningKey,
        name: Hash32,
        replaces: Hash32,
        judge: _Judge,
    ) -> list[RelayAnswered]:
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature_header(body, identity)}
        if self._turns is None:
            keys = [(relay.name, identity.address, replaces) for relay in relays]
            asked = [self._ask(relay, body, headers, name, judge) for relay in relays]
            return list(await asyncio.gather(*map(self._in_line, keys, asked, repeat(name))))
        await self._turns.turn()
        numbered = [{**headers, **self._turns.headers()} for _ in relays]
        async with self._in_turn:  # `usable` goes by the order of the answers
            pairs = zip(relays, numbered, strict=True)
            return [await self._ask(relay, body, own, name, judge) for relay, own in pairs]

    async def _in_line(self, key: _Key, asked: Coroutine[Any, Any, RelayAnswered], name: Hash32) -> RelayAnswered:
        line = self._lines.setdefault(key, _Line())
        line.last, line.waiting = line.last + 1, line.waiting + 1
        own = line.last
        try:
            async with line.turn:
                if own == line.last:
                    return await asked
            return RelayAnswered(bundle_hash=name, relay=key[0], error=OVERTAKEN, took_ns=0)
        finally:
            asked.close()
            line.waiting -= 1
            if not line.waiting:
                del self._lines[key]

    async def _ask(
        self, relay: RelayConfig, body: bytes, headers: dict[str, str], name: Hash32, judge: _Judge
    ) -> RelayAnswered:
        begun = self._clock.monotonic()
        try:
            error = await within(
                self._clock, self._seconds, self._post(relay.url, body, headers, partial(judge, relay))
            )
        except TimeoutError:
            error = f"unreachable: no answer within {self._seconds:g} s"
        except (aiohttp.ClientError, OSError) as fault:
            # Only the kind: the texts of some of these quote the URL, which may hold a key.
            error = f"unreachable: no connection ({type(fault).__name__})"
        took = int((self._clock.monotonic() - begun) * 1e9)
        self.states[relay.name] = error or "ok"
        return RelayAnswered(bundle_hash=name, relay=relay.name, error=error, took_ns=took)

    def _bundle_error(self, relay: RelayConfig, result: Any, bundle: SignedBundle) -> str:
        """What is wrong with what a relay calls a bundle; told as a lie where it could have known better."""
        told = result.get("bundleHash") if isinstance(result, dict) else None
        if told is None:
            return ""
        if str(told).lower() == "0x" + bundle.hash.hex():
            self._names_rightly.add(relay.url)
            return ""
        if _HASH.fullmatch(str(told)) and relay.url in self._names_rightly:
            self.on_lie(relay.url, bundle.hash, bundle.plan.target_block)
        return f"lies: it names another bundle, {str(told)[:80]}"

    async def _post(self, url: str, body: bytes, headers: dict[str, str], judge: Callable[[Any], str]) -> str:
        if self._http is None:
            raise RuntimeError("the relays are used outside their context")
        async with self._http.post(url, data=body, headers=headers, allow_redirects=False) as response:
            raw = await response.content.read(MAX_ANSWER_BYTES + 1)
            while len(raw) <= MAX_ANSWER_BYTES and (more := await response.content.read(MAX_ANSWER_BYTES)):
                raw += more
        return _answer_error(raw, response.status, judge)


def _answer_error(raw: bytes, status: int, judge: Callable[[Any], str]) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if len(raw) > MAX_ANSWER_BYTES:
        return f"lies: more than {MAX_ANSWER_BYTES} bytes of answer"
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return f"lies: HTTP {status} with something that is not JSON"
    if not isinstance(answer, dict):
        return f"lies: HTTP {status} with something that is no JSON-RPC answer"
    fault = answer.get("error")
    if fault is not None:
        text = fault.get("message", fault) if isinstance(fault, dict) else fault
        return f"refused: {str(text)[:_ERROR_CHARACTERS]}"
    return judge(answer.get("result"))
