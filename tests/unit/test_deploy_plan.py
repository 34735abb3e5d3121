"""A deployment before anything is sent: settings refused by name, order, addresses, arguments, what is told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from governance import policy
from governance.contracts import contract
from governance.deploy_errors import SettingsRefused
from governance.deploy_plan import constructor_arguments, describe, plan_of
from governance.deploy_settings import EpochCut, Governance
from governance.policy import DAY, TOKEN_CAP
from protocol.ethereum.create2 import create_address
from protocol.units import ZERO_ADDRESS, Address, Wei, address_to_hex
from scripts.tree import ROOT
from tests.deploy_scene import (
    CHAIN,
    DEPLOYER,
    ETHER,
    FEE_TOKEN,
    GUARDIAN,
    HOLDER,
    SETTINGS,
    STRANGER,
    plan,
)


def refusals(**changes: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsRefused) as caught:
        plan(**changes)
    return caught.value.problems


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"guardian": ZERO_ADDRESS}, "guardian: not 20 bytes, or zero"),
        ({"guardian": Address(b"\x01")}, "guardian: not 20 bytes, or zero"),
        ({"guardian": DEPLOYER}, "guardian: is the deployer"),
        ({"supply_holder": DEPLOYER}, "supply_holder: is the deployer"),
        ({"fee_token": ZERO_ADDRESS}, "fee_token: not 20 bytes, or zero"),
        ({"initial_supply": TOKEN_CAP + 1}, "initial_supply: outside 1 to"),
        ({"min_stake": 1_000_001 * ETHER}, "min_stake: outside 1 to the initial supply"),
        ({"min_stake": ETHER - 1}, f"min_stake: outside {ETHER} to"),
        ({"protocol_fee_bps": 501}, "protocol_fee_bps: outside 0 to 500"),
        ({"alert_quorum_bps": 3_333}, "alert_quorum_bps: outside 3334 to 6667"),
        ({"alert_quorum_bps": 6_668}, "alert_quorum_bps: outside 3334 to 6667"),
        (
            {"governance": Governance(voting_delay=3 * DAY)},
            "governance: takes 864000 s from proposal to execution, the longest",
        ),
        ({"governance": Governance(voting_delay=5 * DAY)}, "the escrow is over in 1036800 s"),
        ({"governance": Governance(voting_delay=-1)}, "governance.voting_delay: outside 0 to"),
        ({"governance": Governance(voting_period=0)}, "governance.voting_period: outside 1 to 2^32 - 1"),
        ({"governance": Governance(voting_period=2**32)}, "governance.voting_period: outside 1 to 2^32 - 1"),
        ({"governance": Governance(timelock_delay=0)}, "governance.timelock_delay: outside 1 to"),
        ({"governance": Governance(quorum_percent=0)}, "governance.quorum_percent: outside 1 to 50"),
        ({"governance": Governance(quorum_percent=51)}, "governance.quorum_percent: outside 1 to 50"),
        ({"governance": Governance(proposal_threshold=0)}, "governance.proposal_threshold: outside 1"),  # type: ignore[arg-type]
        ({"cut": EpochCut(length=30, cut_off=12, lag=0)}, "cut.lag: outside 1 to 255"),
        ({"cut": EpochCut(length=900, cut_off=400, lag=256)}, "cut.lag: outside 1 to 255"),
        ({"cut": EpochCut(length=30, cut_off=6, lag=6)}, "cut: lag < cut_off < length does not hold"),
        ({"cut": EpochCut(length=30, cut_off=30, lag=6)}, "cut: lag < cut_off < length does not hold"),
        ({"cut": EpochCut(length=50_401)}, "cut.length: two epochs are longer"),
    ],
)
def test_settings_that_must_not_be_deployed_are_refused_by_name(changes: dict[str, Any], said: str) -> None:
    assert any(said in problem for problem in refusals(**changes)), refusals(**changes)


@pytest.mark.parametrize(
    ("source", "constant", "value", "days"),
    [
        ("EmergencyBrake", "MAX_PAUSE", policy.LONGEST_BRAKE_SECONDS, True),
        ("HftGovernor", "MAX_SECONDS_TO_EXECUTION", policy.LONGEST_BRAKE_SECONDS, True),
        ("SlashingCourt", "REACTION", policy.REACTION_SECONDS, True),
        ("ExecutionLedger", "MAX_LAG", policy.MAX_SEED_LAG_BLOCKS + 1, False),
        ("HftGovernor", "MAX_QUORUM_PERCENT", policy.QUORUM_PERCENT_BOUNDS[1], False),
    ],
)
def test_what_no_view_tells_is_as_in_the_sources(source: str, constant: str, value: int, days: bool) -> None:
    text = (ROOT / "contracts" / "src" / f"{source}.sol").read_text()
    found = re.search(rf" constant {constant} = (\d+)( days)?;", text)
    assert found is not None
    assert (int(found[1]) * (DAY if days else 1), bool(found[2])) == (value, days)


def test_settings_at_their_bounds_are_taken() -> None:
    plan(governance=Governance(voting_delay=3 * DAY - 1), cut=EpochCut(length=50_400, cut_off=256, lag=255))
    plan(initial_supply=TOKEN_CAP, protocol_fee_bps=500, alert_quorum_bps=6_667, min_stake=1_000_000 * ETHER)
    plan(governance=Governance(voting_delay=0, quorum_percent=50, proposal_threshold=SETTINGS.initial_supply))


def test_every_problem_is_named_at_once() -> None:
    assert len(refusals(guardian=DEPLOYER, protocol_fee_bps=501, cut=EpochCut(lag=0))) == 3


def test_one_contract_a_nonce_each_where_create_puts_it() -> None:
    whole = plan()
    assert [step.nonce for step in whole.steps] == list(range(5, 17))
    for step in whole.steps:
        assert address_to_hex(step.address) == create_address(address_to_hex(DEPLOYER), step.nonce)
    assert [step.name for step in plan(bindings=None).steps] == [step.name for step in whole.steps][:10]


def test_a_contract_stands_before_those_whose_constructor_asks_it() -> None:
    order = [step.name for step in plan().steps]
    for asked, asks in (
        ("NodeStaking", "SlashingCourt"),
        ("NodeStaking", "ExecutionLedger"),
        ("RewardStream", "ExecutionLedger"),
        ("TimelockController", "HftGovernor"),
        ("NodeStaking", "HftGovernor"),
    ):
        assert order.index(asked) < order.index(asks)


def test_the_deployer_is_no_argument_of_any_constructor() -> None:
    for step in plan().steps:
        assert DEPLOYER.hex() not in step.data.hex()


def test_the_contracts_name_each_other() -> None:
    whole = plan()
    at = {name: address_to_hex(address) for name, address in whole.addresses.items()}
    arguments = {step.name: step.arguments for step in whole.steps}
    nobody = address_to_hex(ZERO_ADDRESS)
    assert arguments["TimelockController"] == {
        "minDelay": 2 * DAY,
        "proposers": (at["HftGovernor"],),
        "executors": (nobody,),
        "admin": nobody,
    }
    assert arguments["NodeStaking"] == {
        "token": at["HftToken"],
        "court": at["SlashingCourt"],
        "ledger": at["ExecutionLedger"],
    }
    assert arguments["ExecutionLedger"]["bindings.stream"] == at["RewardStream"]
    assert arguments["ExecutionLedger"]["cut_.cutOff"] == 12
    assert arguments["EmergencyBrake"]["guardian"] == address_to_hex(GUARDIAN)
    assert arguments["HftToken"]["holder"] == address_to_hex(HOLDER)
    assert arguments["RewardStream"]["token"] == address_to_hex(FEE_TOKEN)
    assert arguments["VaultModule"] == {"parameters": at["NetworkParameters"]}
    assert arguments["ArbExecutor"]["bindings.module"] == at["VaultModule"]
    timelocked = {arguments[name]["governance"] for name in ("SlashingCourt", "NetworkParameters", "EmergencyBrake")}
    assert timelocked | {arguments["ExecutionLedger"]["bindings.governance"]} == {at["TimelockController"]}


def test_other_code_is_not_taken_for_a_contract() -> None:
    with pytest.raises(ValueError, match="does not create NodeStaking"):
        constructor_arguments("NodeStaking", contract("HftToken").creation())


def test_every_change_of_a_plan_changes_its_fingerprint() -> None:
    whole = plan()
    others = [
        plan(guardian=STRANGER),
        plan(bindings=None),
        plan_of(CHAIN, DEPLOYER, 6, SETTINGS),
        plan_of(CHAIN, STRANGER, 5, SETTINGS),
        plan_of(type(CHAIN)(1), DEPLOYER, 5, SETTINGS),
    ]
    assert len({whole.fingerprint, *(other.fingerprint for other in others)}) == 6
    assert plan().fingerprint == whole.fingerprint


def test_what_is_told_has_every_contract_argument_and_the_cost() -> None:
    whole = plan()
    text = describe(whole, 0, Wei(1_500_000_000))
    gas = sum(step.gas_limit for step in whole.steps)
    for step in whole.steps:
        assert f"nonce {step.nonce}  create {step.name} at {address_to_hex(step.address)}" in text
        for name in step.arguments:
            assert f"      {name} = " in text
    assert f"proposers = [{address_to_hex(whole.addresses['HftGovernor'])} (HftGovernor)]" in text
    assert f"At most {gas:,} gas at 1.5 gwei: " in text
    assert "0x" + "32" * 32 in text, "the hash of the pairs' code"
    left = describe(whole, 11, Wei(10**9))
    assert "done: 11 of 12" in left
    assert left.count("create ") == 1


def test_the_gas_that_is_told_suffices_for_code_and_is_allowed_in_one_transaction() -> None:
    for step in plan().steps:
        code = len(contract(step.name).deployed_bytecode) // 2 - 1
        assert 200 * code < step.gas_limit < 2**24


def test_the_bindings_of_an_executor_keep_all_but_their_module() -> None:
    assert SETTINGS.bindings is not None
    other = plan(bindings=replace(SETTINGS.bindings, module=STRANGER))
    assert other.fingerprint == plan().fingerprint
