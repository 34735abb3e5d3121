// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Allowance} from "../libraries/Allowance.sol";
import {IMorpho} from "../interfaces/external/IMorpho.sol";

/// @title Liquidates on Morpho Blue: debt goes in, collateral comes out
abstract contract MorphoLiquidation {
    using Allowance for IERC20;
    using SafeERC20 for IERC20;

    IMorpho internal immutable MORPHO;

    constructor(address morpho) {
        MORPHO = IMorpho(morpho);
    }

    /// @dev Repays so many of the borrower's shares, for at most `amountIn` of what this contract holds.
    function _liquidateOnMorpho(
        IMorpho.MarketParams memory market,
        address borrower,
        uint256 shares,
        uint256 amountIn,
        address to
    ) internal returns (uint256 amountOut, uint256 spare) {
        IERC20(market.loanToken).lend(address(MORPHO), amountIn);
        uint256 repaid;
        (amountOut, repaid) = MORPHO.liquidate(market, borrower, 0, shares, "");
        IERC20(market.loanToken).takeBack(address(MORPHO));
        spare = amountIn - repaid;
        if (to != address(this)) IERC20(market.collateralToken).safeTransfer(to, amountOut);
    }
}
