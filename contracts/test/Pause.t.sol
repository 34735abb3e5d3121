// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Change, ChangeKind, IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {Plans} from "./base/Plans.sol";
import {ISafeAccount} from "./base/Protocols.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// P20: a pause stops executions, and nothing that the owners do.
contract PauseTest is WorldTest {
    address private constant SENTINEL = address(1);

    function setUp() public override {
        super.setUp();
        vm.prank(alice);
        module.tighten(address(safe), Change(ChangeKind.Pause, address(0), 1));
    }

    function test_stops_executions() public {
        bytes memory plan = _plan(Plans.own());
        vm.prank(alice);
        vm.expectRevert(IVaultModule.VaultPaused.selector);
        module.execute(address(safe), weth, 1 ether, plan);
    }

    function test_does_not_stop_a_withdrawal(uint256 amount) public {
        amount = bound(amount, 1, PRINCIPAL);
        _bySafe(weth, abi.encodeCall(IERC20.transfer, (bob, amount)));
        assertEq(IERC20(weth).balanceOf(address(safe)), PRINCIPAL - amount, "P20: what was left in the Safe");
    }

    function test_does_not_keep_the_module_in_the_safe() public {
        _bySafe(address(safe), abi.encodeCall(ISafeAccount.disableModule, (SENTINEL, address(module))));
        (address[] memory modules,) = safe.getModulesPaginated(SENTINEL, 10);
        assertEq(modules.length, 0, "P20: the Safe's modules");
    }

    function test_ends_only_by_the_safe_and_48_hours() public {
        Change memory resume = Change(ChangeKind.Pause, address(0), 0);
        vm.prank(bob);
        vm.expectRevert(IVaultModule.NotTighter.selector);
        module.tighten(address(safe), resume);
        _loosen(resume);
        assertFalse(module.vaultOf(address(safe)).paused, "paused");
    }

    function test_a_safe_that_removed_the_module_is_drawn_from_no_more() public {
        _loosen(Change(ChangeKind.Pause, address(0), 0));
        _bySafe(address(safe), abi.encodeCall(ISafeAccount.disableModule, (SENTINEL, address(module))));
        bytes memory plan = _plan(Plans.own());
        vm.prank(alice);
        vm.expectRevert(bytes("GS104"));
        module.execute(address(safe), weth, 1 ether, plan);
    }
}
