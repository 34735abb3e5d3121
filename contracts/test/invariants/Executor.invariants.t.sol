// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {ExecutorHandler} from "./ExecutorHandler.sol";

/// What must hold of the executor after any sequence of executions over all its venues and lenders.
contract ExecutorInvariants is Test {
    ExecutorHandler private handler;

    function setUp() public {
        handler = new ExecutorHandler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](5);
        selectors[0] = ExecutorHandler.moveMarket.selector;
        selectors[1] = ExecutorHandler.moveFeed.selector;
        selectors[2] = ExecutorHandler.execute.selector;
        selectors[3] = ExecutorHandler.liquidate.selector;
        selectors[4] = ExecutorHandler.give.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    function invariant_P17_nothing_is_left_behind_on_any_venue() public view {
        handler.assertNothingIsLeft();
    }

    function invariant_P18_profit_is_at_least_the_minimum_on_any_venue() public view {
        assertEq(handler.shortfalls(), 0, "P18: shortfalls");
    }

    function invariant_P19_bids_stay_within_the_cap_on_any_venue() public view {
        assertEq(handler.overbids(), 0, "P19: overbids");
    }

    /// What the handler does is no chain of refusals: each venue in both directions, both kinds of liquidation.
    function test_the_handler_executes() public {
        handler.moveMarket(600_000, true);
        for (uint256 route = 0; route < 7; ++route) {
            handler.execute(0.1 ether, 0, 0, 0, 0, route);
        }
        handler.moveMarket(150 ether, false);
        handler.moveMarket(150 ether, false);
        for (uint256 route = 0; route < 4; ++route) {
            handler.execute(0.1 ether, 0, 0, 0, 0, route);
        }
        for (uint256 source = 1; source < 5; ++source) {
            handler.execute(0.1 ether, 0.1 ether, source, 0, 1, 0);
        }
        assertEq(handler.executions(), 15, "executions");
        handler.moveFeed(975);
        handler.liquidate(1_000e6, 0, 0, true);
        handler.liquidate(10_000e6, 1e9, 0, false);
        assertEq(handler.liquidations(), 2, "liquidations");
        assertEq(handler.refusals(), 0, "refusals");
        handler.assertNothingIsLeft();
    }

    function afterInvariant() public {
        emit log_named_uint("executions", handler.executions());
        emit log_named_uint("liquidations", handler.liquidations());
        emit log_named_uint("refusals", handler.refusals());
    }
}
