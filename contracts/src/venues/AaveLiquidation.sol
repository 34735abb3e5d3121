// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Allowance} from "../libraries/Allowance.sol";
import {IAavePool} from "../interfaces/external/IAavePool.sol";

/// @title Liquidates on Aave V3: debt goes in, collateral comes out
abstract contract AaveLiquidation {
    using Allowance for IERC20;
    using SafeERC20 for IERC20;

    bool private constant AS_A_TOKEN = false;

    IAavePool internal immutable AAVE;

    constructor(address pool) {
        AAVE = IAavePool(pool);
    }

    /// @dev Covers at most `amountIn`, of what this contract holds; Aave takes no more than the debt, the close factor
    /// and the collateral call for, so that some of it may be left.
    function _liquidateOnAave(address borrower, address debt, address collateral, uint256 amountIn, address to)
        internal
        returns (uint256 amountOut, uint256 spare)
    {
        uint256 debtBefore = IERC20(debt).balanceOf(address(this));
        uint256 collateralBefore = IERC20(collateral).balanceOf(address(this));
        IERC20(debt).lend(address(AAVE), amountIn);
        AAVE.liquidationCall(collateral, debt, borrower, amountIn, AS_A_TOKEN);
        IERC20(debt).takeBack(address(AAVE));
        amountOut = IERC20(collateral).balanceOf(address(this)) - collateralBefore;
        spare = amountIn - (debtBefore - IERC20(debt).balanceOf(address(this)));
        if (to != address(this)) IERC20(collateral).safeTransfer(to, amountOut);
    }
}
