"""`hftnode journal export` and `import`: what a key has signed goes with it to another machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from node.cli.main import main
from node.config import Config
from node.config_template import write_commented
from node.engine.anti_slashing import AntiSlashingStore, SlashableRefused
from node.engine.network.hot_key import JOURNAL
from node.engine.network.wiring import machine_name
from node.engine.signing_journal import Owner, place_of
from protocol.signing import Domain
from protocol.slashing import HORIZON
from protocol.units import Address, BlockNumber, LegKey
from tests.config_factories import config_in, network_in
from tests.protocol_factories import ALICE, BOB, accept, hash_of

HEAD = 1_000
NEW = HEAD + HORIZON + 1
"""The first block for which a key may sign that is new on its machine."""


class Node:
    """A node's files in a folder, and what its journal lets it sign."""

    def __init__(self, folder: Path, url: str) -> None:
        config = config_in(folder)
        rpcs = (msgspec.structs.replace(config.chain.rpcs[0], http=url),)
        self.config: Config = msgspec.structs.replace(
            config, network=network_in(folder), chain=msgspec.structs.replace(config.chain, rpcs=rpcs)
        )
        self.path = folder / "hftnode.toml"
        folder.mkdir()
        (folder / "identity").write_bytes(bytes(32))
        write_commented(self.config, self.path)

    def store(self, head: int, key: Address = BOB) -> AntiSlashingStore:
        assert self.config.network is not None
        separator = Domain(self.config.chain.id, self.config.network.staking).separator
        owner = Owner(separator, key, machine_name())
        self.config.data_folder.mkdir(exist_ok=True)
        return AntiSlashingStore(place_of(self.config.data_folder / JOURNAL, owner), owner, BlockNumber(head))

    def is_known(self) -> None:
        """Have the journal be there for long: nothing is in doubt."""
        for head in (HEAD, NEW - 1):
            with self.store(head):
                pass

    def sign(self, order: str, block: int, head: int, key: Address = BOB) -> None:
        """Promise to take an order. Raises `SlashableRefused`."""
        with self.store(head, key) as store:
            store.allow(
                accept(order_hash=hash_of(order), primary_key=LegKey(hash_of("leg")), target_block=BlockNumber(block))
            )

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["journal", *words, "--config", str(self.path)], catch_exceptions=False)


@contextmanager
def chain(head: int, chain_id: int = 31337) -> Iterator[str]:
    """A chain's node that knows its head."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: V105  http.server calls it
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            result = hex(chain_id if asked["method"] == "eth_chainId" else head)
            body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:  # noqa: V105  http.server calls it
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            serving.join()


@pytest.fixture
def url() -> Iterator[str]:
    with chain(NEW) as found:
        yield found


@pytest.fixture
def old(tmp_path: Path, url: str) -> Node:
    """A node that has promised one order for a block to come."""
    node = Node(tmp_path / "old", url)
    node.is_known()
    node.sign("order", NEW + 5, NEW)
    return node


def test_what_was_signed_on_one_machine_is_not_contradicted_on_the_other(old: Node, tmp_path: Path, url: str) -> None:
    carried = tmp_path / "signed.json"
    told = old.run("export", str(carried))
    assert told.exit_code == 0, told.output
    assert "start no node with this key here any more" in told.output
    assert carried.stat().st_mode & 0o777 == 0o600

    new = Node(tmp_path / "new", url)
    taken = new.run("import", str(carried), "--json")
    assert taken.exit_code == 0, taken.output
    found = json.loads(taken.output)
    assert found["hot_key"] == "0x" + BOB.hex()
    assert found["floor"] >= NEW + HORIZON, "a machine that is new to a key listens for a twin first"

    with pytest.raises(SlashableRefused):
        new.sign("another order", NEW + 5, NEW)
    later = found["floor"] + 1
    with new.store(later - 1):
        pass
    new.sign("another order", later, later)


def test_what_was_taken_in_binds_a_journal_that_nobody_doubts(old: Node, tmp_path: Path, url: str) -> None:
    carried = tmp_path / "signed.json"
    assert json.loads(old.run("export", str(carried), "--json").output)["answers"] == 1
    new = Node(tmp_path / "new", url)
    new.is_known()
    assert json.loads(new.run("import", str(carried), "--json").output)["answers"] == 1

    with pytest.raises(SlashableRefused):
        new.sign("another order", NEW + 5, NEW)
    new.sign("order", NEW + 5, NEW)


def test_nothing_is_overwritten_and_what_is_not_there_is_said(old: Node, tmp_path: Path, url: str) -> None:
    there = tmp_path / "there.json"
    there.write_text("precious")
    refused = old.run("export", str(there))
    assert refused.exit_code == 1
    assert "is there already: nothing is overwritten" in refused.output
    assert there.read_text() == "precious"
    empty = Node(tmp_path / "empty", url)
    assert "has no journal on this network" in empty.run("export", str(tmp_path / "out.json")).output
    unwritable = old.run("export", str(tmp_path / "nowhere" / "out.json"))
    assert unwritable.exit_code == 1
    assert "cannot be written" in unwritable.output


def test_of_several_keys_one_is_named(old: Node, tmp_path: Path) -> None:
    with old.store(NEW, ALICE):
        pass
    out = tmp_path / "out.json"
    several = old.run("export", str(out))
    assert several.exit_code == 1
    assert "--hot-key" in several.output
    other = "0x" + "77" * 20
    assert f"has no journal of {other}" in old.run("export", str(out), "--hot-key", other).output
    assert old.run("export", str(out), "--hot-key", "0x" + ALICE.hex()).exit_code == 0
    assert json.loads(out.read_text())["metadata"]["hotKey"] == "0x" + ALICE.hex()


def test_a_node_that_runs_keeps_its_journal(old: Node, tmp_path: Path) -> None:
    with old.store(NEW):
        refused = old.run("export", str(tmp_path / "out.json"))
    assert refused.exit_code == 1
    assert "another process signs with this key" in refused.output


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"\xff", "is no exported journal"),
        (b"{}", "metadata"),
        (b'{"metadata":{"format":2,"domainSeparator":"","hotKey":""}}', "format 2, not 1"),
        (b'{"metadata":{"format":1,"domainSeparator":"","hotKey":"bob"}}', "metadata.hotKey: not 0x and 40 hex digits"),
        (b'{"metadata":{"format":1,"domainSeparator":"0x00","hotKey":"0x%s"}}' % (b"22" * 20), "on another chain"),
    ],
)
def test_what_is_no_journal_of_this_network_is_refused(text: bytes, fault: str, tmp_path: Path, url: str) -> None:
    file = tmp_path / "text.json"
    file.write_bytes(text)
    refused = Node(tmp_path / "node", url).run("import", str(file))
    assert refused.exit_code == 1
    assert fault in refused.output
    assert "Traceback" not in refused.output


def test_a_file_that_is_missing_or_endless_is_refused(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path / "node", url)
    assert "No such file" in node.run("import", str(tmp_path / "nowhere.json")).output
    monkeypatch.setattr("node.cli.journal.MAX_TEXT_BYTES", 10)
    long = tmp_path / "long.json"
    long.write_text("x" * 11)
    assert "more than 10 bytes" in node.run("import", str(long)).output


def test_another_chain_and_a_node_without_a_network_are_refused(old: Node, tmp_path: Path, url: str) -> None:
    with chain(NEW, chain_id=1) as other:
        refused = old.run("export", str(tmp_path / "out.json"), "--rpc", other)
    assert refused.exit_code == 1
    assert "is on chain 1, the configuration on 31337" in refused.output
    alone = Node(tmp_path / "alone", url)
    alone.path.unlink()
    write_commented(msgspec.structs.replace(alone.config, network=None), alone.path)
    assert "has no [network]" in alone.run("export", str(tmp_path / "out.json")).output
