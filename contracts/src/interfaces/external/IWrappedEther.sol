// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface IWrappedEther {
    function deposit() external payable;
    function withdraw(uint256 amount) external;
}
