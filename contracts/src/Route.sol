// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

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

    /// @dev A hop on a pair: venue, token out, minimum.
    uint256 private constant SHORTEST_HOP_BYTES = 25;
    uint256 private constant USES_OF_A_HOP = 3;

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
    uint256 private immutable UNISWAP_V2_KEPT_PIPS;
    address private immutable SUSHI_SWAP_FACTORY;
    bytes32 private immutable SUSHI_SWAP_INIT_CODE_HASH;
    uint256 private immutable SUSHI_SWAP_KEPT_PIPS;

    struct Hop {
        uint256 venue;
        address tokenOut;
        /// Pairs only: they swap what they were sent; the others fetch it from here.
        address pair;
        /// Where in the plan the venue's own fields begin.
        uint256 fields;
        uint256 minimum;
        /// Pools of Uniswap V3 only: the pair before, with its mark, where that is to pay them.
        uint256 payer;
    }

    constructor(PairFactory memory uniswapV2, PairFactory memory sushiSwap) {
        UNISWAP_V2_FACTORY = uniswapV2.factory;
        UNISWAP_V2_INIT_CODE_HASH = uniswapV2.initCodeHash;
        UNISWAP_V2_KEPT_PIPS = ONE_PIPS - uniswapV2.feePips;
        SUSHI_SWAP_FACTORY = sushiSwap.factory;
        SUSHI_SWAP_INIT_CODE_HASH = sushiSwap.initCodeHash;
        SUSHI_SWAP_KEPT_PIPS = ONE_PIPS - sushiSwap.feePips;
    }

    /// @dev Where `_runRoute` takes what it swaps from: the first hop's pair, or this contract.
    function _entryOf(bytes calldata plan, uint256 offset, address token) internal view returns (address) {
        (Hop memory hop,) = _readHop(plan, offset, token);
        return _entryOf(hop);
    }

    /// @dev Of no hop at all it is this contract, too.
    function _entryOf(Hop memory hop) private view returns (address) {
        return hop.pair == address(0) ? address(this) : hop.pair;
    }

    /// @dev Swap `amount` of `tokenIn`, which is where `_entryOf` says, along all hops from byte `offset` of `plan` on,
    /// into `lastToken`. What goes into a pair is sent there straight by the hop before it, and what comes out of one
    /// into a pool of Uniswap V3 straight into that. What a liquidation leaves of `lastToken` stays with the proceeds.
    function _runRoute(bytes calldata plan, uint256 offset, address tokenIn, uint256 amount, address lastToken)
        internal
        returns (uint256)
    {
        Hop memory none;
        Hop memory hop = none;
        (hop, offset) = _readHop(plan, offset, tokenIn);
        uint256 kept = 0;
        uint256 index = 0;
        while (true) {
            bool isLast = offset == plan.length;
            Hop memory next = none;
            if (!isLast) (next, offset) = _readHop(plan, offset, hop.tokenOut);
            uint256 amountOut;
            uint256 spare = 0;
            if (hop.pair != address(0) && next.venue == UNISWAP_V3) {
                // The pool's callback takes it out of the pair.
                amountOut = _amountOutOfPair(hop, tokenIn, amount);
                next.payer = uint160(hop.pair) | (tokenIn < hop.tokenOut ? ZERO_FOR_ONE : ONE_FOR_ZERO);
            } else {
                (amountOut, spare) = _swap(plan, hop, tokenIn, amount, _entryOf(next));
            }
            if (amountOut < hop.minimum) revert LegBelowMinimum(index, amountOut, hop.minimum);
            if (spare != 0) {
                if (tokenIn != lastToken) revert PartialFill(amount - spare, amount);
                kept += spare;
            }
            (tokenIn, amount) = (hop.tokenOut, amountOut);
            if (isLast) break;
            hop = next;
            unchecked {
                ++index;
            }
        }
        if (tokenIn != lastToken) revert RouteNotClosed(tokenIn);
        return amount + kept;
    }

    function _readHop(bytes calldata plan, uint256 offset, address tokenIn)
        private
        view
        returns (Hop memory hop, uint256 end)
    {
        // One read of what all hops have: venue (8 bits), token out (160), and of a pair, which has no fields, the minimum.
        uint256 head = plan.read(offset, SHORTEST_HOP_BYTES);
        uint256 venue = head >> 192;
        address tokenOut = address(uint160(head >> 32));
        (hop.venue, hop.tokenOut) = (venue, tokenOut);
        if (venue <= SUSHI_SWAP) {
            (address factory, bytes32 initCodeHash) = venue == UNISWAP_V2
                ? (UNISWAP_V2_FACTORY, UNISWAP_V2_INIT_CODE_HASH)
                : (SUSHI_SWAP_FACTORY, SUSHI_SWAP_INIT_CODE_HASH);
            hop.pair = _pairOf(factory, initCodeHash, tokenIn, tokenOut);
            hop.minimum = Packed.unrounded(uint32(head));
            unchecked {
                return (hop, offset + SHORTEST_HOP_BYTES);
            }
        }
        unchecked {
            // what was read begins within the plan
            hop.fields = offset + 21;
            end = hop.fields + _fieldBytes(venue);
            hop.minimum = Packed.unrounded(plan.read(end, 4));
            end += 4;
        }
    }

    /// @dev What the lender and the hops from byte `offset` on use: of each hop the token out, the pool and the venue.
    function _usesOfRoute(bytes calldata plan, uint256 offset, address token, address lender)
        internal
        view
        returns (bytes32[] memory uses)
    {
        if (offset > plan.length) revert MalformedPlan();
        uses = new bytes32[](1 + USES_OF_A_HOP * ((plan.length - offset) / SHORTEST_HOP_BYTES));
        uses[0] = _subject(lender); // of none it is 0, which nobody can pause or remove
        uint256 count = 1;
        while (offset != plan.length) {
            Hop memory hop;
            (hop, offset) = _readHop(plan, offset, token);
            uses[count++] = _subject(hop.tokenOut);
            (uses[count++], uses[count++]) = _placeOf(plan, hop, token);
            token = hop.tokenOut;
        }
        assembly ("memory-safe") {
            mstore(uses, count)
        }
    }

    /// @dev Pool and venue of a hop, as the brake and governance name them: addresses, or the 32-byte id of a pool.
    function _placeOf(bytes calldata plan, Hop memory hop, address tokenIn)
        private
        view
        returns (bytes32 pool, bytes32 venue)
    {
        if (hop.venue == UNISWAP_V2) return (_subject(hop.pair), _subject(UNISWAP_V2_FACTORY));
        if (hop.venue == SUSHI_SWAP) return (_subject(hop.pair), _subject(SUSHI_SWAP_FACTORY));
        if (hop.venue == UNISWAP_V3) {
            uint24 fee = uint24(plan.read(hop.fields, 3));
            return (_subject(_poolOf(tokenIn, hop.tokenOut, fee)), _subject(POOL_FACTORY));
        }
        if (hop.venue == BALANCER_V2) return (bytes32(plan.read(hop.fields, 32)), _subject(address(BALANCER)));
        if (hop.venue <= UNISWAP_V4_IN_ETHER) {
            bytes32 id = keccak256(abi.encode(_poolKey(_singletonSwap(plan, hop, tokenIn, 0, address(0)))));
            return (id, _subject(address(POOL_MANAGER)));
        }
        if (hop.venue <= CURVE_CRYPTO) {
            pool = _subject(plan.readAddress(hop.fields));
            return (pool, pool);
        }
        if (hop.venue == AAVE_V3_LIQUIDATION) return (_subject(address(AAVE)), _subject(address(AAVE)));
        return (keccak256(abi.encode(_market(plan, hop, tokenIn))), _subject(address(MORPHO)));
    }

    function _subject(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    function _amountOutOfPair(Hop memory hop, address tokenIn, uint256 amountIn) private view returns (uint256) {
        uint256 keptPips = hop.venue == UNISWAP_V2 ? UNISWAP_V2_KEPT_PIPS : SUSHI_SWAP_KEPT_PIPS;
        return _amountOutOfPair(hop.pair, tokenIn < hop.tokenOut, amountIn, keptPips);
    }

    /// @dev How many bytes a venue's own fields take, where it is none of pairs.
    function _fieldBytes(uint256 venue) private pure returns (uint256) {
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
            amountOut = _amountOutOfPair(hop, tokenIn, amountIn);
            _takeFromPair(hop.pair, tokenIn < hop.tokenOut, amountOut, to);
        } else if (venue == UNISWAP_V3) {
            address pool = _poolOf(tokenIn, hop.tokenOut, uint24(plan.read(hop.fields, 3)));
            amountOut = _swapOnPool(pool, hop, tokenIn, amountIn, to);
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

    function _swapOnPool(address pool, Hop memory hop, address tokenIn, uint256 amountIn, address to)
        private
        returns (uint256)
    {
        uint256 payer = hop.payer;
        // cutting the mark off is what this does
        // forge-lint: disable-next-line(unsafe-typecast)
        if (address(uint160(payer)) == to) {
            // The pair would take what the pool sends it for its own amount in.
            _takeFromPair(to, payer >= ZERO_FOR_ONE, amountIn, address(this));
            payer = 0;
        }
        if (payer == 0) payer = uint160(tokenIn);
        return _swapOnPool(pool, tokenIn < hop.tokenOut, amountIn, payer, to);
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
