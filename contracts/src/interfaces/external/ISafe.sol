// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What is used of a Safe (1.3 and later).
interface ISafe {
    function isOwner(address account) external view returns (bool);
    function isModuleEnabled(address module) external view returns (bool);
    function execTransactionFromModule(address to, uint256 value, bytes calldata data, uint8 operation)
        external
        returns (bool done);
}
