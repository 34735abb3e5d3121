// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Test} from "forge-std/Test.sol";
import {Math as Small} from "./symbolic/Math.sol";

/// What halmos's proofs put in the place of OpenZeppelin's Math reckons as that does, or refuses.
contract SymbolicMathTest is Test {
    function test_quotients_are_the_librarys(uint96 x, uint152 y, uint256 denominator) public pure {
        denominator = bound(denominator, 1, type(uint256).max);
        assertEq(Small.mulDiv(x, y, denominator), Math.mulDiv(x, y, denominator));
        assertEq(
            Small.mulDiv(x, y, denominator, Small.Rounding.Ceil), Math.mulDiv(x, y, denominator, Math.Rounding.Ceil)
        );
        uint256 small = bound(denominator, 1, type(uint64).max);
        assertEq(Small.mulDiv(x, y, small, Small.Rounding.Ceil), Math.mulDiv(x, y, small, Math.Rounding.Ceil), "small");
    }

    function test_what_does_not_fit_is_refused(uint256 x, uint256 y) public {
        x = bound(x, 1 << 97, type(uint256).max);
        vm.expectRevert(Small.TooLargeForTheSolver.selector);
        this.quotient(x, y, 1);
        y = bound(y, 1 << 158, type(uint256).max);
        vm.expectRevert(Small.TooLargeForTheSolver.selector);
        this.quotient(1, y, 1);
    }

    function test_differences_are_the_librarys(uint256 a, uint256 b) public pure {
        assertEq(Small.saturatingSub(a, b), Math.saturatingSub(a, b));
        assertEq(Small.saturatingSub(b, a), Math.saturatingSub(b, a));
    }

    /// The shares of a pot are no more than the pot, which P12's proof takes for granted.
    function test_shares_are_no_more_than_the_whole(uint96 pot, uint96 a, uint96 b) public pure {
        uint256 total = uint256(a) + b;
        vm.assume(total != 0);
        assertLe(Math.mulDiv(pot, a, total) + Math.mulDiv(pot, b, total), pot);
    }

    function quotient(uint256 x, uint256 y, uint256 denominator) external pure returns (uint256) {
        return Small.mulDiv(x, y, denominator);
    }
}
