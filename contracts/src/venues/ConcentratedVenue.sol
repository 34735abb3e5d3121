// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {CallbackGuard} from "../CallbackGuard.sol";
import {IArbExecutor, PoolFactory} from "../interfaces/IArbExecutor.sol";
import {IConcentratedPool} from "../interfaces/external/IConcentratedPool.sol";
import {PairVenue} from "./PairVenue.sol";

/// @title Swaps on pools of Uniswap V3
abstract contract ConcentratedVenue is IArbExecutor, CallbackGuard, PairVenue {
    using SafeERC20 for IERC20;

    /// @dev One beyond TickMath.MIN_SQRT_RATIO and one below MAX_SQRT_RATIO: as far as a price may go.
    uint160 private constant LOWEST_SQRT_PRICE = 4295128740;
    uint160 private constant HIGHEST_SQRT_PRICE = 1461446703485210103287273052203988822378723970341;

    /// @dev What pays a pool from within its callback: a token that this contract holds (160 bits), or a pair that has
    /// been sent its own amount in, with one of these marks on it.
    uint256 internal constant ONE_FOR_ZERO = 1 << 160;
    uint256 internal constant ZERO_FOR_ONE = 2 << 160;

    address internal immutable POOL_FACTORY;
    bytes32 private immutable INIT_CODE_HASH;

    constructor(PoolFactory memory pools) {
        POOL_FACTORY = pools.factory;
        INIT_CODE_HASH = pools.initCodeHash;
    }

    /// @inheritdoc IArbExecutor
    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata data) external {
        _letIn(data);
        (uint256 payer, uint256 amountIn) = abi.decode(data, (uint256, uint256));
        uint256 taken = uint256(amount0 > 0 ? amount0 : amount1);
        if (taken != amountIn) revert PartialFill(taken, amountIn);
        address source = address(uint160(payer));
        if (payer < ONE_FOR_ZERO) IERC20(source).safeTransfer(msg.sender, amountIn);
        else _takeFromPair(source, payer >= ZERO_FOR_ONE, amountIn, msg.sender);
    }

    /// @dev The pool of two tokens and a fee, which must exist.
    function _poolOf(address tokenA, address tokenB, uint24 fee) internal view returns (address pool) {
        (address token0, address token1) = _sorted(tokenA, tokenB);
        bytes32 salt = keccak256(abi.encode(token0, token1, fee));
        pool = Create2.computeAddress(salt, INIT_CODE_HASH, POOL_FACTORY);
        _requirePool(pool);
    }

    /// @dev Swaps exactly `amountIn` on a pool.
    function _swapOnPool(address pool, bool zeroForOne, uint256 amountIn, uint256 payer, address to)
        internal
        returns (uint256 amountOut)
    {
        bytes memory payload = abi.encode(payer, amountIn);
        _expectCallback(pool, this.uniswapV3SwapCallback.selector, payload);
        uint160 limit = zeroForOne ? LOWEST_SQRT_PRICE : HIGHEST_SQRT_PRICE;
        (int256 amount0, int256 amount1) =
            IConcentratedPool(pool).swap(to, zeroForOne, SafeCast.toInt256(amountIn), limit, payload);
        return uint256(-(zeroForOne ? amount1 : amount0));
    }
}
