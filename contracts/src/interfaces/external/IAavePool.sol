// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What is used of the pool of Aave V3.
interface IAavePool {
    function flashLoanSimple(address to, address asset, uint256 amount, bytes calldata data, uint16 referralCode)
        external;
}
