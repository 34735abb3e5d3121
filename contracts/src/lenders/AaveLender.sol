// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IArbExecutor} from "../interfaces/IArbExecutor.sol";
import {Allowance} from "../libraries/Allowance.sol";
import {Loan} from "./Loan.sol";

/// @title Borrows from Aave V3's pool, which pulls loan and premium
abstract contract AaveLender is Loan {
    using Allowance for IERC20;

    uint16 private constant NO_REFERRAL = 0;

    /// @inheritdoc IArbExecutor
    function executeOperation(address, uint256, uint256 premium, address initiator, bytes calldata data)
        external
        returns (bool)
    {
        _letIn(data);
        if (initiator != address(this)) revert ForeignInitiator(initiator);
        (address token, uint256 owed) = _onLoan(data, premium);
        IERC20(token).lend(msg.sender, owed);
        return true;
    }

    function _borrowFromAave(address token, uint256 drawn, uint256 borrowed, bytes calldata hops) internal {
        bytes memory payload = _payload(token, drawn, borrowed, hops);
        _expectCallback(address(AAVE), this.executeOperation.selector, payload);
        AAVE.flashLoanSimple(address(this), token, borrowed, payload, NO_REFERRAL);
        IERC20(token).takeBack(address(AAVE));
    }
}
