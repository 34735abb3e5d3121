// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What is used of the vault of Balancer V2.
interface IBalancerVault {
    struct SingleSwap {
        bytes32 poolId;
        uint8 kind;
        address assetIn;
        address assetOut;
        uint256 amount;
        bytes userData;
    }

    struct FundManagement {
        address sender;
        bool fromInternalBalance;
        address payable recipient;
        bool toInternalBalance;
    }

    function swap(SingleSwap calldata single, FundManagement calldata funds, uint256 limit, uint256 deadline)
        external
        returns (uint256 amountCalculated);
    function flashLoan(address to, address[] calldata tokens, uint256[] calldata amounts, bytes calldata data) external;
}
