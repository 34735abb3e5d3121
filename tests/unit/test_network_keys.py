"""What numbers envelopes get, whatever the clock does."""

from __future__ import annotations

import pytest

from node.engine.network.keys import NetworkKeys
from protocol.messages import CLOCK_TOLERANCE_MS, Envelope, Heartbeat, require_current
from protocol.units import BlockNumber, BootId, Hash32, PeerIdHash, UnixMilliseconds, milliseconds_of
from tests import protocol_factories as make
from tests.protocol_factories import DEVNET

NOW = UnixMilliseconds(1_800_000_000_000)
HOUR_MS = 3_600_000


class Scene:
    """Alice's keys under a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW
        self.keys = self.started()

    def started(self) -> NetworkKeys:
        peer = PeerIdHash(Hash32(b"\2" * 32))
        return NetworkKeys(DEVNET, make.ADDRESSES["alice"], peer, b"\3" * 32, BootId(5), lambda: self.now)

    def set(self, ahead_ms: int) -> None:
        self.now = UnixMilliseconds(NOW + ahead_ms)

    def said(self) -> Envelope:
        return self.keys.envelope(Heartbeat(block_number=BlockNumber(1), block_hash=Hash32(b"\1" * 32), capabilities=0))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_numbers_rise_also_within_a_millisecond(scene: Scene) -> None:
    numbers = [scene.said().sequence for _ in range(3)]
    assert numbers == sorted(set(numbers))


def test_after_a_clock_that_was_an_hour_ahead_what_is_said_is_current(scene: Scene) -> None:
    scene.set(HOUR_MS)
    scene.said()
    scene.set(0)
    require_current(scene.said(), NOW)
    scene.set(1)
    require_current(scene.said(), scene.now)


@pytest.mark.parametrize("back_ms", [1, CLOCK_TOLERANCE_MS // 2])
def test_a_clock_that_is_set_back_a_little_repeats_no_number(scene: Scene, back_ms: int) -> None:
    before = scene.said()
    scene.set(-back_ms)
    after = scene.said()
    assert after.sequence > before.sequence
    require_current(after, scene.now)


def test_a_boot_under_a_clock_that_was_ahead_is_dated_anew_so_that_a_twin_is_heard(scene: Scene) -> None:
    scene.set(HOUR_MS)
    scene.keys = scene.started()
    scene.set(0)
    scene.said()
    assert milliseconds_of(scene.keys.first_sequence) == NOW
