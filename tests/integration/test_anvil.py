"""One Anvil: pinned, reachable, and gone when it should be."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from devnet import anvil as module
from devnet.anvil import ANVIL_VERSION, BLOCK_GAS_LIMIT, GENESIS_BASE_FEE, GENESIS_TIMESTAMP, Anvil, AnvilOptions
from devnet.errors import ChainFailed, PortTaken, ToolMissing
from devnet.packages import NPM_FOLDER, Packages
from devnet.rpc import RpcClient
from devnet.world import World

pytestmark = pytest.mark.anvil


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def is_gone(pid: int) -> bool:
    """Wait, at most 10 s, until no process has that id."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


async def test_everything_about_the_chain_is_pinned(anvil: Anvil) -> None:
    async with RpcClient(anvil.url) as rpc:
        block = await rpc.call("eth_getBlockByNumber", "0x0", False)
        info = await rpc.call("anvil_nodeInfo")
        assert await rpc.call("eth_accounts") == []
    assert int(block["timestamp"], 16) == GENESIS_TIMESTAMP
    assert int(block["baseFeePerGas"], 16) == GENESIS_BASE_FEE
    assert (info["hardFork"], info["transactionOrder"]) == ("Osaka", "fifo")


async def test_a_loaded_state_does_not_bring_its_own_gas_limit(
    packages: Packages, world: World, tmp_path: Path
) -> None:
    wanted = 10 * BLOCK_GAS_LIMIT
    options = AnvilOptions(load_state=world.state_path, gas_limit=wanted)
    async with Anvil(packages.anvil, options, tmp_path / "log") as anvil, RpcClient(anvil.url) as rpc:
        limits = [await _limit_of_the_next_block(rpc)]
        assert await rpc.call("evm_revert", await rpc.call("evm_snapshot"))
        limits.append(await _limit_of_the_next_block(rpc))
    assert limits == [wanted, wanted]


async def _limit_of_the_next_block(rpc: RpcClient) -> int:
    await rpc.call("evm_mine")
    return int((await rpc.call("eth_getBlockByNumber", "latest", False))["gasLimit"], 16)


async def test_it_mines_only_on_demand(anvil: Anvil) -> None:
    async with RpcClient(anvil.url) as rpc:
        before = int(await rpc.call("eth_blockNumber"), 16)
        await rpc.call("evm_mine")
        assert int(await rpc.call("eth_blockNumber"), 16) == before + 1


async def test_a_thousand_calls_add_nothing_to_its_log(packages: Packages, tmp_path: Path) -> None:
    log = tmp_path / "anvil.log"
    async with Anvil(packages.anvil, AnvilOptions(), log) as anvil, RpcClient(anvil.url) as rpc:
        before = log.stat().st_size
        await rpc.batch([("eth_blockNumber", [])] * 1000)
        assert log.stat().st_size == before


async def test_a_taken_port_is_named(packages: Packages, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)):
            async with Anvil(packages.anvil, AnvilOptions(port=port), tmp_path / "log"):
                pass


async def test_stopping_it_leaves_no_process(packages: Packages, tmp_path: Path) -> None:
    async with Anvil(packages.anvil, AnvilOptions(), tmp_path / "log") as anvil:
        pid = anvil.pid
        assert anvil.alive
    assert is_gone(pid)
    assert not anvil.alive


def test_it_dies_with_its_parent_even_when_that_is_killed(packages: Packages, tmp_path: Path) -> None:
    parent = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from devnet.anvil import Anvil, AnvilOptions
        async def main():
            async with Anvil(Path({str(packages.anvil)!r}), AnvilOptions(), Path({str(tmp_path / "log")!r})) as anvil:
                print(anvil.pid, flush=True)
                await asyncio.Event().wait()
        asyncio.run(main())
    """)
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert is_gone(pid)


async def test_one_that_dies_at_the_start_tells_its_last_words(tmp_path: Path) -> None:
    program = script(tmp_path / "anvil", "echo thread main panicked >&2; exit 101")
    with pytest.raises(ChainFailed, match=r"code 101.*thread main panicked"):
        async with Anvil(program, AnvilOptions(), tmp_path / "log"):
            pass


async def test_one_that_never_answers_is_given_up(tmp_path: Path) -> None:
    program = script(tmp_path / "anvil", "echo still thinking; exec sleep 60")
    with pytest.raises(ChainFailed, match=r"within 0\.3 s.*still thinking"):
        async with Anvil(program, AnvilOptions(start_seconds=0.3), tmp_path / "log"):
            pass


async def test_one_that_will_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.1)
    program = script(tmp_path / "anvil", f"trap '' TERM; echo $$ > {tmp_path / 'pid'}; while :; do sleep 0.05; done")
    with pytest.raises(ChainFailed, match="did not answer"):
        async with Anvil(program, AnvilOptions(start_seconds=0.3), tmp_path / "log"):
            pass
    assert is_gone(int((tmp_path / "pid").read_text()))


async def test_one_that_dies_later_is_noticed(packages: Packages, tmp_path: Path) -> None:
    async with Anvil(packages.anvil, AnvilOptions(), tmp_path / "log") as anvil:
        os.kill(anvil.pid, signal.SIGKILL)
        await anvil.wait()
        assert not anvil.alive
        assert "ended with code -9" in str(anvil.failure())


async def test_another_version_is_refused(packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANVIL_VERSION", "9.9.9")
    with pytest.raises(ChainFailed, match=r"made for anvil/v9\.9\.9"):
        async with Anvil(packages.anvil, AnvilOptions(), tmp_path / "log"):
            pass


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="no-such-anvil"):
        async with Anvil(tmp_path / "no-such-anvil", AnvilOptions(), tmp_path / "log"):
            pass


async def test_a_chatty_one_fills_no_disk(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = script(tmp_path / "anvil", "yes 'a line of noise' | head -c 3000000; exit 1")
    anvil = Anvil(program, AnvilOptions(), log)
    with pytest.raises(ChainFailed):
        await anvil.__aenter__()
    assert log.stat().st_size == 1_000_000
    assert anvil.dropped_bytes == 2_000_000


def test_the_version_is_that_of_the_lock_file() -> None:
    assert f'"@foundry-rs/anvil-linux-amd64": "{ANVIL_VERSION}"' in (NPM_FOLDER / "package.json").read_text()
