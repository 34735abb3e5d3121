"""Balances, nonces and what lenders have: read at one block, in one request."""

from __future__ import annotations

from typing import Any

import pytest

from node.engine.rpc import RpcError
from node.engine.treasury import Treasury
from node.pipeline.events import LenderRead, TreasuryRead
from node.pipeline.plans import FlashLender, LenderKind
from protocol.units import Address, Hash32, Wei, address_to_hex
from tests.fake_chain_node import FakeNode, Refuse, endpoints_to, unplugged
from tests.vault_stand_in import MODULE, SENDER, TOKEN

BLOCK = Hash32(b"\xbb" * 32)
AT = {"blockHash": "0x" + BLOCK.hex()}
BOB = Address(b"\xb0" * 20)
HOLDER = Address(b"\x44" * 20)
LENDER = FlashLender(LenderKind.AAVE_V3, MODULE, TOKEN, 500)


def node_with(balances: dict[Address, int]) -> FakeNode:
    def balance(address: str, at: Any) -> str:
        assert at == AT
        known = {address_to_hex(key): value for key, value in balances.items()}
        if address not in known:
            raise Refuse(-32000, "not today")
        return hex(known[address])

    return FakeNode(
        eth_getBalance=balance,
        eth_getTransactionCount=lambda address, at: "0x7",
        eth_call=lambda request, at: "0x" + (55).to_bytes(32, "big").hex(),
    )


async def test_hot_keys_and_lenders_are_read_at_the_block() -> None:
    treasury = Treasury(endpoints_to([node_with({SENDER: 5})]), [SENDER], [(LENDER, HOLDER)])
    assert await treasury.read(BLOCK) == [TreasuryRead(SENDER, Wei(5), 7), LenderRead(MODULE, TOKEN, 55)]
    assert treasury.balances == {SENDER: 5}


async def test_the_holders_balance_is_what_is_asked_for() -> None:
    node = node_with({})
    asked: list[Any] = []

    def answer(request: Any, at: Any) -> str:
        asked.append(request)
        return "0x"  # an account without code

    node.methods["eth_call"] = answer
    assert await Treasury(endpoints_to([node]), [], [(LENDER, HOLDER)]).read(BLOCK) == []
    assert asked == [{"to": address_to_hex(TOKEN), "data": "0x70a08231" + "00" * 12 + HOLDER.hex()}]


async def test_what_is_refused_is_left_out() -> None:
    node = node_with({BOB: 3})
    treasury = Treasury(endpoints_to([node]), [SENDER, BOB], [])
    assert await treasury.read(BLOCK) == [TreasuryRead(BOB, Wei(3), 7)]
    assert treasury.balances == {BOB: 3}


async def test_without_keys_and_lenders_nothing_is_asked() -> None:
    node = node_with({})
    assert await Treasury(endpoints_to([node]), [], []).read(BLOCK) == []
    assert node.asked == []


async def test_a_chain_that_is_away_is_told() -> None:
    node = node_with({SENDER: 5})
    node.misbehaviour = unplugged
    with pytest.raises(RpcError):
        await Treasury(endpoints_to([node]), [SENDER], []).read(BLOCK)


def test_a_read_is_whole_if_it_tells_every_keys_nonce() -> None:
    treasury = Treasury(endpoints_to([node_with({})]), [SENDER, BOB], [(LENDER, HOLDER)])
    alice, bob = (TreasuryRead(key, Wei(5), 7) for key in (SENDER, BOB))
    assert treasury.is_whole([alice, bob])
    assert not treasury.is_whole([alice, LenderRead(MODULE, TOKEN, 55)])
    assert Treasury(endpoints_to([node_with({})]), [], []).is_whole([])
