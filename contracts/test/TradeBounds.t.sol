// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Change, ChangeKind, IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {InventoryTest} from "./base/InventoryTest.sol";
import {GrabbingExecutor} from "./malicious/GrabbingExecutor.sol";

/// P15: a trade is judged by what it was said to sell, so no more than that may leave the Safe; and limits at their edge.
contract TradeBoundsTest is InventoryTest {
    uint256 private constant SOLD = 1 ether;

    function _pinGrabbing() private returns (GrabbingExecutor grabbing) {
        grabbing = new GrabbingExecutor(address(safe));
        _give(usdc, address(grabbing), 100_000e6);
        _loosen(Change(ChangeKind.Executor, address(grabbing), 0));
        _answer(_marketDollars());
    }

    function test_a_trade_in_which_more_leaves_than_is_sold_is_refused(uint256 more) public {
        more = bound(more, 1, 10 ether);
        _bySafe(weth, abi.encodeCall(IERC20.approve, (address(_pinGrabbing()), more)));
        bytes memory plan = abi.encode(_worth(SOLD, _marketDollars()));
        uint256 left = PRINCIPAL - SOLD;
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.TradeIncomplete.selector, weth, left - more, left));
        _sellWeth(SOLD, plan);
    }

    /// The control of the test before: it is what was allowed besides that is refused, not the executor.
    function test_a_trade_in_which_what_is_sold_leaves_is_not() public {
        _pinGrabbing();
        uint256 worth = _worth(SOLD, _marketDollars());
        assertEq(_sellWeth(SOLD, abi.encode(worth)), worth, "received");
        assertEq(IERC20(weth).balanceOf(address(safe)), PRINCIPAL - SOLD, "WETH in the Safe");
    }

    function test_buys_up_to_the_most_that_may_be_held_and_not_one_more() public {
        _pinStingy();
        uint256 gives = _inWeth(1_000e6);
        _give(weth, address(safe), MOST_WETH - gives - PRINCIPAL);
        uint256 before = vm.snapshotState();
        _buyWeth(1_000e6, abi.encode(gives));
        assertEq(IERC20(weth).balanceOf(address(safe)), MOST_WETH, "WETH in the Safe");
        vm.revertToState(before);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.HeldTooMuch.selector, weth, MOST_WETH + 1, MOST_WETH));
        _buyWeth(1_000e6, abi.encode(gives + 1));
    }

    function test_a_trade_may_lose_the_whole_band_and_not_one_more() public {
        _pinStingy();
        uint256 before = vm.snapshotState();
        _sellWeth(SOLD, abi.encode(_worth(SOLD, _marketDollars())));
        (, uint256 worth) = module.levelsOf(address(safe)); // the turnover: what one WETH is worth to the module
        vm.revertToState(before);
        uint256 band = worth * LOSS_BAND / 10_000;
        bytes memory plan = abi.encode(worth - band - 1);
        vm.expectRevert(abi.encodeWithSelector(IVaultModule.LossAboveBand.selector, band + 1, band));
        _sellWeth(SOLD, plan);
        _sellWeth(SOLD, abi.encode(worth - band));
        (uint256 losses,) = module.levelsOf(address(safe));
        assertEq(losses, band, "losses");
    }
}
