// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IArbExecutor} from "../interfaces/IArbExecutor.sol";
import {Loan} from "./Loan.sol";

/// @title Borrows from Balancer V2's vault, which is locked meanwhile: such a route has no hop on Balancer
abstract contract BalancerLender is Loan {
    using SafeERC20 for IERC20;

    /// @inheritdoc IArbExecutor
    function receiveFlashLoan(address[] calldata, uint256[] calldata, uint256[] calldata fees, bytes calldata data)
        external
    {
        _letIn(data);
        (address token, uint256 owed) = _onLoan(data, fees[0]);
        IERC20(token).safeTransfer(msg.sender, owed);
    }

    function _borrowFromBalancer(address token, uint256 drawn, uint256 borrowed, bytes calldata hops) internal {
        bytes memory payload = _payload(token, drawn, borrowed, hops);
        address[] memory tokens = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (tokens[0], amounts[0]) = (token, borrowed);
        _expectCallback(address(BALANCER), this.receiveFlashLoan.selector, payload);
        BALANCER.flashLoan(address(this), tokens, amounts, payload);
    }
}
