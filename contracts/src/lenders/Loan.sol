// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Route} from "../Route.sol";
import {Packed} from "../libraries/Packed.sol";

/// @title What all lenders have in common: a payload that goes through them, and the route run with what they lent
abstract contract Loan is Route {
    using Packed for bytes;

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
        uint256 amount = _runRoute(payload, PREFIX_BYTES, token, drawn + borrowed);
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
