// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {VmSafe} from "forge-std/Vm.sol";
import {IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {InventoryTest} from "./base/InventoryTest.sol";
import {Plans} from "./base/Plans.sol";

/// P19: which gas the priority fee is judged by, to the unit. Of this very bytecode: whoever instruments it (coverage,
/// mutants) has another.
contract PriorityFeeGasTest is InventoryTest {
    uint256 private constant GAS_LIMIT = 1_500_000;
    /// Gas from the module's first instruction to where it looks at what is left.
    uint256 private constant GAS_BEFORE_EXECUTE = 8_395;
    uint256 private constant GAS_BEFORE_TRADE = 3_776;

    bytes private plan;

    function setUp() public override {
        super.setUp();
        plan = _plan(Plans.own());
    }

    /// What the module has spent before it looks is not counted.
    function test_the_fee_is_judged_by_what_gas_is_left_and_21000_and_16_for_a_byte() public {
        _isRefusedAt(GAS_BEFORE_EXECUTE, abi.encodeCall(IVaultModule.execute, (address(safe), weth, 10 ether, plan)));
    }

    /// No price is read before it looks.
    function test_the_fee_of_a_trade_is_judged_before_prices_are_read() public {
        _isRefusedAt(GAS_BEFORE_TRADE, abi.encodeCall(IVaultModule.trade, (address(safe), weth, 1 ether, usdc, plan)));
    }

    function _isRefusedAt(uint256 spent, bytes memory call) private {
        vm.skip(vm.isContext(VmSafe.ForgeContext.Coverage));
        vm.fee(10 gwei);
        vm.txGasPrice(1_010 gwei);
        vm.prank(alice);
        (bool done, bytes memory answer) = address(module).call{gas: GAS_LIMIT}(call);
        assertFalse(done, "P19: a fee above the cap was paid");
        uint256 fee = (GAS_LIMIT - spent + 21_000 + 16 * call.length) * 1_000 gwei;
        assertEq(answer, abi.encodeWithSelector(IVaultModule.PriorityFeeAboveCap.selector, fee, BID_CAP), "the fee");
    }
}
