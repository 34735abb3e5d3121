// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What has been poured into a bucket and has not leaked out again.
struct Level {
    uint128 amount;
    uint64 at;
}

/// @title Buckets that leak, steadily, as much in a day as they hold
/// @dev So in a burst at most `capacity` passes, and in any d days at most (1 + d) · `capacity`. Nothing but time
/// empties a bucket. The leak is rounded down.
library Bucket {
    uint256 internal constant LEAK_SECONDS = 1 days;

    /// @dev The level now, in a bucket of this capacity.
    function level(Level storage self, uint256 capacity) internal view returns (uint256) {
        uint256 amount = self.amount;
        uint256 leaked = capacity * (block.timestamp - self.at) / LEAK_SECONDS;
        return amount > leaked ? amount - leaked : 0;
    }

    /// @dev Pour in what fits; returns the level it would come to, and whether it did.
    function pour(Level storage self, uint256 amount, uint256 capacity) internal returns (uint256 reached, bool fits) {
        reached = level(self, capacity) + amount;
        fits = reached <= capacity;
        // capacities are at most 128 bits
        // forge-lint: disable-next-line(unsafe-typecast)
        if (fits) (self.amount, self.at) = (uint128(reached), uint64(block.timestamp));
    }
}
