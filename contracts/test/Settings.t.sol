// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {VaultModule} from "../src/VaultModule.sol";
import {IArbExecutor} from "../src/interfaces/IArbExecutor.sol";
import {INetworkParameters} from "../src/interfaces/INetworkParameters.sol";
import {Change, ChangeKind, IVaultModule, TokenLimit, Vault} from "../src/interfaces/IVaultModule.sol";
import {Plans} from "./base/Plans.sol";
import {ISafeAccount} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// Opening a vault, tightening it at once, loosening it after 48 hours.
contract SettingsTest is WorldTest {
    Change private raise = Change(ChangeKind.BidCap, address(0), 2 ether);

    function _propose(Change memory change) private {
        _bySafe(address(module), abi.encodeCall(IVaultModule.propose, (change)));
    }

    function _tighten(address by, Change memory change) private {
        vm.prank(by);
        module.tighten(address(safe), change);
    }

    // Opening

    function test_an_opened_vault_is_as_the_safe_said() public view {
        Vault memory vault = module.vaultOf(address(safe));
        assertEq(vault.operator, alice, "operator");
        assertEq(address(vault.executor), address(executor), "executor");
        assertEq(vault.bidCap, BID_CAP, "bid cap");
        assertTrue(vault.opened && !vault.paused, "opened, not paused");
        (bool pinned, uint128 maxDraw) = module.limitOf(address(safe), weth);
        assertTrue(pinned && maxDraw == MAX_DRAW, "WETH");
        (pinned, maxDraw) = module.limitOf(address(safe), usdc);
        assertTrue(pinned && maxDraw == 0, "USDC");
        (pinned,) = module.limitOf(address(safe), dai);
        assertFalse(pinned, "DAI");
    }

    function test_a_vault_is_opened_once_even_after_all_was_taken_from_it() public {
        _tighten(bob, _noOperator());
        vm.prank(address(safe));
        vm.expectRevert(IVaultModule.AlreadyOpened.selector);
        module.open(alice, executor, BID_CAP, _limits());
    }

    function test_a_vault_does_not_open_with_operands_that_make_no_sense() public {
        VaultModule other = new VaultModule(parameters);
        _bySafe(address(safe), abi.encodeCall(ISafeAccount.enableModule, (address(other))));
        TokenLimit[] memory limits = new TokenLimit[](0);
        vm.startPrank(address(safe));
        vm.expectRevert(IVaultModule.MalformedChange.selector);
        other.open(alice, IArbExecutor(mallory), BID_CAP, limits);
        vm.expectRevert(IVaultModule.MalformedChange.selector);
        other.open(alice, executor, uint256(type(uint88).max) + 1, limits);
        limits = new TokenLimit[](1);
        limits[0].token = address(safe);
        vm.expectRevert(IVaultModule.MalformedChange.selector);
        other.open(alice, executor, BID_CAP, limits);
    }

    function test_only_a_safe_with_the_module_enabled_opens_a_vault() public {
        VaultModule other = new VaultModule(parameters);
        TokenLimit[] memory limits = _limits();
        vm.prank(address(safe));
        vm.expectRevert(IVaultModule.ModuleNotEnabled.selector);
        other.open(alice, executor, BID_CAP, limits);
        vm.prank(mallory);
        vm.expectRevert(IVaultModule.ModuleNotEnabled.selector);
        other.open(mallory, executor, BID_CAP, limits);
    }

    function test_nothing_is_changed_about_a_vault_that_was_never_opened() public {
        vm.startPrank(mallory);
        vm.expectRevert(IVaultModule.NotOpened.selector);
        module.tighten(mallory, Change(ChangeKind.Pause, address(0), 1));
        vm.expectRevert(IVaultModule.NotOpened.selector);
        module.propose(raise);
    }

    // Tightening

    function test_each_owner_and_the_hot_key_and_the_safe_tighten_at_once() public {
        address[5] memory guardians = [bob, carol, dave, alice, address(safe)];
        for (uint256 i = 0; i < guardians.length; ++i) {
            uint256 cap = BID_CAP - 1 - i;
            vm.expectEmit(address(module));
            emit IVaultModule.Changed(address(safe), ChangeKind.BidCap, address(0), cap, guardians[i]);
            _tighten(guardians[i], Change(ChangeKind.BidCap, address(0), cap));
            assertEq(module.vaultOf(address(safe)).bidCap, cap, "bid cap");
        }
    }

    function test_a_stranger_tightens_nothing(address stranger) public {
        vm.assume(stranger != alice && stranger != address(safe));
        vm.assume(stranger != bob && stranger != carol && stranger != dave);
        vm.prank(stranger);
        vm.expectRevert(IVaultModule.NotGuardian.selector);
        module.tighten(address(safe), Change(ChangeKind.Pause, address(0), 1));
    }

    function test_every_kind_of_tightening_takes_effect() public {
        _tighten(bob, Change(ChangeKind.Token, weth, 1 ether));
        (bool pinned, uint128 maxDraw) = module.limitOf(address(safe), weth);
        assertTrue(pinned && maxDraw == 1 ether, "less to draw");
        _tighten(bob, Change(ChangeKind.Unpin, weth, 0));
        (pinned, maxDraw) = module.limitOf(address(safe), weth);
        assertTrue(!pinned && maxDraw == 0, "no longer pinned");
        _tighten(bob, Change(ChangeKind.Executor, address(0), 0));
        assertEq(address(module.vaultOf(address(safe)).executor), address(0), "no executor");
        _tighten(bob, Change(ChangeKind.Pause, address(0), 1));
        assertTrue(module.vaultOf(address(safe)).paused, "paused");
        _tighten(bob, _noOperator());
        assertEq(module.vaultOf(address(safe)).operator, address(0), "no operator");
    }

    function test_nothing_is_loosened_by_tightening(uint256 more) public {
        Change[7] memory loosenings = [
            Change(ChangeKind.Pause, address(0), 0),
            Change(ChangeKind.BidCap, address(0), bound(more, BID_CAP, type(uint256).max)),
            Change(ChangeKind.Token, weth, bound(more, MAX_DRAW, type(uint256).max)),
            Change(ChangeKind.Token, usdc, bound(more, 0, type(uint256).max)),
            Change(ChangeKind.Token, dai, 0),
            Change(ChangeKind.Operator, mallory, 0),
            Change(ChangeKind.Executor, mallory, 0)
        ];
        for (uint256 i = 0; i < loosenings.length; ++i) {
            vm.prank(bob);
            vm.expectRevert(IVaultModule.NotTighter.selector);
            module.tighten(address(safe), loosenings[i]);
        }
    }

    function test_a_tightening_with_operands_that_make_no_sense_is_refused() public {
        Change[4] memory odd = [
            Change(ChangeKind.Pause, weth, 1),
            Change(ChangeKind.BidCap, weth, 0),
            Change(ChangeKind.Unpin, weth, 1),
            Change(ChangeKind.Operator, address(0), 1)
        ];
        for (uint256 i = 0; i < odd.length; ++i) {
            vm.prank(bob);
            vm.expectRevert(IVaultModule.MalformedChange.selector);
            module.tighten(address(safe), odd[i]);
        }
    }

    // What governance takes out of use

    function test_anybody_unpins_a_token_that_governance_removed_and_nothing_else() public {
        Change memory unpin = Change(ChangeKind.Unpin, usdc, 0);
        _refusesMallory(unpin);
        _remove(usdc);
        _refusesMallory(Change(ChangeKind.Unpin, weth, 0));
        _refusesMallory(Change(ChangeKind.Pause, address(0), 1));
        _refusesMallory(Change(ChangeKind.Token, usdc, 0));
        _refusesMallory(Change(ChangeKind.Executor, address(0), 0));
        vm.prank(mallory);
        module.tighten(address(safe), unpin);
        (bool pinned,) = module.limitOf(address(safe), usdc);
        assertFalse(pinned, "USDC");
        _refusesMallory(unpin); // nobody voids the Safe's proposals again and again
    }

    function test_anybody_takes_a_removed_executor_out_of_a_vault() public {
        Change memory none = Change(ChangeKind.Executor, address(0), 0);
        _remove(address(executor));
        vm.prank(mallory);
        vm.expectRevert(IVaultModule.NotTighter.selector);
        module.tighten(address(safe), Change(ChangeKind.Executor, mallory, 0));
        vm.prank(mallory);
        module.tighten(address(safe), none);
        assertEq(address(module.vaultOf(address(safe)).executor), address(0), "executor");
        _refusesMallory(none);
    }

    function test_what_governance_removed_is_not_pinned_again() public {
        Change[2] memory changes = [Change(ChangeKind.Token, dai, 1), Change(ChangeKind.Executor, address(this), 0)];
        for (uint256 i = 0; i < changes.length; ++i) {
            _propose(changes[i]);
        }
        skip(48 hours);
        for (uint256 i = 0; i < changes.length; ++i) {
            bytes memory why = abi.encodeWithSelector(IVaultModule.OutOfUse.selector, changes[i].subject);
            _remove(changes[i].subject);
            vm.expectRevert(why);
            module.enact(address(safe), changes[i]);
            vm.prank(address(safe));
            vm.expectRevert(why);
            module.propose(changes[i]);
        }
    }

    function test_a_vault_does_not_open_with_what_governance_removed() public {
        VaultModule other = new VaultModule(parameters);
        _bySafe(address(safe), abi.encodeCall(ISafeAccount.enableModule, (address(other))));
        TokenLimit[] memory limits = _limits();
        _remove(usdc);
        vm.startPrank(address(safe));
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.OutOfUse.selector, usdc));
        other.open(alice, executor, BID_CAP, limits);
        vm.stopPrank();
        _remove(address(executor));
        vm.prank(address(safe));
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.OutOfUse.selector, address(executor)));
        other.open(alice, executor, BID_CAP, new TokenLimit[](0));
    }

    function test_owners_tighten_and_unwind_what_governance_removed() public {
        _remove(weth);
        _tighten(bob, Change(ChangeKind.Token, weth, 1 ether));
        _bySafe(weth, abi.encodeCall(IERC20.transfer, (mallory, PRINCIPAL)));
        assertEq(IERC20(weth).balanceOf(mallory), PRINCIPAL, "P20: withdrawn");
    }

    function test_a_module_obeys_somebody() public {
        vm.expectRevert(IVaultModule.ZeroAddress.selector);
        new VaultModule(INetworkParameters(address(0)));
    }

    function _refusesMallory(Change memory change) private {
        vm.prank(mallory);
        vm.expectRevert(IVaultModule.NotGuardian.selector);
        module.tighten(address(safe), change);
    }

    function test_without_an_operator_nobody_executes() public {
        _tighten(bob, _noOperator());
        bytes memory plan = _plan(Plans.own());
        vm.prank(alice);
        vm.expectRevert(IVaultModule.NotOperator.selector);
        module.execute(address(safe), weth, 1 ether, plan);
    }

    function test_without_an_executor_nothing_is_executed() public {
        _tighten(bob, Change(ChangeKind.Executor, address(0), 0));
        bytes memory plan = _plan(Plans.own());
        vm.prank(alice);
        vm.expectRevert(IVaultModule.NoExecutor.selector);
        module.execute(address(safe), weth, 1 ether, plan);
    }

    // Loosening

    function test_a_proposed_change_is_made_after_48_hours_by_anybody() public {
        uint256 due = block.timestamp + 48 hours;
        vm.expectEmit(address(module));
        emit IVaultModule.Proposed(address(safe), ChangeKind.BidCap, address(0), 2 ether, due);
        vm.prank(address(safe));
        module.propose(raise);
        assertEq(module.dueAt(address(safe), raise), due, "when it is due");
        vm.warp(due - 1);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.TooEarly.selector, due));
        module.enact(address(safe), raise);
        vm.warp(due);
        vm.prank(mallory);
        module.enact(address(safe), raise);
        assertEq(module.vaultOf(address(safe)).bidCap, 2 ether, "bid cap");
        vm.expectRevert(IVaultModule.NotProposed.selector);
        module.enact(address(safe), raise);
    }

    function test_every_kind_of_loosening_takes_effect() public {
        _tighten(bob, Change(ChangeKind.Pause, address(0), 1));
        _loosen(Change(ChangeKind.Pause, address(0), 0));
        _loosen(Change(ChangeKind.Token, dai, 7 ether));
        _loosen(Change(ChangeKind.Executor, address(this), 0));
        _loosen(_newOperator(mallory));
        Vault memory vault = module.vaultOf(address(safe));
        (bool pinned, uint128 maxDraw) = module.limitOf(address(safe), dai);
        assertTrue(!vault.paused && pinned && maxDraw == 7 ether, "pause and token");
        assertTrue(address(vault.executor) == address(this) && vault.operator == mallory, "executor and operator");
    }

    function test_a_change_that_was_due_too_long_ago_is_not_made() public {
        _propose(raise);
        uint256 expiry = block.timestamp + 48 hours + 7 days;
        vm.warp(expiry + 1);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.TooLate.selector, expiry));
        module.enact(address(safe), raise);
        vm.warp(expiry); // its last second
        module.enact(address(safe), raise);
        assertEq(module.vaultOf(address(safe)).bidCap, 2 ether, "bid cap");
    }

    function test_a_tightening_voids_what_was_proposed_before_it() public {
        _propose(raise);
        _tighten(dave, Change(ChangeKind.BidCap, address(0), 1));
        assertEq(module.dueAt(address(safe), raise), 0, "when it is due");
        skip(48 hours);
        vm.expectRevert(IVaultModule.NotProposed.selector);
        module.enact(address(safe), raise);
    }

    function test_no_owner_alone_and_no_hot_key_proposes_for_the_safe() public {
        address[3] memory single = [bob, alice, mallory];
        for (uint256 i = 0; i < single.length; ++i) {
            vm.prank(single[i]);
            vm.expectRevert(IVaultModule.NotOpened.selector); // it would be about a vault of their own
            module.propose(raise);
        }
    }

    function test_what_was_proposed_for_one_safe_is_not_made_for_another() public {
        _propose(raise);
        skip(48 hours);
        vm.expectRevert(IVaultModule.NotProposed.selector);
        module.enact(mallory, raise);
    }

    function test_a_change_with_operands_that_make_no_sense_is_refused() public {
        Change[10] memory odd = [
            Change(ChangeKind.Pause, address(0), 2),
            Change(ChangeKind.Pause, weth, 1),
            Change(ChangeKind.BidCap, weth, 1),
            Change(ChangeKind.BidCap, address(0), uint256(type(uint88).max) + 1),
            Change(ChangeKind.Token, weth, uint256(type(uint128).max) + 1),
            Change(ChangeKind.Token, mallory, 1),
            Change(ChangeKind.Token, address(safe), 1),
            Change(ChangeKind.Executor, mallory, 0),
            Change(ChangeKind.Executor, address(safe), 0),
            Change(ChangeKind.Operator, alice, 1)
        ];
        for (uint256 i = 0; i < odd.length; ++i) {
            vm.prank(address(safe));
            vm.expectRevert(IVaultModule.MalformedChange.selector);
            module.propose(odd[i]);
        }
    }
}
