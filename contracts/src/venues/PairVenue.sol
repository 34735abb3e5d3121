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
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        bytes32 salt;
        assembly ("memory-safe") {
            // keccak256(abi.encodePacked(token0, token1)), in scratch space
            mstore(0x00, shl(96, token0))
            mstore(0x14, shl(96, token1))
            salt := keccak256(0x00, 0x28)
        }
        pair = Create2.computeAddress(salt, initCodeHash, factory);
        if (pair.code.length == 0) revert IArbExecutor.NoSuchPool(pair);
    }

    /// @dev Swaps `amountIn` that the pair already has been sent, of which its fee leaves so many pips; rounds down as the
    /// pair does.
    function _swapOnPair(address pair, bool zeroForOne, uint256 amountIn, uint256 keptPips, address to)
        internal
        returns (uint256 amountOut)
    {
        (uint112 reserve0, uint112 reserve1,) = IConstantProductPair(pair).getReserves();
        (uint256 reserveIn, uint256 reserveOut) = zeroForOne ? (reserve0, reserve1) : (reserve1, reserve0);
        uint256 net = amountIn * keptPips;
        amountOut = (net * reserveOut) / (reserveIn * ONE_PIPS + net);
        (uint256 amount0Out, uint256 amount1Out) = zeroForOne ? (uint256(0), amountOut) : (amountOut, uint256(0));
        IConstantProductPair(pair).swap(amount0Out, amount1Out, to, "");
    }
}
