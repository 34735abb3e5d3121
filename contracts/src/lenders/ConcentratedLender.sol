// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IArbExecutor} from "../interfaces/IArbExecutor.sol";
import {IConcentratedPool} from "../interfaces/external/IConcentratedPool.sol";
import {Packed} from "../libraries/Packed.sol";
import {Loan} from "./Loan.sol";

/// @title Borrows from a pool of Uniswap V3, which is locked meanwhile: such a route has no hop on that pool
abstract contract ConcentratedLender is Loan {
    using Packed for bytes;
    using SafeERC20 for IERC20;

    uint256 internal constant POOL_BYTES = 23;

    /// @inheritdoc IArbExecutor
    function uniswapV3FlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external {
        _letIn(data);
        // Only one token was borrowed, and nothing is to pay for the other.
        (address token, uint256 owed) = _onLoan(data, fee0 + fee1);
        IERC20(token).safeTransfer(msg.sender, owed);
    }

    /// @dev The pool that a plan names at `offset`: its other token (20) ‖ its fee (3).
    function _lendingPool(address token, bytes calldata plan, uint256 offset) internal view returns (address) {
        return _poolOf(token, plan.readAddress(offset), uint24(plan.read(offset + 20, 3)));
    }

    /// @dev `rest`: the pool's other token (20) ‖ its fee (3), then the hops.
    function _borrowFromPool(address token, uint256 drawn, uint256 borrowed, bytes calldata rest) internal {
        address otherToken = rest.readAddress(0);
        address pool = _lendingPool(token, rest, 0);
        bytes memory payload = _payload(token, drawn, borrowed, rest[POOL_BYTES:]);
        _expectCallback(pool, this.uniswapV3FlashCallback.selector, payload);
        (uint256 amount0, uint256 amount1) = token < otherToken ? (borrowed, uint256(0)) : (uint256(0), borrowed);
        IConcentratedPool(pool).flash(address(this), amount0, amount1, payload);
    }
}
