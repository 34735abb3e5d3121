// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IPool, IPoolFactory} from "./Protocols.sol";

/// @title Opens genuine pools of Uniswap V3 at a price of one to one, and fills them over all prices
/// @dev It must hold both tokens.
contract PoolFiller {
    using SafeERC20 for IERC20;

    uint24 public constant FEE = 3000;
    uint160 private constant ONE_TO_ONE = 1 << 96;
    /// The widest ticks that FEE's spacing of 60 divides.
    int24 private constant WIDEST_TICK = 887220;

    address private token0;
    address private token1;

    function open(address factory, address tokenA, address tokenB, uint128 liquidity) external returns (address pool) {
        (token0, token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        pool = IPoolFactory(factory).createPool(tokenA, tokenB, FEE);
        IPool(pool).initialize(ONE_TO_ONE);
        IPool(pool).mint(address(this), -WIDEST_TICK, WIDEST_TICK, liquidity, "");
    }

    function uniswapV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata) external {
        IERC20(token0).safeTransfer(msg.sender, owed0);
        IERC20(token1).safeTransfer(msg.sender, owed1);
    }
}
