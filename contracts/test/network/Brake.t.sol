// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EmergencyBrake} from "../../src/EmergencyBrake.sol";
import {IEmergencyBrake, Pause} from "../../src/interfaces/IEmergencyBrake.sol";
import {INodeStaking} from "../../src/interfaces/INodeStaking.sol";
import {NetworkTest} from "../base/NetworkTest.sol";
import {Person} from "../base/StakingTest.sol";

/// Pausing by stake and by the guardian, releasing, and the budget of ten days in thirty.
contract BrakeTest is NetworkTest {
    bytes32 private constant POOL = keccak256("a pool");

    function setUp() public override {
        super.setUp();
        _join(alice, 300 ether);
        _join(bob, 300 ether);
        _join(carol, 300 ether);
        _join(dave, 100 ether);
        skip(1);
    }

    function _supportPause(Person memory person) private {
        vm.prank(person.key);
        brake.supportPause();
    }

    function _supportRelease(Person memory person) private {
        vm.prank(person.account);
        brake.supportRelease();
    }

    function _supportScope(Person memory person, bytes32 subject) private {
        vm.prank(person.key);
        brake.supportScopePause(subject);
    }

    function _pauseByStake() private {
        _supportPause(alice);
        _supportPause(bob);
        _supportPause(carol);
    }

    function _pauseByGuardian() private {
        vm.prank(guardian);
        brake.pause();
    }

    // One subject

    function test_a_third_pauses_a_subject_for_300_blocks() public {
        _supportScope(alice, POOL);
        assertFalse(brake.isScopePaused(POOL), "300 of 1,000");
        uint256 through = block.number + 300;
        vm.expectEmit(address(brake));
        emit IEmergencyBrake.ScopePaused(POOL, through);
        _supportScope(dave, POOL);
        assertTrue(brake.isScopePaused(POOL), "400 of 1,000");
        assertFalse(brake.isScopePaused(keccak256("another pool")), "nothing else");
        assertFalse(brake.isPaused(), "not everything");
        vm.roll(through);
        assertTrue(brake.isScopePaused(POOL), "its last block");
        vm.roll(through + 1);
        assertFalse(brake.isScopePaused(POOL), "over");
    }

    function test_of_many_subjects_one_that_is_paused_counts() public {
        bytes32[] memory subjects = new bytes32[](2);
        (subjects[0], subjects[1]) = (keccak256("another pool"), POOL);
        _supportScope(alice, POOL);
        assertFalse(brake.isAnyPaused(subjects), "300 of 1,000");
        _supportScope(dave, POOL);
        assertTrue(brake.isAnyPaused(subjects), "400 of 1,000");
        (subjects[0], subjects[1]) = (POOL, keccak256("another pool"));
        assertTrue(brake.isAnyPaused(subjects), "whichever it is");
        subjects[0] = keccak256("a third pool");
        assertFalse(brake.isAnyPaused(subjects), "others");
        subjects[0] = POOL;
        vm.roll(block.number + 300);
        assertTrue(brake.isAnyPaused(subjects), "its last block");
        vm.roll(block.number + 1);
        assertFalse(brake.isAnyPaused(subjects), "over");
        _pauseByGuardian();
        assertTrue(brake.isAnyPaused(subjects), "with everything");
        assertTrue(brake.isAnyPaused(new bytes32[](0)), "everything");
    }

    function test_governance_releases_one_subject_of_many() public {
        bytes32[] memory subjects = new bytes32[](1);
        subjects[0] = POOL;
        _supportScope(alice, POOL);
        _supportScope(dave, POOL);
        vm.prank(address(timelock));
        brake.releaseScope(POOL);
        assertFalse(brake.isAnyPaused(subjects), "released");
    }

    function test_of_any_stakes_a_third_pauses_a_subject(uint256 staked, uint256 others) public {
        _supports(bound(staked, 1, 1_000_000 ether), bound(others, 0, 1_000_000 ether), 1, 3);
    }

    /// What was counted for a pause is not counted for the next one.
    function test_a_pause_of_a_subject_uses_up_its_support() public {
        _supportScope(alice, POOL);
        _supportScope(bob, POOL);
        vm.prank(address(timelock));
        brake.releaseScope(POOL);
        _supportScope(dave, POOL);
        assertFalse(brake.isScopePaused(POOL), "100 of 1,000");
    }

    function test_what_has_no_pause_at_all_is_seen_at_one_look(uint8 many) public {
        vm.record();
        assertFalse(brake.isAnyPaused(new bytes32[](many)), "paused");
        (bytes32[] memory reads,) = vm.accesses(address(brake));
        assertEq(reads.length, 2, "the pauses of everything, and the last of any subject");
    }

    function test_a_stake_counts_once_in_24_hours_whatever_the_subject(uint256 time) public {
        time = bound(time, 0, 24 hours - 1);
        _supportScope(alice, POOL);
        uint256 again = block.timestamp + 24 hours;
        skip(time);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyBrake.CountedAlready.selector, again));
        _supportScope(alice, keccak256("another pool"));
        vm.expectRevert(abi.encodeWithSelector(IEmergencyBrake.CountedAlready.selector, again));
        vm.prank(alice.account); // not as hot key and account either
        brake.supportScopePause(POOL);
        vm.warp(again);
        _supportScope(alice, POOL);
    }

    function test_support_of_yesterday_does_not_count() public {
        _supportScope(alice, POOL);
        skip(24 hours);
        _supportScope(dave, POOL);
        assertFalse(brake.isScopePaused(POOL), "a new round");
    }

    function test_governance_releases_a_subject() public {
        _supportScope(alice, POOL);
        _supportScope(bob, POOL);
        vm.prank(mallory);
        vm.expectRevert(IEmergencyBrake.NotGovernance.selector);
        brake.releaseScope(POOL);
        vm.startPrank(address(timelock));
        brake.releaseScope(POOL);
        assertFalse(brake.isScopePaused(POOL), "released");
        vm.expectRevert(IEmergencyBrake.NotPaused.selector);
        brake.releaseScope(POOL);
    }

    function test_governance_releases_a_subject_also_in_its_last_block() public {
        _supportScope(alice, POOL);
        _supportScope(bob, POOL);
        vm.roll(block.number + 300);
        vm.startPrank(address(timelock));
        brake.releaseScope(POOL);
        assertFalse(brake.isScopePaused(POOL), "released");
    }

    function test_a_pause_of_a_subject_that_is_over_is_not_released() public {
        _supportScope(alice, POOL);
        _supportScope(bob, POOL);
        vm.roll(block.number + 301);
        vm.prank(address(timelock));
        vm.expectRevert(IEmergencyBrake.NotPaused.selector);
        brake.releaseScope(POOL);
    }

    function test_no_subject_is_refused() public {
        vm.expectRevert(IEmergencyBrake.ZeroSubject.selector);
        _supportScope(alice, 0);
    }

    /// A subject that is spelled like another round must not count there.
    function test_a_subject_is_never_the_round_of_something_else() public {
        _pauseByGuardian();
        bytes32 release = keccak256(abi.encode(keccak256("release"), brake.pauseCount()));
        _supportScope(alice, release);
        _supportRelease(alice);
        assertTrue(brake.isPaused(), "300 of 1,000, counted once");
        _supportScope(bob, keccak256("all"));
        vm.prank(address(timelock));
        brake.release();
        _supportPause(bob);
        _supportPause(alice);
        assertFalse(brake.isPaused(), "600 of 1,000");
    }

    // Everything

    function test_of_any_stakes_two_thirds_pause_everything(uint256 staked, uint256 others) public {
        _supports(bound(staked, 1, 1_000_000 ether), bound(others, 0, 1_000_000 ether), 2, 3);
    }

    /// Eve supports a pause of everything, or of a subject: with this share of all stake it is one, with less it is none.
    function _supports(uint256 staked, uint256 others, uint256 parts, uint256 whole) private {
        Person memory eve = _person("eve");
        _join(eve, staked);
        if (others != 0) _stake(dave, others);
        skip(1);
        if (parts == 1) _supportScope(eve, POOL);
        else _supportPause(eve);
        bool isEnough = staked * whole >= (staked + others + 1_000 ether) * parts;
        assertEq(parts == 1 ? brake.isScopePaused(POOL) : brake.isPaused(), isEnough, "paused");
    }

    function test_a_pause_of_everything_uses_up_its_support() public {
        _supportPause(alice);
        _supportPause(bob);
        _supportPause(dave);
        vm.prank(address(timelock));
        brake.release();
        _supportPause(carol);
        assertFalse(brake.isPaused(), "300 of 1,000");
    }

    function test_two_thirds_pause_everything_for_ten_days() public {
        _supportPause(alice);
        _supportPause(bob);
        assertFalse(brake.isPaused(), "600 of 1,000");
        uint256 end = block.timestamp + 10 days;
        vm.expectEmit(address(brake));
        emit IEmergencyBrake.Paused(end, dave.key);
        _supportPause(dave);
        assertTrue(brake.isPaused(), "700 of 1,000");
        assertTrue(brake.isScopePaused(POOL), "every subject");
        vm.warp(end - 1);
        assertTrue(brake.isPaused(), "the last second");
        vm.warp(end);
        assertFalse(brake.isPaused(), "over");
        assertEq(brake.usedSeconds(), 10 days, "P21: all of it");
    }

    function test_a_stake_counts_once_in_a_round(uint256 time) public {
        time = bound(time, 0, 24 hours - 1);
        uint256 ends = block.timestamp + 24 hours;
        _supportPause(alice);
        skip(time);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyBrake.CountedAlready.selector, ends));
        _supportPause(alice);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyBrake.CountedAlready.selector, ends));
        vm.prank(alice.account);
        brake.supportPause();
        vm.warp(ends);
        _supportPause(alice);
        _supportPause(dave);
        assertFalse(brake.isPaused(), "400 of 1,000: the former round does not count");
    }

    /// Who begins a round, with however little, does not keep out those whom its end leaves short.
    function test_a_round_that_ends_too_early_holds_nobody_back() public {
        Person memory eve = _person("eve");
        _join(eve, 1);
        skip(1);
        _supportPause(eve);
        skip(24 hours - 1);
        _supportPause(alice);
        _supportPause(bob);
        skip(1);
        _supportPause(carol);
        assertFalse(brake.isPaused(), "a new round");
        _supportPause(alice);
        _supportPause(bob);
        assertTrue(brake.isPaused(), "900 of 1,000");
    }

    function test_nobody_prolongs() public {
        _pauseByStake();
        vm.expectRevert(IEmergencyBrake.AlreadyPaused.selector);
        _supportPause(dave);
        vm.prank(guardian);
        vm.expectRevert(IEmergencyBrake.AlreadyPaused.selector);
        brake.pause();
    }

    function test_ten_days_in_thirty_are_the_most() public {
        _pauseByStake();
        skip(10 days);
        vm.prank(guardian);
        vm.expectRevert(IEmergencyBrake.PauseBudgetSpent.selector);
        brake.pause();
        _supportPause(alice);
        _supportPause(bob);
        vm.expectRevert(IEmergencyBrake.PauseBudgetSpent.selector);
        _supportPause(carol);
        skip(20 days + 1 hours);
        _pauseByGuardian(); // what has left the window can be used again
        assertEq(brake.pauseAt(1).end, block.timestamp + 1 hours, "P21: one hour");
    }

    function test_what_was_released_early_is_not_used_up(uint256 time) public {
        time = bound(time, 1, 10 days - 1);
        _pauseByStake();
        skip(time);
        vm.prank(address(timelock));
        brake.release();
        skip(24 hours);
        assertEq(brake.usedSeconds(), time, "used");
        _pauseByStake();
        Pause memory second = brake.pauseAt(1);
        assertEq(second.end - second.start, 10 days - time, "P21: the rest");
    }

    function test_the_guardian_pauses_72_hours_once_in_30_days() public {
        _pauseByGuardian();
        assertEq(brake.pauseAt(0).end, block.timestamp + 72 hours, "72 hours");
        uint256 again = block.timestamp + 30 days;
        skip(72 hours);
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyBrake.GuardianMustWait.selector, again));
        brake.pause();
        vm.warp(again);
        _pauseByGuardian();
        assertEq(brake.pauseCount(), 2, "pauses");
    }

    function test_only_the_guardian_pauses_alone() public {
        address[3] memory others = [mallory, alice.account, address(timelock)];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(IEmergencyBrake.NotGuardian.selector);
            brake.pause();
        }
        assertEq(brake.GUARDIAN(), guardian, "guardian");
    }

    // Released

    function test_more_than_half_releases() public {
        _pauseByGuardian();
        _supportRelease(alice);
        _supportRelease(dave);
        assertTrue(brake.isPaused(), "400 of 1,000");
        vm.expectRevert(abi.encodeWithSelector(IEmergencyBrake.CountedAlready.selector, block.timestamp + 24 hours));
        _supportRelease(alice);
        vm.expectEmit(address(brake));
        emit IEmergencyBrake.Released(bob.account);
        _supportRelease(bob);
        assertFalse(brake.isPaused(), "700 of 1,000");
        vm.expectRevert(IEmergencyBrake.NotPaused.selector);
        _supportRelease(carol);
    }

    function test_half_does_not_release() public {
        _stake(dave, 200 ether); // now 300 each
        skip(1);
        _pauseByGuardian();
        _supportRelease(alice);
        _supportRelease(bob);
        assertTrue(brake.isPaused(), "600 of 1,200");
    }

    function test_support_of_one_release_does_not_count_for_the_next() public {
        _pauseByGuardian();
        _supportRelease(alice);
        vm.prank(address(timelock));
        brake.release();
        _pauseByStake();
        _supportRelease(bob);
        assertTrue(brake.isPaused(), "300 of 1,000");
        _supportRelease(alice); // counts at once: it is another release
        assertFalse(brake.isPaused(), "600 of 1,000");
    }

    function test_only_governance_releases_alone() public {
        _pauseByGuardian();
        vm.prank(guardian);
        vm.expectRevert(IEmergencyBrake.NotGovernance.selector);
        brake.release();
        vm.startPrank(address(timelock));
        brake.release();
        vm.expectRevert(IEmergencyBrake.NotPaused.selector);
        brake.release();
    }

    // Whose stake

    function test_stake_of_this_very_second_does_not_count() public {
        Person memory eve = _person("eve");
        _join(eve, 40_000_000 ether); // what a flash loan could bring, if it could be paid back
        vm.expectRevert(IEmergencyBrake.NoStake.selector);
        _supportPause(eve);
        _supportPause(alice); // begins the round
        skip(1);
        vm.expectRevert(IEmergencyBrake.NoStake.selector);
        _supportPause(eve);
    }

    function test_strangers_do_not_count() public {
        vm.prank(mallory);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotRegistered.selector, mallory));
        brake.supportPause();
    }

    function test_a_brake_without_registry_governance_or_guardian_is_refused() public {
        vm.expectRevert(IEmergencyBrake.ZeroAddress.selector);
        new EmergencyBrake(address(0), address(1), address(1));
        vm.expectRevert(IEmergencyBrake.ZeroAddress.selector);
        new EmergencyBrake(address(1), address(0), address(1));
        vm.expectRevert(IEmergencyBrake.ZeroAddress.selector);
        new EmergencyBrake(address(1), address(1), address(0));
    }

    // P20: what never pauses

    function test_exits_rewards_court_and_governance_go_on_while_everything_is_paused() public {
        weth.mint(address(stream), 70 ether);
        vm.prank(alice.account);
        staking.requestUnstake(100 ether);
        _pass(19 days);
        bytes32 id = _report(_doubleAccept(bob, 1));
        _pauseByStake();
        _pass(2 days);
        vm.prank(alice.account);
        staking.completeUnstake();
        assertEq(token.balanceOf(alice.account), 100 ether, "P20: paid out");
        vm.prank(alice.account);
        staking.requestUnstake(200 ether);
        stream.roll();
        stream.claim(carol.account, 10);
        assertGt(weth.balanceOf(carol.account), 0, "P20: rewards");
        _report(_doubleAccept(bob, 2));
        assertTrue(brake.isPaused(), "still");
        _govern(address(court), abi.encodeCall(court.cancel, (id)), "give back");
    }
}
