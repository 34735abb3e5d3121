// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DevnetToken} from "./DevnetToken.sol";

/// @title A devnet token whose transfers revert for blocked accounts, and for everybody while it is paused
contract RevertingToken is DevnetToken {
    mapping(address account => bool) public blocked;
    bool public paused;

    error Blocked(address account);
    error Paused();

    constructor(string memory name_, string memory symbol_, uint8 decimals_) DevnetToken(name_, symbol_, decimals_) {}

    function setBlocked(address account, bool value) external onlyMinter {
        blocked[account] = value;
    }

    function setPaused(bool value) external onlyMinter {
        paused = value;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (paused) revert Paused();
        if (blocked[from]) revert Blocked(from);
        if (blocked[to]) revert Blocked(to);
        super._update(from, to, value);
    }
}
