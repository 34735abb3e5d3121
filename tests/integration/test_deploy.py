"""The network deployed on a real chain: as planned, by nobody who keeps anything, resumable, and read back by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from devnet.accounts import account
from devnet.anvil import CHAIN_ID
from devnet.errors import RpcError
from devnet.world import World
from governance.caller import JsonRpcCaller, SeenTransaction, SignedDraft
from governance.deploy import deploy, verify
from governance.deploy_errors import CallReverted, NotApproved, ReadBackFailed, StepFailed
from governance.deploy_journal import Journal
from governance.deploy_plan import Plan, plan_of
from governance.deploy_readback import ROLES, read_back
from governance.deploy_settings import EpochCut, Governance, NetworkSettings
from protocol.ethereum.abi import encode_call, selector
from protocol.signing import Domain, sign
from protocol.statements import HotKeyBinding
from protocol.units import (
    Address,
    BasisPoints,
    ChainId,
    Hash32,
    TokenAmount,
    Wei,
    address_from_hex,
    address_to_hex,
)
from tests.chain import Chain
from tests.deploy_scene import ETHER, Asked, PowerCut, settings_on

pytestmark = pytest.mark.anvil

DEPLOYER, HOLDER, GUARDIAN, STRANGER = (account(f"operator-{index}") for index in range(4))
ZERO = "0x" + "00" * 20


@dataclass
class Scene:
    """The devnet's world, a deployer with ether, and a plan."""

    chain: Chain
    plan: Plan
    journal: Path

    def caller(self, key: Any = DEPLOYER.key) -> JsonRpcCaller:
        return JsonRpcCaller(self.chain.rpc, key, self.chain.mine, priority_fee=Wei(0))

    def at(self, name: str) -> str:
        return address_to_hex(self.plan.addresses[name])

    async def deploy(self) -> dict[str, Address]:
        return await deploy(self.caller(), self.plan, self.journal, lambda _text: True, looks=5)

    async def created(self) -> dict[str, SeenTransaction]:
        journal, caller, found = Journal(self.journal, self.plan), self.caller(), {}
        for step in self.plan.steps:
            seen = await caller.transaction(journal.signed_for(step.name)[-1])
            assert seen is not None
            found[step.name] = seen
        return found

    async def findings(self) -> Sequence[str]:
        """What reading back finds now."""
        try:
            await verify(self.caller(), self.plan, Journal(self.journal, self.plan))
        except ReadBackFailed as error:
            return error.findings
        return ()

    async def act_as(self, sender: str, to: str, signature: str, *arguments: Any) -> None:
        """Let any account send a call, its key or not."""
        rpc = self.chain.rpc
        await rpc.call("anvil_setBalance", sender, hex(10 * ETHER))
        await rpc.call("anvil_impersonateAccount", sender)
        data = "0x" + encode_call(signature, *arguments).hex()
        request = {"from": sender, "to": to, "data": data, "gas": hex(1_000_000)}
        sent = await rpc.call("eth_sendTransaction", request)
        await self.chain.mine()
        await rpc.call("anvil_stopImpersonatingAccount", sender)
        assert (await rpc.call("eth_getTransactionReceipt", sent))["status"] == "0x1", signature


@pytest.fixture
def settings(world: World) -> NetworkSettings:
    return settings_on(world.manifest.contracts, GUARDIAN, HOLDER)


async def planned(chain: Chain, settings: NetworkSettings) -> Plan:
    """The plan of the deployer, from its nonce on."""
    deployer = address_from_hex(DEPLOYER.address)
    nonce = int(await chain.rpc.call("eth_getTransactionCount", DEPLOYER.address, "latest"), 16)
    return plan_of(ChainId(CHAIN_ID), deployer, nonce, settings)


@pytest.fixture
async def scene(chain: Chain, settings: NetworkSettings, tmp_path: Path) -> Scene:
    await chain.rpc.call("anvil_setBalance", DEPLOYER.address, hex(10 * ETHER))
    return Scene(chain, await planned(chain, settings), tmp_path / "deployment.json")


async def test_the_whole_set_is_deployed_at_the_addresses_that_were_told_and_reads_back(scene: Scene) -> None:
    asked = Asked(answer=True)
    addresses = await deploy(scene.caller(), scene.plan, scene.journal, asked, looks=5)

    assert addresses == scene.plan.addresses
    assert len(addresses) == 12
    for step in scene.plan.steps:
        assert f"create {step.name} at {address_to_hex(step.address)}" in asked.shown[0]
    (operators,) = await scene.chain.read(scene.at("HftToken"), "balanceOf(address)", ["uint256"], HOLDER.address)
    assert operators == 1_000_000 * ETHER
    for step, seen in zip(scene.plan.steps, (await scene.created()).values(), strict=True):
        assert seen.gas_used is not None
        assert seen.gas_used < step.gas_limit < 2**24
        assert step.gas_limit - seen.gas_used <= 300_000, "what it costs was told well"

    assert await scene.deploy() == addresses, "again: nothing is left to do"


async def test_an_operator_registers_stakes_and_votes_in_a_deployed_network(scene: Scene) -> None:
    await scene.deploy()
    staking, chain = scene.at("NodeStaking"), scene.chain
    domain = Domain(ChainId(CHAIN_ID), scene.plan.addresses["NodeStaking"])
    binding = HotKeyBinding(operator=address_from_hex(HOLDER.address))
    register = "register(address,bytes32,bytes)"
    stolen = await chain.try_send(
        HOLDER, staking, register, STRANGER.address, b"\x11" * 32, sign(domain, binding, HOLDER.key)
    )
    assert stolen["status"] == "0x0", "another's key"
    await chain.send(HOLDER, staking, register, STRANGER.address, b"\x11" * 32, sign(domain, binding, STRANGER.key))
    await chain.send(HOLDER, scene.at("HftToken"), "approve(address,uint256)", staking, 20_000 * ETHER)
    await chain.send(HOLDER, staking, "stake(uint256)", 20_000 * ETHER)
    await chain.mine()
    call = encode_call("set(uint8,uint256)", 1, 50)
    proposal = ("propose(address[],uint256[],bytes[],string)", [scene.at("NetworkParameters")], [0], [call], "halve")
    await chain.send(HOLDER, scene.at("HftGovernor"), *proposal)
    refused = await chain.try_send(DEPLOYER, scene.at("HftGovernor"), *proposal[:-1], "of the deployer")
    assert refused["status"] == "0x0"


async def test_the_deployer_can_do_nothing_afterwards(scene: Scene) -> None:
    await scene.deploy()
    me, other = DEPLOYER.address, STRANGER.address
    role_error, not_governance = "AccessControlUnauthorizedAccount(address,bytes32)", "NotGovernance()"
    anything = (me, 0, b"", bytes(32), bytes(32))
    attempts: list[tuple[str, str, tuple[Any, ...], str]] = [
        (
            "TimelockController",
            "schedule(address,uint256,bytes,bytes32,bytes32,uint256)",
            (*anything, 10**6),
            role_error,
        ),
        ("TimelockController", "cancel(bytes32)", (bytes(32),), role_error),
        ("TimelockController", "updateDelay(uint256)", (0,), "TimelockUnauthorizedCaller(address)"),
        (
            "TimelockController",
            "execute(address,uint256,bytes,bytes32,bytes32)",
            anything,
            "TimelockUnexpectedOperationState(bytes32,bytes32)",
        ),
        *[("TimelockController", "grantRole(bytes32,address)", (role, me), role_error) for role in ROLES.values()],
        *[
            ("TimelockController", "revokeRole(bytes32,address)", (role, scene.at("HftGovernor")), role_error)
            for role in ROLES.values()
        ],
        ("HftToken", "mint(address,uint256)", (me, 1), "OwnableUnauthorizedAccount(address)"),
        ("HftToken", "transferOwnership(address)", (me,), "OwnableUnauthorizedAccount(address)"),
        ("HftToken", "transfer(address,uint256)", (other, 1), "ERC20InsufficientBalance(address,uint256,uint256)"),
        ("NodeStaking", "slash(address,uint256)", (other, 0), "NotCourt()"),
        ("NodeStaking", "restore(address,uint256)", (me, 0), "NotCourt()"),
        ("NodeStaking", "endEscrow(address,uint256,uint256)", (me, 0, 0), "NotCourt()"),
        ("NodeStaking", "lock(address,uint256)", (other, 0), "NotLedger()"),
        ("SlashingCourt", "cancel(bytes32)", (bytes(32),), not_governance),
        ("NetworkParameters", "set(uint8,uint256)", (1, 0), not_governance),
        ("NetworkParameters", "remove(bytes32)", (b"\x01" * 32,), not_governance),
        ("EmergencyBrake", "pause()", (), "NotGuardian()"),
        ("EmergencyBrake", "release()", (), not_governance),
        ("EmergencyBrake", "releaseScope(bytes32)", (b"\x01" * 32,), not_governance),
        ("EmergencyBrake", "supportPause()", (), "NotRegistered(address)"),
        ("ExecutionLedger", "setExecutor(address,bool)", (me, True), not_governance),
        ("HftGovernor", "relay(address,uint256,bytes)", (me, 0, b""), "GovernorOnlyExecutor(address)"),
        ("HftGovernor", "updateTimelock(address)", (me,), "TimelockIsFixed()"),
    ]
    for contract, signature, arguments, error in attempts:
        request = {"from": me, "to": scene.at(contract), "data": "0x" + encode_call(signature, *arguments).hex()}
        with pytest.raises(RpcError) as caught:
            await scene.chain.rpc.call("eth_call", request, "latest")
        assert str(caught.value.data)[2:10] == selector(error).hex(), (contract, signature)


async def test_what_governance_can_do_in_no_other_way_the_timelock_can(scene: Scene) -> None:
    """The control of the test before: the same calls, of those who have the roles."""
    await scene.deploy()
    timelock = scene.at("TimelockController")
    await scene.act_as(timelock, scene.at("HftToken"), "mint(address,uint256)", STRANGER.address, 1)
    await scene.act_as(timelock, scene.at("ExecutionLedger"), "setExecutor(address,bool)", STRANGER.address, True)
    await scene.act_as(timelock, scene.at("NetworkParameters"), "set(uint8,uint256)", 1, 0)
    await scene.act_as(GUARDIAN.address, scene.at("EmergencyBrake"), "pause()")
    schedule = "schedule(address,uint256,bytes,bytes32,bytes32,uint256)"
    await scene.act_as(scene.at("HftGovernor"), timelock, schedule, timelock, 0, b"", bytes(32), bytes(32), 10**6)


class CutShort(JsonRpcCaller):
    """Stops at the first transaction: before it is sent, or after."""

    cut = "before"

    async def send(self, signed: SignedDraft) -> None:
        if self.cut == "before":
            raise PowerCut
        await super().send(signed)
        raise PowerCut


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_deployment_cut_at_every_step_goes_on(scene: Scene, cut: str) -> None:
    for _ in scene.plan.steps:
        caller = CutShort(scene.chain.rpc, DEPLOYER.key, scene.chain.mine, priority_fee=Wei(0))
        caller.cut = cut
        with pytest.raises(PowerCut):
            await deploy(caller, scene.plan, scene.journal, lambda _text: True, looks=5)
        if cut == "before":  # one step is done in between
            with pytest.raises(PowerCut):
                await deploy(OneStep(scene), scene.plan, scene.journal, lambda _text: True, looks=5)
    assert await scene.deploy() == scene.plan.addresses
    nonce = int(await scene.chain.rpc.call("eth_getTransactionCount", DEPLOYER.address, "latest"), 16)
    assert nonce == scene.plan.first_nonce + len(scene.plan.steps), "nothing was done twice"


class OneStep(JsonRpcCaller):
    """Stops before its second transaction."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.chain.rpc, DEPLOYER.key, scene.chain.mine, priority_fee=Wei(0))
        self._sent = 0

    async def estimate(self, creation: Any) -> Any:
        if self._sent:
            raise PowerCut
        return await super().estimate(creation)

    async def send(self, signed: SignedDraft) -> None:
        await super().send(signed)
        self._sent += 1

    async def events(self, contract: Address, since: Any) -> Any:
        raise PowerCut  # after the last step, while it reads back


async def test_a_dry_run_sends_nothing(scene: Scene) -> None:
    with pytest.raises(NotApproved):
        await deploy(scene.caller(), scene.plan, scene.journal, lambda _text: False)
    nonce = int(await scene.chain.rpc.call("eth_getTransactionCount", DEPLOYER.address, "latest"), 16)
    assert nonce == scene.plan.first_nonce
    assert not scene.journal.exists()


async def test_a_transaction_of_another_kind_in_between_spoils_the_plan_and_is_told(scene: Scene) -> None:
    with pytest.raises(PowerCut):
        await deploy(OneStep(scene), scene.plan, scene.journal, lambda _text: True, looks=5)
    await scene.chain.send(DEPLOYER, STRANGER.address, "nothing()")
    with pytest.raises(Exception, match=r"nonce \d+ was not used as planned; HftToken"):
        await scene.deploy()


async def test_a_step_that_would_revert_is_told_in_words_before_it_costs_anything(scene: Scene) -> None:
    swapped = [step.data for step in scene.plan.steps]
    court = next(step for step in scene.plan.steps if step.name == "SlashingCourt")
    wrong = court.data[:-64] + court.data[-32:] + court.data[-64:-32]  # the registry is an account without code
    steps = tuple(
        step if step.name != "SlashingCourt" else type(step)(step.name, step.nonce, step.address, wrong)
        for step in scene.plan.steps
    )
    assert wrong not in swapped
    plan = Plan(scene.plan.chain_id, scene.plan.deployer, scene.plan.first_nonce, scene.plan.settings, steps)
    with pytest.raises(StepFailed, match="SlashingCourt would revert"):
        await deploy(scene.caller(), plan, scene.journal, lambda _text: True, looks=5)
    nonce = int(await scene.chain.rpc.call("eth_getTransactionCount", DEPLOYER.address, "latest"), 16)
    assert nonce == court.nonce


async def test_every_role_and_parameter_that_is_off_is_found_by_name(scene: Scene) -> None:
    await scene.deploy()
    assert await scene.findings() == ()
    timelock, governor = scene.at("TimelockController"), scene.at("HftGovernor")
    holder, me = HOLDER.address, DEPLOYER.address
    grant, revoke = "grantRole(bytes32,address)", "revokeRole(bytes32,address)"
    plants: list[tuple[str, str, str, tuple[Any, ...], str]] = [
        *[(timelock, timelock, grant, (code, me), f"{role} of the deployer is True") for role, code in ROLES.items()],
        *[
            (timelock, timelock, grant, (code, STRANGER.address), f"{STRANGER.address} has {role}")
            for role, code in ROLES.items()
        ],
        (timelock, timelock, revoke, (ROLES["PROPOSER_ROLE"], governor), "PROPOSER_ROLE of the governor is False"),
        (timelock, timelock, revoke, (ROLES["CANCELLER_ROLE"], governor), "CANCELLER_ROLE of the governor is False"),
        (timelock, timelock, revoke, (ROLES["EXECUTOR_ROLE"], ZERO), "EXECUTOR_ROLE of anybody is False"),
        (
            timelock,
            timelock,
            revoke,
            (ROLES["DEFAULT_ADMIN_ROLE"], timelock),
            f"{timelock} was never given DEFAULT_ADMIN",
        ),
        (timelock, timelock, "updateDelay(uint256)", (60,), "TimelockController.getMinDelay is 60 instead of 172800"),
        (timelock, timelock, "updateDelay(uint256)", (9 * 86_400,), "the escrow, 1036800 s, ends before governance"),
        (timelock, scene.at("HftToken"), "transferOwnership(address)", (me,), "HftToken.owner is"),
        (timelock, scene.at("HftToken"), "mint(address,uint256)", (holder, 1), "HftToken.totalSupply is"),
        (holder, scene.at("HftToken"), "transfer(address,uint256)", (me, 1), "HftToken.balance of the deployer is 1"),
        *[
            (
                timelock,
                scene.at("NetworkParameters"),
                "set(uint8,uint256)",
                (code, value),
                f"NetworkParameters.{name} is {value}",
            )
            for code, value, name in (
                (0, ETHER, "min_stake"),
                (1, 500, "protocol_fee_bps"),
                (2, 3_334, "alert_quorum_bps"),
            )
        ],
        (
            timelock,
            scene.at("NetworkParameters"),
            "remove(bytes32)",
            (b"\x01" * 32,),
            "NetworkParameters: has removals",
        ),
        (
            timelock,
            scene.at("ExecutionLedger"),
            "setExecutor(address,bool)",
            (me, True),
            "ExecutionLedger: has executor",
        ),
        (GUARDIAN.address, scene.at("EmergencyBrake"), "pause()", (), "EmergencyBrake.pauseCount is 1 instead of 0"),
    ]
    for sender, to, signature, arguments, said in plants:
        before = await scene.chain.rpc.call("evm_snapshot")
        await scene.act_as(sender, to, signature, *arguments)
        found = await scene.findings()
        assert any(said in finding for finding in found), (signature, found)
        await scene.chain.rpc.call("evm_revert", before)
    await scene.chain.rpc.call("anvil_setCode", governor, "0x")
    assert any(finding.startswith("HftGovernor: there is no code") for finding in await scene.findings())


async def test_every_constructor_argument_that_is_off_is_found_by_name(scene: Scene, settings: NetworkSettings) -> None:
    assert settings.bindings is not None
    stranger = address_from_hex(STRANGER.address)
    changed = replace(
        settings,
        guardian=stranger,
        supply_holder=stranger,
        initial_supply=TokenAmount(2_000_000 * ETHER),
        fee_token=scene.plan.settings.bindings.aave_pool,  # type: ignore[union-attr]
        cut=EpochCut(length=60, cut_off=20, lag=7),
        governance=Governance(
            voting_delay=1,
            voting_period=2,
            timelock_delay=3,
            proposal_threshold=TokenAmount(4),
            quorum_percent=5,
        ),
        min_stake=TokenAmount(6 * ETHER),
        protocol_fee_bps=BasisPoints(7),
        alert_quorum_bps=BasisPoints(4_000),
        bindings=replace(settings.bindings, weth=stranger, balancer_vault=stranger),
    )
    other = Scene(scene.chain, await planned(scene.chain, changed), scene.journal)
    await other.deploy()
    found = await read_back(scene.caller(), scene.plan, await other.created())
    for said in (
        *(
            "TimelockController: minDelay is 3",
            "HftToken: holder is",
            "HftToken: supply is",
            "EmergencyBrake: guardian is",
        ),
        *("NetworkParameters: minStake", "NetworkParameters: protocolFeeBps is 7", "NetworkParameters: alertQuorumBps"),
        *("RewardStream: token is", "ExecutionLedger: cut_.length is 60", "ExecutionLedger: cut_.cutOff is 20"),
        *(
            "ExecutionLedger: cut_.lag is 7",
            "HftGovernor: settings.votingDelay is 1",
            "HftGovernor: settings.votingPeriod",
        ),
        *("HftGovernor: settings.proposalThreshold is 4", "HftGovernor: settings.quorumPercent is 5"),
        *("ArbExecutor: bindings.weth is", "ArbExecutor: bindings.balancerVault is", "EmergencyBrake.GUARDIAN is"),
        *("HftGovernor.votingDelay is 1", "ExecutionLedger.cut is", "RewardStream.TOKEN is", "HftToken.totalSupply"),
    ):
        assert any(finding.startswith(said) for finding in found), said
    unplanned = {name: seen for name, seen in (await other.created()).items() if name != "WorkRewards"}
    assert "WorkRewards: the transaction that created it is not known" in await read_back(
        scene.caller(), scene.plan, unplanned
    )


async def test_what_a_contract_says_when_it_reverts_comes_through(scene: Scene) -> None:
    await scene.deploy()
    caller = scene.caller()
    with pytest.raises(CallReverted) as caught:
        await caller.call(scene.plan.addresses["ExecutionLedger"], encode_call("drawOf(uint256)", 5))
    assert caught.value.data == selector("NotRolled(uint256)") + bytes(32)
    assert await caller.transaction(Hash32(b"\x01" * 32)) is None
