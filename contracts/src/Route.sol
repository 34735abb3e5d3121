// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IArbExecutor, PairFactory} from "./interfaces/IArbExecutor.sol";
import {Packed} from "./libraries/Packed.sol";
import {BalancerVenue} from "./venues/BalancerVenue.sol";
import {ConcentratedVenue} from "./venues/ConcentratedVenue.sol";
import {PairVenue} from "./venues/PairVenue.sol";

/// @title Reads hops and swaps along them
/// @dev A further venue is one number here, one contract under venues/, one line in `_readHop` and one in `_swap`.
abstract contract Route is IArbExecutor, PairVenue, ConcentratedVenue, BalancerVenue {
    using Packed for bytes;
    using SafeERC20 for IERC20;

    uint256 private constant UNISWAP_V2 = 0;
    uint256 private constant SUSHI_SWAP = 1;
    uint256 private constant UNISWAP_V3 = 2;
    uint256 private constant BALANCER_V2 = 3;

    address private immutable UNISWAP_V2_FACTORY;
    bytes32 private immutable UNISWAP_V2_INIT_CODE_HASH;
    uint256 private immutable UNISWAP_V2_FEE_PIPS;
    address private immutable SUSHI_SWAP_FACTORY;
    bytes32 private immutable SUSHI_SWAP_INIT_CODE_HASH;
    uint256 private immutable SUSHI_SWAP_FEE_PIPS;

    struct Hop {
        uint256 venue;
        address tokenOut;
        /// The pair or pool; 0 on Balancer.
        address pool;
        /// Balancer only.
        bytes32 poolId;
        /// Pairs swap what they were sent; the others fetch it from here.
        bool isPair;
        uint256 minimum;
    }

    constructor(PairFactory memory uniswapV2, PairFactory memory sushiSwap) {
        UNISWAP_V2_FACTORY = uniswapV2.factory;
        UNISWAP_V2_INIT_CODE_HASH = uniswapV2.initCodeHash;
        UNISWAP_V2_FEE_PIPS = uniswapV2.feePips;
        SUSHI_SWAP_FACTORY = sushiSwap.factory;
        SUSHI_SWAP_INIT_CODE_HASH = sushiSwap.initCodeHash;
        SUSHI_SWAP_FEE_PIPS = sushiSwap.feePips;
    }

    /// @dev Swap `amount` of `token` along all hops from byte `offset` of `plan` on, back into `token`. What goes into a
    /// pair is sent there straight by the hop before it.
    function _runRoute(bytes calldata plan, uint256 offset, address token, uint256 amount) internal returns (uint256) {
        Hop memory hop;
        (hop, offset) = _readHop(plan, offset, token);
        if (hop.isPair) IERC20(token).safeTransfer(hop.pool, amount);
        address tokenIn = token;
        for (uint256 index = 0;; ++index) {
            bool isLast = offset == plan.length;
            Hop memory next;
            if (!isLast) (next, offset) = _readHop(plan, offset, hop.tokenOut);
            amount = _swap(hop, tokenIn, amount, next.isPair ? next.pool : address(this));
            if (amount < hop.minimum) revert LegBelowMinimum(index, amount, hop.minimum);
            tokenIn = hop.tokenOut;
            if (isLast) break;
            hop = next;
        }
        if (tokenIn != token) revert RouteNotClosed(tokenIn);
        return amount;
    }

    function _readHop(bytes calldata plan, uint256 offset, address tokenIn)
        private
        view
        returns (Hop memory hop, uint256 end)
    {
        hop.venue = plan.read(offset, 1);
        hop.tokenOut = plan.readAddress(offset + 1);
        end = offset + 21;
        if (hop.venue == UNISWAP_V2) {
            hop.isPair = true;
            hop.pool = _pairOf(UNISWAP_V2_FACTORY, UNISWAP_V2_INIT_CODE_HASH, tokenIn, hop.tokenOut);
        } else if (hop.venue == SUSHI_SWAP) {
            hop.isPair = true;
            hop.pool = _pairOf(SUSHI_SWAP_FACTORY, SUSHI_SWAP_INIT_CODE_HASH, tokenIn, hop.tokenOut);
        } else if (hop.venue == UNISWAP_V3) {
            hop.pool = _poolOf(tokenIn, hop.tokenOut, uint24(plan.read(end, 3)));
            end += 3;
        } else if (hop.venue == BALANCER_V2) {
            hop.poolId = bytes32(plan.read(end, 32));
            end += 32;
        } else {
            revert UnknownVenue(hop.venue);
        }
        hop.minimum = plan.readRoundedDown(end);
        end += 4;
    }

    function _swap(Hop memory hop, address tokenIn, uint256 amountIn, address to) private returns (uint256) {
        bool zeroForOne = tokenIn < hop.tokenOut;
        if (hop.isPair) {
            uint256 feePips = hop.venue == UNISWAP_V2 ? UNISWAP_V2_FEE_PIPS : SUSHI_SWAP_FEE_PIPS;
            return _swapOnPair(hop.pool, zeroForOne, amountIn, feePips, to);
        }
        if (hop.venue == UNISWAP_V3) return _swapOnPool(hop.pool, tokenIn, zeroForOne, amountIn, to);
        return _swapOnBalancer(hop.poolId, tokenIn, hop.tokenOut, amountIn, to);
    }
}
