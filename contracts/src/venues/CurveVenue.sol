// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Allowance} from "../libraries/Allowance.sol";
import {IArbExecutor} from "../interfaces/IArbExecutor.sol";
import {ICurveCryptoPool, ICurvePool} from "../interfaces/external/ICurvePool.sol";

/// @title Swaps on pools with Curve's interface
/// @dev No address follows from such a pool's coins, so the pools are listed when the executor is created, for ever.
/// What they return differs from pool to pool: what comes out is what the balance grew by.
abstract contract CurveVenue {
    using Allowance for IERC20;
    using SafeERC20 for IERC20;

    struct CurveSwap {
        address pool;
        bool isCrypto;
        uint256 coinIn;
        uint256 coinOut;
        address tokenIn;
        address tokenOut;
        uint256 amountIn;
        address to;
    }

    mapping(address pool => bool) private _isListed;

    constructor(address[] memory pools) {
        for (uint256 i = 0; i < pools.length; ++i) {
            _isListed[pools[i]] = true;
        }
    }

    /// @dev Swaps exactly the amount in, of what this contract holds. A wrong coin in is not allowed to be taken; a wrong
    /// coin out gives nothing.
    function _swapOnCurve(CurveSwap memory order) internal returns (uint256 amountOut) {
        address pool = order.pool;
        if (!_isListed[pool]) revert IArbExecutor.PoolNotListed(pool);
        uint256 before = IERC20(order.tokenOut).balanceOf(address(this));
        IERC20(order.tokenIn).lend(pool, order.amountIn);
        if (order.isCrypto) {
            ICurveCryptoPool(pool).exchange(order.coinIn, order.coinOut, order.amountIn, 0);
        } else {
            // Of four bits each, so they fit.
            (int128 coinIn, int128 coinOut) = (int128(uint128(order.coinIn)), int128(uint128(order.coinOut)));
            ICurvePool(pool).exchange(coinIn, coinOut, order.amountIn, 0);
        }
        IERC20(order.tokenIn).takeBack(pool);
        amountOut = IERC20(order.tokenOut).balanceOf(address(this)) - before;
        if (order.to != address(this)) IERC20(order.tokenOut).safeTransfer(order.to, amountOut);
    }
}
