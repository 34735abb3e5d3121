"""A tape as a value: what it keeps, what is refused, and what is read back is what was signed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from devnet.actors.intents import BundleIntent, Foreign
from devnet.actors.playback import bundle_again, signed_again
from devnet.actors.tape import Tape, TapedBlock, TapedTransaction, read_tape, write_tape
from devnet.actors.taping import BundleNonces, TapeRecorder, taped
from devnet.actors.wallet import Wallet
from devnet.config import DevnetConfig
from devnet.errors import ConfigInvalid, StateCorrupt, StorageFailed
from devnet.rpc import RpcClient
from tests.actors_scene import CHAIN_ID, v2_swap

SWAP = v2_swap("trader-0", 10**18, 5, ["WETH", "USDC"])
VICTIM = Foreign(b"victim", "0xvictim")
BUNDLE = BundleIntent(actor="rival", action="backrun", parts=(VICTIM, SWAP))


class Raised(BundleNonces):
    """Remembers what the chain was told."""

    def __init__(self) -> None:
        super().__init__(RpcClient(""))
        self.nonces: list[list[int]] = []

    async def raise_to(self, own: Sequence[TapedTransaction]) -> None:
        self.nonces.append([one.nonce for one in own])


def recorder(path: Path, nonces: BundleNonces) -> TapeRecorder:
    return TapeRecorder(path, 2, chain_id=CHAIN_ID, seed=5, nonces=nonces)


def wallet() -> Wallet:
    return Wallet(CHAIN_ID, {"trader-0": 7})


async def test_what_is_sent_for_so_many_blocks_is_on_the_tape_and_what_comes_later_is_not(tmp_path: Path) -> None:
    path, raised, signs = tmp_path / "tape.json", Raised(), wallet()
    recording = recorder(path, raised)
    first, second, late = (signs.sign(SWAP, 11, 10**9) for _ in range(3))
    bundle = signs.sign_bundle(BUNDLE, 12, 10**9)
    recording.transaction(first)
    recording.end(11)
    assert not path.exists()
    recording.transaction(second)
    await recording.bundle(bundle)
    recording.end(12)
    recording.transaction(late)
    recording.end(13)

    tape = read_tape(path)
    assert (tape.chain_id, tape.seed, [block.number for block in tape.blocks]) == (CHAIN_ID, 5, [11, 12])
    assert list(tape.sent(12)) == [(11, first.hash), (12, second.hash), (12, bundle.own[0].hash)]
    assert list(tape.sent(11)) == [(11, first.hash)]
    assert raised.nonces == [[bundle.own[0].nonce]]
    assert tape.blocks[1].bundles[0].raws == (b"victim", bundle.own[0].raw)


async def test_what_is_read_from_a_tape_is_what_was_signed_to_the_byte(tmp_path: Path) -> None:
    path, signs = tmp_path / "tape.json", wallet()
    recording = recorder(path, Raised())
    signed, bundle = signs.sign(SWAP, 11, 10**9), signs.sign_bundle(BUNDLE, 11, 10**9)
    recording.transaction(signed)
    await recording.bundle(bundle)
    recording.end(11)
    recording.end(12)
    block = read_tape(path).blocks[0]

    again = signed_again(block.transactions[0], 11)
    assert (again.raw, again.hash, again.nonce, again.block) == (signed.raw, signed.hash, 7, 11)
    assert (again.intent.to, again.intent.data, again.intent.tip) == (SWAP.to.lower(), SWAP.data, SWAP.tip)
    offered = bundle_again(block.bundles[0], 11)
    assert (offered.raws, [one.raw for one in offered.own]) == (bundle.raws, [bundle.own[0].raw])
    assert offered.hashes[1] == bundle.hashes[1]


@pytest.mark.parametrize("text", [b"", b"{}", b"no", b'{"chain_id":1,"seed":1,"blocks":[]}'])
def test_what_is_no_tape_is_said(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tape.json"
    path.write_bytes(text)
    with pytest.raises(StateCorrupt, match=r"tape\.json is no tape of the actors"):
        read_tape(path)


def test_a_tape_with_a_gap_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tape.json"
    blocks = tuple(TapedBlock(number=number, transactions=(), bundles=()) for number in (11, 13))
    write_tape(path, Tape(chain_id=1, seed=1, blocks=blocks))
    with pytest.raises(StateCorrupt, match="its blocks do not follow each other"):
        read_tape(path)
    with pytest.raises(StorageFailed):
        read_tape(tmp_path / "nowhere.json")


def test_a_transaction_of_a_tape_is_named_by_its_bytes() -> None:
    signed = wallet().sign(SWAP, 11, 10**9)
    assert taped(signed).hash == signed.hash
    assert msgspec.structs.replace(taped(signed), raw=signed.raw + b"\0").hash != signed.hash


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"tape": Path("t.json")}, "a tape is of actors in lockstep"),
        ({"tape": Path("t.json"), "lockstep": True, "actors": False, "participants": 1}, "of actors in lockstep"),
        ({"record_tape": Path("t.json"), "lockstep": True}, "for at least one block"),
        ({"record_tape": Path("t.json"), "tape": Path("t.json"), "tape_blocks": 1, "lockstep": True}, "while another"),
    ],
)
def test_a_devnet_records_or_plays_a_tape_in_lockstep_only(options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigInvalid, match=fault):
        DevnetConfig(**options)  # type: ignore[arg-type]
