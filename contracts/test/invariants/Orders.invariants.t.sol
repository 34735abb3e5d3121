// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {OrdersHandler} from "./OrdersHandler.sol";

/// The numbered properties of docs/contracts.md that orders touch, after any sequence of what `OrdersHandler` does.
/// forge-config: default.invariant.runs = 12
/// forge-config: default.invariant.depth = 30
contract OrdersInvariants is Test {
    OrdersHandler private handler;

    function setUp() public {
        handler = new OrdersHandler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](2);
        selectors[0] = handler.trade.selector;
        selectors[1] = handler.execute.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    /// P9, P10, P14, P17, P18 of one and the same run: setting the world up takes longer than looking at it.
    function invariant_P10_orders_are_run_in_turn_and_paid() public view {
        assertEq(handler.unpaid(), 0, "P10: finders that were not paid");
        assertEq(handler.intrusions(), 0, "P9: executions out of turn");
        assertEq(handler.losses(), 0, "P14: losses");
        assertEq(handler.shortfalls(), 0, "P18: shortfalls");
        handler.assertNothingIsLeft();
    }

    /// What the handler does is no chain of refusals.
    function test_the_handler_executes() public {
        handler.trade(400_000);
        handler.execute(2 ether, 6_000, 0.001 ether, 0, 0, 0);
        handler.execute(2 ether + 1, 6_000, 0.001 ether, 0, 0.001 ether, 0);
        assertEq(handler.executions(), 2, "executions");
        for (uint256 how = 1; how < 5; ++how) {
            handler.execute(2 ether, 6_000, 0.001 ether, 0, 0, how);
        }
        assertEq(handler.refusals(), 4, "refusals");
    }

    function afterInvariant() public {
        emit log_named_uint("executions", handler.executions());
        emit log_named_uint("refusals", handler.refusals());
    }
}
