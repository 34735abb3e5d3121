// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title A pool of two coins that exchanges a for b one to one in units of b, less a basis point; ours
/// @dev No package carries Curve's contracts. Those of other coins take unsigned indices and return the amount; the
/// oldest take signed ones and return nothing. What the executor sees is all the same.
abstract contract FixedRatePool {
    using SafeERC20 for IERC20;

    address[2] public coins;
    uint256 private immutable RATE;

    /// @param rate Units of the second coin for 1e18 units of the first.
    constructor(address first, address second, uint256 rate) {
        coins = [first, second];
        RATE = rate;
    }

    function quote(uint256 i, uint256 dx) public view returns (uint256) {
        uint256 gross = i == 0 ? dx * RATE / 1e18 : dx * 1e18 / RATE;
        return gross * 9_999 / 10_000;
    }

    function _exchange(uint256 i, uint256 j, uint256 dx) internal returns (uint256 dy) {
        dy = quote(i, dx);
        IERC20(coins[i]).safeTransferFrom(msg.sender, address(this), dx);
        IERC20(coins[j]).safeTransfer(msg.sender, dy);
    }
}

/// @title With unsigned indices, as Curve's pools of other coins
contract UnsignedPool is FixedRatePool {
    constructor(address first, address second, uint256 rate) FixedRatePool(first, second, rate) {}

    function exchange(uint256 i, uint256 j, uint256 dx, uint256) external returns (uint256) {
        return _exchange(i, j, dx);
    }
}

/// @title With signed indices and no answer, as Curve's oldest pools
contract SilentPool is FixedRatePool {
    constructor(address first, address second, uint256 rate) FixedRatePool(first, second, rate) {}

    function exchange(int128 i, int128 j, uint256 dx, uint256) external {
        _exchange(uint256(int256(i)), uint256(int256(j)), dx);
    }
}

/// @title Takes less than it was allowed, and gives all the same
contract ModestPool is FixedRatePool {
    using SafeERC20 for IERC20;

    constructor(address first, address second, uint256 rate) FixedRatePool(first, second, rate) {}

    function exchange(int128 i, int128 j, uint256 dx, uint256) external {
        _exchange(uint256(int256(i)), uint256(int256(j)), dx - 1);
    }
}
