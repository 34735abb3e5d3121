"""The actors' tape on a real Anvil: recorded where they are alone, played where they are and where they are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devnet.accounts import account
from devnet.actors.app import ActorsRefused, PlayTape, RecordTape
from devnet.actors.tape import Tape, read_tape, write_tape
from devnet.errors import ChainFailed
from devnet.packages import Packages
from devnet.relay.config import RelayConfig
from devnet.rpc import RpcClient
from devnet.world import World
from tests.devnet_run import PARTICIPANTS, devnet, lines_of, playing, reach, session

pytestmark = pytest.mark.anvil

BLOCKS = 10
SEED = 5
CONFIG = RelayConfig(lockstep=True, lockstep_participants=PARTICIPANTS, seed=SEED)


@pytest.fixture(scope="module")
async def recorded(
    packages: Packages, world: World, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Sequence[Any]]:
    """Ten blocks that the actors have to themselves: where the tape is, and the blocks."""
    folder = tmp_path_factory.mktemp("tape")
    path = folder / "tape.json"
    blocks = await blocks_of(packages, world, folder, lambda url: RecordTape(path, BLOCKS, url))
    return path, blocks


async def blocks_of(
    packages: Packages, world: World, folder: Path, tape_at: Any, fault: dict[str, Any] | None = None
) -> Sequence[Any]:
    """Let the actors do with a tape what they are told, and return the blocks."""
    urls: list[str] = []

    async def note(url: str) -> None:
        urls.append(url)

    first = world.manifest.block_number + 1
    async with devnet(packages, world, folder, CONFIG, note) as relay, RpcClient(relay.public_url) as rpc:
        if fault is not None:
            async with RpcClient(relay.admin_url) as admin:
                for builder in CONFIG.builders:
                    await admin.call("devnet_setFault", fault | {"endpoint": builder.name})
        async with (
            session(relay, world, folder, CONFIG, SEED, tape=tape_at(urls[0])) as actors,
            playing(actors) as task,
        ):
            await reach(rpc, first + BLOCKS, task)
        numbers = range(first, first + BLOCKS)
        blocks: list[Any] = await rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
    return blocks


def sent(folder: Path) -> list[tuple[int, str]]:
    """What a playback says that it sent, block by block."""
    entries = [entry for entry in lines_of(folder / "actors.jsonl") if "sent" in entry]
    return [(entry["block"], each) for entry in entries for each in entry["sent"]]


def outcomes(folder: Path, actor: str) -> Counter[str]:
    entries = lines_of(folder / "actors.jsonl")
    return Counter(entry["outcome"] for entry in entries if entry["actor"] == actor and "outcome" in entry)


async def test_a_tape_that_is_played_to_nobody_else_makes_the_blocks_of_its_recording(
    recorded: tuple[Path, Sequence[Any]], packages: Packages, world: World, tmp_path: Path
) -> None:
    path, blocks = recorded
    again = await blocks_of(packages, world, tmp_path, lambda url: PlayTape(path, url))
    assert [block["hash"] for block in again] == [block["hash"] for block in blocks]
    tape = read_tape(path)
    assert len(tape.blocks) == BLOCKS
    assert sent(tmp_path) == list(tape.sent(tape.blocks[-1].number))
    assert {one.actor for block in tape.blocks for one in block.transactions} > {"traders", "whales", "oracle"}
    assert {one.actor for block in tape.blocks for one in block.bundles} == {"rival", "sandwicher"}
    assert outcomes(tmp_path, "rival")["landed"] > 0


async def test_where_the_chain_goes_another_way_the_same_bytes_are_sent_and_searchers_do_not_wait_for_a_missed_bundle(
    recorded: tuple[Path, Sequence[Any]], packages: Packages, world: World, tmp_path: Path
) -> None:
    path, blocks = recorded
    rivals = [account(name).address for name in world.manifest.funded["rival"]]
    shunned = {"kind": "shun", "senders": rivals, "seconds": CONFIG.block_time_seconds * 3}
    other = await blocks_of(packages, world, tmp_path, lambda url: PlayTape(path, url), shunned)
    tape = read_tape(path)
    assert [block["hash"] for block in other] != [block["hash"] for block in blocks]
    assert sent(tmp_path) == list(tape.sent(tape.blocks[-1].number))
    assert outcomes(tmp_path, "rival")["missed"] > 0
    assert outcomes(tmp_path, "rival")["landed"] > 0, "later bundles do not need the nonces of those that missed"


async def test_no_two_bundles_of_a_tape_have_one_nonce(recorded: tuple[Path, Sequence[Any]]) -> None:
    own = [one for block in read_tape(recorded[0]).blocks for bundle in block.bundles for one in bundle.own]
    nonces = Counter((one.account, one.nonce) for one in own)
    assert len(own) > BLOCKS
    assert set(nonces.values()) == {1}


async def test_a_tape_of_other_blocks_or_of_another_chain_is_refused(
    recorded: tuple[Path, Sequence[Any]], packages: Packages, world: World, tmp_path: Path
) -> None:
    tape = read_tape(recorded[0])
    late = tmp_path / "late.json"
    write_tape(late, msgspec.structs.replace(tape, blocks=tape.blocks[1:]))
    first = tape.blocks[0].number
    with pytest.raises(ChainFailed, match=f"begins with block {first + 1}, the chain is at block {first}"):
        await blocks_of(packages, world, tmp_path, lambda url: PlayTape(late, url))
    foreign = tmp_path / "foreign.json"
    write_tape(foreign, Tape(chain_id=1, seed=5, blocks=tape.blocks))
    with pytest.raises(ActorsRefused, match="a tape of chain 1, not 31337"):
        await blocks_of(packages, world, tmp_path, lambda url: PlayTape(foreign, url))
