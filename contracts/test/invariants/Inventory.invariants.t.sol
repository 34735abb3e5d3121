// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {InventoryHandler} from "./InventoryHandler.sol";

/// P15 of docs/contracts.md, after any sequence of what `InventoryHandler` does.
contract InventoryInvariants is Test {
    /// Rounding of the handler's own arithmetic, in millionths of a dollar.
    uint256 private constant DUST = 1_000;

    InventoryHandler private handler;

    function setUp() public {
        handler = new InventoryHandler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](6);
        selectors[0] = InventoryHandler.sell.selector;
        selectors[1] = InventoryHandler.buy.selector;
        selectors[2] = InventoryHandler.say.selector;
        selectors[3] = InventoryHandler.wait.selector;
        selectors[4] = InventoryHandler.tighten.selector;
        selectors[5] = InventoryHandler.pauseOrResume.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    function invariant_P15_inventory_loses_no_more_than_its_buckets_hold() public view {
        (uint256 losses, uint256 turnover) = handler.worstExcess();
        assertLe(losses, DUST, "P15: losses beyond the bucket");
        assertLe(turnover, DUST, "P15: turnover beyond the bucket");
        assertEq(handler.excesses(), 0, "P15: a trade beyond its band");
        assertEq(handler.surprises(), 0, "P15: balances that no trade explains");
    }

    /// What the handler does is no chain of refusals.
    function test_the_handler_trades() public {
        handler.sell(1 ether, 9_900, 1);
        handler.buy(1_000e6, 10_000, 1);
        handler.sell(1 ether, 9_900, 0);
        handler.wait(1 hours);
        handler.sell(1 ether, 9_950, 1);
        assertEq(handler.count(), 3, "trades");
        assertEq(handler.refusals(), 1, "refusals");
    }

    /// Nor does it ask for so little only that no guard is ever reached.
    function test_the_handler_goes_beyond_the_band_and_trades_while_paused() public {
        handler.sell(1 ether, 9_000, 1);
        handler.pauseOrResume(0);
        handler.sell(1 ether, 9_990, 1);
        assertEq(handler.refusals(), 2, "refusals");
        handler.pauseOrResume(0);
        handler.sell(1 ether, 9_990, 1);
        assertEq(handler.count(), 1, "trades");
    }

    function afterInvariant() public {
        emit log_named_uint("trades", handler.count());
        emit log_named_uint("refusals", handler.refusals());
    }
}
