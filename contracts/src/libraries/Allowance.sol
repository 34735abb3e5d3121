// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Allowances that last for one call
library Allowance {
    using SafeERC20 for IERC20;

    /// @dev Allow `spender` exactly `amount`.
    function lend(IERC20 token, address spender, uint256 amount) internal {
        token.forceApprove(spender, amount);
    }

    /// @dev Leave `spender` nothing. Spending the exact amount has done that already in most tokens, and asking is
    /// cheaper than writing.
    function takeBack(IERC20 token, address spender) internal {
        if (token.allowance(address(this), spender) != 0) token.forceApprove(spender, 0);
    }
}
