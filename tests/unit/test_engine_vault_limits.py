"""What our Safes let be drawn: the owners' limit and what is there, told when it changes."""

from __future__ import annotations

import asyncio

import pytest

from node.engine.multicall import Multicall
from node.engine.rpc import RpcError
from node.engine.vault_limits import VaultLimits
from node.pipeline.events import VaultRead
from protocol.ethereum.abi import selector
from protocol.units import Address, Hash32
from tests.fake_chain_node import endpoints_to, unplugged
from tests.fake_contracts import MULTICALL3, FakeContracts
from tests.vault_stand_in import MODULE, SENDER, TOKEN

BLOCK = Hash32(b"\xbb" * 32)
SAFE, BOB = Address(b"\x5a" * 20), Address(b"\xb0" * 20)


def chain(*, pinned: bool = True, limit: int = 100, held: int = 1_000, enabled: bool = True) -> FakeContracts:
    contracts = FakeContracts()
    contracts.view(MODULE, "limitOf(address,address)", int(pinned), limit)
    contracts.view(TOKEN, "balanceOf(address)", held)
    contracts.view(SAFE, "isModuleEnabled(address)", int(enabled))
    return contracts


def limits(contracts: FakeContracts) -> VaultLimits:
    return VaultLimits(Multicall(endpoints_to([contracts.node]), MULTICALL3), MODULE, {SENDER: SAFE}, [TOKEN])


@pytest.mark.parametrize(
    ("contracts", "drawable"),
    [
        (chain(), 100),
        (chain(held=7), 7),
        (chain(limit=0), 0),
        (chain(enabled=False), 0),
        (chain(pinned=False, limit=0), None),
    ],
)
async def test_a_draw_is_bound_by_the_owners_the_balance_and_the_module(
    contracts: FakeContracts, drawable: int | None
) -> None:
    assert await limits(contracts).read(BLOCK) == [VaultRead(SENDER, TOKEN, drawable)]
    assert contracts.requests == [3], "in one request"


async def test_what_has_not_changed_is_not_told_again_and_what_cannot_be_read_stays() -> None:
    contracts = chain()
    reader = limits(contracts)
    assert len(await reader.read(BLOCK)) == 1
    assert await reader.read(BLOCK) == []
    contracts.view(TOKEN, "balanceOf(address)", 3)
    assert await reader.read(BLOCK) == [VaultRead(SENDER, TOKEN, 3)]
    contracts.answer(TOKEN, "balanceOf(address)", lambda _arguments: None)
    assert await reader.read(BLOCK) == []


@pytest.mark.parametrize(
    ("target", "function", "answer"),
    [
        (TOKEN, "balanceOf(address)", None),
        (TOKEN, "balanceOf(address)", bytes(31)),
        (MODULE, "limitOf(address,address)", None),
        (MODULE, "limitOf(address,address)", (1).to_bytes(32, "big")),
    ],
)
async def test_what_a_token_or_the_module_does_not_tell_whole_stays_as_it_was(
    target: Address, function: str, answer: bytes | None
) -> None:
    contracts = chain()
    reader = limits(contracts)
    await reader.read(BLOCK)
    contracts.view(MODULE, "limitOf(address,address)", 1, 50)
    contracts.view(TOKEN, "balanceOf(address)", 3)
    told = contracts.views[target, selector(function)]
    contracts.answer(target, function, lambda _arguments: answer)
    assert await reader.read(BLOCK) == []
    contracts.answer(target, function, told)
    assert await reader.read(BLOCK) == [VaultRead(SENDER, TOKEN, 3)]


@pytest.mark.parametrize("answer", [None, b"", (2).to_bytes(32, "big")])
async def test_a_safe_that_does_not_say_that_the_module_is_enabled_lets_nothing_be_drawn(answer: bytes | None) -> None:
    contracts = chain()
    contracts.answer(SAFE, "isModuleEnabled(address)", lambda _arguments: answer)
    assert await limits(contracts).read(BLOCK) == [VaultRead(SENDER, TOKEN, 0)]


async def test_a_vault_is_read_for_the_key_that_took_its_place() -> None:
    reader = limits(chain())
    await reader.read(BLOCK)
    reader.replace(SENDER, BOB)
    reader.replace(SENDER, Address(b"\x01" * 20))  # nobody's any more
    assert await reader.read(BLOCK) == [VaultRead(BOB, TOKEN, 100)]


async def test_where_nothing_is_drawn_only_the_owners_pins_are_read() -> None:
    for pinned, told in ((True, 0), (False, None)):
        contracts = chain(pinned=pinned)
        multicall = Multicall(endpoints_to([contracts.node]), MULTICALL3)
        reader = VaultLimits(multicall, MODULE, {SENDER: SAFE}, [TOKEN], is_drawn_on=False)
        assert await reader.read(BLOCK) == [VaultRead(SENDER, TOKEN, told)]
        assert contracts.requests == [1]


async def test_one_read_is_under_way_at_a_time_and_tells_nothing_of_a_key_that_went_meanwhile() -> None:
    reader = limits(chain())
    first, second = asyncio.create_task(reader.read(BLOCK)), asyncio.create_task(reader.read(BLOCK))
    await asyncio.sleep(0)
    reader.replace(SENDER, BOB)
    assert await first == []
    assert await second == []
    assert await reader.read(BLOCK) == [VaultRead(BOB, TOKEN, 100)]


async def test_without_a_vault_nothing_is_asked_and_a_chain_that_is_away_is_told() -> None:
    contracts = chain()
    endpoints = Multicall(endpoints_to([contracts.node]), MULTICALL3)
    assert await VaultLimits(endpoints, MODULE, {}, [TOKEN]).read(BLOCK) == []
    assert contracts.requests == []
    contracts.node.misbehaviour = unplugged
    with pytest.raises(RpcError):
        await limits(contracts).read(BLOCK)
