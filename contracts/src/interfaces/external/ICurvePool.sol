// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Curve's pools of coins that are worth the same: their exchanges take signed indices; what they return differs.
interface ICurvePool {
    function exchange(int128 i, int128 j, uint256 dx, uint256 minDy) external;
}

/// Curve's pools of other coins: the same with unsigned indices.
interface ICurveCryptoPool {
    function exchange(uint256 i, uint256 j, uint256 dx, uint256 minDy) external;
}
