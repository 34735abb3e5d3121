// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {CallbackGuard} from "../CallbackGuard.sol";
import {IArbExecutor} from "../interfaces/IArbExecutor.sol";
import {IPoolManager} from "../interfaces/external/IPoolManager.sol";
import {IWrappedEther} from "../interfaces/external/IWrappedEther.sol";

/// @title Swaps on pools of Uniswap V4, all of which are in its PoolManager
/// @dev Pools without hooks only: a hook is foreign code in the middle of a route. Where a pool holds ether itself, the
/// route holds WETH: it is unwrapped before it goes in and wrapped when it comes out.
abstract contract SingletonVenue is IArbExecutor, CallbackGuard {
    using SafeERC20 for IERC20;

    /// @dev One beyond TickMath.MIN_SQRT_PRICE and one below MAX_SQRT_PRICE: as far as a price may go.
    uint160 private constant LOWEST_SQRT_PRICE = 4295128740;
    uint160 private constant HIGHEST_SQRT_PRICE = 1461446703485210103287273052203988822378723970341;
    address private constant ETHER = address(0);
    address private constant NO_HOOKS = address(0);

    address internal immutable WETH;
    IPoolManager internal immutable POOL_MANAGER;

    bool private transient _etherIsDue;

    /// @dev `inEther`: the pool holds ether where the route holds WETH.
    struct SingletonSwap {
        address tokenIn;
        address tokenOut;
        uint24 fee;
        int24 tickSpacing;
        bool inEther;
        uint256 amountIn;
        address to;
    }

    constructor(address weth, address poolManager) {
        WETH = weth;
        POOL_MANAGER = IPoolManager(poolManager);
    }

    /// @dev Ether comes from WETH when it is unwrapped, and out of a pool in a swap under way.
    receive() external payable {
        if (msg.sender != WETH && !(msg.sender == address(POOL_MANAGER) && _etherIsDue)) revert UnexpectedEther();
    }

    /// @inheritdoc IArbExecutor
    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        _letIn(data);
        SingletonSwap memory order = abi.decode(data, (SingletonSwap));
        (address paid, address taken) = _currencies(order);
        bool zeroForOne = paid < taken;
        int256 delta = POOL_MANAGER.swap(
            _poolKey(order),
            IPoolManager.SwapParams({
                zeroForOne: zeroForOne,
                amountSpecified: -SafeCast.toInt256(order.amountIn),
                sqrtPriceLimitX96: zeroForOne ? LOWEST_SQRT_PRICE : HIGHEST_SQRT_PRICE
            }),
            ""
        );
        (int256 change0, int256 change1) = _changes(delta);
        uint256 owed = uint256(-(zeroForOne ? change0 : change1));
        uint256 amountOut = uint256(zeroForOne ? change1 : change0);
        if (owed != order.amountIn) revert PartialFill(owed, order.amountIn);
        _pay(paid, owed);
        _take(taken, amountOut, order.to);
        return abi.encode(amountOut);
    }

    /// @dev Swaps exactly the amount in, of what this contract holds.
    function _swapOnSingleton(SingletonSwap memory order) internal returns (uint256 amountOut) {
        bytes memory payload = abi.encode(order);
        _expectCallback(address(POOL_MANAGER), this.unlockCallback.selector, payload);
        amountOut = abi.decode(POOL_MANAGER.unlock(payload), (uint256));
        _requireCalledBack();
    }

    /// @dev The pool's key; its id is Keccak-256 of it.
    function _poolKey(SingletonSwap memory order) internal view returns (IPoolManager.PoolKey memory) {
        (address paid, address taken) = _currencies(order);
        return IPoolManager.PoolKey({
            currency0: paid < taken ? paid : taken,
            currency1: paid < taken ? taken : paid,
            fee: order.fee,
            tickSpacing: order.tickSpacing,
            hooks: NO_HOOKS
        });
    }

    /// @dev The halves of a balance delta, as signed numbers.
    function _changes(int256 delta) private pure returns (int256 change0, int256 change1) {
        change0 = delta >> 128;
        assembly ("memory-safe") {
            change1 := signextend(15, delta)
        }
    }

    function _currencies(SingletonSwap memory order) private view returns (address paid, address taken) {
        paid = order.inEther && order.tokenIn == WETH ? ETHER : order.tokenIn;
        taken = order.inEther && order.tokenOut == WETH ? ETHER : order.tokenOut;
    }

    function _pay(address currency, uint256 amount) private {
        if (currency == ETHER) {
            IWrappedEther(WETH).withdraw(amount);
            POOL_MANAGER.settle{value: amount}();
        } else {
            POOL_MANAGER.sync(currency);
            IERC20(currency).safeTransfer(address(POOL_MANAGER), amount);
            POOL_MANAGER.settle();
        }
    }

    function _take(address currency, uint256 amount, address to) private {
        if (currency == ETHER) {
            _etherIsDue = true;
            POOL_MANAGER.take(ETHER, address(this), amount);
            _etherIsDue = false;
            IWrappedEther(WETH).deposit{value: amount}();
            if (to != address(this)) IERC20(WETH).safeTransfer(to, amount);
        } else {
            POOL_MANAGER.take(currency, to, amount);
        }
    }
}
