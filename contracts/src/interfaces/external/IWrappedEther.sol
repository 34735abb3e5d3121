// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What is used of WETH9 beyond ERC-20.
interface IWrappedEther {
    function withdraw(uint256 amount) external;
}
