// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {IArbExecutor} from "../interfaces/IArbExecutor.sol";
import {IConstantProductPair} from "../interfaces/external/IConstantProductPair.sol";

/// @title Swaps on pairs of Uniswap V2's kind
abstract contract PairVenue {
    uint256 internal constant ONE_PIPS = 1e6;

    /// @dev The pair of two tokens, which must exist.
    function _pairOf(address factory, bytes32 initCodeHash, address tokenA, address tokenB)
        internal
        view
        returns (address pair)
    {
        (address token0, address token1) = _sorted(tokenA, tokenB);
        bytes32 salt;
        assembly ("memory-safe") {
            // keccak256(abi.encodePacked(token0, token1)), in scratch space
            mstore(0x00, shl(96, token0))
            mstore(0x14, shl(96, token1))
            salt := keccak256(0x00, 0x28)
        }
        pair = Create2.computeAddress(salt, initCodeHash, factory);
        _requirePool(pair);
    }

    function _sorted(address tokenA, address tokenB) internal pure returns (address token0, address token1) {
        return tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
    }

    function _requirePool(address pool) internal view {
        if (pool.code.length == 0) revert IArbExecutor.NoSuchPool(pool);
    }

    /// @dev What the pair gives for `amountIn`, of which its fee leaves so many pips; rounds down as the pair does.
    function _amountOutOfPair(address pair, bool zeroForOne, uint256 amountIn, uint256 keptPips)
        internal
        view
        returns (uint256)
    {
        (uint112 reserve0, uint112 reserve1,) = IConstantProductPair(pair).getReserves();
        (uint256 reserveIn, uint256 reserveOut) = zeroForOne ? (reserve0, reserve1) : (reserve1, reserve0);
        uint256 net = amountIn * keptPips;
        uint256 weighted = net * reserveOut;
        unchecked {
            // Reserves have 112 bits. Where two units or more are in reserve, `net` has at most 255, as `weighted` fits; of
            // one unit or none a pair gives nothing, whatever is asked of it.
            return weighted / (reserveIn * ONE_PIPS + net);
        }
    }

    /// @dev Takes out what the pair gives for what it already has been sent; it reverts where that is too much.
    function _takeFromPair(address pair, bool zeroForOne, uint256 amountOut, address to) internal {
        (uint256 amount0Out, uint256 amount1Out) = zeroForOne ? (uint256(0), amountOut) : (amountOut, uint256(0));
        IConstantProductPair(pair).swap(amount0Out, amount1Out, to, "");
    }
}
