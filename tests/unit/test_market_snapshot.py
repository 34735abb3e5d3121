"""The snapshot of the market: what comes back is what went in, and nothing else is believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.family_pools import STATES
from node.engine import market_snapshot
from node.engine.market_snapshot import SnapshotRefused
from node.engine.state_codec import state_from_plain, to_plain
from node.pipeline.amm.balancer_v3 import V3Pool
from node.pipeline.amm.curve_lending import CurveLendingPool
from node.pipeline.pools import PoolId, PoolState
from protocol.units import BlockNumber, ChainId, Hash32
from tests.pipeline_scene import small_market

CHAIN, BLOCK, HASH = ChainId(1), BlockNumber(77), Hash32(b"\x07" * 32)
QUOTED_ONLY = (V3Pool, CurveLendingPool)


def everything() -> dict[PoolId, PoolState]:
    """A market of every family that is read from a chain."""
    states: dict[PoolId, PoolState] = {spec.id: state for spec, state in small_market().pools}
    for number, (_, state) in enumerate(STATES):
        if not isinstance(state, QUOTED_ONLY):
            states[bytes([number]) * 20] = state
    return states


def written(folder: Path) -> Path:
    path = folder / market_snapshot.FILE_NAME
    market_snapshot.write(path, CHAIN, BLOCK, HASH, everything())
    return path


def forged(folder: Path, number: int, block: str, body: bytes) -> Path:
    """A file with a true checksum over whatever it says."""
    path, header = folder / "forged", ["hftnode market 2", CHAIN, number, block, len(body)]
    digest = hashlib.sha256(json.dumps(header).encode() + b"\n" + body).hexdigest()
    path.write_bytes(json.dumps([*header, digest]).encode() + b"\n" + body)
    return path


def test_what_was_written_is_read_back_equal_in_every_integer(tmp_path: Path) -> None:
    snapshot = market_snapshot.read(written(tmp_path), CHAIN)
    assert snapshot is not None
    assert (snapshot.number, snapshot.hash) == (BLOCK, HASH)
    assert snapshot.states == everything()
    assert [type(state) for state in snapshot.states.values()] == [type(state) for state in everything().values()]
    assert list(tmp_path.iterdir()) == [tmp_path / market_snapshot.FILE_NAME]


def test_without_a_file_there_is_nothing_to_refuse(tmp_path: Path) -> None:
    assert market_snapshot.read(tmp_path / "nothing", CHAIN) is None


def test_states_of_families_that_are_only_quoted_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "one"
    quoted = next(state for _, state in STATES if isinstance(state, V3Pool))
    market_snapshot.write(path, CHAIN, BLOCK, HASH, {b"q" * 20: quoted})
    snapshot = market_snapshot.read(path, CHAIN)
    assert snapshot is not None
    assert snapshot.states == {}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda raw: raw[:-100], "was cut short"),
        (lambda raw: raw[: len(raw) // 2], "was cut short"),
        (lambda raw: raw[:20], "no header"),
        (lambda raw: b"", "no header"),
        (lambda raw: raw + b"x", "was cut short"),
        (lambda raw: raw[:-3] + b"9" + raw[-2:], "was altered"),
        (lambda raw: raw.replace(b"hftnode market 2", b"hftnode market 1", 1), "another version"),
        (lambda raw: raw.replace(b", 1, 77", b", 5, 77", 1), "of chain 5, not 1"),
        (lambda raw: raw.replace(b", 77,", b", 78,", 1), "was altered"),
        (lambda raw: raw.replace(b", 77,", b", 7e9,", 1), "no header"),
        (lambda raw: raw.replace(b", 77,", b", 7e999,", 1), "no header"),
        (lambda raw: raw.replace(b", 77,", b",  77,", 1), "was altered"),
        (lambda raw: b"5\n", "no header"),
        (lambda raw: b"null\n", "no header"),
        (lambda raw: b"[]\n", "no header"),
        (lambda raw: b'["hftnode market 2"]\n', "no header"),
        (lambda raw: b'[["hftnode market 2"]]\n', "another version"),
        (lambda raw: b"[" * 400 + b"\n", "no header"),
    ],
)
def test_a_snapshot_that_was_cut_short_or_altered_is_refused_with_a_clear_word(
    tmp_path: Path, spoil: Callable[[bytes], bytes], why: str
) -> None:
    path = written(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(SnapshotRefused, match=why):
        market_snapshot.read(path, CHAIN)


def test_no_byte_of_the_states_can_change_unseen(tmp_path: Path) -> None:
    path = written(tmp_path)
    raw = path.read_bytes()
    start = raw.index(b"\n") + 1
    for place in range(start, len(raw), len(raw) // 50):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(SnapshotRefused, match="was altered"):
            market_snapshot.read(path, CHAIN)


def test_no_byte_of_the_header_can_change_unseen_or_end_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "one"
    market_snapshot.write(path, CHAIN, BLOCK, HASH, dict([next(iter(everything().items()))]))
    raw = path.read_bytes()
    for place in range(raw.index(b"\n") + 1):
        for byte in {*b'0e-.,"[]{}n \n\xff', raw[place] ^ 1} - {raw[place]}:
            path.write_bytes(raw[:place] + bytes([byte]) + raw[place + 1 :])
            with pytest.raises(SnapshotRefused):
                market_snapshot.read(path, CHAIN)


def test_a_snapshot_of_the_version_before_is_refused_as_such(tmp_path: Path) -> None:
    """Its digest did not cover its header."""
    path, body = tmp_path / "before", b"{}"
    header = ["hftnode market 1", CHAIN, BLOCK, HASH.hex(), len(body), hashlib.sha256(body).hexdigest()]
    path.write_bytes(json.dumps(header).encode() + b"\n" + body)
    with pytest.raises(SnapshotRefused, match="another version, 'hftnode market 1'"):
        market_snapshot.read(path, CHAIN)


@pytest.mark.parametrize(
    "body",
    [
        b"[1]",
        b'{"zz":[]}',
        b'{"01":["Path","x"]}',
        b'{"01":["ConstantProductPool",1]}',
        b'{"01":["TickTable",1,["{}",[],[]],["{}",[],[]],["{}",[],[]]]}',
        b'{"01":["{}",["a"],[1]]}',
        b'{"01":7}',
        b"[" * 100_000,
        b'{"01":' + b'["()",' * 500 + b"1" + b"]" * 500 + b"}",
    ],
)
def test_a_true_checksum_over_what_is_no_market_helps_nobody(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(SnapshotRefused, match="no market"):
        market_snapshot.read(forged(tmp_path, BLOCK, HASH.hex(), body), CHAIN)


@pytest.mark.parametrize(("number", "block"), [(-1, HASH.hex()), (BLOCK, "07"), (BLOCK, "no hash")])
def test_a_true_checksum_over_what_is_no_block_helps_nobody_either(tmp_path: Path, number: int, block: str) -> None:
    with pytest.raises(SnapshotRefused, match="names no block"):
        market_snapshot.read(forged(tmp_path, number, block, b"{}"), CHAIN)


def test_a_file_that_cannot_be_read_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(SnapshotRefused, match="cannot be read"):
        market_snapshot.read(tmp_path, CHAIN)


def test_the_codec_takes_states_and_nothing_else() -> None:
    for _, state in STATES:
        if not isinstance(state, QUOTED_ONLY):
            assert state_from_plain(to_plain(state)) == state
    with pytest.raises(TypeError, match="str in a pool's state"):
        to_plain("x")
