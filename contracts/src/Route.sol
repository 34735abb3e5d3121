// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IArbExecutor, PairFactory} from "./interfaces/IArbExecutor.sol";
import {IMorpho} from "./interfaces/external/IMorpho.sol";
import {Packed} from "./libraries/Packed.sol";
import {AaveLiquidation} from "./venues/AaveLiquidation.sol";
import {BalancerVenue} from "./venues/BalancerVenue.sol";
import {ConcentratedVenue} from "./venues/ConcentratedVenue.sol";
import {CurveVenue} from "./venues/CurveVenue.sol";
import {MorphoLiquidation} from "./venues/MorphoLiquidation.sol";
import {PairVenue} from "./venues/PairVenue.sol";
import {SingletonVenue} from "./venues/SingletonVenue.sol";

/// @title Reads hops and swaps along them
/// @dev A further venue is one number here, one contract under venues/, one line in `_fieldBytes` and one in `_swap`.
abstract contract Route is
    IArbExecutor,
    PairVenue,
    ConcentratedVenue,
    BalancerVenue,
    SingletonVenue,
    CurveVenue,
    AaveLiquidation,
    MorphoLiquidation
{
    using Packed for bytes;
    using SafeERC20 for IERC20;

    uint256 private constant UNISWAP_V2 = 0;
    uint256 private constant SUSHI_SWAP = 1;
    uint256 private constant UNISWAP_V3 = 2;
    uint256 private constant BALANCER_V2 = 3;
    uint256 private constant UNISWAP_V4 = 4;
    uint256 private constant UNISWAP_V4_IN_ETHER = 5;
    uint256 private constant CURVE = 6;
    uint256 private constant CURVE_CRYPTO = 7;
    uint256 private constant AAVE_V3_LIQUIDATION = 8;
    uint256 private constant MORPHO_LIQUIDATION = 9;

    address private immutable UNISWAP_V2_FACTORY;
    bytes32 private immutable UNISWAP_V2_INIT_CODE_HASH;
    uint256 private immutable UNISWAP_V2_FEE_PIPS;
    address private immutable SUSHI_SWAP_FACTORY;
    bytes32 private immutable SUSHI_SWAP_INIT_CODE_HASH;
    uint256 private immutable SUSHI_SWAP_FEE_PIPS;

    struct Hop {
        uint256 venue;
        address tokenOut;
        /// Pairs only: they swap what they were sent; the others fetch it from here.
        address pair;
        /// Where in the plan the venue's own fields begin.
        uint256 fields;
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

    /// @dev Swap `amount` of `token` along all hops from byte `offset` of `plan` on, back into `token`.
    function _runRoute(bytes calldata plan, uint256 offset, address token, uint256 amount) internal returns (uint256) {
        return _runRoute(plan, offset, token, amount, token);
    }

    /// @dev Swap `amount` of `token` along all hops from byte `offset` of `plan` on, into `lastToken`. What goes into a
    /// pair is sent there straight by the hop before it. What a liquidation leaves of `lastToken` stays with the proceeds.
    function _runRoute(bytes calldata plan, uint256 offset, address token, uint256 amount, address lastToken)
        internal
        returns (uint256)
    {
        Hop memory hop;
        (hop, offset) = _readHop(plan, offset, token);
        if (hop.pair != address(0)) IERC20(token).safeTransfer(hop.pair, amount);
        address tokenIn = token;
        uint256 kept = 0;
        for (uint256 index = 0;; ++index) {
            bool isLast = offset == plan.length;
            Hop memory next;
            if (!isLast) (next, offset) = _readHop(plan, offset, hop.tokenOut);
            (uint256 amountOut, uint256 spare) =
                _swap(plan, hop, tokenIn, amount, next.pair == address(0) ? address(this) : next.pair);
            if (amountOut < hop.minimum) revert LegBelowMinimum(index, amountOut, hop.minimum);
            if (spare != 0) {
                if (tokenIn != lastToken) revert PartialFill(amount - spare, amount);
                kept += spare;
            }
            (tokenIn, amount) = (hop.tokenOut, amountOut);
            if (isLast) break;
            hop = next;
        }
        if (tokenIn != lastToken) revert RouteNotClosed(tokenIn);
        return amount + kept;
    }

    function _readHop(bytes calldata plan, uint256 offset, address tokenIn)
        private
        view
        returns (Hop memory hop, uint256 end)
    {
        hop.venue = plan.read(offset, 1);
        hop.tokenOut = plan.readAddress(offset + 1);
        hop.fields = offset + 21;
        if (hop.venue == UNISWAP_V2) {
            hop.pair = _pairOf(UNISWAP_V2_FACTORY, UNISWAP_V2_INIT_CODE_HASH, tokenIn, hop.tokenOut);
        } else if (hop.venue == SUSHI_SWAP) {
            hop.pair = _pairOf(SUSHI_SWAP_FACTORY, SUSHI_SWAP_INIT_CODE_HASH, tokenIn, hop.tokenOut);
        }
        end = hop.fields + _fieldBytes(hop.venue);
        hop.minimum = plan.readRoundedDown(end);
        end += 4;
    }

    /// @dev How many bytes a venue's own fields take.
    function _fieldBytes(uint256 venue) private pure returns (uint256) {
        if (venue <= SUSHI_SWAP) return 0;
        if (venue == UNISWAP_V3) return 3;
        if (venue == BALANCER_V2) return 32;
        if (venue <= UNISWAP_V4_IN_ETHER) return 6;
        if (venue <= CURVE_CRYPTO) return 21;
        if (venue == AAVE_V3_LIQUIDATION) return 20;
        if (venue == MORPHO_LIQUIDATION) return 84;
        revert UnknownVenue(venue);
    }

    /// @dev `spare`: what a liquidation did not take of the amount in.
    function _swap(bytes calldata plan, Hop memory hop, address tokenIn, uint256 amountIn, address to)
        private
        returns (uint256 amountOut, uint256 spare)
    {
        uint256 venue = hop.venue;
        if (venue <= SUSHI_SWAP) {
            uint256 feePips = venue == UNISWAP_V2 ? UNISWAP_V2_FEE_PIPS : SUSHI_SWAP_FEE_PIPS;
            amountOut = _swapOnPair(hop.pair, tokenIn < hop.tokenOut, amountIn, feePips, to);
        } else if (venue == UNISWAP_V3) {
            amountOut = _swapOnPool(tokenIn, hop.tokenOut, uint24(plan.read(hop.fields, 3)), amountIn, to);
        } else if (venue == BALANCER_V2) {
            bytes32 poolId = bytes32(plan.read(hop.fields, 32));
            amountOut = _swapOnBalancer(poolId, tokenIn, hop.tokenOut, amountIn, to);
        } else if (venue <= UNISWAP_V4_IN_ETHER) {
            amountOut = _swapOnSingleton(_singletonSwap(plan, hop, tokenIn, amountIn, to));
        } else if (venue <= CURVE_CRYPTO) {
            amountOut = _swapOnCurve(_curveSwap(plan, hop, tokenIn, amountIn, to));
        } else if (venue == AAVE_V3_LIQUIDATION) {
            address borrower = plan.readAddress(hop.fields);
            (amountOut, spare) = _liquidateOnAave(borrower, tokenIn, hop.tokenOut, amountIn, to);
        } else {
            (amountOut, spare) = _liquidateOnMorpho(
                _market(plan, hop, tokenIn), plan.readAddress(hop.fields), plan.read(hop.fields + 68, 16), amountIn, to
            );
        }
    }

    function _singletonSwap(bytes calldata plan, Hop memory hop, address tokenIn, uint256 amountIn, address to)
        private
        pure
        returns (SingletonSwap memory)
    {
        return SingletonSwap({
            tokenIn: tokenIn,
            tokenOut: hop.tokenOut,
            fee: uint24(plan.read(hop.fields, 3)),
            tickSpacing: int24(uint24(plan.read(hop.fields + 3, 3))),
            inEther: hop.venue == UNISWAP_V4_IN_ETHER,
            amountIn: amountIn,
            to: to
        });
    }

    function _curveSwap(bytes calldata plan, Hop memory hop, address tokenIn, uint256 amountIn, address to)
        private
        pure
        returns (CurveSwap memory)
    {
        uint256 coins = plan.read(hop.fields + 20, 1);
        return CurveSwap({
            pool: plan.readAddress(hop.fields),
            isCrypto: hop.venue == CURVE_CRYPTO,
            coinIn: coins >> 4,
            coinOut: coins & 0x0f,
            tokenIn: tokenIn,
            tokenOut: hop.tokenOut,
            amountIn: amountIn,
            to: to
        });
    }

    function _market(bytes calldata plan, Hop memory hop, address debt)
        private
        pure
        returns (IMorpho.MarketParams memory)
    {
        return IMorpho.MarketParams({
            loanToken: debt,
            collateralToken: hop.tokenOut,
            oracle: plan.readAddress(hop.fields + 20),
            irm: plan.readAddress(hop.fields + 40),
            lltv: plan.read(hop.fields + 60, 8)
        });
    }
}
