"""The watchers on a real chain: what an operator does, and what is done to it, becomes news."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.demo.network_contracts import network_config, network_contracts
from devnet.world import World
from governance.reading import DeployedNetwork, Reader
from node.desk.watch.news import news
from node.desk.watch.rpc import WatchFailed, WatchRpc
from node.desk.watch.sight import Sight, Tables, look
from node.desk.watch.watcher import watcher_of
from protocol.ethereum.abi import encode_call
from protocol.units import BlockNumber, ChainId, address_from_hex
from tests.chain import Chain
from tests.config_factories import config_in
from tests.manual_clock import ManualClock

pytestmark = pytest.mark.anvil

NORTH = account("north-account")


async def test_a_vault_that_is_paused_is_news(chain: Chain, world: World) -> None:
    manifest = world.manifest
    contracts = network_contracts(manifest)
    network = DeployedNetwork(chain_id=ChainId(CHAIN_ID), since=BlockNumber(0), contracts=contracts)
    safe, module = manifest.operators[0].vaults[0].safe, manifest.contracts["vault_module"]
    tables: Tables = {}

    async with WatchRpc(chain.rpc.url) as rpc:

        async def sight() -> Sight:
            at = (address_from_hex(safe),)
            return await look(
                Reader(rpc, network), address_from_hex(NORTH.address), at, address_from_hex(module), tables
            )

        owner = account("north-owner-0")
        await chain.rpc.call("anvil_setBalance", owner.address, hex(10**18))
        before = await sight()
        assert before.registered
        assert before.active == 100_000 * 10**18
        assert any(proposal.state == "executed" for proposal in before.proposals.values())

        tighten = encode_call("tighten(address,(uint8,address,uint256))", safe, (0, "0x" + "00" * 20, 1))
        assert (await chain.send_data(owner, module, tighten))["status"] == "0x1"
        (paused,) = news(before, await sight())
        assert paused.urgent
        assert "PAUSED" in paused.text


async def test_a_nodes_own_configuration_is_all_that_the_watcher_needs(
    untouched_chain: Chain, world: World, tmp_path: Path
) -> None:
    manifest, config = world.manifest, config_in(tmp_path)
    operator = manifest.operators[0]
    execution = replace(
        config.execution,
        vault_module=address_from_hex(manifest.contracts["vault_module"]),
        vaults=(replace(config.execution.vaults[0], safe=address_from_hex(operator.vaults[0].safe)),),
    )
    network = network_config(operator, manifest, tmp_path, "/ip4/127.0.0.1/tcp/4711")
    config = replace(config, execution=execution, network=network)

    async with WatchRpc(untouched_chain.rpc.url) as rpc:
        assert watcher_of(replace(config, network=None), rpc, ManualClock()) is None
        watcher = watcher_of(config, rpc, ManualClock())
        assert watcher is not None
        await watcher.look_once()

    status = watcher.status
    assert (status.looks, status.failed, status.trouble) == (1, 0, "")
    assert status.sight is not None
    assert status.sight["active"] == str(100_000 * 10**18)
    assert list(status.sight["vaults"]) == [operator.vaults[0].safe]


async def test_a_node_that_does_not_answer_is_told_by_its_public_name() -> None:
    async with WatchRpc("http://user:secret@127.0.0.1:9/key") as rpc:
        with pytest.raises(WatchFailed, match=r"http://127\.0\.0\.1:9: eth_chainId") as failed:
            await rpc.call("eth_chainId")
    assert "secret" not in str(failed.value)
    with pytest.raises(WatchFailed, match="not open"):
        await WatchRpc("http://127.0.0.1:9").call("eth_chainId")


async def test_what_the_node_refuses_is_told(chain: Chain) -> None:
    async with WatchRpc(chain.rpc.url) as rpc:
        with pytest.raises(WatchFailed, match="eth_nonsense: refused"):
            await rpc.call("eth_nonsense")
