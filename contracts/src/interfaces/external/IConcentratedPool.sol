// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What is used of a pool of Uniswap V3.
interface IConcentratedPool {
    function swap(address to, bool zeroForOne, int256 amount, uint160 sqrtPriceLimitX96, bytes calldata data)
        external
        returns (int256 amount0, int256 amount1);
    function flash(address to, uint256 amount0, uint256 amount1, bytes calldata data) external;
}
