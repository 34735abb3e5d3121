// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface IAavePool {
    function flashLoanSimple(address to, address asset, uint256 amount, bytes calldata data, uint16 referralCode)
        external;
    function liquidationCall(address collateral, address debt, address user, uint256 debtToCover, bool receiveAToken)
        external;
}
