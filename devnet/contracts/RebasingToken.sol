// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DevnetToken} from "./DevnetToken.sol";

/// @title A devnet token whose balances all move when its index does, without a transfer (as Ampleforth's or stETH's)
/// @dev Accounts hold shares; a balance is shares * index / 1e18, rounded down
contract RebasingToken is DevnetToken {
    uint256 public index = 1e18;
    uint256 private _totalShares;
    mapping(address account => uint256) private _shares;

    event Rebase(uint256 index);

    constructor(string memory name_, string memory symbol_, uint8 decimals_) DevnetToken(name_, symbol_, decimals_) {}

    /// @notice Multiply every balance by `newIndex / index`
    function rebase(uint256 newIndex) external onlyMinter {
        index = newIndex;
        emit Rebase(newIndex);
    }

    function totalSupply() public view override returns (uint256) {
        return (_totalShares * index) / 1e18;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return (_shares[account] * index) / 1e18;
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 shares = (value * 1e18) / index;
        if (from == address(0)) {
            _totalShares += shares;
        } else {
            uint256 held = _shares[from];
            if (held < shares) revert ERC20InsufficientBalance(from, balanceOf(from), value);
            _shares[from] = held - shares;
        }
        if (to == address(0)) _totalShares -= shares;
        else _shares[to] += shares;
        emit Transfer(from, to, value);
    }
}
