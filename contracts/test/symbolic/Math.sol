// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What the sources use of OpenZeppelin's Math, for products below 2^256
/// @dev The profile `symbolic` puts it in the library's place: no solver ends on the 512 bits that the library reckons
/// with, nor on its multiplications instead of branches. SymbolicMath.t.sol holds one against the other.
library Math {
    enum Rounding {
        Floor,
        Ceil
    }

    error TooLargeForTheSolver();

    function mulDiv(uint256 x, uint256 y, uint256 denominator) internal pure returns (uint256) {
        if (x >> 97 != 0 || y >> 158 != 0) revert TooLargeForTheSolver();
        unchecked {
            return x * y / denominator;
        }
    }

    function mulDiv(uint256 x, uint256 y, uint256 denominator, Rounding rounding) internal pure returns (uint256) {
        uint256 quotient = mulDiv(x, y, denominator);
        if (rounding == Rounding.Floor) return quotient;
        unchecked {
            return x * y % denominator == 0 ? quotient : quotient + 1;
        }
    }

    function saturatingSub(uint256 a, uint256 b) internal pure returns (uint256) {
        return a > b ? a - b : 0;
    }
}
