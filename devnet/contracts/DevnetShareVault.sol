// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";

/// @title A vault with shares: OpenZeppelin's ERC-4626, whose yield on the devnet is what somebody gives it
contract DevnetShareVault is ERC4626 {
    uint8 private immutable _offset;

    constructor(IERC20 asset_, uint8 offset_) ERC20("Devnet Vault Shares", "dVS") ERC4626(asset_) {
        _offset = offset_;
    }

    /// @dev Virtual shares' decimals beyond the asset's: they make the first depositor's inflation attack dear.
    function _decimalsOffset() internal view override returns (uint8) {
        return _offset;
    }
}
