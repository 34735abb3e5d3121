// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "forge-std/Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {WorkRewards} from "../../src/WorkRewards.sol";
import {INetworkParameters} from "../../src/interfaces/INetworkParameters.sol";
import {INodeStaking} from "../../src/interfaces/INodeStaking.sol";
import {IWorkRewards} from "../../src/interfaces/IWorkRewards.sol";
import {Attestation, Statements} from "../../src/libraries/Statements.sol";
import {NetworkTest} from "../base/NetworkTest.sol";
import {Person} from "../base/StakingTest.sol";
import {Words} from "../base/Words.sol";

/// Credits for alerts that settled, and a week's pot.
contract WorkTest is NetworkTest {
    bytes32 private constant ALERT = keccak256("alert");
    Person[] private all;

    function setUp() public override {
        super.setUp();
        Person[3] memory sorted = [alice, bob, carol];
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = i + 1; j < 3; ++j) {
                if (sorted[j].account < sorted[i].account) (sorted[i], sorted[j]) = (sorted[j], sorted[i]);
            }
            all.push(sorted[i]);
        }
        _join(all[0], 100 ether);
        _join(all[1], 200 ether);
        _join(all[2], 300 ether);
        vm.warp((block.timestamp / 7 days + 1) * 7 days);
        vm.roll(block.number + 10);
    }

    function _attestation(bytes32 alertId) private returns (Attestation memory) {
        vm.setBlockhash(block.number - 1, keccak256("block"));
        return Attestation(alertId, keccak256("block"), 1, uint64(block.number - 1), uint64(block.timestamp - 12));
    }

    function _sign(Person memory person, Attestation memory attestation) private view returns (bytes memory) {
        return _sign(person.secret, Words.hashAttestation(abi.encode(attestation)));
    }

    /// By those of `all` from `from` on, before `to`.
    function _settle(Attestation memory attestation, uint256 from, uint256 to) private {
        (address[] memory operators, bytes[] memory signatures) = _by(attestation, from, to);
        work.settle(attestation, operators, signatures);
    }

    function _by(Attestation memory attestation, uint256 from, uint256 to)
        private
        view
        returns (address[] memory operators, bytes[] memory signatures)
    {
        (operators, signatures) = (new address[](to - from), new bytes[](to - from));
        for (uint256 i = from; i < to; ++i) {
            (operators[i - from], signatures[i - from]) = (all[i].account, _sign(all[i], attestation));
        }
    }

    function _fund(uint256 amount) private {
        vm.startPrank(treasury);
        token.approve(address(work), amount);
        work.fund(amount);
        vm.stopPrank();
    }

    function _settlements(Vm.Log[] memory logs) private pure returns (uint256 count) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == IWorkRewards.Settled.selector) ++count;
        }
    }

    // Paid

    function test_a_weeks_pot_is_shared_by_credit(uint256 amount) public {
        amount = bound(amount, 1, 1_000_000 ether);
        uint256 week = work.currentWeek();
        _fund(amount);
        _settle(_attestation(ALERT), 0, 3);
        _settle(_attestation(keccak256("another")), 2, 3); // 300 of 600: half is a quorum
        assertEq(work.creditOf(week, all[2].account), 600 ether, "credit");
        assertEq(work.totalCreditOf(week), 900 ether, "all credit");
        skip(7 days);
        uint256 paid;
        uint256[3] memory credits = [uint256(100), 200, 600];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(mallory); // anybody may, for the operator
            uint256 got = work.claim(week, all[i].account);
            assertEq(got, amount * credits[i] / 900, "share");
            assertEq(token.balanceOf(all[i].account), got, "arrived");
            paid += got;
        }
        assertLe(paid, amount, "P12");
        assertLt(amount - paid, 3, "rounding");
    }

    function test_nothing_is_claimed_twice_or_before_the_week_is_over() public {
        uint256 week = work.currentWeek();
        _fund(1 ether);
        _settle(_attestation(ALERT), 0, 3);
        vm.expectRevert(abi.encodeWithSelector(IWorkRewards.WeekNotOver.selector, week));
        work.claim(week, all[0].account);
        skip(7 days);
        work.claim(week, all[0].account);
        vm.expectRevert(IWorkRewards.NothingToClaim.selector);
        work.claim(week, all[0].account);
        vm.expectRevert(IWorkRewards.NothingToClaim.selector);
        work.claim(week, mallory);
    }

    function test_a_pot_that_nobody_earned_goes_on(uint256 amount, uint256 more) public {
        amount = bound(amount, 1, 1_000_000 ether);
        more = bound(more, 1, 1_000_000 ether);
        uint256 week = work.currentWeek();
        _fund(amount);
        vm.expectRevert(abi.encodeWithSelector(IWorkRewards.WeekNotOver.selector, week));
        work.carry(week);
        skip(14 days);
        _fund(more);
        work.carry(week);
        assertEq(work.potOf(week), 0, "there");
        assertEq(work.potOf(week + 2), amount + more, "here");
        vm.expectRevert(abi.encodeWithSelector(IWorkRewards.NothingToCarry.selector, week));
        work.carry(week);
        _settle(_attestation(ALERT), 0, 3);
        skip(7 days);
        vm.expectRevert(abi.encodeWithSelector(IWorkRewards.NothingToCarry.selector, week + 2));
        work.carry(week + 2);
    }

    function test_nothing_funds_nothing() public {
        vm.expectRevert(IWorkRewards.ZeroAmount.selector);
        work.fund(0);
    }

    // Settled

    function test_who_was_left_out_is_added_in_the_same_week() public {
        Attestation memory attestation = _attestation(ALERT);
        _settle(attestation, 2, 3);
        // Those added need no quorum of their own, and the alert does not settle again.
        vm.recordLogs();
        _settle(attestation, 0, 1);
        _settle(attestation, 1, 2);
        assertEq(_settlements(vm.getRecordedLogs()), 0, "settled again");
        assertEq(work.totalCreditOf(work.currentWeek()), 600 ether, "all");
        (address[] memory operators, bytes[] memory signatures) = _by(attestation, 1, 2);
        vm.expectRevert(abi.encodeWithSelector(IWorkRewards.AlreadyCredited.selector, all[1].account));
        work.settle(attestation, operators, signatures);
    }

    function test_not_without_a_quorum() public {
        Attestation memory attestation = _attestation(ALERT);
        (address[] memory operators, bytes[] memory signatures) = _by(attestation, 1, 2);
        vm.expectRevert(abi.encodeWithSelector(IWorkRewards.QuorumMissed.selector, 200 ether, 300 ether));
        work.settle(attestation, operators, signatures);
    }

    function test_credit_is_the_stake_and_a_quorum_half_of_it(uint256 staked, uint256 others) public {
        staked = bound(staked, 1, 1_000_000 ether);
        others = bound(others, 1, 1_000_000 ether);
        _stake(all[0], staked);
        _stake(all[2], others);
        skip(12);
        vm.roll(block.number + 1);
        uint256 weight = 100 ether + staked;
        uint256 needed = (600 ether + staked + others + 1) / 2;
        Attestation memory attestation = _attestation(ALERT);
        (address[] memory operators, bytes[] memory signatures) = _by(attestation, 0, 1);
        if (weight < needed) {
            vm.expectRevert(abi.encodeWithSelector(IWorkRewards.QuorumMissed.selector, weight, needed));
        }
        work.settle(attestation, operators, signatures);
        assertEq(work.creditOf(work.currentWeek(), all[0].account), weight < needed ? 0 : weight, "credit");
    }

    function test_an_alert_settles_once() public {
        Attestation memory attestation = _attestation(ALERT);
        _settle(attestation, 2, 3);
        Attestation memory otherwise = _attestation(ALERT);
        otherwise.verdict = 2;
        (address[] memory operators, bytes[] memory signatures) = _by(otherwise, 0, 2);
        vm.expectRevert(abi.encodeWithSelector(IWorkRewards.SettledOtherwise.selector, ALERT));
        work.settle(otherwise, operators, signatures);
        skip(7 days);
        (operators, signatures) = _by(attestation, 0, 2);
        vm.expectRevert(abi.encodeWithSelector(IWorkRewards.SettledOtherwise.selector, ALERT));
        work.settle(attestation, operators, signatures);
    }

    function test_only_blocks_of_this_chain_count() public {
        Attestation memory attestation = _attestation(ALERT);
        attestation.blockHash = keccak256("another fork's");
        (address[] memory operators, bytes[] memory signatures) = _by(attestation, 0, 3);
        bytes memory why = abi.encodeWithSelector(IWorkRewards.NotCanonical.selector, attestation.blockHash);
        vm.expectRevert(why);
        work.settle(attestation, operators, signatures);
    }

    /// As in the court: what is paid for can be punished.
    function test_an_attestation_is_as_young_as_evidence_must_be() public {
        vm.warp(block.timestamp + 30 days); // the keys' periods began before it
        Attestation memory attestation = _attestation(ALERT);
        attestation.timestamp = uint64(block.timestamp - 14 days - 1);
        (address[] memory operators, bytes[] memory signatures) = _by(attestation, 0, 3);
        vm.expectRevert(abi.encodeWithSelector(IWorkRewards.EvidenceTooOld.selector, attestation.timestamp));
        work.settle(attestation, operators, signatures);
        attestation.timestamp += 1;
        (operators, signatures) = _by(attestation, 0, 3);
        work.settle(attestation, operators, signatures);
    }

    function test_an_attestation_is_not_of_the_future() public {
        Attestation memory attestation = _attestation(ALERT);
        attestation.timestamp = uint64(block.timestamp + 1);
        (address[] memory operators, bytes[] memory signatures) = _by(attestation, 0, 3);
        vm.expectRevert(
            abi.encodeWithSelector(IWorkRewards.FromTheFuture.selector, attestation.blockNumber, attestation.timestamp)
        );
        work.settle(attestation, operators, signatures);
        attestation.timestamp -= 1;
        (operators, signatures) = _by(attestation, 0, 3);
        work.settle(attestation, operators, signatures);
    }

    function test_malformed_attestations_do_not_count() public {
        uint256[5] memory whole = abi.decode(abi.encode(_attestation(ALERT)), (uint256[5]));
        for (uint256 i = 0; i < 6; ++i) {
            uint256[5] memory words = abi.decode(abi.encode(whole), (uint256[5]));
            words[i % 5] = 0;
            if (i == 5) (words[0], words[2]) = (whole[0], 3); // a third verdict
            Attestation memory attestation = abi.decode(abi.encode(words), (Attestation));
            vm.expectRevert(Statements.MalformedStatement.selector);
            work.settle(attestation, new address[](1), new bytes[](1));
        }
    }

    function test_nobody_counts_twice_or_for_another() public {
        Attestation memory attestation = _attestation(ALERT);
        (address[] memory operators, bytes[] memory signatures) = _by(attestation, 0, 3);
        (operators[1], signatures[1]) = (operators[0], signatures[0]);
        vm.expectRevert(abi.encodeWithSelector(IWorkRewards.NotAscending.selector, all[0].account));
        work.settle(attestation, operators, signatures);
        (operators, signatures) = _by(attestation, 0, 3);
        signatures[1] = signatures[0];
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.KeyNotInForce.selector, all[1].account, all[0].key));
        work.settle(attestation, operators, signatures);
        vm.expectRevert(IWorkRewards.LengthMismatch.selector);
        work.settle(attestation, new address[](0), new bytes[](0));
        vm.expectRevert(IWorkRewards.LengthMismatch.selector);
        work.settle(attestation, operators, new bytes[](2));
    }

    function test_rewards_without_token_registry_or_parameters_are_refused() public {
        vm.expectRevert(IWorkRewards.ZeroAddress.selector);
        new WorkRewards(IERC20(address(0)), address(1), INetworkParameters(address(1)));
        vm.expectRevert(IWorkRewards.ZeroAddress.selector);
        new WorkRewards(token, address(0), INetworkParameters(address(1)));
        vm.expectRevert(IWorkRewards.ZeroAddress.selector);
        new WorkRewards(token, address(1), INetworkParameters(address(0)));
    }
}
