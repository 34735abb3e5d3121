// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DevnetToken} from "./DevnetToken.sol";

/// @title A devnet token that burns one percent of every transfer, so that less arrives than was sent
contract FeeOnTransferToken is DevnetToken {
    uint256 public constant FEE_BASIS_POINTS = 100;

    constructor(string memory name_, string memory symbol_, uint8 decimals_) DevnetToken(name_, symbol_, decimals_) {}

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : (value * FEE_BASIS_POINTS) / 10_000;
        if (fee > 0) super._update(from, address(0), fee);
        super._update(from, to, value - fee);
    }
}
