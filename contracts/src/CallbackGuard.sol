// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IArbExecutor} from "./interfaces/IArbExecutor.sol";

/// @title Lets in one callback: of the contract being called, of the kind it owes, with the payload it was given
/// @dev One transient word holds all three as a hash; letting the callback in clears it.
abstract contract CallbackGuard {
    bytes32 private transient _expected;

    /// @dev Call before calling `caller`, which must answer by `selector` with `payload`.
    function _expectCallback(address caller, bytes4 selector, bytes memory payload) internal {
        _expected = keccak256(abi.encode(caller, selector, keccak256(payload)));
    }

    /// @dev Call first in every callback.
    function _letIn(bytes calldata payload) internal {
        if (_expected != keccak256(abi.encode(msg.sender, msg.sig, keccak256(payload)))) {
            revert IArbExecutor.UnexpectedCallback();
        }
        _expected = 0;
    }

    /// @dev Call where a callback that did not come would otherwise go unnoticed.
    function _requireCalledBack() internal view {
        if (_expected != 0) revert IArbExecutor.CallbackMissing();
    }
}
