// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Allowance} from "../libraries/Allowance.sol";
import {IBalancerVault} from "../interfaces/external/IBalancerVault.sol";

/// @title Swaps on pools of Balancer V2
abstract contract BalancerVenue {
    using Allowance for IERC20;

    uint8 private constant GIVEN_IN = 0;

    IBalancerVault internal immutable BALANCER;

    constructor(address vault) {
        BALANCER = IBalancerVault(vault);
    }

    /// @dev Swaps exactly `amountIn` of what this contract holds. The route checks the minimum, and the deadline is the
    /// plan's.
    function _swapOnBalancer(bytes32 poolId, address tokenIn, address tokenOut, uint256 amountIn, address to)
        internal
        returns (uint256 amountOut)
    {
        IERC20(tokenIn).lend(address(BALANCER), amountIn);
        amountOut = BALANCER.swap(
            IBalancerVault.SingleSwap(poolId, GIVEN_IN, tokenIn, tokenOut, amountIn, ""),
            IBalancerVault.FundManagement(address(this), false, payable(to), false),
            0,
            block.timestamp
        );
        IERC20(tokenIn).takeBack(address(BALANCER));
    }
}
