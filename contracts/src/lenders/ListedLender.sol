// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC3156FlashBorrower} from "@openzeppelin/contracts/interfaces/IERC3156FlashBorrower.sol";
import {IERC3156FlashLender} from "@openzeppelin/contracts/interfaces/IERC3156FlashLender.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IArbExecutor} from "../interfaces/IArbExecutor.sol";
import {Allowance} from "../libraries/Allowance.sol";
import {Packed} from "../libraries/Packed.sol";
import {Loan} from "./Loan.sol";

/// @title Borrows from lenders of ERC-3156, which pull loan and fee
/// @dev The standard says nothing about who a lender is: only those that were listed when the executor was created.
abstract contract ListedLender is Loan {
    using Allowance for IERC20;
    using Packed for bytes;

    bytes32 private constant ACCEPTED = keccak256("ERC3156FlashBorrower.onFlashLoan");
    uint256 internal constant LENDER_BYTES = 20;

    mapping(address lender => bool) private _isListed;

    constructor(address[] memory lenders) {
        for (uint256 i = 0; i < lenders.length; ++i) {
            _isListed[lenders[i]] = true;
        }
    }

    /// @inheritdoc IArbExecutor
    function onFlashLoan(address initiator, address, uint256, uint256 fee, bytes calldata data)
        external
        returns (bytes32)
    {
        _letIn(data);
        if (initiator != address(this)) revert ForeignInitiator(initiator);
        (address token, uint256 owed) = _onLoan(data, fee);
        IERC20(token).lend(msg.sender, owed);
        return ACCEPTED;
    }

    /// @dev `rest`: the lender (20), then the hops.
    function _borrowFromListed(address token, uint256 drawn, uint256 borrowed, bytes calldata rest) internal {
        address lender = rest.readAddress(0);
        if (!_isListed[lender]) revert LenderNotListed(lender);
        bytes memory payload = _payload(token, drawn, borrowed, rest[LENDER_BYTES:]);
        _expectCallback(lender, this.onFlashLoan.selector, payload);
        bool isLent =
            IERC3156FlashLender(lender).flashLoan(IERC3156FlashBorrower(address(this)), token, borrowed, payload);
        if (!isLent) revert LoanRefused(lender);
        IERC20(token).takeBack(lender);
    }
}
