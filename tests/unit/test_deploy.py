"""A deployment on a chain that is a table: asked, resumed, refused, read back; and its journal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from governance.caller import Event, JsonRpcCaller, SeenTransaction
from governance.deploy import deploy
from governance.deploy_errors import (
    CallReverted,
    ChainRefused,
    DeployError,
    JournalRefused,
    NotApproved,
    NotMined,
    ReadBackFailed,
    StepFailed,
)
from governance.deploy_journal import Journal
from governance.deploy_plan import Plan
from governance.deploy_readback import creation_findings, read_back, reads
from protocol.ethereum.abi import encode_call, selector
from protocol.ethereum.keccak import keccak256
from protocol.units import ChainId, Hash32, Wei
from tests.deploy_scene import DEPLOYER, FEE_TOKEN, STRANGER, Asked, PowerCut, TableChain, granted, plan
from tests.protocol_factories import KEYS

PLAN = plan()
LAST = PLAN.first_nonce + len(PLAN.steps)


def yes(_text: str) -> bool:
    return True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deployment.json"


def cut_after(count: int, what: str) -> Callable[[str], None]:
    """Power goes at the `count`th operation of that kind."""
    done = 0

    def before(operation: str) -> None:
        nonlocal done
        done += operation == what
        if operation == what and done == count:
            raise PowerCut

    return before


async def test_every_step_is_sent_once_in_order_and_the_addresses_come_back(path: Path) -> None:
    chain = TableChain(PLAN)
    assert await deploy(chain, PLAN, path, yes) == PLAN.addresses
    assert chain.sent == list(range(5, LAST))
    assert await deploy(chain, PLAN, path, lambda _text: False) == PLAN.addresses, "nobody is asked, nothing is left"


async def test_what_will_be_done_is_told_before_and_a_no_sends_nothing(path: Path) -> None:
    chain, asked = TableChain(PLAN), Asked(answer=False)
    with pytest.raises(NotApproved):
        await deploy(chain, PLAN, path, asked)
    assert "done: 0 of 12" in asked.shown[0]
    assert (chain.sent, path.exists()) == ([], False)


@pytest.mark.parametrize("what", ["send", "sent"])
@pytest.mark.parametrize("mines_at_once", [True, False])
@pytest.mark.parametrize("count", range(1, len(PLAN.steps) + 1))
async def test_a_deployment_cut_at_any_step_goes_on_and_does_nothing_twice(
    path: Path, count: int, mines_at_once: bool, what: str
) -> None:
    chain = TableChain(PLAN, mines_at_once=mines_at_once, before=cut_after(count, what))
    with pytest.raises(PowerCut):
        await deploy(chain, PLAN, path, yes)
    assert await deploy(chain, PLAN, path, yes) == PLAN.addresses
    assert chain.sent == list(range(5, LAST))


async def test_a_transaction_that_is_never_mined_is_given_up_and_found_again(path: Path) -> None:
    chain = TableChain(PLAN, mines_at_once=False)
    with pytest.raises(NotMined, match="TimelockController is not mined after 0 looks"):
        await deploy(chain, PLAN, path, yes, looks=0)
    await deploy(chain, PLAN, path, yes, looks=2)
    assert chain.sent == list(range(5, LAST))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"account": STRANGER}, "the plan of another deployer"),
        ({"chain": ChainId(1)}, "this is chain 1, the plan is for 31337"),
        ({"used": 4}, "nonce is 4: the plan uses 5 to 16"),
        ({"used": LAST + 1}, "nonce is 18: the plan uses 5 to 16"),
        (
            {"used": 6},
            "nonce 5 was not used as planned; TimelockController: the transaction that created it is not known",
        ),
        ({"wei": 10**15}, "the deployer has 1000000000000000 wei and needs"),
        ({"codes": {}}, "fee_token: there is no contract"),
        ({"codes": {FEE_TOKEN: b"\x01", PLAN.addresses["HftGovernor"]: b"\x01"}}, "HftGovernor: there is code at 0x"),
    ],
)
async def test_a_chain_on_which_the_plan_cannot_work_is_refused(path: Path, changes: dict[str, Any], said: str) -> None:
    chain = TableChain(PLAN, **changes)
    with pytest.raises(ChainRefused, match=said):
        await deploy(chain, PLAN, path, yes)
    assert chain.sent == []


async def test_a_step_that_would_revert_is_told_in_its_contracts_words(path: Path) -> None:
    chain = TableChain(PLAN, refusal=selector("ZeroAddress()"))
    with pytest.raises(StepFailed, match="TimelockController would revert: An address that must not be zero is"):
        await deploy(chain, PLAN, path, yes)
    assert chain.sent == []


async def test_a_step_that_would_cost_more_than_was_told_is_not_sent(path: Path) -> None:
    chain = TableChain(PLAN, estimated=10**7)
    with pytest.raises(StepFailed, match="TimelockController would use 10000000 gas, more than"):
        await deploy(chain, PLAN, path, yes)
    assert chain.sent == []


async def test_a_step_that_failed_on_the_chain_ends_the_deployment_for_good(path: Path) -> None:
    chain = TableChain(PLAN, succeeds=False)
    with pytest.raises(StepFailed, match="nonce 5; TimelockController: the transaction that creates it failed"):
        await deploy(chain, PLAN, path, yes)
    with pytest.raises(ChainRefused, match="nonce 5 was not used as planned"):
        await deploy(chain, PLAN, path, yes)


# Reading back


async def findings(change: Callable[[TableChain], object]) -> list[str]:
    """What is found on a chain that has the whole plan, and then a change."""
    chain = TableChain(PLAN)
    created = {step.name: made(PLAN, step.name) for step in PLAN.steps}
    chain.codes |= {step.address: b"\x01" for step in PLAN.steps}
    change(chain)
    return await read_back(chain, PLAN, created)


def made(of: Plan, name: str, **changes: Any) -> SeenTransaction:
    """The transaction that created a contract as it was planned, changed."""
    step = next(step for step in of.steps if step.name == name)
    fields: dict[str, Any] = {
        "sender": DEPLOYER,
        "nonce": step.nonce,
        "to": None,
        "data": step.data,
        "block": 100,
        "succeeded": True,
    }
    return SeenTransaction(**{**fields, **changes})


async def test_a_chain_as_planned_has_no_findings() -> None:
    assert await findings(lambda chain: chain) == []


@pytest.mark.parametrize("read", list(reads(PLAN)), ids=lambda read: read.name)
async def test_every_view_that_answers_otherwise_or_not_at_all_is_named(read: Any) -> None:
    key = (PLAN.addresses[read.contract], encode_call(read.signature, *read.arguments))

    def flip(chain: TableChain) -> None:
        chain.answers[key] = chain.answers[key][:-1] + bytes([chain.answers[key][-1] ^ 1])

    assert any(found.startswith(f"{read.name} is ") for found in await findings(flip))
    silent = await findings(lambda chain: chain.answers.pop(key))
    assert any(found.startswith(f"{read.name} is not readable") for found in silent)
    strange = await findings(lambda chain: chain.answers.update({key: b"\x01"}))
    assert any(found.startswith(f"{read.name} is not readable") for found in strange)


async def test_a_contract_without_code_is_named() -> None:
    found = await findings(lambda chain: chain.codes.pop(PLAN.addresses["WorkRewards"]))
    assert found == [f"WorkRewards: there is no code at 0x{PLAN.addresses['WorkRewards'].hex()}"]


async def test_roles_that_were_given_or_taken_are_named() -> None:
    timelock = PLAN.addresses["TimelockController"]
    stranger = "0x" + STRANGER.hex()
    given = granted("PROPOSER_ROLE", stranger)
    revoked = Event((Hash32(keccak256(b"RoleRevoked(bytes32,address,address)")), *given.topics[1:]), b"")
    strange = Event((given.topics[0], Hash32(b"\x77" * 32), *given.topics[2:]), b"")

    async def after(*events: Event) -> list[str]:
        return await findings(lambda chain: chain.told[timelock].extend(events))

    assert await after(given) == [f"TimelockController: {stranger} has PROPOSER_ROLE"]
    assert await after(given, revoked) == []
    assert await after(strange) == [f"TimelockController: {stranger} has 0x{'77' * 32}"]
    assert await after(Event((), b"anonymous")) == []
    nothing = await findings(lambda chain: chain.told.clear())
    assert len(nothing) == 4
    assert any(found.endswith("was never given CANCELLER_ROLE") for found in nothing)


@pytest.mark.parametrize(
    ("contract", "event", "said"),
    [
        ("ExecutionLedger", b"ExecutorSet(address,bool)", "ExecutionLedger: has executor contracts already"),
        ("NetworkParameters", b"Removed(bytes32)", "NetworkParameters: has removals already"),
    ],
)
async def test_what_governance_is_to_decide_later_is_not_there_yet(contract: str, event: bytes, said: str) -> None:
    told = [Event((Hash32(keccak256(event)),), b"")]
    assert await findings(lambda chain: chain.told.update({PLAN.addresses[contract]: told})) == [said]


async def test_delays_that_leave_governance_too_late_are_named_from_what_was_read() -> None:
    late = await findings(lambda chain: chain.answer("HftGovernor", "votingPeriod()", ["uint256"], 10 * 86_400))
    assert any(found.startswith("the escrow, 1036800 s, ends before governance can cancel") for found in late)
    assert any(found.startswith("the longest brake, 864000 s, ends before governance") for found in late)
    brief = await findings(lambda chain: chain.answer("NodeStaking", "UNBONDING()", ["uint48"], 20 * 86_400))
    assert any(found.startswith("stake leaves in 1728000 s: evidence counts 1209600 s") for found in brief)
    fast = await findings(lambda chain: chain.answer("SlashingCourt", "ESCROW()", ["uint48"], 8 * 86_400))
    assert any(found.startswith("the escrow, 691200 s") for found in fast)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sender": STRANGER}, "EmergencyBrake: was not created by the deployer's nonce 10"),
        ({"nonce": 11}, "EmergencyBrake: was not created by the deployer's nonce 10"),
        ({"to": STRANGER}, "EmergencyBrake: was not created by the deployer's nonce 10"),
        ({"succeeded": False}, "EmergencyBrake: the transaction that creates it failed, or is not mined"),
        ({"data": b"\x60\x00"}, "EmergencyBrake: was created by other code"),
        ({"data": made(PLAN, "EmergencyBrake").data + b"\x00"}, "EmergencyBrake: was created by other code"),
        (
            {"data": made(plan(guardian=STRANGER), "EmergencyBrake").data},
            f"EmergencyBrake: guardian is 0x{STRANGER.hex()} instead of 0x{'02' * 20}",
        ),
    ],
)
def test_a_contract_that_was_created_otherwise_is_named(changes: dict[str, Any], said: str) -> None:
    step = next(step for step in PLAN.steps if step.name == "EmergencyBrake")
    assert list(creation_findings(step, PLAN, made(PLAN, "EmergencyBrake", **changes))) == [said]


async def test_a_deployment_that_does_not_read_back_is_refused_with_every_finding(path: Path) -> None:
    chain = TableChain(PLAN)
    chain.answer("EmergencyBrake", "pauseCount()", ["uint256"], 1)
    with pytest.raises(ReadBackFailed) as caught:
        await deploy(chain, PLAN, path, yes)
    assert caught.value.findings == ("EmergencyBrake.pauseCount is 1 instead of 0",)


# The journal


def test_a_journal_keeps_what_was_signed_and_repeats_nothing(path: Path) -> None:
    journal = Journal(path, PLAN)
    one, other = Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)
    for signed in (one, other, one):
        journal.add("HftToken", signed)
    again = Journal(path, PLAN)
    assert again.signed_for("HftToken") == (one, other)
    assert again.signed_for("NodeStaking") == ()
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    for number in range(3, 65):
        again.add("HftToken", Hash32(bytes([number]) * 32))
    with pytest.raises(JournalRefused, match="64 transactions were signed for HftToken"):
        again.add("HftToken", Hash32(b"\xff" * 32))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("format", 2, "format is 2"),
        ("chain_id", 1, "chain_id is 1, this plan's is 31337"),
        ("first_nonce", 0, "first_nonce is 0"),
        ("plan", "0x00", "plan is 0x00"),
        ("contracts", {}, "its contracts are not those of this plan"),
        ("more", 1, "is no journal"),
    ],
)
def test_a_journal_of_another_plan_is_refused_by_name(path: Path, field: str, value: Any, said: str) -> None:
    Journal(path, PLAN).add("HftToken", Hash32(b"\x01" * 32))
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(JournalRefused, match=said):
        Journal(path, PLAN)


def test_a_journal_that_cannot_be_used_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(JournalRefused, match="cannot be read"):
        Journal(path, PLAN)
    missing = path / "no" / "folder.json"
    with pytest.raises(JournalRefused, match="cannot be written"):
        Journal(missing, PLAN).add("HftToken", Hash32(b"\x01" * 32))
    for text, said in ((b"{", "is no journal"), (b"\xff", "is no journal"), (b" " * 1_000_001, "larger than")):
        (path / "odd.json").write_bytes(text)
        with pytest.raises(JournalRefused, match=said):
            Journal(path / "odd.json", PLAN)
    journal = Journal(path / "whole.json", PLAN)
    journal.add("HftToken", Hash32(b"\x01" * 32))
    (path / "whole.json").write_text((path / "whole.json").read_text().replace("01" * 32, "yz" * 32))
    with pytest.raises(JournalRefused, match="a transaction of HftToken is no hash"):
        Journal(path / "whole.json", PLAN).signed_for("HftToken")


# The caller over JSON-RPC


class Refusing:
    """A node that answers every call with one error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def call(self, method: str, *params: Any) -> Any:
        raise self.error


class NodeError(Exception):
    """An error object of a node, with `data` if it has any."""

    def __init__(self, text: str, data: object = None) -> None:
        super().__init__(text)
        self.data = data


async def no_pause() -> None:
    """Nothing to wait for."""


@pytest.mark.parametrize(
    ("error", "data"),
    [(NodeError("execution reverted", "0x01020304"), b"\x01\x02\x03\x04"), (NodeError("execution reverted"), b"")],
)
async def test_a_revert_is_told_from_other_errors_of_a_node(error: Exception, data: bytes) -> None:
    caller = JsonRpcCaller(Refusing(error), KEYS["alice"], no_pause, priority_fee=Wei(1))
    with pytest.raises(CallReverted) as caught:
        await caller.call(FEE_TOKEN, b"")
    assert caught.value.data == data
    await caller.pause()


async def test_an_error_that_is_no_revert_is_the_nodes_own() -> None:
    caller = JsonRpcCaller(Refusing(NodeError("method not found", {"odd": 1})), KEYS["alice"], no_pause)
    with pytest.raises(NodeError, match="method not found"):
        await caller.call(FEE_TOKEN, b"")


def test_every_error_of_a_deployment_is_one_of_its_tree() -> None:
    for kind in (ChainRefused, JournalRefused, NotApproved, StepFailed, NotMined, ReadBackFailed, CallReverted):
        assert issubclass(kind, DeployError)
