// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {INodeStaking} from "../../src/interfaces/INodeStaking.sol";
import {StakingTest} from "../base/StakingTest.sol";
import {Words} from "../base/Words.sol";

/// Staking, leaving, being locked; votes are the stake.
contract StakeTest is StakingTest {
    address private ledger = makeAddr("ledger");

    function setUp() public override {
        super.setUp();
        _register(alice);
    }

    function _request(uint256 amount) private {
        vm.prank(alice.account);
        staking.requestUnstake(amount);
    }

    function _complete() private {
        vm.prank(alice.account);
        staking.completeUnstake();
    }

    function _lock(uint256 throughBlock) private {
        vm.prank(ledger);
        staking.lock(alice.account, throughBlock);
    }

    // In

    function test_stake_is_active_at_once_and_votes(uint256 first, uint256 second) public {
        first = bound(first, 1, SUPPLY - 1);
        second = bound(second, 1, SUPPLY - first);
        _stake(alice, first);
        _stake(alice, second);
        assertEq(_activeOf(alice), first + second, "active");
        assertEq(staking.getVotes(alice.account), first + second, "P4: votes");
        assertEq(token.balanceOf(address(staking)), first + second, "P2: balance");
    }

    function test_nothing_is_not_staked() public {
        vm.startPrank(alice.account);
        vm.expectRevert(INodeStaking.ZeroAmount.selector);
        staking.stake(0);
        vm.expectRevert(INodeStaking.ZeroAmount.selector);
        staking.requestUnstake(0);
    }

    function test_tokens_that_were_not_approved_are_not_staked() public {
        vm.prank(treasury);
        assertTrue(token.transfer(alice.account, 1 ether));
        vm.prank(alice.account);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(staking), 0, 1 ether)
        );
        staking.stake(1 ether);
        assertEq(_activeOf(alice), 0, "active");
    }

    // Out

    function test_stake_leaves_in_21_days(uint256 staked, uint256 amount) public {
        staked = bound(staked, 1, SUPPLY);
        amount = bound(amount, 1, staked);
        _stake(alice, staked);
        vm.expectEmit(address(staking));
        emit INodeStaking.UnstakingRequested(alice.account, amount, block.timestamp + 21 days);
        _request(amount);
        assertEq(_activeOf(alice), staked - amount, "active");
        assertEq(_leavingOf(alice), amount, "leaving");
        assertEq(staking.getVotes(alice.account), staked - amount, "P4: votes");
        uint256 readyAt = block.timestamp + 21 days;
        skip(21 days - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.TooEarly.selector, readyAt));
        _complete();
        skip(1);
        _complete();
        assertEq(token.balanceOf(alice.account), amount, "paid out");
        assertEq(token.balanceOf(address(staking)), staked - amount, "P2: balance");
        vm.expectRevert(INodeStaking.NothingLeaving.selector);
        _complete();
    }

    function test_what_is_leaving_waits_with_what_is_added() public {
        _stake(alice, 10 ether);
        _request(4 ether);
        skip(20 days);
        _request(1 ether);
        skip(20 days);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.TooEarly.selector, block.timestamp + 1 days));
        _complete();
        skip(1 days);
        _complete();
        assertEq(token.balanceOf(alice.account), 5 ether, "both");
    }

    function test_no_more_leaves_than_is_active(uint256 staked, uint256 more) public {
        staked = bound(staked, 1, SUPPLY);
        more = bound(more, staked + 1, type(uint256).max);
        _stake(alice, staked);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.InsufficientStake.selector, staked, more));
        _request(more);
    }

    function test_a_stranger_has_nothing_to_take_out() public {
        vm.startPrank(mallory);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.InsufficientStake.selector, 0, 1));
        staking.requestUnstake(1);
        vm.expectRevert(INodeStaking.NothingLeaving.selector);
        staking.completeUnstake();
    }

    // Locked

    function test_locked_stake_stays_through_its_block_and_what_was_added_does_not(uint256 added) public {
        added = bound(added, 1, 1_000_000 ether);
        _stake(alice, 100 ether);
        uint256 through = block.number + 100;
        _lock(through);
        _stake(alice, added);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.InsufficientStake.selector, added, added + 1));
        _request(added + 1);
        _request(added);
        vm.roll(through);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.InsufficientStake.selector, 0, 1));
        _request(1);
        vm.roll(through + 1);
        _request(100 ether);
        assertEq(_activeOf(alice), 0, "P5: all has left");
    }

    function test_a_lock_does_not_hold_what_is_leaving_already() public {
        _stake(alice, 100 ether);
        _request(40 ether);
        skip(21 days);
        _lock(block.number + 100);
        _complete();
        assertEq(token.balanceOf(alice.account), 40 ether, "P5: paid out while locked");
    }

    function test_a_lock_is_bounded() public {
        uint256 most = block.number + staking.MAX_LOCK_BLOCKS();
        vm.startPrank(ledger);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.LockTooLong.selector, most + 1));
        staking.lock(alice.account, most + 1);
        staking.lock(alice.account, most);
        assertEq(staking.operatorAt(alice.account).lockedThrough, most, "through");
    }

    function test_stake_slashed_below_its_lock_cannot_leave_until_it_ends() public {
        _stake(alice, 100 ether);
        _lock(block.number + 100);
        vm.prank(address(court));
        staking.slash(alice.account, 10 ether);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.InsufficientStake.selector, 0, 1));
        _request(1);
    }

    function test_only_the_ledger_locks_and_only_the_court_slashes() public {
        vm.startPrank(mallory);
        vm.expectRevert(INodeStaking.NotLedger.selector);
        staking.lock(alice.account, block.number);
        vm.expectRevert(INodeStaking.NotCourt.selector);
        staking.slash(alice.account, 1);
        vm.expectRevert(INodeStaking.NotCourt.selector);
        staking.restore(alice.account, 1);
        vm.expectRevert(INodeStaking.NotCourt.selector);
        staking.endEscrow(mallory, 1, 0);
    }

    // Votes

    function test_votes_are_not_delegated_not_even_by_signature() public {
        _stake(alice, 1 ether);
        vm.prank(alice.account);
        vm.expectRevert(INodeStaking.DelegationIsFixed.selector);
        staking.delegate(mallory);
        bytes32 hash = keccak256(
            abi.encode(
                keccak256("Delegation(address delegatee,uint256 nonce,uint256 expiry)"), mallory, 0, block.timestamp
            )
        );
        (bytes32 r, bytes32 s, uint8 v) = Words.split(_sign(alice.secret, hash));
        vm.expectRevert(INodeStaking.DelegationIsFixed.selector);
        staking.delegateBySig(mallory, 0, block.timestamp, v, r, s);
        vm.prank(alice.account);
        staking.delegate(alice.account); // as it is
        assertEq(staking.getVotes(alice.account), 1 ether, "P4");
    }

    function test_votes_are_by_the_second() public {
        assertEq(staking.CLOCK_MODE(), "mode=timestamp", "mode");
        assertEq(staking.clock(), block.timestamp, "clock");
        _stake(alice, 5 ether);
        skip(1);
        _request(2 ether);
        skip(1);
        assertEq(staking.getPastVotes(alice.account, block.timestamp - 2), 5 ether, "before");
        assertEq(staking.getPastVotes(alice.account, block.timestamp - 1), 3 ether, "after");
        assertEq(staking.getPastTotalSupply(block.timestamp - 1), 3 ether, "all");
    }
}
