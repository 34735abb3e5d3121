// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {VaultHandler} from "./VaultHandler.sol";

/// The numbered properties of docs/contracts.md, after any sequence of what `VaultHandler` does.
contract VaultInvariants is Test {
    VaultHandler private handler;
    bytes32 private fingerprint;

    function setUp() public {
        handler = new VaultHandler();
        handler.setUp();
        fingerprint = handler.safeFingerprint();
        bytes4[] memory selectors = new bytes4[](12);
        selectors[0] = VaultHandler.trade.selector;
        selectors[1] = VaultHandler.execute.selector;
        selectors[2] = VaultHandler.executeModestly.selector;
        selectors[3] = VaultHandler.intrude.selector;
        selectors[4] = VaultHandler.giveToTheExecutor.selector;
        selectors[5] = VaultHandler.loosenAlone.selector;
        selectors[6] = VaultHandler.tighten.selector;
        selectors[7] = VaultHandler.loosen.selector;
        selectors[8] = VaultHandler.withdraw.selector;
        selectors[9] = VaultHandler.executeGreedily.selector;
        selectors[10] = VaultHandler.offer.selector;
        selectors[11] = VaultHandler.deposit.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    function invariant_P14_principal_returns_and_profit_stays() public view {
        assertEq(handler.losses(), 0, "P14: losses");
        assertEq(handler.safeBalance(), handler.expectedBalance(), "P14: the Safe's balance");
    }

    function invariant_P16_the_safe_is_governed_as_before() public view {
        assertEq(handler.safeFingerprint(), fingerprint, "P16: owners, threshold, modules, guard, handler");
        assertEq(handler.intrusions(), 0, "P16: somebody did what they may not");
        assertEq(handler.strayDeposits(), 0, "P16: deposits of nothing, or elsewhere, or above the cap");
    }

    function invariant_P17_nothing_is_left_behind() public view {
        handler.assertNothingIsLeft();
    }

    function invariant_P18_profit_is_at_least_the_minimum() public view {
        assertEq(handler.shortfalls(), 0, "P18: shortfalls");
    }

    function invariant_P19_bids_stay_within_the_cap() public view {
        assertEq(handler.overbids(), 0, "P19: overbids");
    }

    /// P20 is in the handler, where `withdraw` is never caught. Here: what the handler does is no chain of refusals.
    function test_the_handler_executes() public {
        handler.trade(400_000, true);
        handler.execute(1 ether, 0, 0, 0, 0, 1);
        handler.execute(0, 1 ether, 1, 0, 0.001 ether, 1);
        handler.intrude(1 ether, 0);
        handler.executeGreedily(1 ether, 0, 0, 3);
        handler.executeGreedily(1 ether, 1.1 ether, 1.1 ether, 0);
        assertEq(handler.executions(), 3, "executions");
        assertEq(handler.refusals(), 2, "refusals");
        handler.offer(9_001); // 0.9 of 1 ether, at the gas limit
        handler.execute(1 ether, 0, 0, 0, 0.001 ether, 1);
        assertEq(handler.executions(), 4, "executions with a priority fee");
        handler.offer(10_001);
        handler.execute(1 ether, 0, 0, 0, 0, 1);
        assertEq(handler.refusals(), 3, "refusals of a priority fee above the cap");
        handler.deposit(1 ether, 0, 1);
        assertEq(handler.deposits(), 1, "deposits");
        handler.deposit(1 ether, 2, 1); // elsewhere
        handler.deposit(1 ether, 0, 3); // nothing
        assertEq(handler.deposits(), 1, "deposits that may not be");
        assertEq(handler.refusals(), 5, "refusals of them");
    }

    function afterInvariant() public {
        emit log_named_uint("executions", handler.executions());
        emit log_named_uint("deposits", handler.deposits());
        emit log_named_uint("refusals", handler.refusals());
    }
}
