// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IArbExecutor} from "../interfaces/IArbExecutor.sol";
import {Allowance} from "../libraries/Allowance.sol";
import {Loan} from "./Loan.sol";

/// @title Borrows from Morpho Blue, which pulls the loan back and asks for nothing more
abstract contract MorphoLender is Loan {
    using Allowance for IERC20;

    uint256 private constant NO_FEE = 0;

    /// @inheritdoc IArbExecutor
    function onMorphoFlashLoan(uint256, bytes calldata data) external {
        _letIn(data);
        (address token, uint256 owed) = _onLoan(data, NO_FEE);
        IERC20(token).lend(msg.sender, owed);
    }

    function _borrowFromMorpho(address token, uint256 drawn, uint256 borrowed, bytes calldata hops) internal {
        bytes memory payload = _payload(token, drawn, borrowed, hops);
        _expectCallback(address(MORPHO), this.onMorphoFlashLoan.selector, payload);
        MORPHO.flashLoan(token, borrowed, payload);
        IERC20(token).takeBack(address(MORPHO));
    }
}
