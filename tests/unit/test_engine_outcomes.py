"""What became of bundles: landed, lost to whom, or why not; each told once, whatever the chain does meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from node.engine.endpoints import Endpoints
from node.engine.headers import Header
from node.engine.outcomes import OLD_BLOCKS, Outcomes
from node.engine.rpc import RpcError
from node.engine.signer import SignedBundle
from node.pipeline.events import ExecutionLanded, ExecutionMissed
from node.pipeline.reasons import Reason
from node.records import ExecutionLandedRecord, ExecutionMissedRecord, OutcomeRetracted, RelayAnswered
from protocol.units import Address, Gas, Hash32, Wei, address_to_hex
from tests.fake_blocks import header_json
from tests.fake_chain_node import FakeNode, Refuse, endpoints_to
from tests.unit.test_engine_simulator import header
from tests.vault_stand_in import BASE_FEE, EXECUTED, MODULE, POOL, SAFE, TOKEN, signed, signer, topic, victim

ALICE = signer().address
RIVAL = Address(b"\x0f" * 20)
ROUTER = Address(b"\x02" * 20)
GAS = 100_000
PRICE = 3 * BASE_FEE


def receipt(
    name: bytes, *logs: dict[str, Any], status: int = 1, to: Address | None = RIVAL, sender: Address = RIVAL
) -> dict[str, Any]:
    return {
        "transactionHash": "0x" + name.hex(),
        "status": hex(status),
        "gasUsed": hex(GAS),
        "effectiveGasPrice": hex(PRICE),
        "logs": list(logs),
        "from": address_to_hex(sender),
        "to": None if to is None else address_to_hex(to),
    }


def profit_log(profit: int) -> dict[str, Any]:
    topics = ["0x" + word.hex() for word in (EXECUTED, topic(SAFE), topic(TOKEN))]
    data = "0x" + (bytes(32) + profit.to_bytes(32, "big")).hex()
    return {"address": address_to_hex(MODULE), "topics": topics, "data": data}


def sync_log(pool: bytes = POOL) -> dict[str, Any]:
    if len(pool) == 32:
        return {"address": "0x" + "ba" * 20, "topics": ["0x" + "55" * 32, "0x" + pool.hex()], "data": "0x"}
    return {"address": "0x" + pool.hex(), "topics": ["0x" + "55" * 32], "data": "0x"}


class Chain:
    """What the node tells: receipts by block hash, headers by number, traces."""

    def __init__(self) -> None:
        self.receipts: dict[str, list[dict[str, Any]]] = {}
        self.headers: dict[str, Any] = {}
        self.frame: dict[str, Any] | None = None
        self.node = FakeNode(
            eth_getBlockReceipts=lambda name: self.receipts.get(name, []),
            eth_getBlockByNumber=lambda number, _: self.headers[number],
            debug_traceTransaction=self._trace,
        )

    def _trace(self, name: str, how: Any) -> Any:
        if self.frame is None:
            raise Refuse(-32601, "no traces here")
        return self.frame

    def holds(self, at: Header, *receipts: dict[str, Any]) -> Header:
        self.receipts["0x" + at.hash.hex()] = list(receipts)
        return at

    @property
    def endpoints(self) -> Endpoints:
        return endpoints_to([self.node])


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def outcomes(chain: Chain) -> Outcomes:
    return Outcomes(chain.endpoints, MODULE, [ALICE], [ROUTER])


def own(bundle: SignedBundle, *logs: dict[str, Any], status: int = 1) -> dict[str, Any]:
    return receipt(bundle.own[0], *logs, status=status, to=MODULE, sender=ALICE)


async def judged_reason(outcomes: Outcomes, at: Header) -> ExecutionMissedRecord:
    ((event, record),) = await outcomes.judge(at)
    assert isinstance(event, ExecutionMissed)
    assert isinstance(record, ExecutionMissedRecord)
    assert event.reason is record.reason
    assert len(outcomes) == 0
    return record


async def test_what_landed_is_told_with_profit_gas_and_bid(chain: Chain, outcomes: Outcomes) -> None:
    bundle = signed(11)
    outcomes.expect(bundle)
    at = chain.holds(header(11), own(bundle, sync_log(), profit_log(4_321)))
    ((event, record),) = await outcomes.judge(at)
    find = bundle.plan.executions[0].opportunity.id
    assert event == ExecutionLanded(find, at.number, 4_321, Gas(GAS), Wei(GAS * PRICE))
    assert record == ExecutionLandedRecord(
        opportunity_id=find,
        transaction_hash=bundle.own[0],
        block=at.number,
        block_hash=at.hash,
        profit="4321",
        gas_used=event.gas_used,
        gas_wei=str(GAS * PRICE),
        bid_wei=str(GAS * (PRICE - BASE_FEE)),
    )
    assert await outcomes.judge(header(12, at)) == []


async def test_before_the_target_block_nothing_is_asked(chain: Chain, outcomes: Outcomes) -> None:
    outcomes.expect(signed(11))
    assert await outcomes.judge(header(10)) == []
    assert chain.node.asked == []


async def test_a_revert_in_the_block_costs_gas_and_is_told(chain: Chain, outcomes: Outcomes) -> None:
    bundle = signed(11)
    outcomes.expect(bundle)
    record = await judged_reason(outcomes, chain.holds(header(11), own(bundle, status=0)))
    assert (record.reason, record.spent_wei, record.lost_to) == (Reason.REVERTED, str(GAS * PRICE), bundle.own[0])


@pytest.mark.parametrize("to", [RIVAL, None])
async def test_who_moved_the_routes_pools_is_who_it_was_lost_to(
    chain: Chain, outcomes: Outcomes, to: Address | None
) -> None:
    outcomes.expect(signed(11))
    other, rival = b"\x01" * 32, b"\x02" * 32
    at = chain.holds(
        header(11),
        receipt(other, sync_log(b"\x91" * 20)),
        receipt(rival, sync_log(), to=to),
        receipt(b"\3" * 32, sync_log()),
    )
    record = await judged_reason(outcomes, at)
    assert (record.reason, record.lost_to) == (Reason.OUTBID, rival)


async def test_what_the_winner_paid_is_told_where_the_node_traces(chain: Chain, outcomes: Outcomes) -> None:
    outcomes.expect(signed(11))
    coinbase = "0x" + "0b" * 20
    paying = {"to": coinbase, "value": "0x7"}
    failed = {"to": coinbase, "value": "0x64", "error": "execution reverted", "calls": [paying]}
    chain.frame = {"to": address_to_hex(RIVAL), "value": "0x0", "calls": [paying, failed, {"value": "0x9"}]}
    at = chain.holds(header(11), receipt(b"\2" * 32, sync_log()))
    ((event, _),) = await outcomes.judge(at)
    assert isinstance(event, ExecutionMissed)
    assert event.winning_bid_wei == GAS * (PRICE - BASE_FEE) + 7
    assert event.winning_gas == GAS


async def test_without_traces_the_loss_is_told_without_a_bid(chain: Chain, outcomes: Outcomes) -> None:
    outcomes.expect(signed(11))
    ((event, _),) = await outcomes.judge(chain.holds(header(11), receipt(b"\2" * 32, sync_log())))
    assert isinstance(event, ExecutionMissed)
    assert (event.winning_bid_wei, event.winning_gas) == (None, GAS)


async def test_another_find_of_ours_is_no_rival(chain: Chain, outcomes: Outcomes) -> None:
    won, lost = signed(11, name=b"won", call_data=b"won!"), signed(11, name=b"lost")
    outcomes.expect(won)
    outcomes.expect(lost)
    at = chain.holds(header(11), own(won, sync_log(), profit_log(9)))
    results = {record.opportunity_id: record for _, record in await outcomes.judge(at)}  # type: ignore[union-attr]
    record = results[lost.plan.executions[0].opportunity.id]
    assert isinstance(record, ExecutionMissedRecord)
    assert (record.reason, record.lost_to) == (Reason.CONFLICTS_WITH_BETTER, won.own[0])
    assert "debug_traceTransaction" not in chain.node.asked


async def test_any_variant_of_a_find_that_landed_is_that_find(chain: Chain, outcomes: Outcomes) -> None:
    alone, jointly = signed(11, call_data=b"one!"), signed(11, call_data=b"two!")
    outcomes.expect(alone)
    outcomes.expect(jointly)
    assert len(outcomes) == 1
    ((event, _),) = await outcomes.judge(chain.holds(header(11), own(jointly, sync_log(), profit_log(5))))
    assert isinstance(event, ExecutionLanded)


async def test_without_its_victim_a_find_is_not_lost_to_anybody(chain: Chain, outcomes: Outcomes) -> None:
    outcomes.expect(signed(11, victim(5)))
    record = await judged_reason(outcomes, chain.holds(header(11), receipt(b"\2" * 32, sync_log())))
    assert (record.reason, record.lost_to) == (Reason.VICTIM_NOT_INCLUDED, None)


async def test_traders_and_victims_are_no_rivals(chain: Chain, outcomes: Outcomes) -> None:
    carols = victim(5)
    outcomes.expect(signed(11, carols))
    at = chain.holds(
        header(11),
        receipt(carols.hash, sync_log()),
        receipt(b"\2" * 32, sync_log(), to=ROUTER),
        receipt(b"\3" * 32, sync_log(), status=0),
    )
    assert (await judged_reason(outcomes, at)).reason is Reason.BUILDER_LOST


async def test_a_pool_that_logs_through_its_vault_is_known_by_its_id(chain: Chain, outcomes: Outcomes) -> None:
    pool = b"\x99" * 32
    bundle = signed(11)
    plan = bundle.plan
    (execution,) = plan.executions
    steps = tuple(msgspec.structs.replace(step, pool_id=pool) for step in execution.opportunity.steps)
    changed = msgspec.structs.replace(
        execution, opportunity=msgspec.structs.replace(execution.opportunity, steps=steps)
    )
    plan = msgspec.structs.replace(plan, executions=(changed,))
    outcomes.expect(SignedBundle(plan, bundle.transactions, bundle.hash, bundle.own))
    record = await judged_reason(outcomes, chain.holds(header(11), receipt(b"\2" * 32, sync_log(pool))))
    assert record.lost_to == b"\2" * 32


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        (["refused: no"], Reason.RELAY_REFUSED),
        (["unreachable: gone", "unreachable: gone"], Reason.RELAY_UNREACHABLE),
        (["unreachable: gone", "lies: it names another bundle"], Reason.RELAY_REFUSED),
        (["refused: no", ""], Reason.BUILDER_LOST),
        ([], Reason.BUILDER_LOST),
    ],
)
async def test_where_nobody_took_it_the_relays_answers_say_why(
    chain: Chain, outcomes: Outcomes, errors: list[str], reason: Reason
) -> None:
    bundle = signed(11)
    outcomes.expect(bundle)
    outcomes.answered(answer(bundle.hash, f"relay-{number}", error) for number, error in enumerate(errors))
    outcomes.answered([answer(Hash32(b"\7" * 32), "relay-0", "")])
    assert (await judged_reason(outcomes, chain.holds(header(11)))).reason is reason


def answer(bundle: Hash32, relay: str, error: str) -> RelayAnswered:
    return RelayAnswered(bundle_hash=bundle, relay=relay, error=error, took_ns=1)


async def test_a_relay_that_took_one_variant_took_the_find(chain: Chain, outcomes: Outcomes) -> None:
    alone, jointly = signed(11, call_data=b"one!"), signed(11, call_data=b"two!")
    outcomes.expect(alone)
    outcomes.expect(jointly)
    outcomes.answered([answer(alone.hash, "swift", ""), answer(jointly.hash, "swift", "refused: too late")])
    assert (await judged_reason(outcomes, chain.holds(header(11)))).reason is Reason.BUILDER_LOST


async def test_a_block_that_cannot_be_read_is_judged_with_the_next(chain: Chain, outcomes: Outcomes) -> None:
    bundle = signed(11)
    outcomes.expect(bundle)
    body = header_json(11)
    chain.headers["0xb"] = body
    at = chain.holds(header(11), own(bundle, sync_log(), profit_log(5)))
    reads, chain.node.methods = chain.node.methods, {}
    with pytest.raises(RpcError):
        await outcomes.judge(at)
    assert await outcomes.judge(header(12, at)) == []
    assert outcomes.unread == 1
    chain.node.methods = reads
    ((event, _),) = await outcomes.judge(header(13, header(12, at)))
    assert isinstance(event, ExecutionLanded)
    assert event.block == 11


async def test_a_block_that_is_judged_twice_at_once_is_told_once(chain: Chain, outcomes: Outcomes) -> None:
    """Asked again where it could not be read, and with the next head."""
    landed, lost = signed(11, name=b"landed"), signed(11, name=b"lost", call_data=b"lost")
    outcomes.expect(landed)
    outcomes.expect(lost)
    chain.frame = {"to": address_to_hex(RIVAL), "value": "0x0"}  # what the winner paid is asked for
    at = chain.holds(header(11), receipt(b"\2" * 32, sync_log()), own(landed, sync_log(), profit_log(5)))

    told = await asyncio.gather(outcomes.judge(at), outcomes.judge(at))

    assert sorted(len(outcome) for outcome in told) == [0, 2]


async def test_older_blocks_never_keep_the_head_from_being_judged(chain: Chain, outcomes: Outcomes) -> None:
    for target in range(1, 3 + OLD_BLOCKS):
        outcomes.expect(signed(target, name=str(target).encode()))
        chain.headers[hex(target)] = {"number": "0x1"}  # which is no header
    outcomes.expect(signed(11))
    ((event, _),) = await outcomes.judge(chain.holds(header(11)))
    assert isinstance(event, ExecutionMissed)
    assert outcomes.unread == OLD_BLOCKS


async def test_what_landed_in_a_block_that_left_the_chain_is_taken_back_and_judged_anew(
    chain: Chain, outcomes: Outcomes
) -> None:
    bundle = signed(11)
    outcomes.expect(bundle)
    first = chain.holds(header(11), own(bundle, sync_log(), profit_log(5)))
    await outcomes.judge(first)
    taken_back = outcomes.retract(first.hash)
    assert taken_back is not None
    assert taken_back.block_hash == first.hash
    assert (await judged_reason(outcomes, chain.holds(header(11, salt="b")))).reason is Reason.REORGED


async def test_what_lands_again_after_a_reorganisation_is_told_again(chain: Chain, outcomes: Outcomes) -> None:
    bundle = signed(11)
    outcomes.expect(bundle)
    first = chain.holds(header(11), own(bundle, sync_log(), profit_log(5)))
    await outcomes.judge(first)
    outcomes.retract(first.hash)
    second = chain.holds(header(11, salt="b"), own(bundle, sync_log(), profit_log(6)))
    ((event, record),) = await outcomes.judge(second)
    assert isinstance(event, ExecutionLanded)
    assert isinstance(record, ExecutionLandedRecord)
    assert record.block_hash == second.hash


async def test_what_reverted_in_a_block_that_left_the_chain_is_taken_back_and_judged_anew(
    chain: Chain, outcomes: Outcomes
) -> None:
    bundle = signed(11)
    outcomes.expect(bundle)
    first = chain.holds(header(11), own(bundle, status=0))
    assert (await judged_reason(outcomes, first)).block_hash == first.hash
    taken_back = outcomes.retract(first.hash)
    assert taken_back is not None
    assert taken_back.block_hash == first.hash
    again = await judged_reason(outcomes, chain.holds(header(11, salt="b")))
    assert (again.reason, again.spent_wei, again.block_hash) == (Reason.REORGED, "0", None)


@pytest.mark.parametrize("status", [0, 1])
async def test_a_block_that_was_judged_and_never_told_is_taken_back_when_another_stands_there(
    chain: Chain, outcomes: Outcomes, status: int
) -> None:
    bundle = signed(11)
    outcomes.expect(bundle)
    first = chain.holds(header(11), own(bundle, sync_log(), profit_log(5), status=status))
    await outcomes.judge(first)
    assert await outcomes.judge(first) == []
    assert await outcomes.judge(header(11, salt="b"), again=True) == [], "asked late of a block that may be gone"
    reads, chain.node.methods = chain.node.methods, {}
    with pytest.raises(RpcError):
        await outcomes.judge(header(11, salt="b"))
    chain.node.methods = reads
    (nobody, retracted), (event, record) = await outcomes.judge(chain.holds(header(11, salt="b")))
    assert nobody is None
    assert isinstance(retracted, OutcomeRetracted)
    assert retracted.block_hash == first.hash
    assert isinstance(event, ExecutionMissed)
    assert isinstance(record, ExecutionMissedRecord)
    assert event.reason is record.reason is Reason.REORGED
    assert await outcomes.judge(header(11, salt="b")) == []


async def test_a_miss_is_not_told_again_after_a_reorganisation(chain: Chain, outcomes: Outcomes) -> None:
    bundle = signed(11)
    outcomes.expect(bundle)
    first = chain.holds(header(11))
    await outcomes.judge(first)
    assert outcomes.retract(first.hash) is None
    assert await outcomes.judge(chain.holds(header(11, salt="b"))) == []
    assert outcomes.retract(header(11, salt="b").hash) is None
    third = chain.holds(header(11, salt="c"), own(bundle, sync_log(), profit_log(6)))
    ((event, _),) = await outcomes.judge(third)
    assert isinstance(event, ExecutionLanded)
    assert outcomes.retract(Hash32(b"\1" * 32)) is None


async def test_what_is_outstanding_is_bounded(outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.engine.outcomes.MAX_OUTSTANDING", 2)
    for number in range(3):
        outcomes.expect(signed(11, name=str(number).encode()))
    assert (len(outcomes), outcomes.overflowed) == (2, 1)
