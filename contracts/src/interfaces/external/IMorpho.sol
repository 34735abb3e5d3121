// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Morpho Blue: one contract that holds all markets.
interface IMorpho {
    struct MarketParams {
        address loanToken;
        address collateralToken;
        address oracle;
        address irm;
        uint256 lltv;
    }

    function flashLoan(address token, uint256 assets, bytes calldata data) external;
    /// One of `seizedAssets` and `repaidShares` is 0.
    function liquidate(
        MarketParams calldata params,
        address borrower,
        uint256 seizedAssets,
        uint256 repaidShares,
        bytes calldata data
    ) external returns (uint256 seized, uint256 repaid);
}
