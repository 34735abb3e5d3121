// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What is used of a pair of Uniswap V2 and of its forks.
interface IConstantProductPair {
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 updatedAt);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}
