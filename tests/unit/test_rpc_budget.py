"""What gossip may cost: honest rates are paid for, whatever is in an RPC has a price, a peer's streams share."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from trio.testing import MockClock

from node.sentry.rpc_budget import MAX_IDS_PER_RPC, RPC_TOKENS, RpcBudget, tokens_of

CAROL = ID(b"carol")


def test_a_thousand_messages_a_second_of_a_kibibyte_are_paid_for() -> None:
    async def scene() -> None:
        account, message = RpcBudget().account(CAROL), rpc_pb2.RPC(publish=[rpc_pb2.Message(data=bytes(1_024))])
        for _ in range(60_000):
            assert account.pays_for_bytes(message.ByteSize())
            assert account.pays(tokens_of(message))
            await trio.sleep(0.001)

    trio.run(scene, clock=MockClock(autojump_threshold=0.0))


def test_the_streams_of_a_peer_share_one_bucket_that_outlives_them_and_fills_again() -> None:
    async def scene() -> None:
        budget = RpcBudget()
        assert budget.account(CAROL).pays(RPC_TOKENS.burst)
        assert not budget.account(CAROL).pays(1)
        assert budget.account(ID(b"bob")).pays(1)
        await trio.sleep(1)
        assert budget.account(CAROL).pays(RPC_TOKENS.rate)

    trio.run(scene, clock=MockClock(autojump_threshold=0.0))


@pytest.mark.parametrize(
    "parts",
    [
        {"publish": [rpc_pb2.Message()]},
        {"subscriptions": [rpc_pb2.RPC.SubOpts()]},
        {"senderRecord": b"x"},
        *({"control": {name: [{}]}} for name in ("graft", "prune", "ihave", "iwant", "idontwant")),
    ],
)
def test_whatever_is_in_an_rpc_has_a_price(parts: dict[str, Any]) -> None:
    assert tokens_of(rpc_pb2.RPC(**parts)) > 0


def test_ids_have_a_price_up_to_the_number_that_is_looked_at() -> None:
    prices = [
        tokens_of(rpc_pb2.RPC(control=rpc_pb2.ControlMessage(ihave=[rpc_pb2.ControlIHave(messageIDs=[b"x"] * count)])))
        for count in (0, 10, MAX_IDS_PER_RPC, 5_000)
    ]
    assert [price - prices[0] for price in prices] == [0, 10, MAX_IDS_PER_RPC, MAX_IDS_PER_RPC]


def test_an_rpc_of_nothing_costs_nothing_and_one_of_very_much_more_than_there_can_be() -> None:
    assert tokens_of(rpc_pb2.RPC(control=rpc_pb2.ControlMessage())) == 0
    for control in (
        rpc_pb2.ControlMessage(prune=[rpc_pb2.ControlPrune()] * 100_000),
        rpc_pb2.ControlMessage(iwant=[rpc_pb2.ControlIWant()] * 100_000),
    ):
        assert tokens_of(rpc_pb2.RPC(control=control)) > RPC_TOKENS.burst
