"""Every byte that strangers can send: nothing crashes, nothing grows. Hypothesis in process, atheris beside it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from libp2p.pubsub.pb import rpc_pb2
from libp2p.stream_muxer.yamux.yamux import DEFAULT_WINDOW_SIZE

from node.sentry import streams
from node.sentry.bounded_yamux import MAX_STREAMS, BoundedYamux
from node.sentry.hardening import MAX_RPC_BYTES, MalformedRpc, next_rpc
from node.sentry.outbound import MAX_MESSAGES_PER_RPC
from node.sentry.streams import read_message
from protocol.codec import MAX_DIRECT_BYTES
from protocol.errors import RemoteProtocolError
from tests.sentry_scene import in_trio, peer_of, rpc, running, until

ROOT = Path(__file__).resolve().parents[2]
CANARIES = {
    "rpc": {"RPC", "MALFORMED_RPC", "OVERSIZE_RPC"},
    "envelope": {"OPPORTUNITY", "ALERT", "ATTESTATION", "HEARTBEAT", "NonCanonical", "TruncatedMessage"},
    "direct": {
        "SealedOrder",
        "OrderHandover",
        "SignedAccept",
        "Have",
        "Decline",
        "Evidence",
        "SignedSealingKey",
        "PeerRecords",
    },
    "gossip": {
        *("ACCEPT", "DUPLICATE", "OLD_SEQUENCE", "STALE", "UNKNOWN_KEY", "UNKNOWN_OPERATOR", "BLOCK_AHEAD"),
        *("BLOCK_BEHIND", "ALERT_OVER", "ALERT_TOO_LONG", "BAD_SIGNATURE", "BAD_ATTESTATION", "WRONG_TOPIC"),
        *("WRONG_PUBLISHER", "WRONG_DOMAIN", "MALFORMED", "OVERSIZE"),
    },
    "control": {"ACCEPTED", "SEEN", "OTHER_TOPIC", "BAD_GOSSIP_SIGNATURE", "subscribed", "in the mesh", "no RPC"},
    "identify": {"addresses", "protocols", "no addresses", "DecodeError"},
    "answer": {"SignedAccept", "Have", "Decline", "SignedSealingKey", "no answer"},
    "sealed": {"open", "shut", "TruncatedMessage"},
    "route": {"route", "TruncatedMessage"},
    "record": {
        *("records taken", "records without stake", "records that lead nowhere"),
        *("BadSignature", "NonCanonical", "TruncatedMessage", "FieldOutOfRange"),
    },
}
"""What each target of `fuzz_sentry` comes to by its seeds and a few mutations: one that does not reads nothing."""
RUNS, LONG_SECONDS = 3_000, 120
MAX_GROWTH_MB = 64

frames = st.builds(
    lambda version, kind, flags, stream, length, body: (
        bytes([version, kind]) + flags.to_bytes(2, "big") + stream.to_bytes(4, "big") + length.to_bytes(4, "big") + body
    ),
    st.sampled_from([0, 0, 0, 1, 255]),
    st.sampled_from([0, 0, 1, 1, 2, 3, 9]),
    st.integers(0, 15),
    st.integers(0, 9),
    st.one_of(st.integers(0, 64), st.sampled_from([DEFAULT_WINDOW_SIZE, DEFAULT_WINDOW_SIZE + 1, 2**32 - 1])),
    st.binary(max_size=64),
)


class Wire:
    """A secured connection that gives what a stranger sent, in pieces, and then ends."""

    is_initiator = False

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    async def read(self, n: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return next(self._pieces, b"")

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()


@given(st.lists(st.one_of(frames, st.binary(min_size=1, max_size=64)), max_size=40))
def test_whatever_frames_come_the_muxer_ends_and_keeps_within_its_bounds(pieces: list[bytes]) -> None:
    @in_trio
    async def scene() -> None:
        wire: Any = Wire(pieces)
        muxer = BoundedYamux(wire, peer_of("carol"), lambda peer: None)
        held: list[int] = []
        feed = muxer._feed

        def watched(*given: Any) -> None:
            feed(*given)
            held.append(len(muxer.streams))
            assert all(len(buffer) <= DEFAULT_WINDOW_SIZE for buffer in muxer.stream_buffers.values())

        monitored: Any = muxer
        monitored._feed = watched
        with trio.fail_after(10):
            await muxer.start()
        assert max(held, default=0) <= 2 * MAX_STREAMS
        assert (muxer.streams, muxer.stream_buffers, muxer.stream_events) == ({}, {}, {})

    scene()


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_whatever_comes_on_a_gossip_stream_is_rpcs_or_a_malformed_one(pieces: list[bytes]) -> None:
    buffer = bytearray()
    try:
        for piece in pieces:
            buffer += piece
            while (found := next_rpc(buffer)) is not None:
                assert isinstance(found, rpc_pb2.RPC)
                assert len(found.publish) <= MAX_MESSAGES_PER_RPC
            assert len(buffer) <= MAX_RPC_BYTES
    except MalformedRpc:
        return


class Stream:
    """A stream that gives bytes, and then nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, n: int) -> bytes:
        await trio.lowlevel.checkpoint()
        assert n <= MAX_DIRECT_BYTES
        given, self._data = self._data[:n], self._data[n:]
        return given


@given(st.one_of(st.binary(max_size=100), st.binary(max_size=60).map(lambda data: len(data).to_bytes(4, "big") + data)))
def test_whatever_comes_on_a_direct_stream_is_a_question_or_refused(data: bytes) -> None:
    async def read() -> None:
        stream: Any = Stream(data)
        try:
            streams._question(await read_message(stream))
        except RemoteProtocolError:
            return

    trio.run(read)


@pytest.mark.parametrize("target", CANARIES)
def test_atheris_finds_no_crash(target: str, tmp_path: Path) -> None:
    fuzz(target, tmp_path, f"-runs={RUNS}")


@pytest.mark.long
@pytest.mark.timeout(LONG_SECONDS + 120)
@pytest.mark.parametrize("target", CANARIES)
def test_atheris_finds_no_crash_in_minutes(target: str, tmp_path: Path) -> None:
    fuzz(target, tmp_path, f"-max_total_time={LONG_SECONDS}")


def fuzz(target: str, folder: Path, until_when: str) -> None:
    """Run libFuzzer on a reader; fail for a crash, a hang of 5 s, 512 MB in all, growth, and a state not reached."""
    if importlib.util.find_spec("atheris") is None and sys.platform != "linux":
        pytest.skip("atheris has no wheel for this system")
    options = [until_when, "-max_len=9000", "-timeout=5", "-rss_limit_mb=512", f"-artifact_prefix={folder}/"]
    # A process begins with the peak of the one that forks it as its own: of ours, which is that of all tests before.
    through_a_small_one = ["sh", "-c", '"$@"; exit "$?"', "sh"]
    command = [*through_a_small_one, sys.executable, "-m", "tests.network.fuzz_sentry", target, str(folder), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONG_SECONDS + 100)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert "DONE" in done.stderr, done.stderr[-1_000:]
    after_seeds, *_, at_end = (int(size) for size in re.findall(r"(?:INITED|pulse|DONE) .* rss: (\d+)Mb", done.stderr))
    assert at_end - after_seeds < MAX_GROWTH_MB
    assert CANARIES[target] - set((folder / "reached").read_text().splitlines()) == set()


def test_what_libp2p_reads_first_may_be_anything() -> None:
    """Noise where a handshake belongs, many times: each connection ends, and no place stays taken."""

    @in_trio
    async def scene() -> None:
        async with running("alice") as (alice,):
            port = int(alice.sentry.addresses[0].split("/tcp/")[1].split("/")[0])
            for garbage in (b"\0", b"\xff" * 5_000, b"\x13/multistream/1.0.0\n\x07/noise\n" + bytes(3_000), rpc()):
                async with await trio.open_tcp_stream("127.0.0.1", port) as socket:
                    await socket.send_all(garbage)
            await until(lambda: alice.sentry.admission.held["handshakes"] == 0, 15.0)
            assert alice.sentry.connected == []

    scene()
