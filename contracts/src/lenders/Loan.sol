// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Route} from "../Route.sol";
import {Packed} from "../libraries/Packed.sol";

/// @title What all lenders have in common: a payload that goes through them, and the route run with what they lent
abstract contract Loan is Route {
    using Packed for bytes;
    using SafeERC20 for IERC20;

    /// @dev token (20) ‖ drawn (32) ‖ borrowed (32), then the hops.
    uint256 private constant PREFIX_BYTES = 84;

    uint256 private transient _proceeds;

    function _payload(address token, uint256 drawn, uint256 borrowed, bytes calldata hops)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(token, drawn, borrowed, hops);
    }

    /// @dev Run the route with what was drawn and lent; tell what the lender must get back.
    function _onLoan(bytes calldata payload, uint256 fee) internal returns (address token, uint256 owed) {
        token = payload.readAddress(0);
        uint256 drawn = payload.read(20, 32);
        uint256 borrowed = payload.read(52, 32);
        uint256 amount = drawn + borrowed;
        address entry = _entryOf(payload, PREFIX_BYTES, token);
        if (entry != address(this)) IERC20(token).safeTransfer(entry, amount);
        amount = _runRoute(payload, PREFIX_BYTES, token, amount, token);
        owed = borrowed + fee;
        if (amount < owed) revert LoanNotCovered(amount, owed);
        _proceeds = amount - owed;
    }

    /// @dev What the route gave beyond the repayment; only once the lender has called back.
    function _takeProceeds() internal returns (uint256 proceeds) {
        _requireCalledBack();
        proceeds = _proceeds;
        _proceeds = 0;
    }
}
