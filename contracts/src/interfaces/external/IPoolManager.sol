// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Uniswap V4's PoolManager: one contract that holds all pools and settles at the end of a lock.
interface IPoolManager {
    struct PoolKey {
        address currency0;
        address currency1;
        uint24 fee;
        int24 tickSpacing;
        address hooks;
    }

    struct SwapParams {
        bool zeroForOne;
        /// Negative: an exact amount in.
        int256 amountSpecified;
        uint160 sqrtPriceLimitX96;
    }

    function unlock(bytes calldata data) external returns (bytes memory);
    /// The upper 128 bits are the change of currency 0, the lower ones of currency 1, as the caller sees them.
    function swap(PoolKey calldata key, SwapParams calldata params, bytes calldata hookData)
        external
        returns (int256 balanceDelta);
    function sync(address currency) external;
    function settle() external payable returns (uint256 paid);
    function take(address currency, address to, uint256 amount) external;
}
