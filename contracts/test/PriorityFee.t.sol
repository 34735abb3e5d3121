// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVaultModule} from "../src/interfaces/IVaultModule.sol";
import {Plans} from "./base/Plans.sol";
import {WorldTest} from "./base/WorldTest.sol";

/// P19: the priority fee by the gas limit, at the very cap and one unit of gas above it.
contract PriorityFeeTest is WorldTest {
    uint256 private constant GAS_JUDGED = 2_000_000;
    uint256 private constant FEE_A_GAS = BID_CAP / GAS_JUDGED;

    bytes private plan;

    function setUp() public override {
        super.setUp();
        _makeWethDearOnUniswapV2(100_000);
        plan = _plan(Plans.own());
    }

    function _executeWith(uint256 gas_) private returns (bool done, bytes memory answer) {
        bytes memory call = abi.encodeCall(IVaultModule.execute, (address(safe), weth, 1 ether, plan));
        vm.prank(alice);
        return address(module).call{gas: gas_}(call);
    }

    function _feeAboveCap(bytes memory answer) private pure returns (uint256 fee) {
        assertEq(bytes4(answer), IVaultModule.PriorityFeeAboveCap.selector, "what refuses");
        assembly {
            fee := mload(add(answer, 36))
        }
    }

    function test_a_fee_of_the_whole_cap_is_paid_and_of_one_more_gas_refused() public {
        assertEq(FEE_A_GAS * GAS_JUDGED, BID_CAP, "a fee that can be the cap");
        vm.fee(10 gwei);
        vm.txGasPrice(10 gwei + FEE_A_GAS);
        (, bytes memory answer) = _executeWith(2 * GAS_JUDGED);
        // what is judged is what is left at the check, and the transaction's own part
        uint256 judged = _feeAboveCap(answer) / FEE_A_GAS;
        uint256 exact = 2 * GAS_JUDGED + GAS_JUDGED - judged;
        (, answer) = _executeWith(exact + 1);
        assertEq(_feeAboveCap(answer), BID_CAP + FEE_A_GAS, "the fee with one more gas");
        (bool done,) = _executeWith(exact);
        assertTrue(done, "P19: a fee of the whole cap was refused");
    }
}
