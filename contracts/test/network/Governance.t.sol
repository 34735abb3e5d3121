// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {GovernorSettings, HftGovernor} from "../../src/HftGovernor.sol";
import {Parameter} from "../../src/interfaces/INetworkParameters.sol";
import {INodeStaking} from "../../src/interfaces/INodeStaking.sol";
import {NetworkTest} from "../base/NetworkTest.sol";
import {Person} from "../base/StakingTest.sol";

/// From proposal to execution; who may, and who may not.
contract GovernanceTest is NetworkTest {
    bytes private call;
    string private constant TEXT = "raise the least stake";

    function setUp() public override {
        super.setUp();
        _join(alice, 300 ether);
        _join(bob, 300 ether);
        _join(carol, 300 ether);
        _join(dave, 300 ether);
        skip(1);
        call = abi.encodeCall(parameters.set, (Parameter.MinStake, 200 ether));
    }

    function _vote(Person memory person, uint256 id, uint8 support) private {
        vm.prank(person.account);
        governor.castVote(id, support);
    }

    function _queue() private {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _calls(address(parameters), call);
        governor.queue(targets, values, calls, keccak256(bytes(TEXT)));
    }

    function _execute() private {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _calls(address(parameters), call);
        governor.execute(targets, values, calls, keccak256(bytes(TEXT)));
    }

    function _cancel(address by) private {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _calls(address(parameters), call);
        vm.prank(by);
        governor.cancel(targets, values, calls, keccak256(bytes(TEXT)));
    }

    function _proposed() private returns (uint256 id) {
        id = _propose(alice.account, address(parameters), call, TEXT);
        skip(VOTING_DELAY + 1);
    }

    // The way of a proposal

    function test_what_is_voted_is_executed_after_its_delays() public {
        uint256 id = _proposed();
        _vote(alice, id, 1);
        _vote(bob, id, 1);
        _vote(carol, id, 0);
        skip(VOTING_PERIOD);
        assertTrue(governor.proposalNeedsQueuing(id), "needs queuing");
        _queue();
        vm.expectPartialRevert(TimelockController.TimelockUnexpectedOperationState.selector);
        _execute();
        skip(TIMELOCK_DELAY);
        vm.prank(mallory); // anybody
        _execute();
        assertEq(parameters.valueOf(Parameter.MinStake), 200 ether, "the parameter");
        assertTrue(governor.state(id) == IGovernor.ProposalState.Executed, "state");
    }

    function test_what_is_voted_down_is_not_queued() public {
        uint256 id = _proposed();
        _vote(alice, id, 1);
        _vote(bob, id, 0);
        _vote(carol, id, 0);
        skip(VOTING_PERIOD);
        vm.expectPartialRevert(IGovernor.GovernorUnexpectedProposalState.selector);
        _queue();
    }

    function test_without_a_quorum_nothing_passes() public {
        Person memory eve = _person("eve");
        _join(eve, 2_000 ether);
        skip(1);
        uint256 id = _proposed();
        assertEq(governor.quorum(block.timestamp - 1), 320 ether, "a tenth");
        _vote(alice, id, 1);
        skip(VOTING_PERIOD);
        vm.expectPartialRevert(IGovernor.GovernorUnexpectedProposalState.selector);
        _queue();
    }

    function test_of_any_stakes_more_for_than_against_and_a_quorum_pass(uint256 inFavour, uint256 against) public {
        inFavour = bound(inFavour, 1, 1_000_000 ether);
        against = bound(against, 1, 1_000_000 ether);
        (Person memory eve, Person memory frank) = (_person("eve"), _person("frank"));
        _join(eve, inFavour);
        _join(frank, against);
        skip(1);
        uint256 id = _proposed();
        _vote(eve, id, 1);
        _vote(frank, id, 0);
        skip(VOTING_PERIOD);
        uint256 quorum = (1_200 ether + inFavour + against) / 10;
        bool passes = inFavour > against && inFavour >= quorum;
        IGovernor.ProposalState state = passes ? IGovernor.ProposalState.Succeeded : IGovernor.ProposalState.Defeated;
        assertTrue(governor.state(id) == state, "more for than against, and a tenth of all stake for it");
    }

    function test_the_proposer_cancels_while_it_is_pending() public {
        uint256 id = _propose(alice.account, address(parameters), call, TEXT);
        vm.expectPartialRevert(IGovernor.GovernorUnableToCancel.selector);
        _cancel(mallory);
        _cancel(alice.account);
        assertTrue(governor.state(id) == IGovernor.ProposalState.Canceled, "state");
    }

    function test_who_has_too_little_stake_does_not_propose(uint256 staked) public {
        Person memory eve = _person("eve");
        staked = bound(staked, 1, THRESHOLD - 1);
        _join(eve, staked);
        skip(1);
        vm.expectRevert(
            abi.encodeWithSelector(IGovernor.GovernorInsufficientProposerVotes.selector, eve.account, staked, THRESHOLD)
        );
        _propose(eve.account, address(parameters), call, TEXT);
    }

    // Attacks

    function test_borrowed_stake_does_not_vote(uint256 amount) public {
        amount = bound(amount, 1, 40_000_000 ether);
        uint256 id = _proposed();
        Person memory eve = _person("eve");
        _join(eve, amount);
        _vote(eve, id, 0);
        (uint256 against,,) = governor.proposalVotes(id);
        assertEq(against, 0, "no votes at the snapshot");
        vm.startPrank(eve.account);
        staking.requestUnstake(amount);
        // and it does not come back in time to be repaid
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.TooEarly.selector, block.timestamp + 21 days));
        staking.completeUnstake();
    }

    function test_stake_borrowed_for_the_snapshot_is_held_for_21_days() public {
        Person memory eve = _person("eve");
        _join(eve, 10_000 ether);
        skip(1);
        uint256 id = _proposed();
        _vote(eve, id, 0);
        vm.prank(eve.account);
        staking.requestUnstake(10_000 ether);
        skip(21 days - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.TooEarly.selector, block.timestamp + 1));
        vm.prank(eve.account);
        staking.completeUnstake();
    }

    function test_a_proposal_for_one_proposer_is_not_front_run() public {
        string memory text = string.concat(TEXT, "#proposer=", Strings.toHexString(alice.account));
        vm.expectRevert(abi.encodeWithSelector(IGovernor.GovernorRestrictedProposer.selector, mallory));
        _propose(mallory, address(parameters), call, text);
        vm.expectRevert(abi.encodeWithSelector(IGovernor.GovernorRestrictedProposer.selector, bob.account));
        _propose(bob.account, address(parameters), call, text);
        _propose(alice.account, address(parameters), call, text);
    }

    function test_the_roles_are_the_governors_alone() public view {
        bytes32[2] memory roles = [timelock.PROPOSER_ROLE(), timelock.CANCELLER_ROLE()];
        for (uint256 i = 0; i < 2; ++i) {
            assertTrue(timelock.hasRole(roles[i], address(governor)), "P13: the governor's");
            assertFalse(timelock.hasRole(roles[i], address(this)), "P13: the deployer's");
        }
        assertTrue(timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), address(timelock)), "P13: its own admin");
        assertFalse(timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), address(this)), "P13: no admin");
        assertFalse(timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), address(governor)), "P13: no admin");
        assertEq(token.owner(), address(timelock), "P13: the token's owner");
        assertEq(governor.timelock(), address(timelock), "timelock");
        assertEq(governor.votingDelay(), VOTING_DELAY, "delay");
        assertEq(governor.votingPeriod(), VOTING_PERIOD, "period");
    }

    function test_roles_are_not_stolen() public {
        bytes32 proposer = timelock.PROPOSER_ROLE();
        address[4] memory thieves = [mallory, address(this), alice.account, address(governor)];
        for (uint256 i = 0; i < 4; ++i) {
            vm.startPrank(thieves[i]);
            vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
            timelock.grantRole(proposer, mallory);
            vm.stopPrank();
        }
        vm.startPrank(mallory);
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        timelock.schedule(address(token), 0, abi.encodeCall(token.mint, (mallory, 1)), 0, 0, TIMELOCK_DELAY);
        vm.expectPartialRevert(TimelockController.TimelockUnexpectedOperationState.selector);
        timelock.execute(address(token), 0, abi.encodeCall(token.mint, (mallory, 1)), 0, 0);
        vm.expectRevert(abi.encodeWithSelector(TimelockController.TimelockUnauthorizedCaller.selector, mallory));
        timelock.updateDelay(0);
        vm.expectRevert(abi.encodeWithSelector(IGovernor.GovernorOnlyExecutor.selector, mallory));
        governor.relay(address(token), 0, abi.encodeCall(token.mint, (mallory, 1)));
    }

    function test_a_queued_operation_is_not_cancelled_by_others() public {
        uint256 id = _proposed();
        _vote(alice, id, 1);
        _vote(bob, id, 1);
        skip(VOTING_PERIOD);
        _queue();
        bytes32 salt = bytes20(address(governor)) ^ keccak256(bytes(TEXT));
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _calls(address(parameters), call);
        bytes32 operation = timelock.hashOperationBatch(targets, values, calls, 0, salt);
        assertTrue(timelock.isOperationPending(operation), "pending");
        vm.prank(mallory);
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        timelock.cancel(operation);
        vm.expectPartialRevert(IGovernor.GovernorUnableToCancel.selector);
        _cancel(mallory);
    }

    function test_the_timelock_is_fixed_even_for_governance() public {
        vm.prank(address(timelock));
        vm.expectRevert(HftGovernor.TimelockIsFixed.selector);
        governor.updateTimelock(TimelockController(payable(mallory)));
    }

    // Settings

    function _refused(GovernorSettings memory settings, bytes memory why) private {
        vm.expectRevert(why);
        new HftGovernor(IVotes(address(staking)), timelock, settings);
    }

    function test_settings_without_sense_are_refused() public {
        bytes memory wrong = abi.encodePacked(HftGovernor.WrongSettings.selector);
        _refused(GovernorSettings(1 days, 0, THRESHOLD, 10), wrong);
        _refused(GovernorSettings(1 days, 5 days, 0, 10), wrong);
        _refused(GovernorSettings(1 days, 5 days, THRESHOLD, 0), wrong);
        _refused(GovernorSettings(1 days, 5 days, THRESHOLD, 51), wrong);
    }

    function test_governance_is_faster_than_the_longest_brake_and_the_escrow(uint256 period) public {
        period = bound(period, 7 days, 30 days); // with 1 day of delay and 2 of the timelock
        GovernorSettings memory settings = GovernorSettings(1 days, uint32(period), THRESHOLD, 10);
        _refused(settings, abi.encodeWithSelector(HftGovernor.TooSlow.selector, period + 3 days));
        assertLt(VOTING_DELAY + VOTING_PERIOD + TIMELOCK_DELAY, 10 days, "brake");
        assertLt(VOTING_DELAY + VOTING_PERIOD + TIMELOCK_DELAY, court.ESCROW(), "escrow");
    }

    function test_governance_gives_a_penalty_back_in_time(uint256 staked) public {
        Person memory eve = _person("eve");
        staked = bound(staked, 100, 10_000 ether); // with more, the others would be no quorum without her
        _join(eve, staked);
        bytes32 id = _report(_doubleAccept(eve, 1));
        _govern(address(court), abi.encodeCall(court.cancel, (id)), "give back");
        assertEq(_activeOf(eve), staked, "eve's stake");
    }
}
