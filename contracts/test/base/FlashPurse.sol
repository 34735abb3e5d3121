// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC3156FlashBorrower} from "@openzeppelin/contracts/interfaces/IERC3156FlashBorrower.sol";
import {IERC3156FlashLender} from "@openzeppelin/contracts/interfaces/IERC3156FlashLender.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title A lender as ERC-3156 has it, that lends what it holds; ours
contract FlashPurse is IERC3156FlashLender {
    bytes32 private constant ACCEPTED = keccak256("ERC3156FlashBorrower.onFlashLoan");
    uint256 private immutable FEE_BPS;

    constructor(uint256 feeBps) {
        FEE_BPS = feeBps;
    }

    function maxFlashLoan(address token) external view returns (uint256) {
        return IERC20(token).balanceOf(address(this));
    }

    function flashFee(address, uint256 amount) public view returns (uint256) {
        return amount * FEE_BPS / 10_000;
    }

    function flashLoan(IERC3156FlashBorrower receiver, address token, uint256 amount, bytes calldata data)
        external
        returns (bool)
    {
        uint256 fee = flashFee(token, amount);
        require(IERC20(token).transfer(address(receiver), amount), "the loan");
        require(receiver.onFlashLoan(msg.sender, token, amount, fee, data) == ACCEPTED, "not accepted");
        require(IERC20(token).transferFrom(address(receiver), address(this), amount + fee), "the repayment");
        return true;
    }
}
