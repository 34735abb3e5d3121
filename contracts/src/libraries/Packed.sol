// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbExecutor} from "../interfaces/IArbExecutor.sol";

/// @title Reads unpadded big-endian fields out of calldata
library Packed {
    /// @dev The `size` bytes (1 to 32) from `offset` on, as a number.
    function read(bytes calldata data, uint256 offset, uint256 size) internal pure returns (uint256 value) {
        unchecked {
            // offsets are sums of a few fields' sizes
            if (offset + size > data.length) revert IArbExecutor.MalformedPlan();
        }
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, size)), calldataload(add(data.offset, offset)))
        }
    }

    function readAddress(bytes calldata data, uint256 offset) internal pure returns (address) {
        return address(uint160(read(data, offset, 20)));
    }

    /// @dev Of 32 bits: 8 bits n, 24 bits m, meaning m · 2^n: an amount rounded down to 24 significant bits.
    function unrounded(uint256 packed) internal pure returns (uint256) {
        return (packed & 0xffffff) << (packed >> 24);
    }
}
