// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ExecutionLedger} from "../../src/ExecutionLedger.sol";
import {Cut, Entry, Epoch, IExecutionLedger, LedgerBindings} from "../../src/interfaces/IExecutionLedger.sol";
import {INodeStaking} from "../../src/interfaces/INodeStaking.sol";
import {NetworkTest} from "../base/NetworkTest.sol";
import {Person} from "../base/StakingTest.sol";

/// Taking part in an epoch; how epochs are cut.
contract CheckInTest is NetworkTest {
    function test_entries_add_up(uint256 a, uint256 b) public {
        a = bound(a, 100 ether, 10_000_000 ether);
        b = bound(b, 100 ether, 10_000_000 ether);
        _join(alice, a);
        _join(bob, b);
        _checkIn(alice, EPOCH + 1);
        vm.prank(bob.account); // the account may as well as its hot key
        ledger.checkIn(EPOCH + 1);
        Epoch memory epoch = ledger.epochAt(EPOCH + 1);
        assertEq(epoch.entries, 2, "entries");
        assertEq(epoch.totalStake, a + b, "total");
        assertFalse(epoch.rolled, "rolled");
        Entry memory entry = ledger.entryAt(EPOCH + 1, 0);
        assertEq(entry.operator, alice.account, "first");
        assertEq(entry.cumulativeStake, a, "first");
        entry = ledger.entryAt(EPOCH + 1, 1);
        assertEq(entry.operator, bob.account, "second");
        assertEq(entry.cumulativeStake, a + b, "second");
    }

    function test_locks_the_stake_through_the_epoch() public {
        _join(alice, 200 ether);
        _checkIn(alice, EPOCH + 1);
        vm.startPrank(alice.account);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.InsufficientStake.selector, 0, 1));
        staking.requestUnstake(1);
        vm.roll((EPOCH + 2) * LENGTH - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeStaking.InsufficientStake.selector, 0, 1));
        staking.requestUnstake(1);
        vm.roll((EPOCH + 2) * LENGTH);
        staking.requestUnstake(200 ether);
    }

    function test_is_open_for_the_next_epoch_until_the_cut_off(uint256 offset, uint256 ahead) public {
        _join(alice, 200 ether);
        offset = bound(offset, 0, LENGTH - 1);
        ahead = bound(ahead, 0, 3);
        vm.roll(START_BLOCK + offset);
        bool isOpen = ahead == 1 && offset < LENGTH - CUT_OFF;
        vm.prank(alice.key);
        if (!isOpen) vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.CheckInClosed.selector, EPOCH + ahead));
        ledger.checkIn(EPOCH + ahead);
        assertEq(ledger.epochAt(EPOCH + ahead).entries, isOpen ? 1 : 0, "entries");
    }

    function test_closes_at_the_cut_off_not_a_block_later() public {
        _join(alice, 200 ether);
        vm.roll(START_BLOCK + LENGTH - CUT_OFF);
        vm.prank(alice.key);
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.CheckInClosed.selector, EPOCH + 1));
        ledger.checkIn(EPOCH + 1);
        vm.roll(START_BLOCK + LENGTH - CUT_OFF - 1);
        _checkIn(alice, EPOCH + 1);
    }

    function test_an_operator_checks_in_once() public {
        _join(alice, 200 ether);
        _checkIn(alice, EPOCH + 1);
        vm.startPrank(alice.account);
        vm.expectRevert(IExecutionLedger.AlreadyCheckedIn.selector);
        ledger.checkIn(EPOCH + 1);
        vm.roll(START_BLOCK + LENGTH);
        ledger.checkIn(EPOCH + 2);
    }

    function test_less_than_the_least_stake_takes_no_part(uint256 staked) public {
        staked = bound(staked, 1, 100 ether - 1);
        _join(alice, staked);
        vm.prank(alice.key);
        vm.expectRevert(abi.encodeWithSelector(IExecutionLedger.StakeTooSmall.selector, staked, 100 ether));
        ledger.checkIn(EPOCH + 1);
        assertEq(staking.operatorAt(alice.account).locked, 0, "locked");
    }

    function test_strangers_and_former_keys_take_no_part() public {
        _join(alice, 200 ether);
        Person memory former = alice;
        _rotate(alice, "alice's second key");
        address[2] memory others = [mallory, former.key];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(INodeStaking.NotRegistered.selector, others[i]));
            ledger.checkIn(EPOCH + 1);
        }
    }

    // The cut

    function _refused(LedgerBindings memory bindings, Cut memory cut, bytes4 why) private {
        vm.expectRevert(why);
        new ExecutionLedger(bindings, cut);
    }

    function test_a_cut_that_would_let_the_seed_be_known_is_refused() public {
        LedgerBindings memory bindings = _bindings();
        _refused(bindings, Cut(30, 6, 6), IExecutionLedger.WrongCut.selector);
        _refused(bindings, Cut(12, 12, 6), IExecutionLedger.WrongCut.selector);
        _refused(bindings, Cut(7_200, 300, 256), IExecutionLedger.WrongCut.selector);
        _refused(bindings, Cut(30, 12, 0), IExecutionLedger.WrongCut.selector);
        Cut memory cut = ledger.cut();
        assertEq(cut.length, LENGTH, "length");
        assertEq(cut.cutOff, CUT_OFF, "cut-off");
        assertEq(cut.lag, LAG, "lag");
    }

    function test_a_ledger_belongs_to_its_registry() public {
        _refused(_bindings(), Cut(30, 12, 6), IExecutionLedger.WrongRegistry.selector);
        vm.mockCall(address(staking), abi.encodeCall(INodeStaking.LEDGER, ()), abi.encode(_next()));
        _refused(_bindings(), Cut(50_401, 200, 64), IExecutionLedger.WrongRegistry.selector);
    }

    function test_an_epoch_may_be_half_as_long_as_a_lock() public {
        vm.mockCall(address(staking), abi.encodeCall(INodeStaking.LEDGER, ()), abi.encode(_next()));
        ExecutionLedger longest = new ExecutionLedger(_bindings(), Cut(50_400, 200, 64));
        assertEq(longest.cut().length * 2, staking.MAX_LOCK_BLOCKS(), "length");
    }

    function _next() private view returns (address) {
        return vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
    }

    function test_a_ledger_without_parameters_brake_or_governance_is_refused() public {
        LedgerBindings memory bindings = _bindings();
        bindings.parameters = address(0);
        _refused(bindings, Cut(30, 12, 6), IExecutionLedger.ZeroAddress.selector);
        bindings = _bindings();
        bindings.brake = address(0);
        _refused(bindings, Cut(30, 12, 6), IExecutionLedger.ZeroAddress.selector);
        bindings = _bindings();
        bindings.governance = address(0);
        _refused(bindings, Cut(30, 12, 6), IExecutionLedger.ZeroAddress.selector);
    }
}
