"""What a try for the brake counts as, where the node answers late, badly or not at all, and where the block leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from governance.network import NetworkContracts
from node.config import BrakeSupport
from node.engine.network.brake import AGAIN_BLOCKS, MAX_TRIES, Brake
from node.engine.network.membership import Membership
from node.records import AlertRaised, AnyRecord
from protocol.ethereum.keys import SigningKey
from protocol.messages import SecurityAlert
from protocol.units import Address, BlockNumber, ChainId, UnixSeconds
from tests.block_alert_samples import header
from tests.fake_chain_node import FakeNode, Refuse, endpoints_to, says
from tests.protocol_factories import ALICE, SECRETS, alert, hash_of

BLOCK = header(100)
RICH, POOR = hex(10**18), "0x0"
REVERTS = (
    Refuse(3, "execution reverted"),
    Refuse(-32000, "VM Exception", data="0x08c379a0"),
    Refuse(-32015, "VM execution error", data="Reverted 0x08c379a0"),
)


class OneOperator:
    """A registry in which we are alone, and nothing is paused. `during` runs while it is asked."""

    def __init__(self) -> None:
        names = NetworkContracts.__struct_fields__
        self.contracts = NetworkContracts(**{name: Address(bytes([place]) * 20) for place, name in enumerate(names, 1)})
        self.operators = {ALICE: SimpleNamespace(active=1)}
        self.is_paused = False
        self.during: Callable[[], object] = lambda: None

    async def ask(self, queries: list[Any], _header: Any) -> list[bool]:
        self.during()
        return [self.is_paused] * len(queries)


@dataclass
class Scene:
    """A brake of ours before a node that answers as it is told."""

    node: FakeNode
    registry: OneOperator
    membership: Membership
    brake: Brake
    told: list[AnyRecord] = field(default_factory=list)

    def finds(self, subject: str = "a pool") -> None:
        found: SecurityAlert = alert(subject=hash_of(subject), expiry=UnixSeconds(BLOCK.timestamp + 3_600))
        self.brake.confirmed(found, BLOCK)

    async def after(self, blocks: int) -> None:
        await self.brake.follow(msgspec.structs.replace(BLOCK, number=BlockNumber(BLOCK.number + blocks)), ALICE)

    @property
    def sent(self) -> int:
        return self.node.asked.count("eth_sendRawTransaction")


@pytest.fixture
def scene() -> Scene:
    node = FakeNode(
        eth_call=lambda *_: "0x",
        eth_getTransactionCount=lambda *_: "0x0",
        eth_getBalance=lambda *_: RICH,
        eth_sendRawTransaction=lambda *_: "0x" + "11" * 32,
    )
    registry: Any = OneOperator()
    membership = Membership(endpoints_to([node]), registry, SigningKey(SECRETS["alice"]), ChainId(31337))
    made = Scene(node, registry, membership, Brake(registry, membership, {"sandwich_seen": BrakeSupport.SUBJECT}))
    made.brake.tell = made.told.append
    return made


def refuse(refused: Refuse) -> Callable[..., Any]:
    def answer(*_: Any) -> Any:
        raise refused

    return answer


@pytest.mark.parametrize("reverted", REVERTS, ids=lambda one: str(one.code))
async def test_what_reverts_is_not_sent_and_not_tried_again(scene: Scene, reverted: Refuse) -> None:
    scene.finds()
    scene.node.methods["eth_call"] = refuse(reverted)
    await scene.after(1)
    await scene.after(1 + AGAIN_BLOCKS)
    assert scene.brake.counts["not taken"] == 1
    assert scene.node.asked.count("eth_call") == 1
    assert scene.sent == 0


@pytest.mark.parametrize("busy", [says(b"slow down", 429), says(b"", 502), None], ids=["429", "502", "no header"])
async def test_a_node_that_does_not_say_whether_the_brake_would_count_it_is_asked_again(
    scene: Scene, busy: Callable[[], tuple[int, bytes]] | None
) -> None:
    scene.finds()
    takes, scene.node.misbehaviour = scene.node.methods["eth_call"], busy
    if busy is None:
        scene.node.methods["eth_call"] = refuse(Refuse(-32000, "header not found"))
    await scene.after(1)
    assert (scene.brake.counts["not asked"], scene.brake.counts["not taken"], scene.sent) == (1, 0, 0)
    scene.node.misbehaviour, scene.node.methods["eth_call"] = None, takes
    await scene.after(1 + AGAIN_BLOCKS)
    assert (scene.brake.counts["supported"], scene.sent) == (1, 1)


@pytest.mark.parametrize("method", ["eth_getBalance", "eth_sendRawTransaction"])
async def test_a_support_that_was_not_sent_is_neither_told_nor_counted_as_a_try(scene: Scene, method: str) -> None:
    scene.finds()
    works = scene.node.methods[method]
    is_poor = method == "eth_getBalance"
    scene.node.methods[method] = (lambda *_: POOR) if is_poor else refuse(Refuse(-32000, "txpool is full"))
    for place in range(MAX_TRIES + 1):
        await scene.after(1 + place * AGAIN_BLOCKS)
    assert scene.told == []
    assert not scene.brake._sent
    assert (scene.brake.counts["not sent"], scene.brake.counts["supported"]) == (MAX_TRIES + 1, 0)
    assert scene.membership.counts["no ether" if is_poor else "refused"] == MAX_TRIES + 1

    scene.node.methods[method] = works
    await scene.after(1 + (MAX_TRIES + 1) * AGAIN_BLOCKS)
    assert [record.kind for record in scene.told if isinstance(record, AlertRaised)] == ["brake_supported"]
    assert (len(scene.brake._sent), scene.brake.counts["supported"]) == (1, 1)


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("others", [0, 1])
async def test_an_alert_whose_block_leaves_while_the_node_is_asked_is_not_supported(
    scene: Scene, is_paused: bool, others: int
) -> None:
    for place in range(1 + others):
        scene.finds(f"pool {place}")
    scene.registry.is_paused, scene.registry.during = is_paused, lambda: scene.brake.retract(BLOCK.hash)
    await scene.after(1)
    assert scene.sent == 0
    assert not scene.brake._cases
    assert scene.brake.counts == {"cases": 1 + others}
