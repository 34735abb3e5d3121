"""The anti-slashing store: what left as a signature is on disk, and a file that may lack something is not believed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.engine import anti_slashing, signing_journal
from node.engine.anti_slashing import AntiSlashingStore, LeaseTaken, SlashableRefused, SlashableSigner
from node.engine.signing_journal import (
    HEADER_BYTES,
    RECORD_BYTES,
    JournalFailed,
    JournalForeign,
    Owner,
    Record,
    RecordKind,
)
from protocol import codec, signing
from protocol.interchange import export_history
from protocol.kinds import Verdict
from protocol.slashing import HORIZON, Refusal, SigningHistory, Slashable
from protocol.statements import Accept, Attestation
from protocol.units import BlockNumber, BootId, LegKey, UnixMilliseconds, UnixNanoseconds, sequence_number
from tests.protocol_factories import ALICE, BOB, DEVNET, DOMAINS, KEYS, accept, attestation, hash_of
from tests.slashing_cases import HEAD, OK, Distrust, Forget, Import, Move, Reopen, Sign, Step, cases, document

OWNER = Owner(DEVNET.separator, BOB, hash_of("this machine"))
ROOT = Path(__file__).resolve().parents[2]


def open_store(path: Path, head: int = HEAD, **changes: Any) -> AntiSlashingStore:
    return AntiSlashingStore(path, OWNER._replace(**changes), BlockNumber(head))


def trusted(path: Path) -> AntiSlashingStore:
    """A store that has been there for long: nothing is in doubt at HEAD."""
    with open_store(path, HEAD - HORIZON - 1):
        pass
    with open_store(path, HEAD - 1):
        pass
    store = open_store(path)
    assert store.doubt == ""
    return store


def an_accept(order: str = "order", ahead: int = 1, key: str = "leg") -> Accept:
    target = BlockNumber(HEAD + ahead)
    return accept(order_hash=hash_of(order), primary_key=LegKey(hash_of(key)), target_block=target)


def answer(store: AntiSlashingStore, statement: Slashable) -> str:
    try:
        store.allow(statement)
    except SlashableRefused as refused:
        return Refusal(str(refused)).name
    return OK


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signed"


class Bench:
    """A store that does the steps of the vectors; it begins with nothing signed and nothing in doubt."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._count = 0
        self._nothing_in_doubt = monkeypatch
        self.store = self._fresh()

    def take(self, step: Step) -> None:
        match step:
            case Sign(statement, head, expected):
                self.store._head = BlockNumber(head)
                assert answer(self.store, statement) == expected
            case Distrust(head):
                self.store.close()
                path = self._path()
                shutil.copy(path, path.with_name("copy"))
                path.with_name("copy").replace(path)
                self.store = open_store(path, head)
                assert self.store.doubt == "moved"
            case Forget(head):
                self.store.follow(BlockNumber(head))
            case Import(imported):
                self.store.take_in(json.dumps(imported), DEVNET)
            case Move():
                text = self.store.export(DEVNET)
                self.store.close()
                self.store = self._fresh()
                self.store.take_in(text, DEVNET)
            case Reopen():
                self.store.close()
                self.store = open_store(self._path())
                assert self.store.doubt == ""

    def _path(self) -> Path:
        return self._folder / f"signed-{self._count}"

    def _fresh(self) -> AntiSlashingStore:
        self._count += 1
        with self._nothing_in_doubt.context() as patch:
            patch.setattr(anti_slashing, "_doubt", lambda found, head: "")
            return open_store(self._path())


@pytest.mark.parametrize(("name", "steps"), list(cases()), ids=[name for name, _ in cases()])
def test_the_store_answers_as_the_vectors_say(
    name: str, steps: list[Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, monkeypatch)
    if any(isinstance(step, Forget) for step in steps):
        bench.store._recorded_head = BlockNumber(0)
    for step in steps:
        if isinstance(step, Forget):
            bench.store._recorded_head = BlockNumber(0)
        bench.take(step)
    bench.store.close()


def test_a_signature_leaves_only_for_what_is_on_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = trusted(path)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    signer = SlashableSigner(DEVNET, KEYS["bob"], store)
    signed = signer.accept(an_accept())
    assert synced[-1] == path.stat().st_size == HEADER_BYTES + RECORD_BYTES * 3
    signing.verify(DEVNET, signed.accept, signed.signature, BOB)
    vote = signer.attest(attestation(block_number=BlockNumber(HEAD)))
    signing.verify(DEVNET, vote.attestation, vote.signature, BOB)
    before = len(synced)
    assert signer.accept(an_accept()) == signed
    assert len(synced) == before, "the same answer needs no second record"
    with pytest.raises(SlashableRefused, match="another answer"):
        signer.accept(an_accept("other"))
    store.close()


def test_a_missing_store_signs_nothing_that_may_have_been_signed(path: Path) -> None:
    with open_store(path) as store:
        assert store.doubt == "missing"
        assert answer(store, an_accept(ahead=HORIZON)) == "BELOW_FLOOR"
        store.follow(BlockNumber(HEAD + 1))
        assert answer(store, an_accept(ahead=HORIZON + 1)) == OK


def test_a_copy_in_another_place_is_not_believed(path: Path, tmp_path: Path) -> None:
    trusted(path).close()
    shutil.copy2(path, tmp_path / "backup")
    (tmp_path / "backup").replace(path)
    with open_store(path) as store:
        assert (store.doubt, answer(store, an_accept())) == ("moved", "BELOW_FLOOR")


def test_another_machine_is_not_believed(path: Path) -> None:
    trusted(path).close()
    with open_store(path, machine=hash_of("another machine")) as store:
        assert (store.doubt, answer(store, an_accept())) == ("moved", "BELOW_FLOOR")


def test_a_backup_written_over_the_file_in_its_place_is_not_believed(path: Path) -> None:
    store = trusted(path)
    backup = path.read_bytes()
    SlashableSigner(DEVNET, KEYS["bob"], store).accept(an_accept())
    store.close()
    path.write_bytes(backup)
    later = path.stat().st_ctime_ns
    hours_ago = later - 3_600 * 10**9
    with open_store(path) as reopened:  # at once, and onto the very inode
        assert (reopened.doubt, answer(reopened, an_accept("other"))) == ("set back", "BELOW_FLOOR")
    with AntiSlashingStore(path, OWNER, BlockNumber(HEAD), lambda: hours_ago):
        pass
    with open_store(path) as reopened:
        assert (reopened.doubt, answer(reopened, an_accept("other"))) == ("touched", "BELOW_FLOOR")


def test_a_copy_of_any_moment_is_told_from_the_file_by_the_lease(path: Path) -> None:
    store = trusted(path)
    copies = []
    for leg in range(4):
        copies.append(path.read_bytes())
        store.allow(an_accept(key=f"leg {leg}"))
    store.close()
    whole, lease = path.read_bytes(), lease_of(path).read_bytes()
    for copy in copies:
        put_back(path, copy)
        lease_of(path).write_bytes(lease)
        with open_store(path) as reopened:
            assert reopened.doubt == "set back"
    put_back(path, whole)
    lease_of(path).write_bytes(lease)
    with open_store(path) as reopened:
        assert (reopened.doubt, answer(reopened, an_accept("other", key="leg 3"))) == ("", "SECOND_ANSWER")


def test_a_copy_from_before_a_rewrite_is_told_too(path: Path) -> None:
    trusted(path).close()
    longer = trusted(path)
    for leg in range(4):
        longer.allow(an_accept(key=f"leg {leg}"))
    copy = path.read_bytes()
    longer.history.answers.clear()
    longer._rewrite()
    longer.close()
    open_store(path).close()
    assert len(path.read_bytes()) < len(copy)
    put_back(path, copy)
    with open_store(path) as reopened:
        assert reopened.doubt == "set back"


def test_a_lease_that_was_lost_or_is_from_before_it_counted_doubts_nothing(path: Path) -> None:
    trusted(path).close()
    lease_of(path).unlink()
    with open_store(path) as reopened:
        assert reopened.doubt == ""
    lease_of(path).write_bytes(b"")
    with open_store(path) as reopened:
        assert reopened.doubt == ""


def test_a_damaged_lease_is_not_believed(path: Path) -> None:
    trusted(path).close()
    lease_of(path).write_bytes(b"\0" * 12)
    with open_store(path) as reopened:
        assert reopened.doubt == "set back"


def test_a_lease_that_cannot_be_written_stops_signing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = trusted(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: _failing(0))
        with pytest.raises(JournalFailed, match="Input/output"):
            store.allow(an_accept())
    with pytest.raises(JournalFailed):
        store.allow(an_accept())
    store.close()


@pytest.mark.parametrize("stands_in_the_way", ["the lease's", "the journal's"])
def test_a_file_that_cannot_be_opened_is_a_failure_of_the_journal(path: Path, stands_in_the_way: str) -> None:
    (lease_of(path) if stands_in_the_way == "the lease's" else path).mkdir()
    for _ in range(2):  # the lease is let go of
        with pytest.raises(JournalFailed, match="Is a directory"):
            open_store(path)


def put_back(path: Path, copy: bytes) -> None:
    """Put a copy in the file's place as if it had got the very inode that it was made of."""
    path.write_bytes(copy)
    path.write_bytes(signing_journal._header(OWNER, path.stat()) + copy[HEADER_BYTES:])


def lease_of(path: Path) -> Path:
    return path.with_name(path.name + ".lease")


def test_yesterdays_backup_is_not_believed(path: Path) -> None:
    trusted(path).close()
    with open_store(path, HEAD + HORIZON + 1) as store:
        assert store.doubt == "stale"
        assert answer(store, an_accept(ahead=2 * HORIZON + 1)) == "BELOW_FLOOR"


def test_a_node_that_was_off_for_a_moment_goes_on(path: Path) -> None:
    trusted(path).close()
    with open_store(path, HEAD + HORIZON) as store:
        assert (store.doubt, answer(store, an_accept(ahead=HORIZON + 1))) == ("", OK)


def test_a_head_that_has_gone_back_does_not_lower_what_is_doubted(path: Path) -> None:
    trusted(path).close()
    with open_store(path, HEAD - 50, machine=hash_of("another machine")) as store:
        assert store.history.floor == HEAD + HORIZON


def test_every_torn_or_damaged_record_is_found_and_nothing_believed(path: Path) -> None:
    store = trusted(path)
    store.allow(an_accept())
    store.close()
    whole = path.read_bytes()
    for end in [
        0,
        5,
        len(signing_journal.MAGIC),
        HEADER_BYTES - 1,
        HEADER_BYTES,
        *range(HEADER_BYTES + 1, len(whole), 29),
    ]:
        path.write_bytes(whole[:end])
        whole_records = end > HEADER_BYTES and (end - HEADER_BYTES) % RECORD_BYTES == 0
        with open_store(path) as torn:
            assert torn.doubt or whole_records, end
            assert answer(torn, an_accept("other")) != OK or whole_records
    for place in range(len(signing_journal.MAGIC) + 52, len(whole), 13):
        path.write_bytes(whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :])
        with open_store(path) as damaged:
            assert damaged.doubt, place
            assert answer(damaged, an_accept("other")) in {"BELOW_FLOOR", "SECOND_ANSWER"}


@given(st.binary(max_size=600))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_arbitrary_records_are_never_believed(path: Path, rubbish: bytes) -> None:
    path.unlink(missing_ok=True)
    trusted(path).close()
    path.write_bytes(path.read_bytes()[:HEADER_BYTES] + rubbish)
    with open_store(path) as store:
        assert store.doubt == "missing"


def test_a_record_of_a_later_version_is_not_believed(path: Path) -> None:
    trusted(path).close()
    record = Record(RecordKind.HEAD, BlockNumber(HEAD), UnixNanoseconds(1))
    line = bytearray(signing_journal._line(record))
    line[0] = 99
    path.write_bytes(path.read_bytes() + signing_journal._checked(bytes(line[:-4])))
    with open_store(path) as store:
        assert store.doubt == "missing"


def test_a_file_of_somebody_else_is_left_alone(path: Path) -> None:
    trusted(path).close()
    before = path.read_bytes()
    for changes in ({"hot_key": ALICE}, {"domain_separator": DOMAINS["mainnet"].separator}):
        with pytest.raises(JournalForeign, match="move it away"):
            open_store(path, **changes)
    assert path.read_bytes() == before
    path.write_text("something else")
    with pytest.raises(JournalForeign, match="no journal"):
        open_store(path)
    assert path.read_text() == "something else"
    path.unlink()
    open_store(path).close()


def test_one_process_holds_the_lease(path: Path) -> None:
    with trusted(path), pytest.raises(LeaseTaken):
        open_store(path)
    open_store(path).close()


def test_a_full_disk_stops_signing_and_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = trusted(path)
    store.allow(an_accept())
    real = os.write

    def half(file: int, data: Any) -> int:
        if len(data) > RECORD_BYTES // 2:
            return real(file, data[: RECORD_BYTES // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(JournalFailed, match="No space left"):
            store.allow(an_accept("other", key="leg 2"))
    for _ in range(2):
        with pytest.raises(JournalFailed):
            store.allow(an_accept("other", key="leg 2"))
    store.close()
    with open_store(path) as reopened:
        assert reopened.doubt == "missing"
        assert answer(reopened, an_accept("other")) == "BELOW_FLOOR"


def test_a_disk_that_does_not_sync_stops_signing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = trusted(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _failing)
        with pytest.raises(JournalFailed, match="Input/output"):
            store.allow(an_accept())
    with pytest.raises(JournalFailed):
        store.allow(an_accept())
    store.close()


def test_a_store_that_cannot_be_made_anew_is_not_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted(path).close()
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _failing)
        with pytest.raises(JournalFailed):
            open_store(path)
    assert path.read_bytes() == before
    open_store(path).close()


def _failing(file: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


CHILD = """
import os, signal, sys
from pathlib import Path
from node.engine import signing_journal
from node.engine.anti_slashing import SlashableSigner
from protocol import codec
from tests.protocol_factories import DEVNET, KEYS
from tests.unit.test_anti_slashing_store import an_accept, open_store
path, when = Path(sys.argv[1]), sys.argv[2]
store = open_store(path)
real_write, real_sync = os.write, os.fsync
def die(): os.kill(os.getpid(), signal.SIGKILL)
def write(file, data):
    if when == "before the write": die()
    if when == "within the write": real_write(file, data[:50]); die()
    written = real_write(file, data)
    if when == "before the sync": die()
    return written
def sync(file):
    real_sync(file)
    if when == "after the sync": die()
signing_journal.os.write, signing_journal.os.fsync = write, sync
signed = SlashableSigner(DEVNET, KEYS["bob"], store).accept(an_accept())
signing_journal.os.write = real_write
real_write(1, codec.encode_direct(signed))
die()
"""


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("before the write", OK),
        ("within the write", "BELOW_FLOOR"),
        ("before the sync", "SECOND_ANSWER"),  # the kernel has it: a kill loses nothing, a power cut might
        ("after the sync", "SECOND_ANSWER"),
        ("after the return", "SECOND_ANSWER"),
    ],
)
def test_a_process_killed_at_any_moment_never_signs_a_second_answer(path: Path, when: str, expected: str) -> None:
    trusted(path).close()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), when], check=False, capture_output=True, env=environment, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    has_left = bool(done.stdout)
    assert has_left == (when == "after the return")
    if has_left:
        assert codec.decode_direct(done.stdout)
    with open_store(path) as store:
        assert answer(store, an_accept("other")) == expected


def test_a_twin_stops_signing_and_a_late_envelope_of_before_does_not(path: Path) -> None:
    begun = 1_790_000_000_000
    first = sequence_number(UnixMilliseconds(begun), BootId(1))
    store = trusted(path)
    for heard in (
        sequence_number(UnixMilliseconds(begun + 90_000), BootId(1)),
        sequence_number(UnixMilliseconds(begun + 2_000), BootId(2)),
        sequence_number(UnixMilliseconds(begun - 50_000), BootId(3)),
    ):
        store.hear(heard, first)
    store.allow(an_accept())
    twin = sequence_number(UnixMilliseconds(begun + 2_001), BootId(2))
    store.hear(twin, first)
    store.hear(twin, first)
    with pytest.raises(SlashableRefused, match="another node"):
        store.allow(an_accept(ahead=HORIZON))
    store.close()
    with open_store(path) as reopened:
        assert (reopened.doubt, answer(reopened, an_accept(ahead=HORIZON))) == ("", "BELOW_FLOOR")


def test_the_file_does_not_grow_without_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anti_slashing, "REWRITE_AFTER", 20)
    store = trusted(path)
    store.allow(an_accept())
    for head in range(HEAD, HEAD + 4_000, 8):
        store.follow(BlockNumber(head))
        assert path.stat().st_size <= HEADER_BYTES + 25 * RECORD_BYTES
    assert store.history.answers == {}
    store.close()
    with open_store(path, HEAD + 4_000) as reopened:
        assert reopened.doubt == ""


def test_what_was_imported_outlives_a_restart(path: Path) -> None:
    other = SigningHistory()
    other.raise_floor(BlockNumber(HEAD + 3))
    with trusted(path) as store:
        store.take_in(export_history(other, DEVNET, BOB), DEVNET)
        store.take_in(json.dumps(document(attestations=[("alert", "block", 4, 1)])), DEVNET)
    with open_store(path) as reopened:
        assert answer(reopened, an_accept(ahead=3)) == "BELOW_FLOOR"
        opposite = Attestation(
            alert_id=hash_of("alert"),
            block_hash=hash_of("block"),
            verdict=Verdict.REFUTED,
            block_number=BlockNumber(HEAD + 4),
            timestamp=an_accept().timestamp,
        )
        assert answer(reopened, opposite) == "SECOND_ANSWER"


@pytest.fixture(autouse=True)
def _no_file_stays_open() -> Iterator[None]:
    before = set(Path("/proc/self/fd").iterdir())
    yield
    assert len(set(Path("/proc/self/fd").iterdir()) - before) <= 1
