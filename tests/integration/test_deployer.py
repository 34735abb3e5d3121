"""Building blocks by hand: in order, at pinned times, and with a name for what goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from devnet.accounts import account
from devnet.anvil import GENESIS_BASE_FEE, GENESIS_TIMESTAMP, Anvil
from devnet.errors import ChainFailed
from devnet.protocols.deployer import Deployer
from devnet.rpc import RpcClient

pytestmark = pytest.mark.anvil

RETURN_42 = bytes.fromhex("69602a60005260206000f3600052600a6016f3")
"""Creates a contract that answers every call with 42."""
ALICE, BOB = account("alice"), account("bob")


@pytest.fixture
async def deployer(anvil: Anvil) -> AsyncIterator[Deployer]:
    async with RpcClient(anvil.url) as rpc:
        builder = Deployer(rpc, ALICE, GENESIS_TIMESTAMP + 10_000)
        builder.block_number = int(await rpc.call("eth_blockNumber"), 16)
        await builder.set_balance([ALICE.address, BOB.address], 10**18)
        yield builder


async def test_addresses_are_known_before_the_contracts_are_there(deployer: Deployer) -> None:
    addresses = [deployer.create(f"contract {i}", RETURN_42) for i in range(3)]
    for address in addresses:
        assert await deployer.read(address, "anything()", ["uint256"]) == (42,)


async def test_transactions_of_many_senders_are_mined_in_order_at_pinned_times(deployer: Deployer) -> None:
    contract = deployer.create("contract", RETURN_42)
    sent = [deployer.call(contract, f"f{i}()", sender=(ALICE, BOB)[i % 2], gas=100_000) for i in range(120)]
    await deployer.flush()
    block = await deployer.rpc.call("eth_getBlockByNumber", "latest", False)
    assert block["transactions"][1:] == sent
    assert int(block["timestamp"], 16) == deployer.timestamp
    assert int(block["baseFeePerGas"], 16) == GENESIS_BASE_FEE


async def test_a_revert_is_named(deployer: Deployer) -> None:
    revert_always = bytes.fromhex("6460006000fd6000526005601bf3")
    contract = deployer.create("contract", revert_always)
    deployer.call(contract, "poke(uint256)", 1, sender=BOB)
    with pytest.raises(ChainFailed, match=r"poke\(uint256\) of 0x\w+ by bob reverted"):
        await deployer.flush()


async def test_a_refused_transaction_is_named(deployer: Deployer) -> None:
    carol = account("carol")
    deployer.call(ALICE.address, "pay()", sender=carol, value=1)
    with pytest.raises(ChainFailed, match=r"pay\(\) of .* by carol was refused"):
        await deployer.flush()


async def test_a_receipt_that_is_not_there_is_said(deployer: Deployer) -> None:
    with pytest.raises(ChainFailed, match="was not mined"):
        await deployer.receipt("0x" + "00" * 32)
