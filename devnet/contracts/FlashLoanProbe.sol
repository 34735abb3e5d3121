// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

interface IAavePool {
    function flashLoanSimple(address receiver, address asset, uint256 amount, bytes calldata params, uint16 referralCode)
        external;
}

interface IBalancerVault {
    function flashLoan(address recipient, address[] calldata tokens, uint256[] calldata amounts, bytes calldata userData)
        external;
}

/// @title Takes flash loans and pays them back out of its own pocket; the devnet's tests use it, nothing else does
contract FlashLoanProbe {
    event Borrowed(address lender, address token, uint256 amount, uint256 fee, uint256 held);

    function borrowFromAave(IAavePool pool, address asset, uint256 amount) external {
        pool.flashLoanSimple(address(this), asset, amount, "", 0);
    }

    function borrowFromBalancer(IBalancerVault vault, address token, uint256 amount) external {
        address[] memory tokens = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (tokens[0], amounts[0]) = (token, amount);
        vault.flashLoan(address(this), tokens, amounts, "");
    }

    /// Aave V3: the pool takes amount and premium back by allowance
    function executeOperation(address asset, uint256 amount, uint256 premium, address, bytes calldata)
        external
        returns (bool)
    {
        emit Borrowed(msg.sender, asset, amount, premium, IERC20(asset).balanceOf(address(this)));
        return IERC20(asset).approve(msg.sender, amount + premium);
    }

    /// Balancer V2: the vault wants amount and fee sent back
    function receiveFlashLoan(IERC20[] calldata tokens, uint256[] calldata amounts, uint256[] calldata fees, bytes calldata)
        external
    {
        emit Borrowed(msg.sender, address(tokens[0]), amounts[0], fees[0], tokens[0].balanceOf(address(this)));
        tokens[0].transfer(msg.sender, amounts[0] + fees[0]);
    }
}
