"""Relays that take a bundle, refuse it, hang, lie, or are not there: each answer is one line, and nothing is raised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiohttp import web

from devnet.relay.flashbots_signature import verify_body
from node.clock import SystemClock
from node.config import RelayConfig
from node.engine.bundle_wire import SIGNATURE_HEADER, replacement_uuid
from node.engine.relays import ANSWER_SECONDS, ENOUGH_ANSWERS, LATE_SECONDS, MAX_ANSWER_BYTES, Relays
from node.engine.signer import SignedBundle
from protocol.units import BlockNumber, Hash32
from tests.manual_clock import ManualClock
from tests.vault_stand_in import signed, signer

IDENTITY = signer().identity
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Relay:
    """A real HTTP server that answers as it is told to."""

    def __init__(self) -> None:
        self.bodies: list[tuple[bytes, dict[str, str]]] = []
        self.answer: Any = None
        self.raw: bytes | None = None
        self.status = 200
        self.gate: asyncio.Event | None = None
        self.elsewhere: str | None = None
        self.is_asked = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.bodies.append((body, dict(request.headers)))
        self.is_asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.elsewhere is not None:
            return web.Response(status=307, headers={"Location": self.elsewhere})
        raw = orjson.dumps({"jsonrpc": "2.0", "id": 1, **self.answer}) if self.raw is None else self.raw
        return web.Response(body=raw, status=self.status)


@pytest.fixture
async def served() -> AsyncIterator[tuple[Relay, str]]:
    relay, application = Relay(), web.Application()
    application.router.add_post("/{path:.*}", relay.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield relay, str(runner.addresses[0][1])
    if relay.gate is not None:
        relay.gate.set()
    await runner.cleanup()


@pytest.fixture
def bundle() -> SignedBundle:
    return signed(11)


def configured(port: str, *names: str) -> list[RelayConfig]:
    return [RelayConfig(name=name, url=f"http://127.0.0.1:{port}/") for name in names or ("swift",)]


async def error_of(served: tuple[Relay, str], bundle: SignedBundle) -> str:
    async with Relays(configured(served[1]), SystemClock()) as relays:
        (answer,) = await relays.send(bundle, IDENTITY)
        assert (answer.bundle_hash, answer.relay) == (bundle.hash, "swift")
        assert answer.took_ns > 0
        assert relays.states == {"swift": answer.error or "ok"}
        return answer.error


@pytest.mark.parametrize("upper", [False, True])
async def test_a_relay_that_takes_the_bundle_says_its_hash(
    served: tuple[Relay, str], bundle: SignedBundle, upper: bool
) -> None:
    text = bundle.hash.hex()
    served[0].answer = {"result": {"bundleHash": "0x" + (text.upper() if upper else text)}}
    assert await error_of(served, bundle) == ""
    ((body, headers),) = served[0].bodies
    assert orjson.loads(body)["params"][0]["replacementUuid"] == replacement_uuid(bundle.plan.replaces)
    assert verify_body(headers[SIGNATURE_HEADER], body) == IDENTITY.address


async def test_a_relay_that_says_nothing_of_the_hash_is_believed(
    served: tuple[Relay, str], bundle: SignedBundle
) -> None:
    served[0].answer = {"result": None}
    assert await error_of(served, bundle) == ""


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"error": {"code": -32000, "message": "too late"}}, "refused: too late"),
        ({"error": {"code": -32000}}, "refused: {'code': -32000}"),
        ({"error": "no"}, "refused: no"),
        ({"result": {"bundleHash": "0x1234"}}, "lies: it names another bundle, 0x1234"),
    ],
)
async def test_a_refusal_or_a_lie_is_told(
    served: tuple[Relay, str], bundle: SignedBundle, answer: dict[str, Any], error: str
) -> None:
    served[0].answer = answer
    assert await error_of(served, bundle) == error


@pytest.mark.parametrize(
    ("raw", "status", "error"),
    [
        (b"<html>", 502, "lies: HTTP 502 with something that is not JSON"),
        (b"[]", 200, "lies: HTTP 200 with something that is no JSON-RPC answer"),
        (b'"' + b"x" * MAX_ANSWER_BYTES + b'"', 200, f"lies: more than {MAX_ANSWER_BYTES} bytes of answer"),
    ],
)
async def test_garbage_is_told(
    served: tuple[Relay, str], bundle: SignedBundle, raw: bytes, status: int, error: str
) -> None:
    served[0].raw, served[0].status = raw, status
    assert await error_of(served, bundle) == error


async def test_a_bundle_goes_nowhere_else_where_a_relay_points(served: tuple[Relay, str], bundle: SignedBundle) -> None:
    served[0].elsewhere = f"http://127.0.0.1:{served[1]}/elsewhere"
    assert await error_of(served, bundle) == "lies: HTTP 307 with something that is not JSON"
    assert len(served[0].bodies) == 1


async def test_no_answer_quotes_the_key_in_a_relays_url(bundle: SignedBundle) -> None:
    async def speak_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak_nonsense, "127.0.0.1", 0)
    url = f"http://user:word@127.0.0.1:{server.sockets[0].getsockname()[1]}/path-key?token=query-key"
    async with server, Relays([RelayConfig(name="swift", url=url)], SystemClock()) as relays:
        (answer,) = await relays.send(bundle, IDENTITY)
        told = answer.error + relays.states["swift"]
    assert answer.error == "unreachable: no connection (ClientResponseError)"
    assert not any(secret in told for secret in ("word", "path-key", "query-key"))


async def test_a_relay_that_is_not_there_is_told(bundle: SignedBundle) -> None:
    async with Relays(configured("9"), SystemClock()) as relays:
        (answer,) = await relays.send(bundle, IDENTITY)
    assert answer.error.startswith("unreachable: ")


@pytest.mark.parametrize("seconds", [ANSWER_SECONDS, 60.0])
async def test_a_relay_that_hangs_is_not_waited_for(
    served: tuple[Relay, str], bundle: SignedBundle, seconds: float
) -> None:
    served[0].gate, clock = asyncio.Event(), ManualClock()
    async with Relays(configured(served[1]), clock, answer_seconds=seconds) as relays:
        task = asyncio.create_task(relays.send(bundle, IDENTITY))
        await clock.until_asleep(seconds)
        await clock.advance(seconds)
        (answer,) = await task
    assert answer.error == f"unreachable: no answer within {seconds:g} s"


async def test_what_replaces_or_withdraws_a_bundle_reaches_a_relay_after_it_and_what_was_overtaken_stays_here(
    served: tuple[Relay, str], bundle: SignedBundle
) -> None:
    served[0].gate, served[0].answer = asyncio.Event(), {"result": None}
    async with Relays(configured(served[1]), SystemClock()) as relays:
        first = asyncio.create_task(relays.send(bundle, IDENTITY))
        await served[0].is_asked.wait()
        later = [
            asyncio.create_task(relays.send(bundle, IDENTITY)),
            asyncio.create_task(relays.cancel(bundle.plan.replaces, IDENTITY)),
        ]
        other = asyncio.create_task(relays.cancel(Hash32(b"\1" * 32), IDENTITY))
        served[0].is_asked.clear()
        await served[0].is_asked.wait()
        assert [orjson.loads(body)["method"] for body, _ in served[0].bodies] == ["eth_sendBundle", "eth_cancelBundle"]
        served[0].gate.set()
        answers = [answer.error for task in (first, *later, other) for answer in await task]
        assert answers == ["", "not sent: overtaken", "", ""]
        assert [orjson.loads(body)["method"] for body, _ in served[0].bodies[2:]] == ["eth_cancelBundle"]
        assert not relays._lines


async def test_a_request_that_is_given_up_lets_the_next_one_go(served: tuple[Relay, str], bundle: SignedBundle) -> None:
    served[0].gate, served[0].answer = asyncio.Event(), {"result": None}
    async with Relays(configured(served[1]), SystemClock()) as relays:
        first, second, third = [asyncio.create_task(relays.send(bundle, IDENTITY)) for _ in range(3)]
        await served[0].is_asked.wait()
        second.cancel()
        first.cancel()
        served[0].gate.set()
        assert [answer.error for answer in await third] == [""]
        assert (len(served[0].bodies), relays._lines) == (2, {})


async def test_all_relays_get_the_same_bytes_and_one_bad_relay_harms_no_other(
    served: tuple[Relay, str], bundle: SignedBundle
) -> None:
    served[0].answer = {"result": None}
    relays = [*configured(served[1], "swift", "steady"), *configured("9", "gone")]
    async with Relays(relays, SystemClock()) as asked:
        answers = await asked.send(bundle, IDENTITY)
    assert [answer.error == "" for answer in answers] == [True, True, False]
    (one, _), (other, _) = served[0].bodies
    assert one == other


async def test_a_cancellation_names_what_it_withdraws(served: tuple[Relay, str]) -> None:
    served[0].answer, replaces = {"result": []}, Hash32(b"\5" * 32)
    async with Relays(configured(served[1]), SystemClock()) as relays:
        (answer,) = await relays.cancel(replaces, IDENTITY)
        await relays.warm(IDENTITY)
    assert (answer.bundle_hash, answer.error) == (replaces, "")
    sent = [orjson.loads(body) for body, _ in served[0].bodies]
    assert [one["method"] for one in sent] == ["eth_cancelBundle"] * 2
    assert sent[0]["params"][0]["replacementUuid"] == replacement_uuid(replaces)


class InTurn:
    """As lockstep has it."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.asked = 0

    async def turn(self) -> None:
        await self.opened.wait()

    def headers(self) -> dict[str, str]:
        self.asked += 1
        return {"X-Devnet-Sequence": str(self.asked)}


async def test_in_lockstep_requests_wait_for_their_turn_and_are_numbered(
    served: tuple[Relay, str], bundle: SignedBundle
) -> None:
    served[0].answer, turns = {"result": None}, InTurn()
    async with Relays(configured(served[1], "swift", "steady"), SystemClock(), turns) as relays:
        task = asyncio.create_task(relays.send(bundle, IDENTITY))
        await asyncio.sleep(0)
        assert served[0].bodies == []
        turns.opened.set()
        await task
    assert [headers["X-Devnet-Sequence"] for _, headers in served[0].bodies] == ["1", "2"]


async def test_relays_are_used_within_their_context_only(bundle: SignedBundle) -> None:
    relays = Relays(configured("9"), SystemClock())
    with pytest.raises(RuntimeError, match="outside their context"):
        await relays.send(bundle, IDENTITY)
    await relays.__aexit__(None, None, None)


async def test_a_relay_that_takes_no_bundle_is_of_no_use_even_if_it_lets_us_withdraw(
    served: tuple[Relay, str], bundle: SignedBundle
) -> None:
    relay, port = served
    async with Relays(configured(port, "swift", "steady"), SystemClock()) as relays:
        relay.answer = {"result": None}
        await relays.warm(IDENTITY)
        assert relays.usable == 2, "nothing is known yet"

        relay.answer = {"error": {"message": "this builder will not take it"}}
        await relays.send(bundle, IDENTITY)
        assert relays.usable == 0, "all of them refused the last bundle"

        relay.answer = {"result": None}
        for _ in range(ENOUGH_ANSWERS):
            await relays.cancel(bundle.hash, IDENTITY)
        assert relays.usable == 0

        await relays.send(bundle, IDENTITY)
        assert relays.usable == 2


async def test_one_relay_that_refuses_some_bundles_stays_usable_and_one_that_refuses_all_does_not(
    served: tuple[Relay, str], bundle: SignedBundle
) -> None:
    relay, port = served
    picky = RelayConfig(name="gone", url="http://127.0.0.1:9/")
    async with Relays([*configured(port, "swift"), picky], SystemClock()) as relays:
        relay.answer = {"result": None}
        for sent in range(ENOUGH_ANSWERS):
            assert relays.usable == 2, f"after {sent} bundles"
            await relays.send(bundle, IDENTITY)
        assert relays.usable == 1


async def test_a_bundle_that_came_too_late_is_no_relays_refusal(
    served: tuple[Relay, str], bundle: SignedBundle
) -> None:
    relay, port = served
    clock, target = ManualClock(), bundle.plan.target_block
    async with Relays(configured(port, "swift", "steady"), clock) as relays:
        relay.answer = {"error": {"message": "block param is not in the future"}}
        await relays.send(bundle, IDENTITY)
        relays.block_came(BlockNumber(target - 1))
        assert relays.usable == 0, "a block before it says nothing"
        relays.block_came(target)
        assert relays.usable == 2, "it was refused just before its block came"

        await relays.send(bundle, IDENTITY)
        await clock.advance(2 * LATE_SECONDS)
        relays.block_came(target)
        assert relays.usable == 0, "it was refused long before its block came"


async def test_a_relay_that_can_name_bundles_and_names_another_is_told_of_and_no_other(
    served: tuple[Relay, str], bundle: SignedBundle
) -> None:
    relay, port = served
    lies: list[tuple[str, Hash32, BlockNumber]] = []
    async with Relays(configured(port), SystemClock()) as relays:
        relays.on_lie = lambda *lie: lies.append(lie)
        right, another = ({"result": {"bundleHash": "0x" + name.hex()}} for name in (bundle.hash, bytes(32)))
        for answer in (another, right, {"result": {"bundleHash": "0x1234"}}, {"error": {"message": "no"}}):
            relay.answer = answer
            await relays.send(bundle, IDENTITY)
        assert not lies, "it counted them by a rule of its own, was right, or named no bundle"
        relay.answer = another
        await relays.send(bundle, IDENTITY)
        assert lies == [(f"http://127.0.0.1:{port}/", bundle.hash, bundle.plan.target_block)]


async def test_to_stop_a_relay_by_our_own_policy_is_no_lack_of_reach(served: tuple[Relay, str]) -> None:
    _, port = served
    async with Relays([*configured(port), RelayConfig(name="other", url="http://127.0.0.1:1/")], SystemClock()) as two:
        assert (two.usable, two.needed) == (2, 2)
        two.is_stopped = lambda url: url.endswith(":1/")
        assert (two.usable, two.needed) == (1, 1)


async def test_a_relay_that_is_stopped_is_offered_nothing_and_still_hears_what_is_withdrawn(
    served: tuple[Relay, str], bundle: SignedBundle
) -> None:
    relay, port = served
    relay.answer = {"result": None}
    async with Relays(configured(port), SystemClock()) as relays:
        relays.is_stopped = lambda url: url.endswith(f":{port}/")
        assert await relays.send(bundle, IDENTITY) == []
        assert (relays.usable, relays.needed) == (0, 1), "who is offered nothing lacks reach"
        assert not relay.bodies
        await relays.cancel(bundle.hash, IDENTITY)
        assert len(relay.bodies) == 1
